/*
 * invoke_world.h: the room invoke/ on stand-ins for FUSE (a request remembers its reply), endpoints/ (one endpoint with a settable
 * phase) and the service (an invocation waits until the test answers it).
 */
#ifndef TESTS_UNIT_INVOKE_WORLD_H
#define TESTS_UNIT_INVOKE_WORLD_H

#include <signal.h>
#include <sys/wait.h>

#include "fs/invoke_room.h"
#include "fs/vfile.h"
#include "scratch.h"

/* What a test sees of one request: the reply. */
struct req {
	bool answered;
	int no;
	char *data;
	size_t len;
	struct stat st;
	void *handle;
	struct caller who;
	void (*interrupt)(void *arg);
	void *interrupt_arg;
};

struct sent { /* one invocation at the service */
	char *body;
	size_t len;
	char type[64];
	struct cancel *cancel;
	invoke_done_fn *done;
	void *arg;
	bool over;
};

/* The world is made anew for each test by world_setup. */
extern struct options options;
extern struct caller me;
extern struct err room_error;     /* what was shown in invoke/.error */
extern char endpoint_error[2048]; /* and in the endpoint's error */
extern _Atomic int phase;         /* of the endpoint */
extern _Atomic bool stale;        /* what is known of it is old */
extern _Atomic int asked;         /* times the service was asked for it */
extern struct sent sent[64];
extern size_t n_sent;
extern struct invoke *room;
extern struct node node; /* invoke/iris */

int world_setup(void **state);
int world_teardown(void **state);

/* answer, fail_with: the i-th invocation ends. */
void answer(size_t i, const char *text);
void fail_with(size_t i, int no, const char *said);
/* by: a request of that caller. result: wait for its reply: the errno. */
struct req by(struct caller who);
int result(struct req *r);
/* Operations on invoke/iris; what is not said to fail is asserted to succeed. */
void *open_as(struct caller who, int flags);
int try_open(int flags);
void put(void *h, const char *text, off_t off);
/* flush: one that sends nothing: its errno. */
int flush(void *h);
void release(void *h);
void assert_read(void *h, off_t off, const char *text);
int read_error(void *h);
off_t size_for(struct caller who);
/* ask: a whole request, `echo body > file`, whose answer is text. */
void ask(const char *body, const char *text);
struct caller its_child(void);
/* tell: endpoints/ has news of an endpoint. */
void tell(const char *name);

#endif
