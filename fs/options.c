#include "fs/options.h"

#include <errno.h>
#include <stddef.h>

#include "sagemaker/buf.h"
#include "sagemaker/images.h"

enum kind {
	KIND_TEXT,        /* char * */
	KIND_FLAG,        /* bool: name alone */
	KIND_NO_FLAG,     /* bool: name alone sets false */
	KIND_TYPE,        /* char *: an instance type */
	KIND_COUNT,       /* long, from 1 */
	KIND_SECONDS,     /* long, from 0 */
	KIND_SIZE,        /* size_t, with K M G */
	KIND_BUCKET,      /* NAME[/PREFIX] */
	KIND_ACCOUNT,     /* char *: 12 digits */
	KIND_KMS_KEY,     /* char *: id, alias or ARN of a KMS key */
	KIND_TAG,         /* one more of struct tag: the rest of the name is its key */
	KIND_CHOICE_BOOL, /* the second choice is true */
	KIND_CHOICE,      /* int: index of the choice */
	KIND_PASS,        /* handed to libfuse */
	KIND_IGNORE,      /* of fstab and mount(8), not for us */
};

struct option_row {
	const char *name;
	enum kind kind;
	size_t member;
	const char *value; /* of help; choices separated by '|' */
	const char *help;  /* NULL: not shown */
};

#define AT(m) offsetof(struct options, m)

static const struct option_row rows[] = {
	{"region",              KIND_TEXT,        AT(region),          "NAME",          "AWS region"                                    },
	{"profile",             KIND_TEXT,        AT(profile),         "NAME",          "profile in the AWS configuration files"        },
	{"role",                KIND_TEXT,        AT(role),            "ARN",           "execution role that models run as"             },
	{"bucket",              KIND_BUCKET,      AT(bucket),          "NAME[/PREFIX]",
	 "where archives go (default: sagemaker-REGION-ACCOUNT/model)"                                                                  },
	{"bucket_owner",        KIND_ACCOUNT,     AT(bucket_owner),    "ACCOUNT",
	 "account that must own the bucket, 12 digits (default: the caller's)"                                                          },
	{"kms_key",             KIND_KMS_KEY,     AT(kms_key),         "KEY",
	 "KMS key (id, alias/NAME or ARN) that encrypts what is written to the bucket"                                                  },
	{"instance_type",       KIND_TYPE,        AT(instance_type),   "TYPE",
	 "what mkdir deploys on (default: ml.m5.large)"										 },
	{"instance_count",      KIND_COUNT,       AT(instance_count),  "N",             "how many of them (default: 1)"                 },
	{"wait",                KIND_SECONDS,     AT(wait),            "SECONDS",
	 "how long opening invoke/NAME waits for an endpoint that is not InService yet (default: 0)"                                    },
	{"linger",              KIND_SECONDS,     AT(linger),          "SECONDS",
	 "how long deletions go on after the unmount (default: 7200, local: 0)"                                                         },
	{"commit",              KIND_CHOICE_BOOL, AT(commit_explicit), "auto|explicit",
	 "explicit: upload by sync, wait and deploy only, not 2 s after the last change"                                                },
	{"delete",              KIND_CHOICE,      AT(delete_what),     "own|any|none",
	 "which endpoints rmdir may delete (default: own)"									      },
	{"tag.",                KIND_TAG,         AT(tags),            "KEY=VALUE",
	 "one more tag for every endpoint, configuration and model that is made (46 at most)"                                           },
	{"upload_memory",       KIND_SIZE,        AT(upload_memory),   "BYTES",
	 "of uploads in flight (default: 96M)"											  },
	{"upload_limit",        KIND_SIZE,        AT(upload_limit),    "BYTES",
	 "a second that all uploads to S3 take together (default: no limit)"                                                            },
	{"cache_size",          KIND_SIZE,        AT(cache_size),      "BYTES",
	 "of what is read from S3 and kept on disk, 0: nothing is (default: 10G)"                                                       },
	{"files_above",         KIND_SIZE,        AT(files_above),     "BYTES",
	 "models of so many bytes and more go up as files, without an archive (default: none)"                                          },
	{"allow_http",          KIND_FLAG,        AT(allow_http),      NULL,
	 "endpoint URLs with plain http on other machines too: whoever listens reads all of it"                                         },
	{"strict_runtimes",     KIND_FLAG,        AT(strict_runtimes), NULL,
	 "local: only a runtime of the exact framework version serves"                                                                  },
	{"ro",		  KIND_FLAG,        AT(read_only),       NULL,            "nothing can be changed"                        },
	{"rw",		  KIND_NO_FLAG,     AT(read_only),       NULL,            NULL                                            },
	{"allow_other",         KIND_FLAG,        AT(allow_other),     NULL,            "other users may enter"                         },
	{"debug",               KIND_FLAG,        AT(debug),           NULL,            "log everything, stay in the foreground (as -d)"},
	{"dev",		 KIND_IGNORE,      0,                   NULL,            NULL					    },
	{"nodev",               KIND_PASS,        0,                   NULL,            NULL					    },
	{"suid",                KIND_IGNORE,      0,                   NULL,            NULL					    },
	{"nosuid",              KIND_PASS,        0,                   NULL,            NULL					    },
	{"exec",                KIND_PASS,        0,                   NULL,            NULL					    },
	{"noexec",              KIND_PASS,        0,                   NULL,            NULL					    },
	{"atime",               KIND_PASS,        0,                   NULL,            NULL					    },
	{"noatime",             KIND_PASS,        0,                   NULL,            NULL					    },
	{"sync",                KIND_IGNORE,      0,                   NULL,            NULL					    },
	{"async",               KIND_IGNORE,      0,                   NULL,            NULL					    },
	{"dirsync",             KIND_IGNORE,      0,                   NULL,            NULL                                            },
	{"auto",                KIND_IGNORE,      0,                   NULL,            NULL					    },
	{"noauto",              KIND_IGNORE,      0,                   NULL,            NULL                                            },
	{"user",                KIND_IGNORE,      0,                   NULL,            NULL					    },
	{"nouser",              KIND_IGNORE,      0,                   NULL,            NULL                                            },
	{"users",               KIND_IGNORE,      0,                   NULL,            NULL					    },
	{"owner",               KIND_IGNORE,      0,                   NULL,            NULL					    },
	{"group",               KIND_IGNORE,      0,                   NULL,            NULL					    },
	{"defaults",            KIND_IGNORE,      0,                   NULL,            NULL                                            },
	{"nofail",              KIND_IGNORE,      0,                   NULL,            NULL                                            },
	{"_netdev",             KIND_IGNORE,      0,                   NULL,            NULL                                            },
	{"setuid",              KIND_IGNORE,      0,                   NULL,
	 NULL															   }, /* mount.fuse3 has become that user before it called us */
	{"fsname",              KIND_IGNORE,      0,                   NULL,            NULL                                            },
	{"subtype",             KIND_IGNORE,      0,                   NULL,            NULL                                            },
	{"default_permissions", KIND_IGNORE,      0,                   NULL,            NULL                                            },
	{"nonempty",            KIND_IGNORE,      0,                   NULL,            NULL                                            },
};

