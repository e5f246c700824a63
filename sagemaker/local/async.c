#include "sagemaker/local/async.h"

#include <errno.h>
#include <limits.h>

#include "sagemaker/hash.h"
#include "sagemaker/http.h"
#include "sagemaker/local/calls.h"
#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/metrics.h"
#include "sagemaker/local/objects.h"
#include "sagemaker/local/pool.h"
#include "sagemaker/local/validate.h"

#define BODY_MAX    128000              /* bytes: AWS's limit of a body that comes along */
#define INPUT_MAX   ((size_t)256 << 20) /* of an input object, and of an answer: they are in memory */
#define TIMEOUT_S   900                 /* of the container, unless the request says otherwise */
#define CONCURRENCY 4                   /* per instance, unless the configuration says otherwise */
#define LOOKED_AT   64                  /* of an endpoint's rows, in one pass */

/* A request that is being answered. */
struct job {
	struct job *next;
	struct async *a;
	char id[33], endpoint[64];
	cJSON *json; /* what was asked: validate_headers' object, OutputLocation, FailureLocation */
	double created;
	struct buf body;
	struct invoke_target target;
	double sent; /* monotonic: when the model server was asked */
	/* The end: */
	struct buf answer;
	char type[256];
	bool failed, again; /* again: it stays in the queue */
};

struct async {
	struct backend *be;
	pthread_mutex_t mu; /* guards what follows */
	struct job *running;
	bool stopping, pumping, more;
};

struct async *async_new(struct backend *be)
{
	struct async *a = calloc(1, sizeof *a);

	if (!a)
		return NULL;
	a->be = be;
	pthread_mutex_init(&a->mu, NULL);
	return a;
}

static void job_free(struct job *j)
{
	cJSON_Delete(j->json);
	buf_release(&j->body);
	buf_release(&j->answer);
	free(j);
}

void async_stop(struct async *a)
{
	SCOPED_LOCK(&a->mu);
	a->stopping = true;
}

void async_free(struct async *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->mu);
	free(a);
}

/* ---- the end of a job ---- */

static int forget(struct backend *be, const char *id, struct err *e)
{
	SCOPED_LOCK(db_lock(be->db));
	return db_run(be->db, e, "DELETE FROM async WHERE id=?", "s", id);
}

/* The answer, or why there is none, where the request wants it; its row goes with that. */
static void deliver(struct job *j)
{
	struct backend *be = j->a->be;
	const char *url = member_string(j->json, j->failed ? "FailureLocation" : "OutputLocation");
	const char *key;
	char bucket[64];
	struct err e = {0};
	int rc = s3_url_split(url, bucket, &key)
			 ? object_put(be, bucket, key, j->type, &j->answer, j->id, &e)
			 : forget(be, j->id, &e);

	if (rc && e.no != EIO && e.no != ENOSPC && e.no != ENOMEM) {
		logger_error(be->log, "async invocation %s of endpoint %s: its result is lost: %s",
			     j->id, j->endpoint, e.text);
		rc = forget(be, j->id, &e);
	}
	if (rc)
		logger_error(be->log, "async invocation %s of endpoint %s: %s", j->id, j->endpoint,
			     e.text);
	else if (j->failed)
		logger_warn(be->log, "async invocation %s of endpoint %s failed: %.300s", j->id,
			    j->endpoint, buf_cstr(&j->answer));
}

static void pump(struct async *a);

static void end_job(void *arg)
{
	struct job *j = arg;
	struct async *a = j->a;

	if (!j->again)
		deliver(j);
	pthread_mutex_lock(&a->mu);
	struct job **at = &a->running;
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	pthread_mutex_unlock(&a->mu);
	job_free(j);
	pump(a);
}

static void fail(struct job *j, const char *fmt, ...) _printf_(2, 3);

static void fail(struct job *j, const char *fmt, ...)
{
	va_list ap;

	j->failed = true;
	snprintf(j->type, sizeof j->type, "text/plain");
	buf_reset(&j->answer);
	va_start(ap, fmt);
	buf_vprintf(&j->answer, fmt, ap);
	va_end(ap);
}

/* What waited in the queue is not the overhead of an answer; what will be asked again is none. */
static void count_answer(const struct job *j, const struct http_resp *resp, const struct err *e)
{
	if (e->no == ECONNREFUSED || e->no == ECANCELED)
		return;
	metrics_invoked(j->a->be->metrics, &(struct invoked){.endpoint = j->target.name,
							     .variant = j->target.variant,
							     .instances = j->target.instances,
							     .status = e->no ? 0 : resp->status,
							     .model = time_mono() - j->sent});
}

