/*
 * err.h: how every function of this project says why it failed.
 *
 * A function returns 0 or -1 and fills *e on -1; callers add their own words in front with err_prefix():
 * "create endpoint 'iris': could not connect ...". Style as git's: no capital, no full stop, the subject in
 * quotes, the cause last. A secret never enters an err.
 */
#ifndef SAGEMAKER_ERR_H
#define SAGEMAKER_ERR_H

#include "sagemaker/util.h"

struct buf;

struct err {
	int no;           /* errno for the caller of the file system, 1..511; 0: no error */
	long http;        /* HTTP status of the service's reply, 0: there was none */
	char code[64];    /* the service's error code ("ValidationException"), or "" */
	char request[64]; /* the service's request id, or "" */
	char action[64];  /* the IAM action whose permission is missing ("s3:GetObject"), or "" */
	char text[2048];  /* the sentence */
	bool keys; /* about who asks, not what for: it passes with other keys, or a right clock */
	int attempts; /* how often the request was sent, 0: unknown */
};

/* err_set: fill *e (e may be NULL: the error is dropped); clears http, code, request. Returns -1, so that
 * `return err_set(e, EINVAL, "...")` is one line. */
int err_set(struct err *e, int no, const char *fmt, ...) _printf_(3, 4);

/* err_errno: the same with the current errno; ": " and strerror(errno) are appended. Returns -1. */
int err_errno(struct err *e, const char *fmt, ...) _printf_(2, 3);

/* err_prefix: put "fmt: " before the text. Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) _printf_(2, 3);

/* err_append: put "; fmt" after the text (a second failure never replaces the first). Returns -1. */
int err_append(struct err *e, const char *fmt, ...) _printf_(2, 3);

#ifdef __clang_analyzer__
/* It looks into one file at a time: without this it takes a `return err_set(...)` for a possible success. */
static inline int err_minus_one(int rc)
{
	(void)rc;
	return -1;
}

# define err_set(...)    err_minus_one(err_set(__VA_ARGS__))
# define err_errno(...)  err_minus_one(err_errno(__VA_ARGS__))
# define err_prefix(...) err_minus_one(err_prefix(__VA_ARGS__))
# define err_append(...) err_minus_one(err_append(__VA_ARGS__))
#endif

/* err_show: the whole error as the one line that users read, "text (Code, HTTP 400, request id)\n"; nothing
 * when e->no is 0. */
void err_show(const struct err *e, struct buf *out);

/* err_clear: no error. */
void err_clear(struct err *e);

#endif
