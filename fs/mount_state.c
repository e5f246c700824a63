#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "fs/dirs.h"
#include "fs/mount_linger.h"
#include "fs/mount_private.h"
#include "sagemaker/hash.h"

#define SIBLINGS 99 /* mounts of the same thing at the same time */

/* A state directory's name: what it is of, readable, and a hash of the whole key; "-2" and so on for the siblings. */
static void name_of(const struct mount *m, const char *key, int nth, char out[64])
{
	unsigned char sum[SHA256_LEN];
	char text[SHA256_HEX];

	sha256(key, strlen(key), sum);
	hex(sum, sizeof sum, text);
	int n = snprintf(out, 64, "%s-%.16s", starts_with(m->source, "aws") ? "aws" : "local",
			 text);
	if (nth > 1)
		snprintf(out + n, 64 - (size_t)n, "-%d", nth);
}

static int cannot_use(const char *name, struct err *e)
{
	err_errno(e, "cannot use state directory '%s'", name);
	return -2;
}

static int open_lock(int dir)
{
	return openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The directory, if nobody holds it. -1: held; -2: cannot. The lock file stays open as long as the process lives. */
static int try_hold(int base, const char *name, struct err *e)
{
	if (mkdirat(base, name, 0700) < 0 && errno != EEXIST)
		return cannot_use(name, e);
	_cleanup_close_ int dir =
		openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return cannot_use(name, e);
	_cleanup_close_ int lock = open_lock(dir);
	if (lock < 0)
		return cannot_use(name, e);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0 && linger_take_over(dir, lock) < 0)
		return -1;
	unlinkat(dir, LINGERING, 0); /* of one that was killed */
	steal_fd(&lock);             /* held until the process ends, whatever way */
	return steal_fd(&dir);
}

static int open_staging(int dir, struct err *e)
{
	if (mkdirat(dir, "staging", 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make the staging directory");
	int fd = openat(dir, "staging", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_errno(e, "cannot open the staging directory") : fd;
}

/* Moves a directory that nobody holds to the first name of key that is free; its number, 0: it is held or another account's. */
static int move_state(const struct mount *m, int base, const char *from, const char *key)
{
	char to[64];
	_cleanup_close_ int dir =
		openat(base, from, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir < 0)
		return 0;
	_cleanup_close_ int lock = open_lock(dir);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || !account_owns(dir, m->bound))
		return 0;
	for (int nth = 1; nth <= SIBLINGS; nth++) {
		name_of(m, key, nth, to);
		if (renameat2(base, from, base, to, RENAME_NOREPLACE) == 0)
			return nth;
		if (errno != EEXIST)
			return 0;
	}
	return 0;
}

int state_adopt(struct mount *m, const char *from, const char *key, int *first, struct err *e)
{
	_cleanup_free_ char *path = dirs_path(DIRS_STATE, e);
	char name[64];

	if (!path)
		return -1;
	_cleanup_close_ int base = dirs_make(path, e);
	if (base < 0)
		return -1;
	*first = 1;
	for (int nth = 1; nth <= SIBLINGS; nth++) {
		name_of(m, from, nth, name);
		int taken = move_state(m, base, name, key);
		if (taken)
			*first = taken;
		else if (faccessat(base, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			break;
	}
	return 0;
}

int state_open(struct mount *m, const char *key, int first, struct err *e)
{
	_cleanup_free_ char *path = dirs_path(DIRS_STATE, e);
	char name[64];
	int dir = -1;

	if (!path)
		return -1;
	_cleanup_close_ int base = dirs_make(path, e);
	if (base < 0)
		return -1;
	/* The first that nobody holds: what an earlier mount left there is taken over. */
	for (int n = 0; dir == -1 && n < SIBLINGS; n++) {
		name_of(m, key, (first - 1 + n) % SIBLINGS + 1, name);
		dir = try_hold(base, name, e);
	}
	if (dir == -1)
		return err_set(e, EBUSY, "%d mounts of the same bucket run already", SIBLINGS);
	if (dir < 0)
		return err_prefix(e, "'%s'", path);
	m->state_fd = dir;
	m->state_path = str_printf("%s/%s", path, name);
	m->staging_fd = m->state_path ? open_staging(dir, e) : err_set(e, ENOMEM, "out of memory");
	return m->staging_fd < 0 ? -1 : 0;
}
