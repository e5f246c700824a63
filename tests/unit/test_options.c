#include "scratch.h"

#include "fs/options.h"

#define PARSE(o, e, ...) parse(o, e, (const char *const[]){"sagemakerfs", __VA_ARGS__, NULL})

static int parse(struct options *o, struct err *e, const char *const args[])
{
	char *argv[16] = {NULL};
	int n = 0;

	for (; args[n]; n++)
		argv[n] = strdup(args[n]);
	int rc = options_parse(n, argv, o, e);
	for (int i = 0; i < n; i++)
		free(argv[i]);
	return rc;
}

static void source_is_optional(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	assert_int_equal(PARSE(&o, &e, "/mnt"), 0);
	assert_string_equal(o.source, "local");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_int_equal(o.wait, 0);
	assert_int_equal(o.delete_what, DELETE_OWN);
	assert_false(o.commit_explicit);
	options_release(&o);
	assert_int_equal(PARSE(&o, &e, "aws:eu-west-1", "/mnt", "-f"), 0);
	assert_string_equal(o.source, "aws:eu-west-1");
	assert_true(o.foreground);
	assert_false(o.debug);
	options_release(&o);
}

static void tags_are_kept_in_order(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	assert_int_equal(PARSE(&o, &e, "/mnt", "-o", "tag.team=vision,ro,tag.cost:centre=4711=b",
			       "-o", "tag.\xc3\xa9quipe=\xe8\xa6\x96 \xe8\xa6\x9a", "-otag.empty="),
			 0);
	assert_int_equal(o.n_tags, 4);
	assert_string_equal(o.tags[0].key, "team");
	assert_string_equal(o.tags[0].value, "vision");
	assert_string_equal(o.tags[1].key, "cost:centre");
	assert_string_equal(o.tags[1].value, "4711=b");
	assert_string_equal(o.tags[2].key, "\xc3\xa9quipe");
	assert_string_equal(o.tags[3].value, "");
	assert_true(o.read_only);
	options_release(&o);
}

static void tags_that_the_service_would_refuse(void **state)
{
	static const struct {
		const char *option, *why;
	} rows[] = {
		{"tag.team",                  "needs a value"},
		{"tag.",                      "needs a value"},
		{"tag.=x",                    "needs a key"  },
		{"tag.AWS:x=1",               "AWS's own"    },
		{"tag.sagemakerfs:attempt=1", "sagemakerfs"  },
		{"tag.a=1;2",                 "outside"      },
		{"tag.a\x01=1",               "outside"      },
		{"tag.a=\xff",                "outside"      },
		{"tag.a=1,tag.a=2",           "twice"        },
	};

	char text[512], *end = text;
	struct options o;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(PARSE(&o, &e, "/mnt", "-o", rows[i].option), -1);
		assert_int_equal(e.no, EINVAL);
		assert_non_null(strstr(e.text, rows[i].why));
		options_release(&o);
	}
	snprintf(text, sizeof text, "tag.k=%0257d", 1);
	assert_int_equal(PARSE(&o, &e, "/mnt", "-o", text), -1);
	assert_non_null(strstr(e.text, "longer than 256"));
	options_release(&o);
	for (int i = 0; i < 47; i++)
		end += snprintf(end, 16, "tag.%d=%d,", i, i);
	assert_int_equal(PARSE(&o, &e, "/mnt", "-o", text), -1);
	assert_non_null(strstr(e.text, "more than 46"));
	options_release(&o);
}

static void all_kinds(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	assert_int_equal(
		PARSE(&o, &e, "aws", "/mnt", "-o",
		      "region=eu-west-1,bucket=mine/some/prefix/,wait=30", "-oro", "-o",
		      "bucket_owner=123456789012,kms_key=arn:aws:kms:eu-west-1:123456789012:key/12ab-34,"
		      "commit=explicit,delete=any,upload_memory=64M,upload_limit=3M,instance_count=2,allow_other"),
		0);
	assert_string_equal(o.region, "eu-west-1");
	assert_string_equal(o.bucket, "mine");
	assert_string_equal(o.prefix, "some/prefix");
	assert_string_equal(o.bucket_owner, "123456789012");
	assert_string_equal(o.kms_key, "arn:aws:kms:eu-west-1:123456789012:key/12ab-34");
	assert_int_equal(o.wait, 30);
	assert_true(o.read_only && o.commit_explicit && o.allow_other);
	assert_int_equal(o.delete_what, DELETE_ANY);
	assert_int_equal(o.upload_memory, 64 << 20);
	assert_int_equal(o.upload_limit, 3 << 20);
	assert_int_equal(o.instance_count, 2);
	options_release(&o);
}

