#include "fs/relatives.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MAX_LINKS 64 /* deeper lines are cut at the far end */

/* What /proc says about one process or thread. */
struct person {
	struct kin kin;
	pid_t parent;
	bool session_manager; /* systemd: whatever it starts are strangers to each other */
	uid_t owner;          /* of its files in /proc; root for processes that may not be dumped */
};

static ssize_t read_proc(int procfd, pid_t pid, const char *file, char *text, size_t size,
			 uid_t *owner)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "%ld/%s", (long)pid, file);
	_cleanup_close_ int fd = openat(procfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (owner) {
		if (fstat(fd, &st) < 0)
			return -1;
		*owner = st.st_uid;
	}
	ssize_t n = read(fd, text, size - 1);
	if (n >= 0)
		text[n] = '\0';
	return n;
}

/* "12 (comm) S 11 ...": the name may hold spaces and ')', so the fields are counted from the last ')'. */
static int parse_stat(char *text, struct person *out)
{
	enum { PARENT = 2, START = 20 };

	char *name = strchr(text, '('), *end = strrchr(text, ')'), *save = NULL;
	unsigned field = 0;

	if (!name || !end || end < name)
		return -1;
	*end = '\0';
	out->session_manager = streq(name + 1, "systemd");
	for (char *word = strtok_r(end + 1, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		field++;
		if (field == PARENT)
			out->parent = (pid_t)strtol(word, NULL, 10);
		if (field == START) {
			out->kin.start = strtoull(word, NULL, 10);
			return 0;
		}
	}
	return -1;
}

static int person_read(int procfd, pid_t pid, struct person *out)
{
	char text[1024];

	*out = (struct person){.kin.pid = pid};
	if (read_proc(procfd, pid, "stat", text, sizeof text, &out->owner) <= 0)
		return -1;
	return parse_stat(text, out);
}

/* A number of /proc/PID/status, -1 when it is not there. */
static long status_number(int procfd, pid_t pid, const char *key)
{
	char text[4096];

	if (read_proc(procfd, pid, "status", text, sizeof text, NULL) <= 0)
		return -1;
	const char *at = strstr(text, key);
	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

/* Files of a process that may not be dumped belong to root whoever runs it: ask twice before calling it a stranger's. */
static bool of_user(int procfd, const struct person *p, uid_t uid)
{
	return p->owner == uid || status_number(procfd, p->kin.pid, "\nUid:") == (long)uid;
}

/* The caller itself into link[], at most two links; the parent goes on from there. Number of links, 0 when unknown. */
static unsigned read_self(int procfd, pid_t tid, struct kin *link, pid_t *parent)
{
	struct person p;
	unsigned n = 0;

	if (tid <= 0 || person_read(procfd, tid, &p) < 0)
		return 0;
	link[n++] = p.kin;
	*parent = p.parent;
	long process = status_number(procfd, tid, "\nTgid:");
	if (process > 0 && process != tid && person_read(procfd, (pid_t)process, &p) == 0)
		link[n++] = p.kin;
	return n;
}

struct chain *chain_read(int procfd, uid_t uid, pid_t tid)
{
	struct kin link[MAX_LINKS];
	pid_t next = 0;
	struct person p;
	unsigned self = read_self(procfd, tid, link, &next), n = self;

	while (n > 0 && n < MAX_LINKS && next > 0 && person_read(procfd, next, &p) == 0) {
		if (!of_user(procfd, &p, uid) || (p.session_manager && next != 1))
			break;
		link[n++] = p.kin;
		if (next == 1)
			break;
		next = p.parent;
	}
	struct chain *c = malloc(sizeof *c + n * sizeof *link);
	if (!c)
		return NULL;
	c->uid = uid;
	c->self = self;
	c->n = n;
	atomic_init(&c->refs, 1);
	memcpy(c->link, link, n * sizeof *link);
	return c;
}

struct chain *chain_ref(struct chain *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void chain_unref(struct chain *c)
{
	if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		free(c);
}

void chain_unrefp(struct chain **c)
{
	chain_unref(*c);
}

static bool same(const struct kin *a, const struct kin *b)
{
	return a->pid == b->pid && a->start == b->start;
}

static bool has_link(const struct chain *writer, const struct kin *k)
{
	unsigned n = k->pid == 1 ? writer->self : writer->n;

	for (unsigned j = 0; j < n; j++)
		if (same(&writer->link[j], k))
			return true;
	return false;
}

int chain_distance(const struct chain *reader, const struct chain *writer)
{
	if (reader->uid != writer->uid)
		return -1;
	if (reader->n == 0)
		return 0;
	for (unsigned i = 0; i < reader->n; i++)
		if (has_link(writer, &reader->link[i]))
			return (int)i;
	return -1;
}

bool chain_equal(const struct chain *a, const struct chain *b)
{
	if (a == b)
		return true;
	if (a->uid != b->uid || a->n != b->n || a->self != b->self)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (!same(&a->link[i], &b->link[i]))
			return false;
	return true;
}
