/* SageMaker's control plane, InvokeEndpoint, STS and the execution role: what goes out and what is read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/control.h"
#include "sagemaker/runtime.h"
#include "web_script.h"

static void test_create(void **state)
{
	static const struct web_reply rows[] = {{.body = TEXT("{\"EndpointArn\":\"arn:e\"}")}};
	static const struct tag tags[] = {
		{"k", "v"}
        };
	_cleanup_json_ cJSON *environment = cJSON_Parse("{\"A\":\"b\"}");
	struct aws_fixture f;
	struct err e;
	char arn[256];

	(void)state;
	aws_begin(&f, rows, 1);
	const struct model_desc m = {"m", "r", "i", "s3://b/k", environment};
	const struct endpoint_config_desc c = {"c", "m", "ml.m5.large", 2};
	assert_int_equal(control_create_model(f.a, &m, tags, 1, NULL, &e), 0);
	assert_int_equal(control_create_endpoint_config(f.a, &c, NULL, 0, NULL, &e), 0);
	assert_int_equal(control_create_endpoint(f.a, "e", "c", NULL, 0, arn, NULL, &e), 0);
	assert_int_equal(control_delete_endpoint(f.a, "e", NULL, &e), 0);
	assert_int_equal(control_add_tags(f.a, "arn:e", tags, 1, NULL, &e), 0);
	assert_string_equal(arn, "arn:e");
	assert_string_equal(
		web_seen(f.w, &f.s),
		"POST /? {\"PrimaryContainer\":{\"Image\":\"i\",\"ModelDataUrl\":\"s3://b/k\",\"Environment\":{\"A\":\"b\"}},"
		"\"ModelName\":\"m\",\"ExecutionRoleArn\":\"r\",\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"}]}\n"
		"POST /? {\"EndpointConfigName\":\"c\",\"ProductionVariants\":[{\"VariantName\":\"AllTraffic\",\"ModelName\":\"m\","
		"\"InstanceType\":\"ml.m5.large\",\"InitialInstanceCount\":2,\"InitialVariantWeight\":1}]}\n"
		"POST /? {\"EndpointName\":\"e\",\"EndpointConfigName\":\"c\"}\n"
		"POST /? {\"EndpointName\":\"e\"}\n"
		"POST /? {\"ResourceArn\":\"arn:e\",\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"}]}\n");
	aws_end(&f);
}

static void test_describe(void **state)
{
	static const struct web_reply rows[] = {
		{.body = TEXT(
			 "{\"EndpointName\":\"e\",\"EndpointArn\":\"arn:e\",\"EndpointConfigName\":\"c\",\"EndpointStatus\":\"Failed\","
			 "\"FailureReason\":\"why\",\"CreationTime\":1.5,\"LastModifiedTime\":2.5,\"ProductionVariants\":[{"
			 "\"CurrentInstanceCount\":1,\"DesiredInstanceCount\":3,\"DeployedImages\":[{\"SpecifiedImage\":\"img\"}]}]}")},
		{														      .body = TEXT(
			 "{\"EndpointConfigName\":\"c\",\"ProductionVariants\":[{\"ModelName\":\"m\",\"InstanceType\":\"ml.t2.medium\","
			 "\"InitialInstanceCount\":2}]}")																     },
		{ .body = TEXT(
			 "{\"ModelName\":\"m\",\"PrimaryContainer\":{\"Image\":\"i\",\"ModelDataUrl\":\"s3://b/k\"}}")                                                                                                                    },
		{																									.body = TEXT("[]")                                  },
		{																			.status = 400,
		 .body = TEXT(
			 "{\"__type\":\"ValidationException\",\"message\":\"Could not find endpoint \\\"arn\\\".\"}")},
	};
	_cleanup_json_ cJSON *raw = NULL;
	struct endpoint_config_state c;
	struct endpoint_state s;
	struct model_state m;
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin(&f, rows, 5);
	assert_int_equal(control_describe_endpoint(f.a, "e", &s, NULL, &e), 0);
	assert_string_equal(s.status, "Failed");
	assert_string_equal(s.failure, "why");
	assert_string_equal(s.config, "c");
	assert_string_equal(s.image, "img");
	assert_int_equal(s.current_count, 1);
	assert_int_equal(s.desired_count, 3);
	assert_true(s.created == 1.5 && s.modified == 2.5);
	assert_int_equal(control_describe_endpoint_config(f.a, "c", &c, &raw, NULL, &e), 0);
	assert_string_equal(c.instance_type, "ml.t2.medium");
	assert_int_equal(c.instance_count, 2);
	assert_true(cJSON_HasObjectItem(raw, "ProductionVariants"));
	assert_int_equal(control_describe_model(f.a, "m", &m, NULL, &e), 0);
	assert_string_equal(m.data_url, "s3://b/k");
	assert_int_equal(control_describe_endpoint(f.a, "e", &s, NULL, &e), -1);
	assert_int_equal(e.no, EPROTO); /* nonsense tells nothing, not even that there is none */
	assert_false(control_not_found(&e));
	assert_int_equal(control_describe_endpoint(f.a, "e", &s, NULL, &e), -1);
	assert_int_equal(e.no, ENOENT);
	assert_true(control_not_found(&e));
	assert_false(control_exists(&e));
	aws_end(&f);
}