/* Settings that the environment has too: it goes before the settings file. Keys there are an identity, as a profile is. */
static const struct {
	const char *option, *env[3];
} environment[] = {
	{"region",  {"AWS_REGION", "AWS_DEFAULT_REGION", NULL}                 },
	{"profile", {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID"}},
	{"role",    {"SAGEMAKER_ROLE_ARN", NULL, NULL}                         },
};

static void *member(struct options *o, const struct option_row *row)
{
	return (char *)o + row->member;
}

static int set_text(char **where, const char *value, struct err *e)
{
	char *copy = strdup(value);

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	free(*where);
	*where = copy;
	return 0;
}

static int parse_number(const char *text, long min, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	return errno || end == text || *end || *out < min ? -1 : 0;
}

static int parse_size(const char *text, size_t *out)
{
	static const char units[] = "KMG";
	char *end;

	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	if (errno || end == text || *text == '-' || (*end && (!unit || end[1])) ||
	    n > SIZE_MAX >> shift)
		return -1;
	*out = (size_t)n << shift;
	return 0;
}

/* Index of value among "a|b|c", -1: none of them. */
static int choice(const char *choices, const char *value)
{
	size_t n = strlen(value);

	for (int i = 0; choices; i++) {
		size_t len = strcspn(choices, "|");
		if (n && len == n && strncmp(choices, value, n) == 0)
			return i;
		choices = choices[len] ? choices + len + 1 : NULL;
	}
	return -1;
}

static int set_bucket(struct options *o, const char *value, struct err *e)
{
	_cleanup_free_ char *name = strdup(value);

	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	char *slash = name + strcspn(name, "/"), *prefix = *slash ? slash + 1 : slash;
	*slash = '\0';
	if (starts_with(name, "s3:") || !*name)
		return err_set(e, EINVAL, "option 'bucket' takes NAME or NAME/PREFIX, not '%s'",
			       value);
	while (ends_with(prefix, "/"))
		prefix[strlen(prefix) - 1] = '\0';
	if (option_check_bucket(name, prefix, e) < 0)
		return -1;
	if (*prefix && set_text(&o->prefix, prefix, e) < 0)
		return -1;
	return set_text(&o->bucket, name, e);
}

static int pass_on(struct options *o, const char *item, struct err *e)
{
	char *all = str_printf("%s%s%s", o->fuse_args, *o->fuse_args ? "," : "", item);

	if (!all)
		return err_set(e, ENOMEM, "out of memory");
	free(o->fuse_args);
	o->fuse_args = all;
	return 0;
}

static int refuse_value(const struct option_row *row, const char *value, struct err *e)
{
	static const char *const words[] = {
		[KIND_COUNT] = "a number, 1 or more",
		[KIND_SECONDS] = "a number of seconds",
		[KIND_SIZE] = "a number of bytes, or one with K, M or G",
	};
	const char *wants = row->kind < ARRAY_SIZE(words) ? words[row->kind] : NULL;

	return err_set(e, EINVAL, "option '%s' takes %s, not '%s'", row->name,
		       wants ? wants : row->value, value);
}

static int set_type(const struct option_row *row, struct options *o, const char *value,
		    struct err *e)
{
	if (images_check_type(value, e) < 0)
		return err_prefix(e, "option '%s'", row->name);
	return set_text(member(o, row), value, e);
}

static int set_account(const struct option_row *row, struct options *o, const char *value,
		       struct err *e)
{
	if (strlen(value) != 12 || strspn(value, "0123456789") != 12)
		return err_set(e, EINVAL, "option '%s' takes an account id of 12 digits, not '%s'",
			       row->name, value);
	return set_text(member(o, row), value, e);
}

/* SageMaker's and S3's pattern of a KMS key id. */
static int set_kms_key(const struct option_row *row, struct options *o, const char *value,
		       struct err *e)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/_-";

	if (strlen(value) > 2048 || value[strspn(value, allowed)])
		return err_set(e, EINVAL,
			       "option '%s' takes a KMS key's id, alias/NAME or ARN, not '%.100s'",
			       row->name, value);
	return set_text(member(o, row), value, e);
}

static int set_number(const struct option_row *row, struct options *o, const char *value,
		      struct err *e)
{
	long n = 0;
	size_t size = 0;

	if (row->kind == KIND_SIZE) {
		if (parse_size(value, &size) < 0)
			return refuse_value(row, value, e);
		*(size_t *)member(o, row) = size;
		return 0;
	}
	if (parse_number(value, row->kind == KIND_COUNT, &n) < 0)
		return refuse_value(row, value, e);
	*(long *)member(o, row) = n;
	return 0;
}

static int set_choice(const struct option_row *row, struct options *o, const char *value,
		      struct err *e)
{
	int n = choice(row->value, value);

	if (n < 0)
		return refuse_value(row, value, e);
	if (row->kind == KIND_CHOICE_BOOL)
		*(bool *)member(o, row) = n == 1;
	else
		*(int *)member(o, row) = n;
	return 0;
}

static int set_row(const struct option_row *row, struct options *o, const char *item,
		   const char *value, struct err *e)
{
	if (row->kind == KIND_TAG)
		return option_tag(o, item + strlen(row->name), e);
	if (row->value && (!value || !*value))
		return err_set(e, EINVAL, "option '%s' needs a value: %s=%s", row->name, row->name,
			       row->value);
	if (!row->value && value && row->kind != KIND_IGNORE)
		return err_set(e, EINVAL, "option '%s' takes no value", row->name);
	switch (row->kind) {
	case KIND_TEXT:
		return set_text(member(o, row), value, e);
	case KIND_TYPE:
		return set_type(row, o, value, e);
	case KIND_FLAG:
	case KIND_NO_FLAG:
		*(bool *)member(o, row) = row->kind == KIND_FLAG;
		return 0;
	case KIND_COUNT:
	case KIND_SECONDS:
	case KIND_SIZE:
		return set_number(row, o, value, e);
	case KIND_BUCKET:
		return set_bucket(o, value, e);
	case KIND_ACCOUNT:
		return set_account(row, o, value, e);
	case KIND_KMS_KEY:
		return set_kms_key(row, o, value, e);
	case KIND_CHOICE_BOOL:
	case KIND_CHOICE:
		return set_choice(row, o, value, e);
	case KIND_PASS:
		return pass_on(o, item, e);
	case KIND_TAG:
	case KIND_IGNORE:
		return 0;
	}
	return 0;
}

/* Whether the first n characters of an item name the row's option. */
static bool named(const struct option_row *row, const char *item, size_t n)
{
	size_t len = strlen(row->name);

	return (len == n || (row->kind == KIND_TAG && len < n)) &&
	       strncmp(row->name, item, len) == 0;
}

/* The row of an item, ARRAY_SIZE(rows): none. */
static size_t row_of(const char *item)
{
	size_t n = strcspn(item, "="), i = 0;

	while (i < ARRAY_SIZE(rows) && !named(&rows[i], item, n))
		i++;
	return i;
}

static int unknown(const char *item, struct err *e)
{
	return err_set(e, EINVAL, "unknown option '%.*s' (see sagemakerfs --help)",
		       (int)strcspn(item, "="), item);
}

static const char *value_of(const char *item)
{
	const char *at = strchr(item, '=');

	return at ? at + 1 : NULL;
}

static int set_item(struct options *o, const char *item, struct err *e)
{
	size_t i = row_of(item);

	_Static_assert(ARRAY_SIZE(rows) <= 64, "options.given has a bit for each");
	if (i < ARRAY_SIZE(rows)) {
		o->given |= 1ULL << i;
		return set_row(&rows[i], o, item, value_of(item), e);
	}
	if (starts_with(item, "x-"))
		return 0; /* comments of fstab: x-systemd.automount, ... */
	return unknown(item, e);
}

bool options_given(const struct options *o, const char *name)
{
	size_t i = row_of(name);

	return i < ARRAY_SIZE(rows) && o->given & 1ULL << i;
}

/* Whether the command line set what this row sets, by whatever name (ro and rw are one). Tags add up. */
static bool was_set(const struct options *o, const struct option_row *row)
{
	if (row->kind >= KIND_PASS || row->kind == KIND_TAG)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (o->given & 1ULL << i && rows[i].kind < KIND_PASS &&
		    rows[i].member == row->member)
			return true;
	}
	return false;
}