/* On the engine's thread. */
static void on_reply(void *arg, struct http_resp *resp, const struct err *e)
{
	struct job *j = arg;
	const char *type = http_header_get(&resp->headers, "Content-Type");

	fleet_release(j->a->be->endpoints, &j->target);
	count_answer(j, resp, e);
	if (e->no == ECONNREFUSED || e->no == ECANCELED) {
		j->again = true;
	} else if (e->no == ETIMEDOUT) {
		fail(j,
		     "Received server error (0) from model with message \"Your invocation timed out while waiting for a "
		     "response from container primary.\"");
	} else if (e->no) {
		fail(j,
		     "Received server error (500) from primary and could not load the entire response body.");
	} else if (resp->status < 200 || resp->status > 299) {
		fail(j, "Received %s error (%ld) from primary with message \"%.*s\"",
		     resp->status < 500 ? "client" : "server", resp->status,
		     (int)MIN(resp->body.len, (size_t)16384), buf_cstr(&resp->body));
	} else {
		j->answer = resp->body;
		resp->body = (struct buf)BUF_INIT(resp->body.max);
		snprintf(j->type, sizeof j->type, "%s", type ? type : "application/octet-stream");
	}
	if (pool_run(j->a->be->quick, end_job, j) < 0)
		end_job(j);
}

/* ---- the beginning of a job: on a worker ---- */

static int read_all(struct job *j, struct reader *rd, const char *url, struct err *e)
{
	uint64_t size = reader_size(rd), at = 0;

	if (size > INPUT_MAX || !buf_reserve(&j->body, (size_t)size))
		return err_set(e, EFBIG, "the object %s is longer than %zu bytes", url, INPUT_MAX);
	while (at < size) {
		ssize_t n = reader_read(rd, at, j->body.data + at, (size_t)(size - at));
		if (n <= 0)
			return err_set(e, EIO, "the object %s cannot be read", url);
		at += (uint64_t)n;
	}
	j->body.len = (size_t)size;
	buf_terminate(&j->body);
	return 0;
}

static int read_input(struct job *j, struct err *e)
{
	const char *url = member_string(j->json, "InputLocation"), *key;
	struct reader *rd = NULL;
	char bucket[64];

	if (!*url)
		return 0;
	if (!s3_url_split(url, bucket, &key))
		return err_set(e, EINVAL, "'%s' is not the address of an object", url);
	_cleanup_free_ struct object *o = malloc(sizeof *o);
	if (!o)
		return err_set(e, ENOMEM, "out of memory");
	int rc = object_open(j->a->be, bucket, key, strlen(key), o, &rd, e);
	if (rc == 0)
		return err_set(e, ENOENT, "there is no object %s", url);
	if (rc > 0)
		rc = read_all(j, rd, url, e);
	reader_free(rd);
	return rc;
}

static int add_headers(const struct job *j, struct http_headers *h)
{
	static const struct {
		const char *member, *header;
	} rows[] = {
		{"ContentType",      "Content-Type"                      },
		{"Accept",           "Accept"                            },
		{"CustomAttributes", "X-Amzn-SageMaker-Custom-Attributes"},
		{"InferenceId",      "X-Amzn-SageMaker-Inference-Id"     },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *value = member_string(j->json, rows[i].member);
		if (*value && http_header_add(h, rows[i].header, value))
			return -1;
	}
	return 0;
}

/* true: on_reply follows. */
static bool send(struct job *j)
{
	struct http_headers headers = {0};
	struct http_req q = {
		.method = "POST",
		.url = j->target.url,
		.headers = &headers,
		.max_reply = INPUT_MAX,
		.timeout_ms =
			(long)member_number(j->json, "InvocationTimeoutSeconds", TIMEOUT_S) * 1000};
	struct err e = {0};

	q.silence_ms = q.timeout_ms;
	if (read_input(j, &e)) {
		fail(j, "The input cannot be read: %s.", e.text);
		return false;
	}
	q.body = buf_cstr(&j->body);
	q.body_len = j->body.len;
	j->sent = time_mono();
	bool sent = add_headers(j, &headers) == 0 &&
		    http_start(j->a->be->http, &q, on_reply, j, &e) == 0;
	http_headers_release(&headers);
	if (!sent) /* else j is on_reply's, and may be gone */
		j->again = true;
	return sent;
}

/* How many of an endpoint's may run at once: 0 while it does not serve; -1: there is none. */
static int capacity(struct async *a, const char *endpoint)
{
	_cleanup_json_ cJSON *d = fleet_describe(a->be->endpoints, endpoint);
	const cJSON *v, *config = cJSON_GetObjectItem(d, "AsyncInferenceConfig");
	double instances = 0;

	if (!d)
		return -1;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(d, "ProductionVariants"))
		instances += member_number(v, "CurrentInstanceCount", 0);
	return (int)(instances * member_number(cJSON_GetObjectItem(config, "ClientConfig"),
					       "MaxConcurrentInvocationsPerInstance", CONCURRENCY));
}

