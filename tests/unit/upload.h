/* upload.h: bytes that are there already, as an upload. */
#ifndef TESTS_UNIT_UPLOAD_H
#define TESTS_UNIT_UPLOAD_H

#include "sagemaker/hash.h"
#include "sagemaker/s3.h"

#define UPLOAD_PART ((size_t)8 << 20)

/* The parts of n bytes, numbers from 1; -1 as s3_upload_send. */
static inline int upload_parts(struct s3_upload *u, const char *data, size_t n,
			       struct s3_part *parts, size_t *n_parts, struct err *e)
{
	*n_parts = 0;
	for (size_t at = 0; at < n; at += UPLOAD_PART) {
		size_t size = MIN(n - at, UPLOAD_PART);
		struct s3_part *p = &parts[*n_parts];
		void *room;

		if (s3_upload_room(u, UPLOAD_PART, UPLOAD_PART, &room, e))
			return -1;
		memcpy(room, data + at, size);
		*p = (struct s3_part){
			.number = (int)++*n_parts, .crc = crc32c(0, room, size), .size = size};
		if (s3_upload_send(u, p, room, e))
			return -1;
	}
	return 0;
}

static inline int upload_whole(struct s3_upload *u, const char *data, size_t n, struct s3_object *o,
			       struct err *e)
{
	void *room;

	if (s3_upload_room(u, UPLOAD_PART, UPLOAD_PART, &room, e))
		return -1;
	if (n)
		memcpy(room, data, n);
	return s3_upload_whole(u, room, n, o, e);
}

/* n bytes as whoever has no use for what failed: in one piece when they are less than a part, aborted on failure. Frees u. */
static inline int upload_bytes(struct s3_upload *u, const char *data, size_t n, struct s3_object *o,
			       struct err *e)
{
	struct s3_part parts[16];
	const struct s3_part *list[16];
	size_t k = 0;
	int rc;

	for (size_t i = 0; i < 16; i++)
		list[i] = &parts[i];
	if (n < UPLOAD_PART)
		rc = upload_whole(u, data, n, o, e);
	else
		rc = upload_parts(u, data, n, parts, &k, e) || s3_upload_finish(u, list, k, o, e)
			     ? -1
			     : 0;
	if (rc)
		(void)!s3_upload_abort(u, NULL);
	else
		s3_upload_leave(u);
	return rc;
}

#endif
