/* multipart.h: uploads in parts: what multipart.c and multipart_complete.c share. */
#ifndef SAGEMAKER_LOCAL_MULTIPART_H
#define SAGEMAKER_LOCAL_MULTIPART_H

#include "sagemaker/local/objects_internal.h"

#define PARTS_MAX 10000
#define PART_MIN  ((uint64_t)5 << 20)

struct multipart {
	char id[65];
	char type[256];
	char algorithm[16]; /* of sum_rows[], or "" */
	bool full;          /* FULL_OBJECT, else COMPOSITE */
	char meta[META_MAX], tags[TAGS_MAX];
};

struct part {
	int number;
	struct segment segment;
	char md5[33];
	double modified;
	struct sum_values sums;
};

/* multipart_find_locked: r's ?uploadId of r's bucket and key; false: replied. */
bool multipart_find_locked(struct request *r, struct multipart *m);
/* multipart_number: r's ?partNumber; false: replied. multipart_store: r->upload becomes that part; etag is what it is called.
 * false: replied. */
bool multipart_number(struct request *r, int *number);
bool multipart_store(struct request *r, int number, char etag[80]);
/* multipart_parts_locked: all parts in order, malloc'ed. */
int multipart_parts_locked(struct backend *be, const char *upload, struct part **out, size_t *n,
			   struct err *e) _must_check_;

#endif