static void test_lists(void **state)
{
	static const struct web_reply pages[] = {
		{.body = TEXT(
			 "{\"Endpoints\":[{\"EndpointName\":\"a\",\"EndpointStatus\":\"InService\"}],\"NextToken\":\"t1\"}")},
		{.body = TEXT(
			 "{\"Endpoints\":[{\"EndpointName\":\"b\",\"EndpointStatus\":\"Creating\",\"CreationTime\":7}]}")},
		{.body = TEXT(
			 "{\"Models\":[{\"ModelName\":\"m1\",\"ModelArn\":\"arn:m1\",\"CreationTime\":6},{\"ModelName\":\"m2\"},{}]}")},
		{.body = TEXT("{\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"}]}")},
		{.body = TEXT("{}")},
	};
	_cleanup_json_ cJSON *tags = NULL;
	_cleanup_free_ struct control_item *models = NULL;
	const struct control_filter filter = {"m", 5.5};
	_cleanup_free_ struct endpoint_summary *rows = NULL;
	struct aws_fixture f;
	struct err e;
	size_t n;

	(void)state;
	aws_begin(&f, pages, 5);
	assert_int_equal(control_list_endpoints(f.a, &rows, &n, NULL, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(rows[1].name, "b");
	assert_true(rows[1].created == 7);
	assert_int_equal(control_list_models(f.a, &filter, &models, &n, NULL, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(models[0].arn, "arn:m1");
	assert_true(models[0].created == 6);
	assert_string_equal(models[1].name, "m2");
	assert_int_equal(control_list_tags(f.a, "arn", &tags, NULL, &e), 0);
	assert_string_equal(cJSON_GetObjectItem(tags, "k")->valuestring, "v");
	assert_int_equal(control_page_endpoints(f.a, NULL, NULL, NULL, &e), -1);
	assert_int_equal(e.no, EPROTO); /* no list, not an empty one */
	assert_true(starts_with(
		web_seen(f.w, &f.s),
		"POST /? {\"MaxResults\":100}\nPOST /? {\"MaxResults\":100,\"NextToken\":\"t1\"}\n"
		"POST /? {\"NameContains\":\"m\",\"CreationTimeAfter\":5.5,\"MaxResults\":100}\n"));
	aws_end(&f);
}

/* The reply of CreateEndpoint is lost; sent again, the service says "already existing": it is our own. */
static void test_lost_create(void **state)
{
	static const struct web_reply ours[] = {
		{.fault = WEB_CLOSE},
		{.status = 400,
		 .body = TEXT(
			 "{\"__type\":\"ValidationException\",\"message\":\"Cannot create already existing endpoint \\\"e\\\".\"}")},
		{.body = TEXT(
			 "{\"EndpointName\":\"e\",\"EndpointArn\":\"arn:e\",\"EndpointConfigName\":\"c\"}")                 }
        };
	static const struct web_reply theirs[] = {
		{.status = 400,
		 .body = TEXT(
			 "{\"__type\":\"ValidationException\",\"message\":\"Cannot create already existing endpoint \\\"e\\\".\"}")}
        };
	struct aws_fixture f;
	struct err e;
	char arn[256];

	(void)state;
	aws_begin(&f, ours, 3);
	assert_int_equal(control_create_endpoint(f.a, "e", "c", NULL, 0, arn, NULL, &e), 0);
	assert_string_equal(arn, "arn:e");
	aws_end(&f);
	aws_begin(&f, theirs, 1);
	assert_int_equal(control_create_endpoint(f.a, "e", "c", NULL, 0, arn, NULL, &e), -1);
	assert_int_equal(e.no, EEXIST);
	assert_true(control_exists(&e));
	aws_end(&f);
}

struct answer {
	pthread_mutex_t mu;
	pthread_cond_t changed;
	bool over;
	struct err e;
	struct buf body, container;
};

static void on_answer(void *arg, struct http_resp *r, const struct buf *container,
		      const struct err *e)
{
	struct answer *a = arg;

	SCOPED_LOCK(&a->mu);
	buf_add(&a->body, buf_cstr(&r->body), r->body.len);
	buf_add(&a->container, buf_cstr(container), container->len);
	a->e = *e;
	a->over = true;
	pthread_cond_signal(&a->changed);
}

#define MODEL_ERROR(status_, says_)                                                   \
 {                                                                                    \
  .status = 424, .headers = TEXT("x-amzn-ErrorType: ModelError:\r\n"),                \
  .body = TEXT("{\"ErrorCode\":\"X\",\"Message\":\"" says_                            \
	       "\",\"OriginalMessage\":\"boo\",\"OriginalStatusCode\":" #status_ "}") \
 }

/* clang-format off */
static void test_invoke(void **state)
{
	static const struct {
		struct web_reply row;
		int no;
		const char *body, *container;
	} cases[] = {
		{{.body = TEXT("[1,2]")}, 0, "[1,2]", ""},
		{MODEL_ERROR(400, "Received client error (400)"), EBADMSG, NULL, "boo"},
		{MODEL_ERROR(500, "Received server error (500)"), EREMOTEIO, NULL, "boo"},
		{MODEL_ERROR(0, "Your invocation timed out while waiting for a response"), ETIMEDOUT, NULL, "boo"},
		{{.status = 413}, EFBIG, NULL, ""},
		{{.status = 530}, EREMOTEIO, NULL, ""},
		{{.status = 400, .headers = TEXT("x-amzn-ErrorType: ValidationError\r\n"),
		  .body = TEXT("{\"Message\":\"Endpoint e of account 1 not found.\"}")}, ENOENT, NULL, ""},
		{{.fault = WEB_CLOSE}, EIO, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer a = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, {0}, BUF_INIT(0), BUF_INIT(0)};
		struct aws_fixture f;
		struct err e;

		aws_begin(&f, &cases[i].row, 1);
		const struct invoke_req q = {"e", "application/json", "text/csv", "[3]", 3, NULL};
		assert_int_equal(runtime_invoke(f.a, &q, on_answer, &a, &e), 0);
		pthread_mutex_lock(&a.mu);
		while (!a.over)
			pthread_cond_wait(&a.changed, &a.mu);
		pthread_mutex_unlock(&a.mu);
		assert_int_equal(a.e.no, cases[i].no);
		if (cases[i].body)
			assert_string_equal(buf_cstr(&a.body), cases[i].body);
		assert_string_equal(buf_cstr(&a.container), cases[i].container);
		assert_string_equal(web_seen(f.w, &f.s), "POST /endpoints/e/invocations? [3]\n"); /* once, never again */
		aws_end(&f);
		buf_release(&a.body);
		buf_release(&a.container);
	}
}

/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create), cmocka_unit_test(test_describe),
		cmocka_unit_test(test_lists),  cmocka_unit_test(test_lost_create),
		cmocka_unit_test(test_invoke),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