static bool in_environment(const struct option_row *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(environment); i++) {
		if (!streq(environment[i].option, row->name))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(environment[i].env); k++) {
			const char *name = environment[i].env[k];
			const char *value = name ? getenv(name) : NULL;

			if (value && *value)
				return true;
		}
	}
	return false;
}

/* A line of the settings file: checked in any case, taken when nothing stronger says otherwise. */
static int set_from_file(struct options *o, const char *item, struct err *e)
{
	size_t i = row_of(item);
	_cleanup_(options_release)
	struct options weaker = {.fuse_args = strdup("")};

	if (i == ARRAY_SIZE(rows))
		return unknown(item, e);
	if (!weaker.fuse_args)
		return err_set(e, ENOMEM, "out of memory");
	bool stronger = was_set(o, &rows[i]) || in_environment(&rows[i]);
	return set_row(&rows[i], stronger ? &weaker : o, item, value_of(item), e);
}

/* The region in the source is the command line's too. */
static int take_file(struct options *o, struct err *e)
{
	if (starts_with(o->source, "aws:"))
		o->given |= 1ULL << row_of("region");
	if (option_file(o, set_from_file, e) < 0)
		return -1;
	o->foreground |= o->debug;
	return 0;
}

/* "a,b=c,d" */
static int set_list(struct options *o, const char *list, struct err *e)
{
	while (*list) {
		size_t n = strcspn(list, ",");
		_cleanup_free_ char *item = strndup(list, n);

		if (!item)
			return err_set(e, ENOMEM, "out of memory");
		if (n && set_item(o, item, e) < 0)
			return -1;
		list += n + (list[n] == ',');
	}
	return 0;
}

