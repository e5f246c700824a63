/* package.c: a plan's members as a tar stream into the compressor: names sorted, times and owners zero, so that the same
 * model is the same archive. */
#include "sagemaker/package.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/gzindex.h"
#include "sagemaker/plan.h"
#include "sagemaker/utf8_locale.h"

#define READ_BLOCK ((size_t)1 << 20)
#define RAW_CHUNK  ((uint64_t)16 << 20)

struct writer {
	struct package_plan *plan;
	struct package_output *out;
	struct cancel *cancel;
	struct archive *tar;
	struct gzip *gzip;
	struct err failure; /* of the compressor or the sink, which libarchive cannot carry */
	bool over;          /* after a failure: what libarchive still writes goes nowhere */
	uint64_t written;   /* bytes of the tar stream */
	char *block;
};

/* libarchive 3.6 leaks when a stream is not closed in good order, and does not close one that failed: so it never hears of a
 * failure. Whoever calls it looks at w->failure. */
static la_ssize_t take_tar(struct archive *a, void *arg, const void *p, size_t n)
{
	struct writer *w = arg;

	(void)a;
	if (!w->over && gzip_write(w->gzip, p, n, &w->failure))
		w->over = true;
	w->written += n;
	return (la_ssize_t)n;
}

/* What libarchive says, unless the sink has said why. */
static int tar_failure(struct writer *w, const char *path, struct err *e)
{
	const char *why = archive_error_string(w->tar);

	if (w->failure.no) {
		if (e)
			*e = w->failure;
		return -1;
	}
	return err_set(e, EIO, "pack '%s': %s", path, why ? why : "cannot write the archive");
}

static int put_header(struct writer *w, const struct package_member *m, struct err *e)
{
	struct archive_entry *t = archive_entry_new();

	if (!t)
		return err_set(e, ENOMEM, "pack '%s': out of memory", m->archive);
	archive_entry_set_pathname(t, m->archive);
	archive_entry_set_filetype(t, AE_IFREG);
	archive_entry_set_perm(t, m->mode & 0111 ? 0755 : 0644);
	archive_entry_set_size(t, (la_int64_t)m->size);
	archive_entry_set_mtime(t, 0, 0);
	int rc = archive_write_header(w->tar, t);
	archive_entry_free(t);
	return rc >= ARCHIVE_WARN && !w->over ? 0 : tar_failure(w, m->archive, e);
}

static int put_data(struct writer *w, const struct package_member *m, const char *p, size_t n,
		    struct err *e)
{
	if (archive_write_data(w->tar, p, n) != (la_ssize_t)n || w->over)
		return tar_failure(w, m->archive, e);
	if (w->out->progress)
		w->out->progress(w->out->arg, n);
	return 0;
}

/* The archive must hold the files that were checked: a size or time that differs means another file. */
int package_unchanged(int fd, const struct package_member *m, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_errno(e, "read '%s'", m->path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != m->size || st.st_mtime != m->mtime)
		return err_set(e, EBUSY, "'%s' changed while it was packed", m->path);
	return 0;
}

static int put_content(struct writer *w, const struct package_member *m, int fd, struct err *e)
{
	for (uint64_t left = m->size; left;) {
		ssize_t n = read(fd, w->block, (size_t)MIN(left, (uint64_t)READ_BLOCK));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, "read '%s'", m->path);
		if (n == 0)
			return err_set(e, EBUSY, "'%s' changed while it was packed", m->path);
		if (cancel_is_set(w->cancel))
			return err_set(e, ECANCELED, "packing was cancelled");
		if (put_data(w, m, w->block, (size_t)n, e))
			return -1;
		left -= (uint64_t)n;
	}
	return package_unchanged(fd, m, e);
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

static int put_file(struct writer *w, const struct package_member *m, struct err *e)
{
	_cleanup_close_ int fd = package_open(w->plan, m, e);

	return fd < 0 ? -1 : put_content(w, m, fd, e);
}

static int put_member(struct writer *w, size_t i, struct err *e)
{
	const struct package_member *m = &w->plan->members[i];

	if (cancel_is_set(w->cancel))
		return err_set(e, ECANCELED, "packing was cancelled");
	if (put_header(w, m, e))
		return -1;
	if (w->out->member_offsets)
		w->out->member_offsets[i] = w->written;
	if (m->content)
		return m->size ? put_data(w, m, m->content, (size_t)m->size, e) : 0;
	if (put_file(w, m, e))
		return -1;
	if (archive_write_finish_entry(w->tar) != ARCHIVE_OK || w->over)
		return tar_failure(w, m->archive, e);
	return 0;
}

