/* usage: client_driver URL [ACCESS_KEY SECRET_KEY]
 * Region by AWS_REGION. Drives the S3, STS and control clients against a server: one line per check, "ok NAME" or "FAIL NAME: why". */
#include <errno.h>

#include "sagemaker/control.h"
#include "sagemaker/s3_bucket.h"
#include "sagemaker/sts.h"
#include "tests/unit/upload.h"

#define BUCKET "sagemaker-eu-west-1-123456789012"
#define BIG    ((size_t)20 << 20)

static const struct s3_bucket bucket = {.name = BUCKET, .owner = "123456789012"};

struct run {
	struct aws *a;
	char *data; /* BIG bytes */
};

static int want(bool held, struct err *e, const char *what)
{
	return held ? 0 : err_set(e, EPROTO, "%s", what);
}

static int check_identity(struct run *r, struct err *e)
{
	struct identity id;

	return sts_identity(r->a, &id, NULL, e) ||
	       want(streq(id.account, "123456789012"), e, id.account);
}

static int check_bucket(struct run *r, struct err *e)
{
	bool made;

	return s3_bucket_make(r->a, &bucket, "m", &made, NULL, e) ||
	       want(made, e, "was there before") ||
	       s3_bucket_make(r->a, &bucket, "m", &made, NULL, e) || want(!made, e, "made twice");
}

static int check_objects(struct run *r, struct err *e)
{
	_cleanup_buf_ struct buf out = BUF_INIT(0);
	struct s3_object o;

	if (s3_put(r->a, &bucket, "m/a b+\xc3\xbc&%41",
		   &(struct s3_content){"hello", 5, "text/plain", NULL}, &o, NULL, e) ||
	    s3_head(r->a, &bucket, "m/a b+\xc3\xbc&%41", &o, NULL, e) ||
	    want(o.size == 5, e, "size") ||
	    s3_get(r->a, &bucket, "m/a b+\xc3\xbc&%41", 100, &out, &o, NULL, e))
		return -1;
	return want(streq(buf_cstr(&out), "hello"), e, "content");
}

static int check_conditional(struct run *r, struct err *e)
{
	struct s3_object o;

	if (s3_put(r->a, &bucket, "m/once", &(struct s3_content){"1", 1, NULL, S3_IF_NONE}, &o,
		   NULL, e))
		return -1;
	if (s3_put(r->a, &bucket, "m/once", &(struct s3_content){"2", 1, NULL, S3_IF_NONE}, NULL,
		   NULL, e) == 0)
		return want(false, e, "overwritten in spite of If-None-Match");
	return e->no == EEXIST && e->http == 412 ? 0 : -1;
}

static int count_row(void *arg, const struct s3_item *item)
{
	buf_printf(arg, "%s%s\n", item->key, item->is_prefix ? " *" : "");
	return 0;
}

static int check_list(struct run *r, struct err *e)
{
	_cleanup_buf_ struct buf out = BUF_INIT(0);

	for (int i = 0; i < 3; i++) {
		char key[64];

		snprintf(key, sizeof key, "list/%c/x", 'c' - i);
		if (s3_put(r->a, &bucket, key, &(struct s3_content){"", 0, NULL, NULL}, NULL, NULL,
			   e))
			return -1;
	}
	if (s3_put(r->a, &bucket, "list/a b+c", &(struct s3_content){"", 0, NULL, NULL}, NULL, NULL,
		   e) ||
	    s3_list(r->a, &bucket, "list/", "/", count_row, &out, NULL, e))
		return -1;
	return want(streq(buf_cstr(&out), "list/a b+c\nlist/a/ *\nlist/b/ *\nlist/c/ *\n"), e,
		    buf_cstr(&out));
}

