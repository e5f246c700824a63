/* s3_upload_internal.h: an upload in parts, shared by what sends them (s3_upload.c), what puts them together (s3_complete.c) and what asks
 * which are there (s3_parts.c). */
#ifndef SAGEMAKER_S3_UPLOAD_INTERNAL_H
#define SAGEMAKER_S3_UPLOAD_INTERNAL_H

#include "sagemaker/s3_internal.h"

struct s3_room;

/* How many parts at once: more as long as that brings more bytes a second. s3_window.c; guarded by who has it. */
struct s3_window {
	unsigned size;  /* parts */
	unsigned count; /* parts that ended since `since` */
	uint64_t bytes; /* of them */
	double since;   /* seconds; 0: not begun */
	double best;    /* bytes a second */
};

void s3_window_init(struct s3_window *w);
/* s3_window_ended: a part of that many bytes is there, now (seconds of any clock that only goes on). */
void s3_window_ended(struct s3_window *w, uint64_t bytes, double now);

struct s3_upload {
	struct aws *a;
	struct s3_bucket bucket;
	char *kms_key, *key; /* kms_key: the bucket's, copied */
	struct s3_upload_hooks hooks;
	struct cancel *cancel,
		*parent; /* ours: ends the parts when one fails, or when the caller's is set */
	bool made; /* the object is there: nothing is sent. Set by s3_upload_made, constant after */
	struct s3_listed **
		listed; /* by number; NULL: nothing was there. Set by s3_upload_resume, constant after */

	pthread_mutex_t
		beginning;  /* held while the upload is begun, so that it is once; before mu */
	pthread_mutex_t mu; /* guards all below, and the parts in flight; leaf */
	pthread_cond_t changed;
	char *id;
	char host[S3_HOST_SIZE]; /* where S3 sends the parts, "": where it is */
	bool full_object; /* the checksum asked for is one of the whole object, not of its parts' checksums */
	bool full_told; /* and the service said so */
	struct s3_room *spare;
	size_t memory; /* bytes of rooms that are lent */
	unsigned in_flight;
	struct s3_window window;
	uint64_t sent;
	struct err failure; /* the first part's that failed */
};

/* s3_upload_complete: puts parts together, all of which are there. A 200 with an <Error> is a failure; a lost reply is decided by
 * looking at the object. */
int s3_upload_complete(struct s3_upload *u, const struct s3_part *const *parts, size_t n,
		       struct s3_object *out, struct err *e) _must_check_;

/* s3_upload_compare: whether the object that is there is what these parts make. ESTALE: it is another one. */
int s3_upload_compare(struct s3_upload *u, const struct s3_part *const *parts, size_t n,
		      struct s3_object *out, struct err *e) _must_check_;
/* s3_parts_list: fills u->listed with what is there under u->id. */
int s3_parts_list(struct s3_upload *u, struct err *e) _must_check_;
/* s3_part_listed: whether these bytes are there already as p->number; then p->etag is set. */
bool s3_part_listed(const struct s3_upload *u, struct s3_part *p, const void *bytes);
/* s3_part_unlist: that part is about to become another one. */
void s3_part_unlist(struct s3_upload *u, int number);
void s3_listed_free(struct s3_upload *u);

#endif