static int put_all(struct writer *w, struct err *e)
{
	/* ustar where it can say it, pax headers for what it cannot; no blocking factor: pieces go on as they come */
	if (archive_write_set_format_pax_restricted(w->tar) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(w->tar, 0) != ARCHIVE_OK ||
	    archive_write_open(w->tar, w, NULL, take_tar, NULL) != ARCHIVE_OK)
		return tar_failure(w, ".", e);
	for (size_t i = 0; i < w->plan->n_members; i++)
		if (put_member(w, i, e))
			return -1;
	return archive_write_close(w->tar) == ARCHIVE_OK && !w->over ? 0 : tar_failure(w, ".", e);
}

static int write_archive(struct writer *w, struct err *e)
{
	w->tar = archive_write_new();
	w->block = malloc(READ_BLOCK);
	w->gzip = gzip_new(w->out->sink, w->out->arg, 0, e);
	int rc = w->gzip ? 0 : -1;

	if (rc == 0 && (!w->tar || !w->block))
		rc = err_set(e, ENOMEM, "pack the model: out of memory");
	if (rc == 0)
		rc = put_all(w, e);
	w->over = true; /* closing pads an entry that broke off */
	if (w->tar)
		archive_write_free(w->tar);
	if (rc == 0)
		return gzip_finish(w->gzip, &w->out->points, &w->out->n_points, e);
	gzip_free(w->gzip);
	return -1;
}

/* Points of what is handed on, so that pieces of it can be read and compared: every RAW_CHUNK bytes one. */
static int count_raw(struct package_output *o, uint64_t at, const char *p, size_t n)
{
	while (n) {
		size_t part = (size_t)MIN((uint64_t)n, RAW_CHUNK - at % RAW_CHUNK);

		if (at % RAW_CHUNK == 0) {
			struct gzip_point *more =
				reallocarray(o->points, o->n_points + 1, sizeof(*more));

			if (!more)
				return -1;
			o->points = more;
			o->points[o->n_points++] = (struct gzip_point){at, at, 0};
		}
		struct gzip_point *now = &o->points[o->n_points - 1];
		now->crc = gz_crc(now->crc, p, part);
		at += part;
		p += part;
		n -= part;
	}
	return 0;
}

/* A model.tar.gz that was made elsewhere goes as it is. */
static int hand_on(struct writer *w, struct err *e)
{
	const struct package_member *m = &w->plan->members[0];
	_cleanup_close_ int fd = source_open(w->plan->dirfd, m->path);

	w->block = malloc(READ_BLOCK);
	if (!w->block)
		return err_set(e, ENOMEM, "read '%s': out of memory", m->path);
	if (fd < 0)
		return err_set(e, EBUSY, "'%s' vanished while it was read", m->path);
	for (uint64_t left = m->size; left;) {
		ssize_t n = read(fd, w->block, (size_t)MIN(left, (uint64_t)READ_BLOCK));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_errno(e, "read '%s'", m->path)
				     : err_set(e, EBUSY, "'%s' changed while it was read", m->path);
		if (cancel_is_set(w->cancel))
			return err_set(e, ECANCELED, "packing was cancelled");
		if (count_raw(w->out, m->size - left, w->block, (size_t)n))
			return err_set(e, ENOMEM, "read '%s': out of memory", m->path);
		if (w->out->sink(w->out->arg, w->block, (size_t)n, e))
			return -1;
		if (w->out->progress)
			w->out->progress(w->out->arg, (uint64_t)n);
		left -= (uint64_t)n;
	}
	return package_unchanged(fd, m, e);
}

int package_write(struct package_plan *p, struct package_output *o, struct cancel *cancel,
		  struct err *e)
{
	struct writer w = {.plan = p, .out = o, .cancel = cancel};

	SCOPED_UTF8();
	o->points = NULL;
	o->n_points = 0;
	o->member_offsets = calloc(p->n_members + 1, sizeof(*o->member_offsets));
	if (!o->member_offsets)
		return err_set(e, ENOMEM, "pack the model: out of memory");
	int rc = p->ready ? hand_on(&w, e) : write_archive(&w, e);
	free(w.block);
	if (rc) {
		free(o->member_offsets);
		o->member_offsets = NULL;
	}
	return rc;
}
