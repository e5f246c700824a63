/* package.c: an archive in one go, for whoever has a place for it: names sorted, times and owners zero, so that the same model is the
 * same archive. */
#include "sagemaker/package.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/bundle.h"
#include "sagemaker/plan.h"

/* A store that hands parts on as they come, which is in order: nothing is packed ahead. */
struct stream {
	struct package_output *out;
};

static int lend(void *arg, size_t size, size_t max, void **room, struct err *e)
{
	(void)arg;
	(void)size;
	*room = malloc(max);
	return *room ? 0 : err_set(e, ENOMEM, "pack the model: out of memory");
}

static void drop(void *arg, void *room)
{
	(void)arg;
	free(room);
}

static int hand_on(void *arg, struct s3_part *p, void *room, struct err *e)
{
	const struct stream *s = arg;
	int rc = s->out->sink(s->out->arg, room, p->size, e);

	free(room);
	snprintf(p->etag, sizeof p->etag, "there");
	return rc;
}

static int hand_all(void *arg, void *room, size_t n, struct err *e)
{
	const struct stream *s = arg;
	int rc = s->out->sink(s->out->arg, room, n, e);

	free(room);
	return rc;
}

static int settle(void *arg, struct err *e)
{
	(void)arg;
	(void)e;
	return 0;
}

static void packed(void *arg, uint64_t files, uint64_t made)
{
	const struct stream *s = arg;

	(void)made;
	if (s->out->progress && files)
		s->out->progress(s->out->arg, files);
}

int package_unchanged(int fd, const struct package_member *m, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_errno(e, "read '%s'", m->path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != m->size || st.st_mtime != m->mtime)
		return err_set(e, EBUSY, "'%s' changed while it was packed", m->path);
	return 0;
}

int package_open(const struct package_plan *p, const struct package_member *m, struct err *e)
{
	_cleanup_close_ int fd = source_open(p->dirfd, m->path);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EXDEV || errno == ELOOP))
		return err_set(e, EBUSY, "'%s' vanished while the model was packed", m->path);
	if (fd < 0)
		return err_errno(e, "read '%s'", m->path);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return package_unchanged(fd, m, e) ? -1 : steal_fd(&fd);
}

int package_write(struct package_plan *p, struct package_output *o, struct cancel *cancel,
		  struct err *e)
{
	struct stream s = {.out = o};
	const struct bundle_store store = {.arg = &s,
					   .room = lend,
					   .drop = drop,
					   .part = hand_on,
					   .settle = settle,
					   .whole = hand_all,
					   .packed = packed};
	struct bundle *b = bundle_new(&store, NULL, 0);
	struct bundle_output made;

	o->points = NULL;
	o->n_points = 0;
	o->member_offsets = NULL;
	if (!b)
		return err_set(e, ENOMEM, "pack the model: out of memory");
	int rc = bundle_finish(b, p, cancel, &made, e);
	if (rc == 0) {
		o->points = steal(made.points);
		o->n_points = made.n_points;
		o->member_offsets = steal(made.member_offsets);
		bundle_output_release(&made);
	}
	bundle_free(b);
	return rc;
}