static int check(const struct options *o, struct err *e)
{
	const char *s = o->source;

	if (!(streq(s, "local") || starts_with(s, "local:") || streq(s, "aws") ||
	      starts_with(s, "aws:")))
		return err_set(
			e, EINVAL,
			"unknown source '%s': it is local, local:DIR, aws or aws:REGION (nor is it a command: "
			"see sagemakerfs --help)",
			s);
	if (streq(s, "local:") || streq(s, "aws:"))
		return err_set(e, EINVAL,
			       "source '%s' ends early: leave the colon out or name the %s", s,
			       s[0] == 'l' ? "directory" : "region");
	return 0;
}

static int take_words(struct options *o, const char *const words[2], int n, struct err *e)
{
	if (n == 0)
		return err_set(e, EINVAL, "no mountpoint given (sagemakerfs [SOURCE] MOUNTPOINT)");
	if (set_text(&o->source, n == 2 ? words[0] : "local", e) < 0 ||
	    set_text(&o->mountpoint, words[n - 1], e) < 0)
		return -1;
	if (n == 1 && (streq(words[0], "local") || streq(words[0], "aws") ||
		       starts_with(words[0], "local:") || starts_with(words[0], "aws:")))
		return err_set(e, EINVAL, "no mountpoint given after '%s'", words[0]);
	return check(o, e);
}

