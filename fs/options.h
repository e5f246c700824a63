/*
 * options.h: the settings of a mount, as rows {name, kind, where, default, check, help} that drive parsing, --help and docs:
 * the command line, then $XDG_CONFIG_HOME/sagemakerfs/config for what neither it nor the environment says.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include "sagemaker/control.h"
#include "sagemaker/err.h"

#define OPTIONS_CACHE_SIZE ((size_t)10 << 30)

struct options {
	char *source; /* "local", "local:DIR", "aws", "aws:REGION" */
	char *mountpoint;
	char *region, *profile, *role, *bucket, *prefix; /* bucket=NAME[/PREFIX] */
	char *bucket_owner, *kms_key;
	char *instance_type; /* NULL: the kept default, else ml.m5.large */
	long instance_count; /* 0: the kept default, else 1 */
	long wait;           /* seconds an invoke's open waits for InService; 0: EBUSY */
	long linger; /* seconds that deletions may outlive the mount; -1: 2 h on AWS, else none */
	bool commit_explicit; /* commit=explicit: not by quiet time */
	int delete_what;      /* DELETE_OWN, DELETE_ANY, DELETE_NONE */
	bool read_only, allow_other, foreground, debug, strict_runtimes;
	bool allow_http;      /* endpoints without TLS on other machines too */
	size_t upload_memory; /* bytes, 0: default */
	size_t upload_limit;  /* bytes a second of all uploads together, 0: none */
	size_t cache_size;    /* bytes of what is read from S3 and kept; 0: nothing is */
	size_t files_above; /* bytes of a model from which on it goes up without an archive, 0: never */
	struct tag *tags; /* tag.KEY=VALUE, for what is made; they point into tag_texts */
	char **tag_texts; /* "KEY\0VALUE" */
	size_t n_tags;
	unsigned long long given; /* rows of the table that the command line has, a bit each */
	char *fuse_args; /* other -o options handed to libfuse, comma separated, "" for none */
};

enum { DELETE_OWN, DELETE_ANY, DELETE_NONE };

/* options_given: whether the command line itself set an option. */
bool options_given(const struct options *o, const char *name);

/* options_parse_source: the same of "[SOURCE] [-o ...]" without a mountpoint: 1 when SOURCE is there, else 0 and it is otherwise. */
int options_parse_source(int argc, char **argv, const char *otherwise, struct options *o,
			 struct err *e) _must_check_;

/* options_parse: argv of "sagemakerfs [SOURCE] MOUNTPOINT [-o ...] [-f] [-d]", and the settings file; EINVAL with a sentence
 * naming the option. */
int options_parse(int argc, char **argv, struct options *o, struct err *e) _must_check_;
void options_release(struct options *o);
void options_help(FILE *to);

/* option_file: hands each line of the settings file to set, "NAME=VALUE" or "NAME" (option_file.c); a failure's sentence begins
 * with FILE:LINE. No file is fine. options.c only. */
typedef int option_set_fn(struct options *o, const char *item, struct err *e);
int option_file(struct options *o, option_set_fn *set, struct err *e) _must_check_;

/* option_check_bucket: EINVAL with the rule that a bucket's name or the prefix breaks (option_bucket.c). */
int option_check_bucket(const char *name, const char *prefix, struct err *e) _must_check_;
/* option_tag: takes "KEY=VALUE" (option_tags.c); EINVAL with the rule it breaks. options.c only. */
int option_tag(struct options *o, const char *text, struct err *e) _must_check_;
void option_tags_release(struct options *o);

#endif
