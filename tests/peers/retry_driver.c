/* usage: retry_driver < ROWS: each row {"name", "url", "op", "calls", "patience_ms"} is an operation to run so often, at once, against a server of
 * its own; all rows run at once, as their delays are real. Prints {"name", "ok", "failed", "errno", "code", "http", "text"} per row:
 * how many calls went well, and what the last failure was. */
#include <errno.h>

#include "sagemaker/control.h"
#include "sagemaker/json.h"
#include "sagemaker/runtime.h"
#include "sagemaker/s3.h"
#include "sagemaker/sts.h"
#include "tests/unit/upload.h"

#define BIG ((size_t)9 << 20) /* more than one part */

static const struct s3_bucket bucket = {.name = "bucket", .owner = "123456789012"};

struct call {
	struct aws *a;
	int (*run)(struct call *c, struct err *e);
	pthread_t thread;
	int result;
	struct err err;
};

static char big[BIG];

static int describe(struct call *c, struct err *e)
{
	struct endpoint_state s;

	return control_describe_endpoint(c->a, "e1", &s, NULL, e);
}

static int create(struct call *c, struct err *e)
{
	char arn[256];

	return control_create_endpoint(c->a, "e1", "c1", NULL, 0, arn, NULL, e);
}

static int identity(struct call *c, struct err *e)
{
	struct identity id;

	return sts_identity(c->a, &id, NULL, e);
}

static int put(struct call *c, struct err *e)
{
	return s3_put(c->a, &bucket, "key", &(struct s3_content){big, (size_t)4 << 20, NULL, NULL},
		      NULL, NULL, e);
}

static int put_once(struct call *c, struct err *e)
{
	return s3_put(c->a, &bucket, "key", &(struct s3_content){"hello", 5, NULL, S3_IF_NONE},
		      NULL, NULL, e);
}

static int get(struct call *c, struct err *e)
{
	_cleanup_buf_ struct buf out = BUF_INIT(0);

	if (s3_get(c->a, &bucket, "key", 1000, &out, NULL, NULL, e))
		return -1;
	return streq(buf_cstr(&out), "0123456789")
		       ? 0
		       : err_set(e, EBADMSG, "what came is '%s'", buf_cstr(&out));
}

static int head(struct call *c, struct err *e)
{
	struct s3_object o;

	return s3_head(c->a, &bucket, "key", &o, NULL, e);
}

static int delete (struct call *c, struct err *e)
{
	return s3_delete(c->a, &bucket, "key", NULL, e);
}

static int ignore_item(void *arg, const struct s3_item *item)
{
	(void)arg;
	(void)item;
	return 0;
}

static int list(struct call *c, struct err *e)
{
	return s3_list(c->a, &bucket, "", NULL, ignore_item, NULL, NULL, e);
}

static int upload(struct call *c, struct err *e)
{
	struct s3_upload *u = s3_upload_new(c->a, &bucket, "key", NULL, NULL, e);

	return u ? upload_bytes(u, big, BIG, NULL, e) : -1;
}

struct answer {
	pthread_mutex_t mu;
	pthread_cond_t changed;
	bool over;
	struct err err;
};

static void answered(void *arg, struct http_resp *r, const struct buf *container,
		     const struct err *e)
{
	struct answer *a = arg;

	(void)r;
	(void)container;
	SCOPED_LOCK(&a->mu);
	a->err = *e;
	a->over = true;
	pthread_cond_broadcast(&a->changed);
}

static int invoke(struct call *c, struct err *e)
{
	const struct invoke_req q = {
		.endpoint = "e1", .content_type = "application/json", .body = "{}", .body_len = 2};
	struct answer a = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, {0}};

	if (runtime_invoke(c->a, &q, answered, &a, e))
		return -1;
	SCOPED_LOCK(&a.mu);
	while (!a.over)
		pthread_cond_wait(&a.changed, &a.mu);
	*e = a.err;
	return a.err.no ? -1 : 0;
}

