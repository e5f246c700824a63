/*
 * Whose files a mount's state directory holds, also while AWS cannot be asked: on a mount without network it is the account
 * that these settings and keys were last seen to be of, remembered beside the state directories. Where nobody remembers, the
 * directory belongs to the settings alone until the account is known. Once a directory has an account it keeps it: keys that
 * turn out to be another's are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "fs/dirs.h"
#include "fs/mount_private.h"
#include "sagemaker/hash.h"

#define ACCOUNT_FILE "account" /* in a state directory: whose it is */

/* A key of one's own is of one account for ever; a profile, and keys that are made anew each time, are named by where they are. */
static char *keys_named(const struct config *c)
{
	const char *id = c->profile_named ? NULL : getenv("AWS_ACCESS_KEY_ID");
	_cleanup_free_ char *config = profile_path(PROFILE_CONFIG);
	_cleanup_free_ char *credentials = profile_path(PROFILE_CREDENTIALS);

	if (id && *id)
		return str_printf("key %s", starts_with(id, "AKIA") ? id : "of a session");
	return str_printf("profile %s\n%s\n%s", c->profile ? c->profile : "default",
			  config ? config : "", credentials ? credentials : "");
}

/* "accounts-HASH" of what names the keys, under the state directories' parent. */
static int memory_name(const struct config *c, char out[80], struct err *e)
{
	_cleanup_free_ char *keys = keys_named(c);
	unsigned char sum[SHA256_LEN];
	char text[SHA256_HEX];

	if (!keys)
		return err_set(e, ENOMEM, "out of memory");
	sha256(keys, strlen(keys), sum);
	hex(sum, sizeof sum, text);
	snprintf(out, 80, "account-%.16s", text);
	return 0;
}

/* The twelve digits in a file; false: it is not there, or holds something else. */
static bool read_account(int dir, const char *name, char out[16])
{
	_cleanup_buf_ struct buf text = BUF_INIT(64);

	if (buf_read_file(&text, dir, name) < 0 || text.len < 12 ||
	    strspn(buf_cstr(&text), "0123456789") != 12)
		return false;
	snprintf(out, 16, "%.12s", text.data);
	return true;
}

/* Whole or not at all: written beside, then renamed. */
static int write_account(int dir, const char *name, const char *account, struct err *e)
{
	char beside[96];

	snprintf(beside, sizeof beside, "%s.%ld", name, (long)getpid());
	_cleanup_close_ int fd =
		openat(dir, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, account, 12) != 12 || write(fd, "\n", 1) != 1 || fsync(fd) < 0 ||
	    renameat(dir, beside, dir, name) < 0) {
		err_errno(e, "cannot note the account in '%s'", name);
		unlinkat(dir, beside, 0);
		return -1;
	}
	return 0;
}

static int open_base(struct err *e)
{
	_cleanup_free_ char *path = dirs_path(DIRS_STATE, e);

	return path ? dirs_make(path, e) : -1;
}

static int remember(const struct mount *m, const char *account, struct err *e)
{
	char name[80], known[16] = "";
	_cleanup_close_ int base = open_base(e);

	if (base < 0 || memory_name(&m->config, name, e) < 0)
		return -1;
	if (read_account(base, name, known) && streq(known, account))
		return 0;
	return write_account(base, name, account, e);
}

static int recall(const struct mount *m, char out[16], struct err *e)
{
	char name[80];
	_cleanup_close_ int base = open_base(e);

	out[0] = '\0';
	if (base < 0 || memory_name(&m->config, name, e) < 0)
		return -1;
	(void)read_account(base, name, out);
	return 0;
}

static char *state_key(const struct mount *m, const char *whose)
{
	return str_printf("aws\n%s\n%s\n%s\n%s", whose, m->config.region,
			  m->opt->bucket ? m->opt->bucket : "", m->config.prefix);
}

bool account_owns(int dir, const char *account)
{
	char whose[16];

	return !read_account(dir, ACCOUNT_FILE, whose) || streq(whose, account);
}

int account_open_state(struct mount *m, struct err *e)
{
	_cleanup_free_ char *keys = keys_named(&m->config);
	_cleanup_free_ char *nobody = keys ? state_key(m, keys) : NULL;
	int first = 1;

	snprintf(m->bound, sizeof m->bound, "%s", m->identity.account);
	if (!m->bound[0] && recall(m, m->bound, e) < 0)
		return -1;
	_cleanup_free_ char *key = m->bound[0] ? state_key(m, m->bound) : NULL;
	if (!nobody || (m->bound[0] && !key))
		return err_set(e, ENOMEM, "out of memory");
	if (!key)
		return state_open(m, nobody, 1, e);
	if (state_adopt(m, nobody, key, &first, e) < 0 || state_open(m, key, first, e) < 0)
		return -1;
	return m->identity.account[0] ? account_learnt(m, m->identity.account, e) : 0;
}

int account_learnt(struct mount *m, const char *account, struct err *e)
{
	pthread_mutex_lock(&m->mu);
	bool other = m->bound[0] && !streq(m->bound, account);
	bool fresh = !m->bound[0];
	pthread_mutex_unlock(&m->mu);
	if (other)
		return err_set(
			e, EACCES,
			"these keys are of account %s, but the mount began without network and holds "
			"files of account %s; unmount, and mount again",
			account, m->bound);
	/* The directory first: what is remembered only says where to look. */
	if (fresh && write_account(m->state_fd, ACCOUNT_FILE, account, e) < 0)
		return -1;
	pthread_mutex_lock(&m->mu);
	snprintf(m->bound, sizeof m->bound, "%s", account);
	pthread_mutex_unlock(&m->mu);
	return remember(m, account, e);
}