static void fstab_words(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	assert_int_equal(
		PARSE(&o, &e, "local", "/mnt", "-o",
		      "rw,nosuid,nodev,noatime,user=me,setuid=me,x-systemd.automount,_netdev,dev,suid"),
		0);
	assert_string_equal(o.fuse_args, "nosuid,nodev,noatime");
	assert_false(o.read_only);
	options_release(&o);
}

static void refusals(void **state)
{
	static const struct {
		const char *args[4];
		const char *says;
	} rows[] = {
		{{"/m", "-o", "frob"},						   "unknown option 'frob'"                              },
		{{"/m", "-o", "frob=1"},						 "unknown option 'frob'"                              },
		{{"/m", "-o", "regio=x"},						"unknown option 'regio'"                             },
		{{"/m", "-o", "kms_key=a b"},
		 "option 'kms_key' takes a KMS key's id, alias/NAME or ARN, not 'a b'"                                                        },
		{{"/m", "-o", "bucket_owner=1234"},
		 "option 'bucket_owner' takes an account id of 12 digits, not '1234'"                                                         },
		{{"/m", "-o", "bucket_owner=arn:aws:iam::123456789012:root"},
		 "option 'bucket_owner' takes an account id"										  },
		{{"/m", "-o", "bucket=My_Bucket"},
		 "option 'bucket': 'My_Bucket' is no bucket name"									     },
		{{"/m", "-o", "bucket=arn:aws:s3:eu-west-1:123456789012:accesspoint/x"},
		 "option 'bucket': 'arn:aws:s3:"											      },
		{{"/m", "-o", "bucket=mine//a"},                                         "option 'bucket': '/a' is no prefix"                 },
		{{"/m", "-o", "bucket=mine/a/../b"},                                     "option 'bucket': 'a/../b' is no prefix"             },
		{{"/m", "-o", "bucket=mine/a\tb"},                                       "option 'bucket': 'a\tb' is no prefix"               },
		{{"/m", "-o", "wait=soon"},					      "option 'wait' takes a number of seconds, not 'soon'"},
		{{"/m", "-o", "wait=-1"},						"option 'wait' takes a number of seconds, not '-1'"  },
		{{"/m", "-o", "wait"},						   "option 'wait' needs a value"                        },
		{{"/m", "-o", "ro=1"},						   "option 'ro' takes no value"                         },
		{{"/m", "-o", "instance_type=m5.large"},
		 "option 'instance_type': 'm5.large' is no instance type"                                                                     },
		{{"/m", "-o", "instance_count=0"},
		 "option 'instance_count' takes a number, 1 or more, not '0'"                                                                 },
		{{"/m", "-o", "upload_memory=1T"},
		 "option 'upload_memory' takes a number of bytes"									     },
		{{"/m", "-o", "upload_memory=99999999999999999999"},
		 "option 'upload_memory' takes a number of bytes"									     },
		{{"/m", "-o", "delete=al"},					      "option 'delete' takes own|any|none, not 'al'"       },
		{{"/m", "-o", "bucket=s3://x"},                                          "option 'bucket' takes NAME"                         },
		{{"/m", "-o", NULL},						     "'-o' needs options"                                 },
		{{"/m", "--frob", NULL},						 "unknown argument '--frob'"                          },
		{{"ftp", "/m", NULL},						    "unknown source 'ftp'"                               },
		{{"aws:", "/m", NULL},						   "source 'aws:' ends early"                           },
		{{"local", NULL},							"no mountpoint given after 'local'"                  },
		{{"a", "b", "c", NULL},						  "one word too many: 'c'"                             },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct options o;
		struct err e = {0};
		const char *args[6] = {"sagemakerfs", rows[i].args[0], rows[i].args[1],
				       rows[i].args[2], NULL};

		assert_int_equal(parse(&o, &e, args), -1);
		assert_int_equal(e.no, EINVAL);
		if (!starts_with(e.text, rows[i].says))
			fail_msg("'%s' instead of '%s'", e.text, rows[i].says);
		options_release(&o);
	}
}