static int check_upload(struct run *r, struct err *e)
{
	_cleanup_buf_ struct buf back = BUF_INIT(BIG);
	struct s3_upload *u = s3_upload_new(r->a, &bucket, "m/big", NULL, NULL, e);
	struct s3_object o;

	if (!u)
		return -1;
	if (upload_bytes(u, r->data, BIG, &o, e) ||
	    s3_get(r->a, &bucket, "m/big", BIG, &back, &o, NULL, e))
		return -1;
	return want(back.len == BIG && memcmp(back.data, r->data, BIG) == 0, e, "content differs");
}

/* Whole, and in parts as what is too large for one request is. */
static int check_copy(struct run *r, struct err *e)
{
	static const uint64_t parts[] = {0, (uint64_t)8 << 20};
	struct s3_object o;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_buf_ struct buf back = BUF_INIT(BIG);
		const struct s3_copy copy = {.aws = r->a,
					     .bucket = &bucket,
					     .from = "m/big",
					     .to = "m/copy \xc3\xbc+",
					     .size = BIG,
					     .part = parts[i]};

		if (s3_copy(&copy, &o, e) ||
		    s3_get(r->a, &bucket, copy.to, BIG, &back, &o, NULL, e) ||
		    want(back.len == BIG && memcmp(back.data, r->data, BIG) == 0, e,
			 "content differs"))
			return -1;
	}
	const struct s3_copy none = {
		.aws = r->a, .bucket = &bucket, .from = "m/not there", .to = "m/none", .size = 1};
	return s3_copy(&none, &o, e) && e->http == 404 ? 0 : -1;
}

static int check_delete_all(struct run *r, struct err *e)
{
	/* XML has its own word for some bytes, and none for others */
	static const char *const keys[] = {"all/a&<b>", "all/\xc3\xbc", "all/c\001d", "all/none",
					   "all/'\""};
	_cleanup_buf_ struct buf out = BUF_INIT(0);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!streq(keys[i], "all/none") &&
		    s3_put(r->a, &bucket, keys[i], &(struct s3_content){"", 0, NULL, NULL}, NULL,
			   NULL, e))
			return -1;
	}
	if (s3_delete_all(r->a, &bucket, keys, ARRAY_SIZE(keys), NULL, e) ||
	    s3_list(r->a, &bucket, "all/", NULL, count_row, &out, NULL, e))
		return -1;
	return want(out.len == 0, e, buf_cstr(&out));
}

static int check_delete(struct run *r, struct err *e)
{
	struct s3_object o;

	if (s3_delete(r->a, &bucket, "m/big", NULL, e) ||
	    s3_delete(r->a, &bucket, "m/big", NULL, e) ||
	    s3_multipart_abort(r->a, &bucket, "m/big", "gone", NULL, e))
		return -1;
	return s3_head(r->a, &bucket, "m/big", &o, NULL, e) && e->no == ENOENT ? 0 : -1;
}

static int check_control(struct run *r, struct err *e)
{
	static const struct tag tags[] = {
		{"sagemakerfs:endpoint", "e1"}
        };
	const struct model_desc m = {"m1", "arn:aws:iam::123456789012:role/r", "image",
				     "s3://" BUCKET "/m/once", NULL};
	const struct endpoint_config_desc c = {"c1", "m1", "ml.m5.large", 1};
	struct endpoint_config_state config;
	struct endpoint_state s;
	struct model_state model;
	char arn[256];

	if (control_create_model(r->a, &m, tags, 1, NULL, e) ||
	    control_create_endpoint_config(r->a, &c, tags, 1, NULL, e) ||
	    control_create_endpoint(r->a, "e1", "c1", tags, 1, arn, NULL, e) ||
	    control_describe_endpoint(r->a, "e1", &s, NULL, e) ||
	    control_describe_endpoint_config(r->a, "c1", &config, NULL, NULL, e) ||
	    control_describe_model(r->a, "m1", &model, NULL, e))
		return -1;
	return want(streq(s.config, "c1") && streq(s.arn, arn) && streq(config.model, "m1") &&
			    streq(config.instance_type, "ml.m5.large") &&
			    streq(model.data_url, m.data_url),
		    e, "what was created is described otherwise");
}

