/* invoke_load.c: many clients at once, each asking on a kept connection of its own: a model server by its own HTTP, and the backend
 * before it, in turn. One thread and epoll, and the same bytes each time: what it costs itself is little and equal for all, which
 * counts where clients, backend and model share the processors.
 *   invoke_load CLIENTS N ROUNDS BODY NAME:PORT:HEADERS... [-- NAME:PID...]
 * NAME is asked at 127.0.0.1:PORT by POST with the lines of the file HEADERS, whose first is the request line; N times by each client
 * in each round, the names in turn, once before to warm up. A line for each, of medians of the rounds:
 *   NAME errors=0 p50=US p99=US rate=PER_SECOND cpu_client=US cpu_NAME=US...    (CPU time a request, of the processes named) */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_NAMES  8
#define MAX_ROUNDS 64
#define REPLY_MAX  65536

struct process {
	const char *name;
	int pid;
	double spent[MAX_ROUNDS];
};

struct target {
	char name[32], request[16384];
	int port, errors;
	size_t len;
	double p50[MAX_ROUNDS], p99[MAX_ROUNDS], rate[MAX_ROUNDS], client[MAX_ROUNDS];
	struct process processes[MAX_NAMES];
};

struct client {
	int fd, left;
	double began;
	size_t have;
	char reply[REPLY_MAX];
};