/* Whether it is to be begun: it does not run yet and there is room. Then it runs. */
static bool claim(struct async *a, struct job *j, int room)
{
	SCOPED_LOCK(&a->mu);
	if (a->stopping)
		return false;
	for (const struct job *o = a->running; o; o = o->next) {
		if (streq(o->id, j->id))
			return false;
		room -= streq(o->endpoint, j->endpoint);
	}
	if (room <= 0)
		return false;
	j->next = a->running;
	a->running = j;
	return true;
}

static bool expired(const struct job *j)
{
	return time_now() > j->created + member_number(j->json, "RequestTTLSeconds",
						       j->a->be->options->async_ttl);
}

static void begin(struct async *a, struct job *j, int room)
{
	bool old = expired(j);

	if (!claim(a, j, old ? INT_MAX : room)) {
		job_free(j);
		return;
	}
	if (old)
		fail(j, "The request was not processed within its RequestTTLSeconds.");
	else if (fleet_target(a->be->endpoints, j->endpoint, strlen(j->endpoint), NULL,
			      &j->target) != INVOKE_READY)
		j->again = true;
	else if (send(j))
		return;
	else
		fleet_release(a->be->endpoints, &j->target);
	end_job(j);
}

static struct job *read_job(struct async *a, sqlite3_stmt *s)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j)
		return NULL;
	*j = (struct job){.a = a,
			  .json = cJSON_Parse(db_text(s, 2)),
			  .created = sqlite3_column_double(s, 3),
			  .body = BUF_INIT(INPUT_MAX),
			  .answer = BUF_INIT(INPUT_MAX)};
	snprintf(j->id, sizeof j->id, "%s", db_text(s, 0));
	snprintf(j->endpoint, sizeof j->endpoint, "%s", db_text(s, 1));
	const void *body = sqlite3_column_blob(s, 4);
	if (body)
		buf_add(&j->body, body, (size_t)sqlite3_column_bytes(s, 4));
	return j;
}

static bool runs(struct async *a, const char *id)
{
	SCOPED_LOCK(&a->mu);
	for (const struct job *j = a->running; j; j = j->next) {
		if (streq(j->id, id))
			return true;
	}
	return false;
}

/* The endpoint's oldest that wait. */
static size_t read_queue(struct async *a, const char *endpoint, struct job *out[LOOKED_AT])
{
	size_t n = 0;
	struct err e;

	SCOPED_LOCK(db_lock(a->be->db));
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(
		a->be->db, &e,
		"SELECT id, endpoint, json, created, body FROM async WHERE endpoint=? ORDER BY created",
		"s", endpoint);
	while (s && n < LOOKED_AT && db_step(s, &e) > 0) {
		if (!runs(a, db_text(s, 0)) && (out[n] = read_job(a, s)))
			n++;
	}
	return n;
}

/* Those that somebody waits for, as a JSON list. */
static cJSON *read_endpoints(struct async *a)
{
	cJSON *list = cJSON_CreateArray();
	struct err e;

	SCOPED_LOCK(db_lock(a->be->db));
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(a->be->db, &e, "SELECT DISTINCT endpoint FROM async", "");
	while (s && db_step(s, &e) > 0)
		cJSON_AddItemToArray(list, cJSON_CreateString(db_text(s, 0)));
	return list;
}

static void forget_all(struct async *a, const char *endpoint)
{
	struct err e;

	SCOPED_LOCK(db_lock(a->be->db));
	if (db_run(a->be->db, &e, "DELETE FROM async WHERE endpoint=?", "s", endpoint) == 0)
		logger_warn(a->be->log,
			    "async invocations: endpoint %s is gone and %d that waited with it",
			    endpoint, db_changes(a->be->db));
}

/* One endpoint does not keep another waiting. */
static void serve_endpoint(struct async *a, const char *endpoint)
{
	struct job *jobs[LOOKED_AT];
	int room = capacity(a, endpoint);

	if (room < 0) {
		forget_all(a, endpoint);
		return;
	}
	size_t n = read_queue(a, endpoint, jobs);
	for (size_t i = 0; i < n; i++)
		begin(a, jobs[i], room);
}

/* One pass at a time; one that is asked for meanwhile follows. */
static void pass(void *arg)
{
	struct async *a = arg;

	for (bool more = true; more;) {
		_cleanup_json_ cJSON *endpoints = read_endpoints(a);
		const cJSON *name;

		cJSON_ArrayForEach(name, endpoints)
			serve_endpoint(a, name->valuestring);
		pthread_mutex_lock(&a->mu);
		more = a->pumping = a->more && !a->stopping;
		a->more = false;
		pthread_mutex_unlock(&a->mu);
	}
}

