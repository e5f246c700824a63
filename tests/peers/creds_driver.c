/* usage: creds_driver [PROFILE]
 * Where AWS keys come from, by command on standard input, one line of JSON for each:
 *   get          the keys, fetched where they must be       refused      the service called the last ones expired
 *   source       in words                                   many N       N threads ask at once: how many sets of keys came
 *   put N        N calls at once, each a PUT to S3          stop         one call, cancelled while its keys are fetched
 */
#include <errno.h>

#include "sagemaker/aws.h"
#include "sagemaker/buf.h"
#include "sagemaker/creds.h"
#include "sagemaker/json.h"

#define MAX_MANY 64

static struct config config;
static struct creds *creds;
static char last[sizeof((struct keys *)0)->access];

static void print(cJSON *o)
{
	_cleanup_free_ char *text = cJSON_PrintUnformatted(o);

	puts(text);
	fflush(stdout);
	cJSON_Delete(o);
}

static void put_error(cJSON *o, const struct err *e)
{
	json_put(o, "error", e->text);
	json_put_number(o, "errno", e->no);
}

static void get(int n)
{
	cJSON *o = cJSON_CreateObject();
	struct keys k;
	struct err e;

	(void)n;
	json_put(o, "region", config.region);
	if (creds_fetch(creds, &k, NULL, &e)) {
		put_error(o, &e);
	} else {
		json_put(o, "access", k.access);
		json_put(o, "secret", k.secret);
		json_put(o, "token", k.token);
		memcpy(last, k.access, sizeof last);
	}
	print(o);
}

static void refused(int n)
{
	(void)n;
	creds_refused(creds, last);
	print(cJSON_CreateObject());
}

static void source(int n)
{
	_cleanup_buf_ struct buf text = BUF_INIT(0);
	cJSON *o = cJSON_CreateObject();
	struct err e;

	(void)n;
	if (creds_source(creds, &text, &e))
		put_error(o, &e);
	else
		json_put(o, "source", buf_cstr(&text));
	print(o);
}

static void *ask(void *arg)
{
	struct keys *k = arg;
	struct err e;

	if (creds_fetch(creds, k, NULL, &e))
		keys_wipe(k);
	return NULL;
}

static void many(int n)
{
	static struct keys keys[MAX_MANY];
	pthread_t threads[MAX_MANY];
	cJSON *o = cJSON_CreateObject();
	int sets = 0, got = 0;

	n = MIN(n, MAX_MANY);
	for (int i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, ask, &keys[i]);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < n; i++) {
		bool seen = false;

		got += keys[i].access[0] != '\0';
		for (int j = 0; j < i; j++)
			seen = seen || streq(keys[i].access, keys[j].access);
		sets += !seen;
	}
	json_put_number(o, "got", got);
	json_put_number(o, "sets", sets);
	print(o);
}

/* Calls that are under way. */
struct calls {
	pthread_mutex_t mu; /* guards the rest */
	pthread_cond_t changed;
	int left, good;
	struct err e; /* of the last that failed */
};

static void on_done(void *arg, struct http_resp *r, const struct err *e)
{
	struct calls *c = arg;

	(void)r;
	SCOPED_LOCK(&c->mu);
	c->left--;
	if (e->no)
		c->e = *e;
	else
		c->good++;
	pthread_cond_signal(&c->changed);
}

static void await(struct calls *c)
{
	pthread_mutex_lock(&c->mu);
	while (c->left)
		pthread_cond_wait(&c->changed, &c->mu);
	pthread_mutex_unlock(&c->mu);
}

static void start_one(struct aws *a, struct calls *c, struct cancel *cancel)
{
	static char part[256 << 10];
	struct http_resp none = {0};
	const struct aws_req q = {.method = "PUT",
				  .path = "/bucket/key",
				  .query = "partNumber=1&uploadId=u",
				  .body = part,
				  .body_len = sizeof part,
				  .cancel = cancel};
	struct err e = {0};

	if (aws_start(a, &AWS_S3, &q, on_done, c, &e))
		on_done(c, &none, &e);
}

static void print_calls(struct calls *c)
{
	cJSON *o = cJSON_CreateObject();

	json_put_number(o, "good", c->good);
	if (c->e.no)
		put_error(o, &c->e);
	print(o);
}

/* n calls; twice, so that the second have keys of the first: refused, where the server says so. */
static void put(int n)
{
	struct calls c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, n, 0, {0}};
	static struct aws *a;
	struct err e;

	if (!a)
		a = aws_new(&config, &e);
	for (int i = 0; i < n; i++)
		start_one(a, &c, NULL);
	await(&c);
	print_calls(&c);
}

static void stop(int n)
{
	struct calls c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0, {0}};
	struct cancel *cancel = cancel_new();
	struct err e;
	struct aws *a = aws_new(&config, &e);

	(void)n;
	start_one(a, &c, cancel);
	cancel_set(cancel);
	await(&c);
	cancel_unref(cancel);
	aws_free(a); /* while the fetching is under way */
	print_calls(&c);
}

static const struct {
	const char *name;
	void (*run)(int n);
} commands[] = {
	{"get",     get    },
        {"refused", refused},
        {"source",  source },
	{"many",    many   },
        {"put",     put    },
        {"stop",    stop   },
};

int main(int argc, char **argv)
{
	char line[64], name[64];
	struct err e;

	if (argc > 1)
		config.profile = strdup(argv[1]);
	if (config_load(&config, &e) || !(creds = creds_new(&config, NULL, &e))) {
		cJSON *o = cJSON_CreateObject();

		put_error(o, &e);
		print(o);
		return 0;
	}
	while (fgets(line, sizeof line, stdin)) {
		int n = 0;

		if (sscanf(line, "%63s %d", name, &n) < 1)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
			if (streq(name, commands[i].name))
				commands[i].run(n);
		}
	}
	creds_free(creds);
	config_release(&config);
	return 0;
}
