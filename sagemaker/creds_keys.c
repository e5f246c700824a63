#include <errno.h>
#include <fcntl.h>

#include "sagemaker/creds_internal.h"
#include "sagemaker/ini.h"
#include "sagemaker/profile.h"

static int no_memory(struct err *e)
{
	return err_set(e, ENOMEM, "could not keep credentials: out of memory");
}

static int set_from(struct origin *s, char *taken, struct err *e)
{
	free(s->from);
	s->from = taken;
	return taken ? 0 : no_memory(e);
}

/* 1 where the keys could be taken. */
static int found(int failed)
{
	return failed ? -1 : 1;
}

int find_explicit(struct look *l, struct origin *out, struct err *e)
{
	const struct config *c = l->config;

	if (!c->access_key)
		return 0;
	if (set_from(out, strdup("the mount's settings"), e))
		return -1;
	return found(keys_take(&out->lease.keys, c->access_key, c->secret_key, c->session_token,
			       out->from, e));
}

/* The token is looked for under its older name first, as everywhere in botocore. */
int find_env(struct look *l, struct origin *out, struct err *e)
{
	const char *access = creds_env("AWS_ACCESS_KEY_ID");
	const char *token = creds_env("AWS_SECURITY_TOKEN");
	const char *end = creds_env("AWS_CREDENTIAL_EXPIRATION");

	if (l->named || !access)
		return 0;
	if (!token)
		token = creds_env("AWS_SESSION_TOKEN");
	if (set_from(out, strdup("the environment"), e))
		return -1;
	out->lease.expires = end ? time_read(end) : 0;
	if (out->lease.expires < 0)
		return err_set(e, EACCES, "AWS_CREDENTIAL_EXPIRATION '%.60s' is no time", end);
	return found(keys_take(&out->lease.keys, access, creds_env("AWS_SECRET_ACCESS_KEY"), token,
			       out->from, e));
}

/* Keys by themselves in settings, which are those of one file: the other's do not complete them. */
static int take_settings(const struct texts *s, struct origin *out, struct err *e)
{
	const char *access = texts_get(s, "aws_access_key_id");
	const char *token = texts_get(s, "aws_security_token");

	if (!token)
		token = texts_get(s, "aws_session_token");
	return found(keys_take(&out->lease.keys, access, texts_get(s, "aws_secret_access_key"),
			       token, out->from, e));
}

static int find_in_file(enum profile_file which, const struct look *l, struct origin *out,
			struct err *e)
{
	struct texts s _cleanup_(texts_release) = {0};
	_cleanup_free_ char *path = profile_path(which);

	if (profile_read(which, l->profile, NULL, texts_put, &s, e))
		return -1;
	if (s.failed || !path)
		return no_memory(e);
	if (!texts_get(&s, "aws_access_key_id"))
		return 0;
	if (set_from(out, str_printf("profile '%s' in '%s'", l->profile, path), e))
		return -1;
	return take_settings(&s, out, e);
}

int find_credentials_file(struct look *l, struct origin *out, struct err *e)
{
	return find_in_file(PROFILE_CREDENTIALS, l, out, e);
}

int find_config_file(struct look *l, struct origin *out, struct err *e)
{
	return find_in_file(PROFILE_CONFIG, l, out, e);
}

/* The file of the first EC2 tools: "AWSAccessKeyId=..." lines, no session tokens. */
static void read_ec2_lines(char *text, struct texts *s)
{
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		char *equals = strchr(line, '=');
		if (!equals)
			continue;
		*equals = '\0';
		char *key = line + strspn(line, " \t"),
		     *value = equals + 1 + strspn(equals + 1, " \t");
		key[strcspn(key, " \t")] = '\0';
		value[strcspn(value, " \t\r")] = '\0';
		if (streq(key, "AWSAccessKeyId"))
			texts_put(s, "aws_access_key_id", value);
		else if (streq(key, "AWSSecretKey"))
			texts_put(s, "aws_secret_access_key", value);
	}
}

int find_ec2_file(struct look *l, struct origin *out, struct err *e)
{
	struct texts s _cleanup_(texts_release) = {0};
	const char *name = creds_env("AWS_CREDENTIAL_FILE");
	struct buf text = BUF_INIT((size_t)64 << 10);

	(void)l;
	if (!name)
		return 0;
	_cleanup_free_ char *path = profile_expand(name);
	if (!path)
		return no_memory(e);
	if (buf_read_file(&text, AT_FDCWD, path)) {
		buf_release(&text);
		return err_errno(e, "could not read '%s' (AWS_CREDENTIAL_FILE)", path);
	}
	if (text.data) {
		read_ec2_lines(text.data, &s);
		explicit_bzero(text.data, text.cap);
	}
	buf_release(&text);
	if (!texts_get(&s, "aws_access_key_id"))
		return 0;
	if (set_from(out, str_printf("'%s'", path), e))
		return -1;
	return take_settings(&s, out, e);
}

static int read_boto(const char *name, struct origin *out, struct err *e)
{
	struct texts s _cleanup_(texts_release) = {0};
	_cleanup_free_ char *path = profile_expand(name);
	struct ini ini _cleanup_ini_ = {0};

	if (!path)
		return no_memory(e);
	if (ini_read(&ini, path, e))
		return -1;
	for (size_t i = 1; i < ini.n_sections; i++) {
		if (streq(ini.sections[i].name, "Credentials") &&
		    ini_each(&ini, i, texts_put, &s, e))
			return -1;
	}
	if (!texts_get(&s, "aws_access_key_id"))
		return 0;
	if (set_from(out, str_printf("'%s'", path), e))
		return -1;
	return found(keys_take(&out->lease.keys, texts_get(&s, "aws_access_key_id"),
			       texts_get(&s, "aws_secret_access_key"), NULL, out->from, e));
}

int find_boto_file(struct look *l, struct origin *out, struct err *e)
{
	const char *named = getenv("BOTO_CONFIG");
	int r;

	(void)l;
	if (named)
		return read_boto(named, out, e);
	r = read_boto("/etc/boto.cfg", out, e);
	return r ? r : read_boto("~/.boto", out, e);
}