/* One argument at argv[i]; gives how many it took, -1 on failure. */
static int take_argument(struct options *o, char **argv, int i, struct err *e)
{
	const char *a = argv[i];

	if (streq(a, "-f") || streq(a, "-d")) {
		o->foreground = true;
		o->debug |= streq(a, "-d");
		return 1;
	}
	if (!starts_with(a, "-o"))
		return err_set(e, EINVAL, "unknown argument '%s' (see sagemakerfs --help)", a);
	if (!a[2] && !argv[i + 1])
		return err_set(e, EINVAL, "'-o' needs options");
	if (set_list(o, a[2] ? a + 2 : argv[i + 1], e) < 0)
		return -1;
	return a[2] ? 1 : 2;
}

/* The arguments: options into *o, at most max other words into words; gives how many. */
static int take_arguments(int argc, char **argv, struct options *o, const char *words[], int max,
			  struct err *e)
{
	int n = 0;

	*o = (struct options){
		.fuse_args = strdup(""), .linger = -1, .cache_size = OPTIONS_CACHE_SIZE};
	if (!o->fuse_args)
		return err_set(e, ENOMEM, "out of memory");
	for (int i = 1, took; i < argc; i += took) {
		took = 1;
		if (argv[i][0] == '-' && argv[i][1])
			took = take_argument(o, argv, i, e);
		else if (n == max)
			return err_set(e, EINVAL,
				       "one word too many: '%s' (sagemakerfs [SOURCE]%s)", argv[i],
				       max > 1 ? " MOUNTPOINT" : "");
		else
			words[n++] = argv[i];
		if (took < 0)
			return -1;
	}
	return n;
}

int options_parse(int argc, char **argv, struct options *o, struct err *e)
{
	const char *words[2] = {NULL, NULL};
	int n = take_arguments(argc, argv, o, words, 2, e);

	if (n < 0 || take_words(o, words, n, e) < 0)
		return -1;
	return take_file(o, e);
}

int options_parse_source(int argc, char **argv, const char *otherwise, struct options *o,
			 struct err *e)
{
	const char *word = otherwise;
	int n = take_arguments(argc, argv, o, &word, 1, e);

	if (n < 0 || set_text(&o->source, word, e) < 0 || check(o, e) < 0 || take_file(o, e) < 0)
		return -1;
	return n;
}

static bool is_text(enum kind kind)
{
	return kind == KIND_TEXT || kind == KIND_BUCKET || kind == KIND_ACCOUNT ||
	       kind == KIND_KMS_KEY;
}

void options_release(struct options *o)
{
	free(o->source);
	free(o->mountpoint);
	free(o->fuse_args);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (is_text(rows[i].kind))
			free(*(char **)member(o, &rows[i]));
	}
	free(o->prefix);
	option_tags_release(o);
	*o = (struct options){0};
}

void options_help(FILE *to)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct option_row *row = &rows[i];
		char left[64];

		if (!row->help)
			continue;
		snprintf(left, sizeof left, "%s%s%s", row->name,
			 row->value && row->kind != KIND_TAG ? "=" : "",
			 row->value ? row->value : "");
		fprintf(to, "  -o %-28s %s\n", left, row->help);
	}
}
