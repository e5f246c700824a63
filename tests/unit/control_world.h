/* control_world.h: SageMaker's control plane as a few tables in memory: every call is logged, any call can be made to fail, before
 * or after it took effect. A test that is linked with it takes control_* from here instead of control.c. */
#ifndef TESTS_UNIT_CONTROL_WORLD_H
#define TESTS_UNIT_CONTROL_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sagemaker/buf.h"
#include "sagemaker/deploy.h"

enum kind { MODEL, CONFIG, ENDPOINT };

struct thing {
	bool there;
	enum kind kind;
	char name[64], ref[64], data[128], image[64], type[32], status[32];
	double at;
	size_t tags;
};

/* REFUSE_REPETITION: the first reply is lost, and the call that was sent again refused. */
enum how { REFUSE, LOSE_REPLY, LOSE_REQUEST, REFUSE_REPETITION };

struct fault {
	const char *call;
	int times; /* of its next calls */
	enum how how;
	int no;
	long http;
	const char *text;
};

extern struct control_world {
	struct thing things[16];
	struct fault faults[4];
	char log[2048];
	double clock;
} svc;

/* world_find: NULL when there is none. */
struct thing *world_find(enum kind kind, const char *name);

/* world_add: one more, without a call; never NULL. */
struct thing *world_add(enum kind kind, const char *name) __attribute__((returns_nonnull));

/* world_tags: how many tags a thing has that must be there. */
size_t world_tags(enum kind kind, const char *name);

size_t world_count(enum kind kind);

#endif
