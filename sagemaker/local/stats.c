#include "sagemaker/local/stats.h"

#include <errno.h>
#include <fcntl.h>

#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/routes.h"

#define EVERY_SECONDS 3
#define CALLS         192 /* more names than there are calls; what does not fit is counted as "other" */
#define CLASSES       6 /* of statuses, by their first digit */

struct calls {
	char name[64];
	uint64_t n[CLASSES];
};

struct stats {
	struct backend *be;
	double began, due;  /* monotonic */
	char *last;         /* what was written, without what always changes; the main loop's */
	bool failed;        /* writing did, and it was logged */
	pthread_mutex_t mu; /* guards what follows */
	struct calls calls[CALLS + 1];
	size_t n;
	uint64_t received, sent;
};

struct stats *stats_new(struct backend *be, struct err *e)
{
	struct stats *s = calloc(1, sizeof *s);

	if (!s) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	s->be = be;
	s->began = time_mono();
	pthread_mutex_init(&s->mu, NULL);
	return s;
}

void stats_free(struct stats *s)
{
	if (!s)
		return;
	free(s->last);
	pthread_mutex_destroy(&s->mu);
	free(s);
}

static struct calls *find_locked(struct stats *s, const char *name)
{
	size_t i = 0;

	while (i < s->n && !streq(s->calls[i].name, name))
		i++;
	if (i == CALLS)
		name = "other";
	if (i == s->n) {
		snprintf(s->calls[i].name, sizeof s->calls[i].name, "%s", name);
		s->n = MIN(s->n + 1, (size_t)CALLS);
	}
	return &s->calls[i];
}

void stats_request(struct stats *s, const struct request *r, uint64_t sent)
{
	char name[64];

	route_call(r, name);
	SCOPED_LOCK(&s->mu);
	find_locked(s, name)->n[MIN(r->reply.status / 100, CLASSES - 1u)]++;
	s->received += r->length;
	s->sent += sent;
}

/* {"PutObject": {"2xx": 3}} */
static void add_calls_locked(const struct stats *s, cJSON *out)
{
	for (size_t i = 0; i <= s->n && i <= CALLS; i++) {
		const struct calls *c = &s->calls[i];
		cJSON *row = c->name[0] ? cJSON_AddObjectToObject(out, c->name) : NULL;

		for (size_t k = 0; row && k < CLASSES; k++) {
			const char class[] = {(char)('0' + k), 'x', 'x', '\0'};

			if (c->n[k])
				cJSON_AddNumberToObject(row, class, (double)c->n[k]);
		}
	}
}

static cJSON *describe(struct stats *s)
{
	cJSON *j = cJSON_CreateObject(), *bytes;

	fleet_census(s->be->endpoints, j);
	bytes = cJSON_AddObjectToObject(j, "bytes");
	SCOPED_LOCK(&s->mu);
	cJSON_AddNumberToObject(bytes, "received", (double)s->received);
	cJSON_AddNumberToObject(bytes, "sent", (double)s->sent);
	add_calls_locked(s, cJSON_AddObjectToObject(j, "requests"));
	return j;
}

static double resident(void)
{
	_cleanup_buf_ struct buf b = BUF_INIT(256);

	if (buf_read_file(&b, AT_FDCWD, "/proc/self/statm") < 0)
		return 0;
	const char *second = strchr(buf_cstr(&b), ' ');
	return second ? strtod(second, NULL) * (double)sysconf(_SC_PAGESIZE) : 0;
}

/* Replaced in one step; after a crash of the machine the one before may be there. */
static int write_file(const struct stats *s, const char *text)
{
	static const char temp[] = ".stats.json.new";
	_cleanup_close_ int fd = openat(
		s->be->dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	return renameat(s->be->dirfd, temp, s->be->dirfd, "stats.json");
}

static void publish(struct stats *s, cJSON *j)
{
	char now[32], *text;

	now_text(now);
	cJSON_AddStringToObject(j, "time", now);
	cJSON_AddNumberToObject(j, "pid", getpid());
	cJSON_AddNumberToObject(j, "uptime_seconds", (double)(long)(time_mono() - s->began));
	cJSON_AddNumberToObject(j, "resident_bytes", resident());
	text = cJSON_Print(j);
	bool failed = !text || write_file(s, text) < 0;
	if (failed && !s->failed)
		logger_warn(s->be->log, "cannot write stats.json: %s", strerror(errno));
	s->failed = failed;
	cJSON_free(text);
}

void stats_tick(struct stats *s)
{
	double now = time_mono();

	if (now < s->due)
		return;
	s->due = now + EVERY_SECONDS;
	_cleanup_json_ cJSON *j = describe(s);
	char *text = cJSON_PrintUnformatted(j);
	if (!text || (s->last && streq(text, s->last))) {
		cJSON_free(text);
		return;
	}
	cJSON_free(s->last);
	s->last = text;
	publish(s, j);
}
