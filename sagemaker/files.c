#include "sagemaker/files.h"

#include <errno.h>

#include "sagemaker/each.h"
#include "sagemaker/gzindex.h"
#include "sagemaker/s3_internal.h"
#include "sagemaker/s3_stream.h"

#define SMALL   ((uint64_t)8 << 20) /* one request each */
#define THREADS 8
#define BLOCK   ((size_t)1 << 20)

static char *key_of(const struct files *f, const struct package_member *m)
{
	return str_printf("%s%s", f->prefix, m->archive);
}

static void count(const struct files *f, uint64_t n)
{
	if (f->sent)
		f->sent(f->arg, n);
}

/* Reading a member: its pieces' checksums are made on the way. */
struct reading {
	struct files_object *object;
	uint64_t at;
	int (*fn)(void *arg, const char *p, size_t n, struct err *e);
	void *arg;
};

static int reading_begin(struct reading *r, const struct package_member *m, struct err *e)
{
	struct files_object *o = r->object;
	size_t n = (size_t)((m->size + FILES_PIECE - 1) / FILES_PIECE);

	free(o->crcs);
	o->n_crcs = n;
	o->crcs = calloc(n + 1, sizeof *o->crcs);
	return o->crcs ? 0 : err_set(e, ENOMEM, "read '%s': out of memory", m->archive);
}

static int take(struct reading *r, const char *p, size_t n, struct err *e)
{
	if (r->fn(r->arg, p, n, e))
		return -1;
	while (n) {
		size_t part = (size_t)MIN((uint64_t)n, FILES_PIECE - r->at % FILES_PIECE);
		uint32_t *crc = &r->object->crcs[r->at / FILES_PIECE];

		*crc = gz_crc(*crc, p, part);
		p += part;
		r->at += part;
		n -= part;
	}
	return 0;
}

/* Calls fn with every piece of a member's bytes, which must be those that the plan saw. */
static int each_piece(const struct files *f, size_t i, char *block,
		      int (*fn)(void *arg, const char *p, size_t n, struct err *e), void *arg,
		      struct err *e)
{
	const struct package_member *m = &f->plan->members[i];
	struct reading r = {&f->objects[i], 0, fn, arg};

	if (reading_begin(&r, m, e))
		return -1;
	if (m->content)
		return m->size ? take(&r, m->content, (size_t)m->size, e) : 0;
	_cleanup_close_ int fd = package_open(f->plan, m, e);
	if (fd < 0)
		return -1;
	for (uint64_t left = m->size; left;) {
		ssize_t n = read(fd, block, (size_t)MIN(left, (uint64_t)BLOCK));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, "read '%s'", m->path);
		if (n == 0)
			return err_set(e, EBUSY, "'%s' changed while it was uploaded", m->path);
		if (cancel_is_set(f->cancel))
			return err_set(e, ECANCELED, "the upload was cancelled");
		if (take(&r, block, (size_t)n, e))
			return -1;
		left -= (uint64_t)n;
	}
	return package_unchanged(fd, m, e);
}

static int add_crc(void *arg, const char *p, size_t n, struct err *e)
{
	uint32_t *crc = arg;

	(void)e;
	*crc = crc32c(*crc, p, n);
	return 0;
}

static int crc_of(const struct files *f, size_t i, char *block, char out[S3_CRC_TEXT],
		  struct err *e)
{
	uint32_t crc = 0;

	if (each_piece(f, i, block, add_crc, &crc, e))
		return -1;
	s3_crc_text(crc, out);
	return 0;
}

/* 1: an object is there that has the file's bytes; 0: none, or who knows. */
static int is_there(const struct files *f, size_t i, const char *key, char *block, struct err *e)
{
	const struct package_member *m = &f->plan->members[i];
	struct s3_object o;
	char crc[S3_CRC_TEXT];

	if (!f->objects[i].look || s3_head(f->aws, f->bucket, key, &o, f->cancel, NULL) ||
	    o.size != m->size || !o.crc32c[0])
		return 0;
	if (crc_of(f, i, block, crc, e))
		return -1;
	if (!streq(crc, o.crc32c))
		return 0;
	memcpy(f->objects[i].crc32c, o.crc32c, sizeof f->objects[i].crc32c);
	return 1;
}

