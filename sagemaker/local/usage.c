/* usage.c: what the model servers' processes take of the machine, from /proc. A process's children are in its session. */
#include <ctype.h>
#include <errno.h>
#include <sys/statvfs.h>

#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/metrics.h"
#include "sagemaker/local/request.h"

#define EVERY_SECONDS 5

struct process {
	char endpoint[64], variant[64];
	pid_t pid;
	double cpu;   /* seconds, with its children */
	double bytes; /* resident */
	bool seen;
};

struct list {
	struct process *rows;
	size_t n, cap;
};

struct usage {
	struct backend *be;
	double due, at; /* monotonic: of the next sample, of the last */
	double memory;  /* bytes of the machine */
	struct list last;
};

struct usage *usage_new(struct backend *be, struct err *e)
{
	struct usage *u = calloc(1, sizeof *u);

	if (!u) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	u->be = be;
	u->memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
	return u;
}

void usage_free(struct usage *u)
{
	if (u)
		free(u->last.rows);
	free(u);
}

static void add_process(void *arg, const char *endpoint, const char *variant, pid_t pid)
{
	struct list *l = arg;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct process *more = realloc(l->rows, cap * sizeof *more);

		if (!more)
			return;
		l->rows = more;
		l->cap = cap;
	}
	struct process *p = &l->rows[l->n++];
	*p = (struct process){.pid = pid};
	snprintf(p->endpoint, sizeof p->endpoint, "%s", endpoint);
	snprintf(p->variant, sizeof p->variant, "%s", variant);
}

static int by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static struct process *find(const struct list *l, pid_t pid)
{
	const struct process key = {.pid = pid};

	return l->n ? bsearch(&key, l->rows, l->n, sizeof key, by_pid) : NULL;
}

/* proc(5): fields of /proc/PID/stat by their numbers there. Behind the name, which may hold anything, comes the 3rd. */
enum { F_SESSION = 6, F_UTIME = 14, F_CSTIME = 17, F_RSS = 24 };

static bool read_stat(int proc, const char *pid, pid_t *session, double *cpu, double *bytes)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);
	double fields[F_RSS + 1] = {0};
	char path[32], *end;
	int i = 4;

	snprintf(path, sizeof path, "%.16s/stat", pid);
	const char *p = buf_read_file(&b, proc, path) == 0 ? strrchr(buf_cstr(&b), ')') : NULL;
	if (!p || strlen(p) < 4)
		return false;
	for (p += strlen(") S"); i <= F_RSS; p = end) {
		fields[i++] = strtod(p, &end);
		if (end == p)
			return false;
	}
	*session = (pid_t)fields[F_SESSION];
	*cpu = 0;
	for (i = F_UTIME; i <= F_CSTIME; i++)
		*cpu += fields[i] / (double)sysconf(_SC_CLK_TCK);
	*bytes = fields[F_RSS] * (double)sysconf(_SC_PAGESIZE);
	return true;
}

/* All of /proc once: each process counts for the one that leads its session. */
static void measure(const struct list *l)
{
	_cleanup_closedir_ DIR *d = opendir("/proc");
	double cpu, bytes;
	pid_t session;

	for (struct dirent *t = d ? readdir(d) : NULL; t; t = readdir(d)) {
		if (!isdigit((unsigned char)t->d_name[0]) ||
		    !read_stat(dirfd(d), t->d_name, &session, &cpu, &bytes))
			continue;
		struct process *p = find(l, session);
		if (!p)
			continue;
		p->cpu += cpu;
		p->bytes += bytes;
		p->seen = true;
	}
}

static double disk_percent(const struct backend *be)
{
	struct statvfs s;

	if (fstatvfs(be->dirfd, &s) < 0 || !s.f_blocks)
		return 0;
	return 100.0 * (double)(s.f_blocks - s.f_bfree) / (double)s.f_blocks;
}

static void note(const struct usage *u, const struct process *p, double seconds, double disk)
{
	const struct process *before = find(&u->last, p->pid);
	struct metrics *m = u->be->metrics;

	if (!p->seen)
		return; /* it has just ended */
	if (before && before->seen && seconds > 0)
		metrics_add(m, p->endpoint, p->variant, METRIC_CPU,
			    100.0 * MAX(p->cpu - before->cpu, 0.0) / seconds);
	metrics_add(m, p->endpoint, p->variant, METRIC_MEMORY, 100.0 * p->bytes / u->memory);
	metrics_add(m, p->endpoint, p->variant, METRIC_DISK, disk);
}

void usage_sample(struct usage *u)
{
	double now = time_mono();
	struct list l = {0};

	if (now < u->due)
		return;
	u->due = now + EVERY_SECONDS;
	fleet_processes(u->be->endpoints, add_process, &l);
	if (l.n) {
		qsort(l.rows, l.n, sizeof *l.rows, by_pid);
		measure(&l);
	}
	const double disk = disk_percent(u->be);
	for (size_t i = 0; i < l.n; i++)
		note(u, &l.rows[i], now - u->at, disk);
	free(u->last.rows);
	u->last = l;
	u->at = now;
}