static void pump(struct async *a)
{
	pthread_mutex_lock(&a->mu);
	bool run = !a->pumping && !a->stopping;
	a->more = a->pumping;
	a->pumping |= run;
	pthread_mutex_unlock(&a->mu);
	if (run && pool_run(a->be->slow, pass, a) < 0) {
		SCOPED_LOCK(&a->mu);
		a->pumping = false;
	}
}

void async_tick(struct async *a)
{
	pump(a);
}

/* ---- the call ---- */

/* "s3://bucket/prefix" + "/" + extension + "/" + file; "" without a prefix. */
static void add_location(cJSON *in, const char *member, const char *base, const char *file)
{
	const char *extension = member_string(in, "S3OutputPathExtension");
	size_t n = strlen(base);
	_cleanup_free_ char *url =
		str_printf("%.*s/%s%s%s", (int)(n && base[n - 1] == '/' ? n - 1 : n), base,
			   extension, *extension ? "/" : "", file);

	if (n && url)
		cJSON_AddStringToObject(in, member, url);
}

static int keep(struct request *r, const char *id, const char *endpoint, cJSON *in, struct err *e)
{
	char *text = cJSON_PrintUnformatted(in);
	int rc;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	{
		SCOPED_LOCK(db_lock(r->be->db));
		rc = db_run(
			r->be->db, e,
			"INSERT INTO async(id, endpoint, json, created, body) VALUES(?, ?, ?, ?, ?)",
			"sssdb", id, endpoint, text, time_now(), buf_cstr(&r->body), r->body.len);
	}
	cJSON_free(text);
	return rc;
}

/* What is asked must be answerable. false: replied. */
static bool check(struct request *r, const cJSON *in, const cJSON *endpoint)
{
	const char *name = member_string(in, "EndpointName"),
		   *status = member_string(endpoint, "EndpointStatus");

	if (!endpoint || streq(status, "Creating") || streq(status, "Failed") ||
	    streq(status, "Deleting"))
		reply_error(r, 400, "ValidationError",
			    "Endpoint %s of account " LOCAL_ACCOUNT " not found.", name);
	else if (!cJSON_HasObjectItem(endpoint, "AsyncInferenceConfig"))
		reply_error(r, 400, "ValidationError",
			    "Endpoint %s has no AsyncInferenceConfig: InvokeEndpoint asks it",
			    name);
	else if (!*member_string(in, "InputLocation") == !r->body.len)
		reply_error(r, 400, "ValidationError",
			    "Give either InputLocation or a Body to InvokeEndpointAsync");
	else if (r->body.len > BODY_MAX)
		reply_error(r, 413, "RequestEntityTooLarge",
			    "HTTP content length exceeded %d bytes.", BODY_MAX);
	else
		return true;
	return false;
}

static void accepted(struct request *r, const cJSON *in)
{
	static const struct {
		const char *member, *header;
	} rows[] = {
		{"OutputLocation",  "X-Amzn-SageMaker-OutputLocation" },
		{"FailureLocation", "X-Amzn-SageMaker-FailureLocation"},
	};

	cJSON *out = cJSON_CreateObject();

	cJSON_AddStringToObject(out, "InferenceId", member_string(in, "InferenceId"));
	reply_json(r, out);
	r->reply.status = 202;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *url = member_string(in, rows[i].member);
		if (*url)
			reply_header(r, rows[i].header, "%s", url);
	}
}

void rt_invoke_async(struct request *r)
{
	const char *name = r->path + strlen("/endpoints/"), *end = strchrnul(name, '/');
	_cleanup_json_ cJSON *in = validate_headers(r, name, (size_t)(end - name));
	_cleanup_json_ cJSON *endpoint =
		in ? fleet_describe(r->be->endpoints, member_string(in, "EndpointName")) : NULL;
	char id[33], file[64];
	struct err e;

	if (!in || !check(r, in, endpoint))
		return;
	const cJSON *config = cJSON_GetObjectItem(
		cJSON_GetObjectItem(endpoint, "AsyncInferenceConfig"), "OutputConfig");
	random_text(id, sizeof id);
	if (!cJSON_HasObjectItem(in, "InferenceId"))
		cJSON_AddStringToObject(in, "InferenceId", id);
	const char *given = member_string(in, "Filename");
	snprintf(file, sizeof file, "%s%s", *given ? given : id, *given ? "" : ".out");
	add_location(in, "OutputLocation", member_string(config, "S3OutputPath"), file);
	snprintf(file, sizeof file, "%s%s", *given ? given : id, *given ? "" : "-error.out");
	add_location(in, "FailureLocation", member_string(config, "S3FailurePath"), file);
	if (keep(r, id, member_string(endpoint, "EndpointName"), in, &e)) {
		reply_failure(r, &e);
		return;
	}
	accepted(r, in);
	pump(r->be->async);
}