/* The same for a copy of another object, which S3 makes: no failure of it is one of the upload. */
static int is_copied(const struct files *f, size_t i, const char *key, char *block, struct err *e)
{
	const struct package_member *m = &f->plan->members[i];
	struct files_object *o = &f->objects[i];
	const struct s3_copy copy = {.aws = f->aws,
				     .bucket = f->bucket,
				     .from = o->copy,
				     .to = key,
				     .size = m->size,
				     .cancel = f->cancel};
	struct s3_object made;
	struct err refused;
	char crc[S3_CRC_TEXT];

	if (!o->copy || s3_copy(&copy, &made, &refused) || (!made.crc32c[0] && !o->copy_known))
		return 0;
	if (crc_of(f, i, block, crc, e))
		return -1;
	if (made.crc32c[0] && !streq(made.crc32c, crc))
		return 0;
	memcpy(o->crc32c, made.crc32c, sizeof o->crc32c);
	return 1;
}

struct gathering {
	char *p;
	size_t n;
};

static int gather(void *arg, const char *p, size_t n, struct err *e)
{
	struct gathering *g = arg;

	(void)e;
	memcpy(g->p + g->n, p, n);
	g->n += n;
	return 0;
}

static int put_small(const struct files *f, size_t i, const char *key, char *block,
		     struct s3_object *out, struct err *e)
{
	const struct package_member *m = &f->plan->members[i];
	_cleanup_free_ char *all = malloc((size_t)m->size + 1);
	struct gathering g = {all, 0};

	if (!all)
		return err_set(e, ENOMEM, "upload '%s': out of memory", m->archive);
	if (each_piece(f, i, block, gather, &g, e))
		return -1;
	const struct s3_content content = {all, g.n, "application/octet-stream", NULL};
	return s3_put(f->aws, f->bucket, key, &content, out, f->cancel, e);
}

struct sending {
	const struct files *f;
	struct s3_stream *stream;
};

static int send_piece(void *arg, const char *p, size_t n, struct err *e)
{
	const struct sending *s = arg;

	if (s3_stream_write(s->stream, p, n, e))
		return -1;
	count(s->f, n);
	return 0;
}

static int put_large(const struct files *f, size_t i, const char *key, char *block,
		     struct s3_object *out, struct err *e)
{
	struct s3_upload *u = s3_upload_new(f->aws, f->bucket, key, NULL, f->cancel, e);
	struct sending s = {f, s3_stream_new(u, e)};

	if (!s.stream)
		return -1;
	if (each_piece(f, i, block, send_piece, &s, e)) {
		s3_stream_abort(s.stream);
		return -1;
	}
	return s3_stream_finish(s.stream, out, e);
}

static int upload_one(const struct files *f, size_t i, struct err *e)
{
	const struct package_member *m = &f->plan->members[i];
	_cleanup_free_ char *key = key_of(f, m), *block = malloc(BLOCK);
	struct s3_object made = {0};
	bool small = m->size <= SMALL;

	if (!key || !block)
		return err_set(e, ENOMEM, "upload '%s': out of memory", m->archive);
	int there = is_there(f, i, key, block, e);
	if (!there)
		there = is_copied(f, i, key, block, e);
	if (there) {
		count(f, there > 0 ? m->size : 0);
		return there > 0 ? 0 : -1;
	}
	if ((small ? put_small : put_large)(f, i, key, block, &made, e))
		return -1;
	memcpy(f->objects[i].crc32c, made.crc32c, sizeof made.crc32c);
	if (small)
		count(f, m->size);
	return 0;
}

static int upload_small(void *arg, size_t i, struct err *e)
{
	const struct files *f = arg;

	return f->plan->members[i].size <= SMALL ? upload_one(f, i, e) : 0;
}

int files_upload(const struct files *f, struct err *e)
{
	struct files mine = *f;

	if (each_parallel(f->plan->n_members, THREADS, upload_small, &mine, f->cancel, e))
		return -1;
	for (size_t i = 0; i < f->plan->n_members; i++)
		if (f->plan->members[i].size > SMALL && upload_one(f, i, e))
			return -1;
	return 0;
}

void files_free(struct files_object *objects, size_t n)
{
	for (size_t i = 0; objects && i < n; i++) {
		free(objects[i].copy);
		free(objects[i].crcs);
	}
	free(objects);
}