static const struct {
	const char *name;
	int (*run)(struct call *c, struct err *e);
} operations[] = {
	{"DescribeEndpoint",        describe},
	{"CreateEndpoint",          create  },
	{"GetCallerIdentity",       identity},
	{"PutObject",               put     },
	{"PutObject if none",       put_once},
	{"GetObject",               get     },
	{"HeadObject",              head    },
	{"DeleteObject",            delete  },
	{"ListObjectsV2",           list    },
	{"UploadPart",              upload  },
	{"CompleteMultipartUpload", upload  },
	{"InvokeEndpoint",          invoke  },
};

static void *run_call(void *arg)
{
	struct call *c = arg;

	c->result = c->run(c, &c->err);
	return NULL;
}

struct row {
	cJSON *in;
	struct config config;
	struct aws *a;
	struct call *calls;
	int n;
};

static int begin(struct row *r, struct err *e)
{
	const char *op = json_text(r->in, "op");
	size_t i = 0;

	while (i < ARRAY_SIZE(operations) && (!op || !streq(operations[i].name, op)))
		i++;
	if (i == ARRAY_SIZE(operations))
		return err_set(e, EINVAL, "no operation '%s'", op ? op : "");
	r->config.endpoint_url = strdup(json_text(r->in, "url"));
	r->config.region = strdup("eu-west-1");
	r->config.access_key = strdup("AKIDEXAMPLE");
	r->config.secret_key = strdup("secret");
	r->config.session_token = strdup("token");
	r->config.timeout_ms =
		(long)cJSON_GetNumberValue(cJSON_GetObjectItem(r->in, "patience_ms"));
	if (config_load(&r->config, e))
		return -1;
	r->a = aws_new(&r->config, e);
	r->n = (int)cJSON_GetNumberValue(cJSON_GetObjectItem(r->in, "calls"));
	r->calls = calloc((size_t)r->n, sizeof *r->calls);
	if (!r->a || !r->calls)
		return -1;
	for (int k = 0; k < r->n; k++) {
		r->calls[k] = (struct call){.a = r->a, .run = operations[i].run};
		pthread_create(&r->calls[k].thread, NULL, run_call, &r->calls[k]);
	}
	return 0;
}

static void end(struct row *r)
{
	_cleanup_json_ cJSON *out = cJSON_CreateObject();
	struct err last = {0};
	int well = 0;

	for (int k = 0; k < r->n; k++) {
		pthread_join(r->calls[k].thread, NULL);
		well += r->calls[k].result == 0;
		if (r->calls[k].result)
			last = r->calls[k].err;
	}
	json_put(out, "name", json_text(r->in, "name"));
	cJSON_AddNumberToObject(out, "ok", well);
	cJSON_AddNumberToObject(out, "failed", r->n - well);
	cJSON_AddNumberToObject(out, "http", (double)last.http);
	json_put(out, "errno", last.no ? strerrorname_np(last.no) : "");
	json_put(out, "code", last.code);
	json_put(out, "text", last.text);
	_cleanup_free_ char *said = cJSON_PrintUnformatted(out);
	puts(said ? said : "{}");
	aws_free(r->a);
	free(r->calls);
	config_release(&r->config);
	cJSON_Delete(r->in);
}

int main(void)
{
	static struct row rows[256];
	_cleanup_free_ char *line = NULL;
	size_t cap = 0, n = 0;
	struct err e = {0};

	for (ssize_t len; n < ARRAY_SIZE(rows) && (len = getline(&line, &cap, stdin)) > 0; n++) {
		rows[n].in = cJSON_ParseWithLength(line, (size_t)len);
		if (begin(&rows[n], &e)) {
			fprintf(stderr, "row %zu: %s\n", n, e.text);
			return 1;
		}
	}
	for (size_t i = 0; i < n; i++)
		end(&rows[i]);
	return 0;
}