static struct target targets[MAX_NAMES];
static int n_targets, n_processes;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Of a process and its ended children, microseconds; our own: 0. */
static double cpu_us(int pid)
{
	char path[64], text[1024] = "";
	unsigned long user = 0, sys = 0;
	struct rusage r;

	if (!pid) {
		getrusage(RUSAGE_SELF, &r);
		return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 +
		       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
	}
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		die(path);
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	const char *p = n ? strrchr(text, ')') : NULL;
	if (!p ||
	    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
		die(path);
	return (double)(user + sys) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static int connect_to(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((unsigned short)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static void ask(struct client *c, const struct target *t)
{
	c->have = 0;
	c->began = now_us();
	if (write(c->fd, t->request, t->len) != (ssize_t)t->len)
		die("write");
}

/* Whether the reply is whole: its head, and as many bytes as that says. */
static bool take(struct client *c, bool *ok)
{
	ssize_t n = read(c->fd, c->reply + c->have, sizeof c->reply - 1 - c->have);

	if (n <= 0)
		die("read");
	c->have += (size_t)n;
	c->reply[c->have] = '\0';
	const char *end = strstr(c->reply, "\r\n\r\n"),
		   *length = end ? strcasestr(c->reply, "\r\nContent-Length:") : NULL;
	if (!end || !length || length > end)
		return false;
	*ok = strncmp(c->reply, "HTTP/1.1 200", 12) == 0;
	return c->have >= (size_t)(end + 4 - c->reply) + strtoul(length + 17, NULL, 10);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void answer(struct client *c, struct target *t, double *times, int *done, int n)
{
	bool ok = false;

	if (!take(c, &ok))
		return;
	times[(*done)++] = now_us() - c->began;
	t->errors += !ok;
	if (--c->left > 0 && n)
		ask(c, t);
}

static void run_clients(struct target *t, struct client *all, int clients, int n, double *times)
{
	int poll = epoll_create1(0), done = 0;
	struct epoll_event ready[64];

	for (int i = 0; i < clients; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};

		all[i].fd = connect_to(t->port);
		all[i].left = n;
		epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &e);
		ask(&all[i], t);
	}
	while (done < clients * n) {
		int k = epoll_wait(poll, ready, 64, 30000);
		if (k == 0 || (k < 0 && errno != EINTR))
			die("no answer for 30 s");
		for (int i = 0; i < k; i++)
			answer(ready[i].data.ptr, t, times, &done, n);
	}
	for (int i = 0; i < clients; i++)
		close(all[i].fd);
	close(poll);
}

/* round < 0: to warm up. */
static void measure(struct target *t, int clients, int n, int round)
{
	struct client *all = calloc((size_t)clients, sizeof *all);
	size_t total = (size_t)clients * (size_t)n;
	double *times = calloc(total, sizeof *times), own = cpu_us(0), before[MAX_NAMES];

	if (!all || !times)
		die("calloc");
	for (int i = 0; i < n_processes; i++)
		before[i] = cpu_us(targets[0].processes[i].pid);
	double began = now_us();
	run_clients(t, all, clients, n, times);
	double seconds = (now_us() - began) / 1e6;
	qsort(times, total, sizeof *times, by_size);
	if (round >= 0) {
		t->p50[round] = times[total / 2];
		t->p99[round] = times[total * 99 / 100];
		t->rate[round] = (double)total / seconds;
		t->client[round] = (cpu_us(0) - own) / (double)total;
		for (int i = 0; i < n_processes; i++)
			t->processes[i].spent[round] =
				(cpu_us(targets[0].processes[i].pid) - before[i]) / (double)total;
	}
	free(times);
	free(all);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, by_size);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* NAME:PORT:HEADERS */
static void read_target(char *text, const char *body)
{
	struct target *t = &targets[n_targets++];
	char *port = strchr(text, ':'), *path = port ? strchr(port + 1, ':') : NULL;
	FILE *f = path ? fopen(path + 1, "r") : NULL;
	char line[4096];

	if (!f)
		die(text);
	snprintf(t->name, sizeof t->name, "%.*s", (int)(port - text), text);
	t->port = atoi(port + 1);
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\r\n")] = '\0';
		t->len += (size_t)snprintf(t->request + t->len, sizeof t->request - t->len,
					   "%s\r\n", line);
	}
	fclose(f);
	t->len += (size_t)snprintf(t->request + t->len, sizeof t->request - t->len,
				   "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	if (t->len >= sizeof t->request)
		die("the request is too long");
}

/* NAME:PID, once for each target: what it spent is counted for each. */
static void add_process(const char *text)
{
	const char *pid = strchr(text, ':');

	if (!pid)
		die(text);
	for (int k = 0; k < n_targets; k++)
		targets[k].processes[n_processes] =
			(struct process){.name = text, .pid = atoi(pid + 1)};
	n_processes++;
}

static void show(struct target *t, int rounds)
{
	printf("%s errors=%d p50=%.0f p99=%.0f rate=%.0f cpu_client=%.0f", t->name, t->errors,
	       median(t->p50, rounds), median(t->p99, rounds), median(t->rate, rounds),
	       median(t->client, rounds));
	for (int k = 0; k < n_processes; k++)
		printf(" cpu_%.*s=%.0f", (int)strcspn(t->processes[k].name, ":"),
		       t->processes[k].name, median(t->processes[k].spent, rounds));
	putchar('\n');
}

static void read_names(char **names, const char *body)
{
	for (; *names && strcmp(*names, "--") != 0 && n_targets < MAX_NAMES; names++)
		read_target(*names, body);
	for (names += *names != NULL; *names && n_processes < MAX_NAMES; names++)
		add_process(*names);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: invoke_load CLIENTS N ROUNDS BODY NAME:PORT:HEADERS... [-- NAME:PID...]\n");
	return 2;
}

int main(int argc, char **argv)
{
	if (argc <= 5)
		return usage();
	const int clients = atoi(argv[1]), n = atoi(argv[2]), rounds = atoi(argv[3]);
	if (clients < 1 || n < 1 || rounds < 1 || rounds > MAX_ROUNDS)
		return usage();
	read_names(argv + 5, argv[4]);
	for (int k = -n_targets; k < rounds * n_targets; k++)
		measure(&targets[(k + n_targets) % n_targets], clients, n,
			k < 0 ? -1 : k / n_targets);
	for (int k = 0; k < n_targets; k++)
		show(&targets[k], rounds);
	return 0;
}
