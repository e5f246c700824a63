#include "fs/rooms.h"

#include "fs/endpoints.h"
#include "fs/invoke.h"
#include "fs/models.h"
#include "fs/mount_linger.h"

#define LEAST_GRACE_MS 1000 /* for each room, whatever those before it took */

static int models_begin(struct mount *m, struct err *e)
{
	m->models = models_start(m, e);
	return m->models ? 0 : -1;
}

static void models_node(struct mount *m, struct node_make *how)
{
	models_entry(m->models, how);
}

static void models_end(struct mount *m, long grace_ms)
{
	models_stop(m->models, grace_ms);
}

static void models_gone(struct mount *m)
{
	models_free(m->models);
}

static int endpoints_begin(struct mount *m, struct err *e)
{
	m->endpoints = endpoints_start(m, e);
	return m->endpoints ? 0 : -1;
}

static void endpoints_node(struct mount *m, struct node_make *how)
{
	endpoints_entry(m->endpoints, how);
}

static void endpoints_end(struct mount *m, long grace_ms)
{
	endpoints_stop(m->endpoints, grace_ms, mount_linger_ms(m));
}

static void endpoints_gone(struct mount *m)
{
	endpoints_stop(m->endpoints, 0, 0); /* where nobody has waited for what lingers */
	endpoints_free(m->endpoints);
}

static int invoke_begin(struct mount *m, struct err *e)
{
	m->invoke = invoke_start(m, e);
	return m->invoke ? 0 : -1;
}

static void invoke_node(struct mount *m, struct node_make *how)
{
	invoke_entry(m->invoke, how);
}

static void invoke_end(struct mount *m, long grace_ms)
{
	(void)grace_ms; /* what is in flight is cancelled: nobody can read the answers any more */
	invoke_stop(m->invoke);
}

static void invoke_gone(struct mount *m)
{
	invoke_free(m->invoke);
}

const struct room_row rooms[] = {
	{"endpoints", endpoints_begin, endpoints_node, endpoints_end, endpoints_gone},
	{"models",    models_begin,    models_node,    models_end,    models_gone   },
	{"invoke",    invoke_begin,    invoke_node,    invoke_end,    invoke_gone   },
	{NULL,        NULL,            NULL,           NULL,          NULL          },
};

static size_t count(void)
{
	size_t n = 0;

	while (rooms[n].name)
		n++;
	return n;
}

/* Jobs wait until every room is there: what one resumes may ask another. */
int rooms_start(struct mount *m, struct err *e)
{
	jobs_hold(m->jobs, true);
	for (size_t i = 0; rooms[i].name; i++) {
		if (rooms[i].start(m, e) == 0)
			continue;
		err_prefix(e, "start '%s/'", rooms[i].name);
		while (i-- > 0) {
			rooms[i].stop(m, 0);
			rooms[i].free(m);
		}
		return -1;
	}
	jobs_hold(m->jobs, false);
	return 0;
}

void rooms_stop(struct mount *m, long grace_ms)
{
	int64_t until = now_ms() + grace_ms;

	/* One limit for all: what a slow upload has used up, deletions do not get on top; they are in the journal. */
	for (size_t i = count(); i-- > 0;)
		rooms[i].stop(m, (long)MAX(until - now_ms(), LEAST_GRACE_MS));
}

void rooms_free(struct mount *m)
{
	for (size_t i = count(); i-- > 0;)
		rooms[i].free(m);
}
