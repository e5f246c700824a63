/*
 * invoke_answers.h: the answers of invoke/, each with the line of processes of its writer. Bounded by number per file, age and
 * memory; the oldest go first. Thread-safe; its lock is a leaf (nothing is called with it held).
 */
#ifndef FS_INVOKE_ANSWERS_H
#define FS_INVOKE_ANSWERS_H

#include <time.h>

#include "fs/relatives.h"

/* Immutable once made; shared by reference count, never copied per reader. */
struct answer {
	atomic_uint refs;
	int no; /* 0: data is the container's bytes; else the errno of the failure, and data its sentence */
	time_t when; /* of the answer */
	size_t len;
	char *data;
};

/* answer_new: takes data (free()), also on failure. NULL: out of memory. */
struct answer *answer_new(int no, char *data, size_t len);
/* answer_fill: the same into an answer that nobody else has yet. */
void answer_fill(struct answer *a, int no, char *data, size_t len);
struct answer *answer_ref(struct answer *a); /* NULL stays NULL */
void answer_unref(struct answer *a);
void answer_unrefp(struct answer **a);
#define _cleanup_answer_ _cleanup_(answer_unrefp)

struct answers;

struct answers_limits {
	unsigned per_file;
	size_t memory; /* bytes in all, the answers' and their chains' */
	int64_t age_ms;
};
extern const struct answers_limits ANSWERS_LIMITS;

struct answers *answers_new(const struct answers_limits *limits);
void answers_free(struct answers *s);

/* answers_ticket: the place of a request in the order of requests: answers may arrive in another. Never 0. */
uint64_t answers_ticket(struct answers *s);
/* answers_put: a is the answer to request `ticket` of writer in file. Replaces the writer's older answer there, and is dropped when
 * the writer has a newer one. Ends answers_expect(ticket). Without memory it is dropped. */
void answers_put(struct answers *s, const char *file, struct chain *writer, uint64_t ticket,
		 struct answer *a, int64_t now);
/* answers_get: the answer for reader, referenced; NULL: none. */
struct answer *answers_get(struct answers *s, const char *file, const struct chain *reader,
			   int64_t now);

/* answers_expect: writer has begun a request (its body is held) and relatives may wait for its answer. answers_give_up: it will
 * not come. */
void answers_expect(struct answers *s, const char *file, struct chain *writer, uint64_t ticket);
void answers_give_up(struct answers *s, uint64_t ticket);
/* answers_awaited: the next answers_get() of reader would change with an answer that is expected. */
bool answers_awaited(struct answers *s, const char *file, const struct chain *reader, int64_t now);

/* answers_forget: drop what file has (its endpoint is gone); endpoint's other names too: "NAME" and "NAME.*". */
void answers_forget(struct answers *s, const char *endpoint);
/* answers_expire: drop what is too old. True while something is left. */
bool answers_expire(struct answers *s, int64_t now);

#endif