/* A model of files, without an archive. */
static int check_prefix(struct run *r, struct err *e)
{
	const struct model_desc m = {"m2", "arn:aws:iam::123456789012:role/r", "image",
				     "s3://" BUCKET "/m/", NULL};
	struct model_state model;

	if (control_create_model(r->a, &m, NULL, 0, NULL, e) ||
	    control_describe_model(r->a, "m2", &model, NULL, e) ||
	    control_delete_model(r->a, "m2", NULL, e))
		return -1;
	return want(streq(model.data_url, m.data_url), e, "a prefix is described otherwise");
}

static int check_lists(struct run *r, struct err *e)
{
	_cleanup_free_ struct endpoint_summary *rows = NULL;
	_cleanup_free_ struct control_item *models = NULL;
	_cleanup_json_ cJSON *tags = NULL;
	struct endpoint_state s;
	size_t n, n_models;

	if (control_list_endpoints(r->a, &rows, &n, NULL, e) ||
	    control_list_models(r->a, NULL, &models, &n_models, NULL, e) ||
	    control_describe_endpoint(r->a, "e1", &s, NULL, e) ||
	    control_list_tags(r->a, s.arn, &tags, NULL, e))
		return -1;
	return want(n == 1 && streq(rows[0].name, "e1") && n_models == 1 &&
			    cJSON_GetObjectItem(tags, "sagemakerfs:endpoint"),
		    e, "lists differ");
}

static int check_control_delete(struct run *r, struct err *e)
{
	struct endpoint_state s;

	if (control_delete_endpoint(r->a, "e1", NULL, e) ||
	    control_delete_endpoint_config(r->a, "c1", NULL, e) ||
	    control_delete_model(r->a, "m1", NULL, e))
		return -1;
	return control_describe_endpoint(r->a, "e1", &s, NULL, e) && control_not_found(e) ? 0 : -1;
}

static const struct {
	const char *name;
	int (*run)(struct run *r, struct err *e);
} checks[] = {
	{"sts identity",			  check_identity      },
	{"s3 bucket is made and found",           check_bucket        },
	{"s3 object with an awkward key",         check_objects       },
	{"s3 conditional write",                  check_conditional   },
	{"s3 list with delimiter",                check_list          },
	{"s3 multipart upload and read back",     check_upload        },
	{"s3 copies, whole and in parts",         check_copy          },
	{"s3 deletes many at once",               check_delete_all    },
	{"s3 delete, abort of an unknown upload", check_delete        },
	{"control create and describe",           check_control       },
	{"control model of a prefix",             check_prefix        },
	{"control lists and tags",                check_lists         },
	{"control delete",                        check_control_delete},
};

int main(int argc, char **argv)
{
	struct config c = {0};
	struct err e = {0};
	struct run r = {NULL, malloc(BIG)};

	if ((argc != 2 && argc != 4) || !r.data)
		return 2;
	for (size_t i = 0; i < BIG; i++)
		r.data[i] = (char)(i * 2654435761U >> 11);
	c.endpoint_url = strdup(argv[1]);
	c.region = strdup(getenv("AWS_REGION") ? getenv("AWS_REGION") : "eu-west-1");
	c.access_key = strdup(argc == 4 ? argv[2] : "AKIDEXAMPLE");
	c.secret_key = strdup(argc == 4 ? argv[3] : "secret");
	r.a = config_load(&c, &e) ? NULL : aws_new(&c, &e);
	if (!r.a) {
		printf("FAIL start: %s\n", e.text);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		memset(&e, 0, sizeof e);
		if (checks[i].run(&r, &e))
			printf("FAIL %s: %s (%s, HTTP %ld)\n", checks[i].name, e.text, e.code,
			       e.http);
		else
			printf("ok %s\n", checks[i].name);
	}
	aws_free(r.a);
	config_release(&c);
	free(r.data);
	return 0;
}
