#include "sagemaker/s3_stream.h"

#include <errno.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3_internal.h"

struct s3_stream {
	struct s3_upload *upload;
	struct s3_part *parts[S3_MAX_PARTS];
	size_t n;
	char *room; /* of the part under construction, NULL: none */
	size_t len, max;
};

static void stream_free(struct s3_stream *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->parts[i]);
	free(s);
}

struct s3_stream *s3_stream_new(struct s3_upload *u, struct err *e)
{
	struct s3_stream *s = u ? calloc(1, sizeof *s) : NULL;

	if (s) {
		s->upload = u;
	} else if (u) {
		(void)!s3_upload_abort(u, NULL);
		err_set(e, ENOMEM, "could not upload: out of memory");
	}
	return s;
}

static int send_part(struct s3_stream *s, struct err *e)
{
	struct s3_part *p = s->n < S3_MAX_PARTS ? calloc(1, sizeof *p) : NULL;

	if (!p)
		return s->n < S3_MAX_PARTS ? err_set(e, ENOMEM, "could not upload: out of memory")
					   : err_set(e, EFBIG, "larger than any object can be");
	s->parts[s->n++] = p;
	*p = (struct s3_part){
		.number = (int)s->n, .crc = crc32c(0, s->room, s->len), .size = s->len};
	return s3_upload_send(s->upload, p, steal(s->room), e);
}

static int next_room(struct s3_stream *s, struct err *e)
{
	void *room = NULL;

	s->max = (size_t)s3_part_size((int)s->n);
	s->len = 0;
	if (s3_upload_room(s->upload, s->max, s->max, &room, e))
		return -1;
	s->room = room;
	return 0;
}

int s3_stream_write(struct s3_stream *s, const void *p, size_t n, struct err *e)
{
	const char *at = p;

	while (n) {
		if (!s->room && next_room(s, e))
			return -1;
		size_t now = MIN(n, s->max - s->len);

		memcpy(s->room + s->len, at, now);
		s->len += now;
		at += now;
		n -= now;
		if (s->len == s->max && send_part(s, e))
			return -1;
	}
	return 0;
}

static int finish(struct s3_stream *s, struct s3_object *out, struct err *e)
{
	if (!s->n && !s->room && next_room(s, e))
		return -1;
	if (!s->n)
		return s3_upload_whole(s->upload, steal(s->room), s->len, out, e);
	if (s->room && send_part(s, e))
		return -1;
	return s3_upload_finish(s->upload, (const struct s3_part *const *)s->parts, s->n, out, e);
}

int s3_stream_finish(struct s3_stream *s, struct s3_object *out, struct err *e)
{
	int rc = finish(s, out, e);

	if (rc) {
		s3_stream_abort(s);
		return -1;
	}
	s3_upload_leave(s->upload);
	stream_free(s);
	return 0;
}

void s3_stream_abort(struct s3_stream *s)
{
	if (s->room)
		s3_upload_drop(s->upload, s->room);
	(void)!s3_upload_abort(s->upload, NULL);
	stream_free(s);
}
