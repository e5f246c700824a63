/* mount_bucket.c: which bucket, whether it is there, and what has to be said about it. */
#include <errno.h>

#include "fs/mount.h"
#include "sagemaker/s3_bucket.h"

bool mount_bucket_name(struct mount *m, char out[64])
{
	SCOPED_LOCK(&m->mu);

	if (m->config.bucket)
		snprintf(out, 64, "%s", m->config.bucket);
	else if (m->identity.account[0])
		snprintf(out, 64, "sagemaker-%.30s-%s", m->config.region, m->identity.account);
	else
		return false;
	return true;
}

/* Who may not ask who he is can still name a bucket and whose it is. */
static int owner(struct mount *m, char out[13], struct cancel *c, struct err *e)
{
	const struct config *f = &m->config;
	struct identity id = {0};
	struct err own = {0};

	if (mount_identity(m, &id, c, &own) < 0) {
		bool denied = starts_with(own.code, "AccessDenied");

		if (denied && !(f->bucket && f->bucket_owner))
			err_append(&own, "name a bucket and its owner "
					 "(-o bucket=NAME,bucket_owner=ACCOUNT)");
		if (!denied || !(f->bucket && f->bucket_owner)) {
			*e = own;
			return -1;
		}
	}
	snprintf(out, 13, "%.12s", f->bucket_owner ? f->bucket_owner : id.account);
	return 0;
}

/* Unless somebody else was named, the bucket must be the caller's own: its name alone could be anybody's. */
static int address(struct mount *m, struct s3_bucket *out, struct cancel *c, struct err *e)
{
	const struct config *f = &m->config;

	*out = (struct s3_bucket){.kms_key = f->kms_key};
	if (f->bucket && !s3_is_bucket_name(f->bucket))
		return err_set(e, EINVAL,
			       "'%.80s' is no bucket name: it takes 3 to 63 of a-z 0-9 - .",
			       f->bucket);
	if (owner(m, out->owner, c, e) < 0)
		return -1;
	if (!mount_bucket_name(m, out->name))
		return err_set(e, EIO,
			       "cannot tell the account, so there is no name for its bucket");
	return 0;
}

static bool is_ready(struct mount *m)
{
	SCOPED_LOCK(&m->mu);

	return m->bucket_ready;
}

/* No permission to look is none of the mount's business: each call says for itself what it may not do. */
int mount_bucket_look(struct mount *m, struct cancel *c, struct err *e)
{
	struct s3_bucket b;
	enum s3_bucket_state state;

	if (!m->bucket_strict || is_ready(m))
		return 0;
	if (address(m, &b, c, e) < 0)
		return -1;
	if (s3_bucket_look(m->aws, &b, m->config.prefix, &state, c, e) < 0) {
		if (state != S3_BUCKET_CLOSED)
			return -1;
		mount_note(m, "%s", e->text);
	}
	SCOPED_LOCK(&m->mu);
	m->bucket_ready = true;
	return 0;
}

int mount_bucket(struct mount *m, struct s3_bucket *out, struct cancel *c, struct err *e)
{
	return mount_bucket_look(m, c, e) < 0 ? -1 : address(m, out, c, e);
}

/* What is to be said once about a bucket, and then is known. Nobody has to permit the question. */
static void describe(struct mount *m, const struct s3_bucket *b, struct cancel *c)
{
	struct err e;
	bool versioned;

	{
		SCOPED_LOCK(&m->mu);
		if (m->bucket_described)
			return;
	}
	if (s3_bucket_versioned(m->aws, b, &versioned, c, &e) < 0 && !e.http)
		return; /* not asked: next time */
	if (versioned)
		mount_note(
			m,
			"bucket '%s' keeps versions: what is deleted or replaced in it stays as noncurrent versions, "
			"which are billed until a lifecycle rule or somebody deletes them",
			b->name);
	SCOPED_LOCK(&m->mu);
	m->bucket_described = true;
	m->bucket_versioned = versioned;
}

bool mount_bucket_versioned(struct mount *m, struct cancel *c)
{
	struct s3_bucket b;
	struct err e;

	if (mount_bucket(m, &b, c, &e) < 0)
		return false;
	describe(m, &b, c);
	SCOPED_LOCK(&m->mu);
	return m->bucket_versioned;
}

void mount_bucket_gone(struct mount *m)
{
	SCOPED_LOCK(&m->mu);

	m->bucket_ready = false;
}

void mount_bucket_explain(struct mount *m, const struct s3_bucket *b, struct cancel *c,
			  struct err *e)
{
	enum s3_bucket_state state;
	struct err better = {0};

	if (e->http != 403 || s3_bucket_look(m->aws, b, m->config.prefix, &state, c, &better) == 0)
		return;
	if (state == S3_BUCKET_UNKNOWN && (better.no == EACCES || better.no == EXDEV))
		*e = better;
}

static int make(struct mount *m, const struct s3_bucket *b, struct cancel *c, struct err *e)
{
	struct err late = {0};
	bool made;

	if (s3_bucket_make(m->aws, b, m->config.prefix, &made, c, e) < 0)
		return -1;
	if (made)
		log_line(m->log, LOG_LEVEL_INFO, "mount", "made bucket '%s'", b->name);
	/* A service that does not know such a thing (501) has nothing to refuse. */
	if (made && s3_bucket_block_public(m->aws, b, c, &late) < 0 && late.http != 501)
		mount_note(m, "bucket '%s' was made, but public access to it is not blocked: %s",
			   b->name, late.text);
	SCOPED_LOCK(&m->mu);
	m->bucket_ready = true;
	return 0;
}

int mount_bucket_make(struct mount *m, struct s3_bucket *out, struct cancel *c, struct err *e)
{
	if (mount_bucket(m, out, c, e) < 0)
		return -1;
	if (!m->bucket_strict && !is_ready(m) && make(m, out, c, e) < 0)
		return -1;
	describe(m, out, c);
	return 0;
}