static void settings_file(void **state)
{
	static const char text[] = "# where we work\n"
				   "region = eu-west-1\n"
				   "\n"
				   "\tprofile=dev \r\n"
				   "role = arn:aws:iam::123456789012:role/r\n"
				   "bucket=b-1/x/y\n"
				   "tag.team = a b\n"
				   "ro";
	struct scratch _cleanup_scratch_ d;
	struct options o;
	struct err e = {0};

	(void)state;
	scratch_make(&d);
	scratch_text(&d, "sagemakerfs/config", text);
	setenv("XDG_CONFIG_HOME", d.path, 1);
	assert_int_equal(PARSE(&o, &e, "aws", "/mnt"), 0);
	assert_string_equal(o.region, "eu-west-1");
	assert_string_equal(o.profile, "dev");
	assert_string_equal(o.role, "arn:aws:iam::123456789012:role/r");
	assert_string_equal(o.bucket, "b-1");
	assert_string_equal(o.prefix, "x/y");
	assert_true(o.read_only);
	assert_int_equal(o.n_tags, 1);
	assert_string_equal(o.tags[0].value, "a b");
	assert_false(options_given(&o, "role"));
	options_release(&o);
	/* The command line goes before it, by whatever name, and so does the environment. */
	setenv("SAGEMAKER_ROLE_ARN", "arn", 1);
	setenv("AWS_ACCESS_KEY_ID", "k", 1);
	assert_int_equal(PARSE(&o, &e, "aws:us-east-1", "/mnt", "-o", "rw,bucket=c-2"), 0);
	assert_null(o.region);
	assert_null(o.profile);
	assert_null(o.role);
	assert_string_equal(o.bucket, "c-2");
	assert_null(o.prefix);
	assert_false(o.read_only);
	assert_true(options_given(&o, "bucket"));
	options_release(&o);
	unsetenv("SAGEMAKER_ROLE_ARN");
	unsetenv("AWS_ACCESS_KEY_ID");
}

static void settings_file_refusals(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"\n\nrolle = x\n",         "/sagemakerfs/config:3: unknown option 'rolle'"         },
		{"x-comment=1",             "/sagemakerfs/config:1: unknown option 'x-comment'"     },
		{"ro\nregion\n",            "/sagemakerfs/config:2: option 'region' needs a value"  },
		{"ro = yes",                "/sagemakerfs/config:1: option 'ro' takes no value"     },
 /* Looked at even where the command line says otherwise. */
		{"# c\ninstance_count = x",
		 "/sagemakerfs/config:2: option 'instance_count' takes a number, 1 or more, not 'x'"},
		{"= 1",                     "/sagemakerfs/config:1: unknown option ''"              },
	};
	struct scratch _cleanup_scratch_ d;

	(void)state;
	scratch_make(&d);
	setenv("XDG_CONFIG_HOME", d.path, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct options o;
		struct err e = {0};

		scratch_text(&d, "sagemakerfs/config", rows[i].text);
		assert_int_equal(PARSE(&o, &e, "/mnt", "-o", "instance_count=2"), -1);
		assert_int_equal(e.no, EINVAL);
		if (!strstr(e.text, rows[i].says) || !starts_with(e.text, d.path))
			fail_msg("'%s' instead of '%s'", e.text, rows[i].says);
		options_release(&o);
	}
}

static int nobody_is_home(void **state)
{
	(void)state;
	unsetenv("AWS_REGION");
	unsetenv("AWS_PROFILE");
	return setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(source_is_optional),
		cmocka_unit_test(tags_are_kept_in_order),
		cmocka_unit_test(tags_that_the_service_would_refuse),
		cmocka_unit_test(all_kinds),
		cmocka_unit_test(fstab_words),
		cmocka_unit_test(refusals),
		cmocka_unit_test_setup(settings_file, nobody_is_home),
		cmocka_unit_test_setup(settings_file_refusals, nobody_is_home),
	};

	return cmocka_run_group_tests(tests, nobody_is_home, NULL);
}
