/* staging_copy.c: a published model into staging before its first change, and a clean staging away when it is outdated. */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"

/* Directory path below dirfd, made where missing; a descriptor, -1 with errno. */
static int make_dirs(int dirfd, const char *path)
{
	_cleanup_close_ int fd = walk(dirfd, "");
	char name[NAME_MAX + 1];

	while (fd >= 0 && *path) {
		size_t n = MIN(strcspn(path, "/"), (size_t)NAME_MAX);

		memcpy(name, path, n);
		name[n] = 0;
		if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
			return -1;
		int next = walk(fd, name);
		if (next < 0)
			return -1;
		close(fd);
		fd = next;
		path += n + (path[n] == '/');
	}
	return steal_fd(&fd);
}

/* Splits path at its last '/': the directory (in place) and the name. */
static const char *split(char *path, const char **dir)
{
	char *slash = strrchr(path, '/');

	*dir = slash ? path : "";
	if (!slash)
		return path;
	*slash = 0;
	return slash + 1;
}

static int copy_bytes(int from, int to, struct cancel *c)
{
	ssize_t k;

	while ((k = copy_file_range(from, NULL, to, NULL, (size_t)64 << 20, 0)) > 0) {
		if (cancel_is_set(c)) {
			errno = ECANCELED;
			return -1;
		}
	}
	if (k == 0)
		return 0;
	if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -1;
	char block[8192];
	while ((k = read(from, block, sizeof block)) > 0) {
		if (write(to, block, (size_t)k) != k)
			return -1;
	}
	return k < 0 ? -1 : 0;
}

static int copy_member(int cache, int top, const struct manifest_member *f, struct cancel *c)
{
	_cleanup_free_ char *archive = strdup(f->archive), *path = strdup(f->path);
	const char *from_dir, *to_dir;

	if (!archive || !path) {
		errno = ENOMEM;
		return -1;
	}
	const char *from_name = split(archive, &from_dir), *to_name = split(path, &to_dir);
	_cleanup_close_ int from_at = walk(cache, from_dir);
	_cleanup_close_ int from =
		from_at < 0 ? -1 : openat(from_at, from_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int to_at = from < 0 ? -1 : make_dirs(top, to_dir);
	_cleanup_close_ int to =
		to_at < 0 ? -1
			  : openat(to_at, to_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	const struct timespec ts[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = f->mtime}};

	if (to < 0 || copy_bytes(from, to, c) < 0)
		return -1;
	return fchmod(to, f->mode & 0777) < 0 || futimens(to, ts) < 0 ? -1 : 0;
}

/* Copies what is left of the published view into the new directory temp of staging. */
static int copy_all(struct model *md, struct manifest *man, const char *temp, struct cancel *c,
		    struct err *e)
{
	int staging = md->s->m->staging_fd;
	_cleanup_close_ int cache = catalog_fetch(md, man, c, e);

	if (cache < 0)
		return -1;
	if (mkdirat(staging, temp, 0755) < 0)
		return err_errno(e, "cannot make a directory in staging");
	_cleanup_close_ int top = walk(staging, temp);
	for (size_t i = 0; top >= 0 && i < man->n; i++) {
		bool gone;
		{
			SCOPED_LOCK(&md->s->mu);
			gone = names_has(&md->gone, man->members[i].path);
		}
		if (!gone && copy_member(cache, top, &man->members[i], c) < 0)
			return err_errno(e, "cannot copy '%s' into staging", man->members[i].path);
	}
	return top < 0 ? err_errno(e, "cannot open staging") : 0;
}

/* The copy becomes what is shown. */
static int switch_over(struct model *md, const struct manifest *man, const char *temp,
		       struct err *e)
{
	{
		SCOPED_LOCK(&md->s->mu);
		if (renameat2(md->s->m->staging_fd, temp, md->s->m->staging_fd, md->name,
			      RENAME_NOREPLACE) < 0)
			return err_errno(e, "cannot put the copy in its place");
		md->staged = true;
		snprintf(md->base, sizeof md->base, "%s", man->version);
		names_clear(&md->gone);
	}
	return model_persist(md, e);
}

static int copy_up(struct model *md, struct manifest *man, struct cancel *c, struct err *e)
{
	char random[9], temp[32];
	struct err dropped;

	random_text(random, sizeof random);
	snprintf(temp, sizeof temp, ".copy-%s", random);
	if (copy_all(md, man, temp, c, e) == 0 && switch_over(md, man, temp, e) == 0)
		return 0;
	(void)!remove_tree(md->s->m->staging_fd, temp, &dropped);
	return err_prefix(e, "cannot make the published model '%s' writable here", md->name);
}

/* 1: this thread copies (man is what), 0: it is staged, -1 it cannot be. */
static int copy_begin(struct model *md, struct manifest **man, struct cancel *c, struct err *e)
{
	SCOPED_LOCK(&md->s->mu);

	while (md->copying || md->deleting) {
		if (cancel_is_set(c))
			return err_set(e, ECANCELED, "cancelled");
		if (md->deleting)
			return err_set(e, ENOENT, "model '%s' is being removed", md->name);
		models_wait_locked(md->s, 100);
	}
	if (md->staged)
		return 0;
	if (!md->man)
		return err_set(e, ENOENT, "no model '%s'", md->name);
	md->copying = true;
	*man = manifest_ref(md->man);
	return 1;
}

int model_copy_up(struct model *md, struct cancel *c, struct err *e)
{
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	int r = copy_begin(md, &man, c, e);

	if (r <= 0)
		return r;
	r = copy_up(md, man, c, e);
	SCOPED_LOCK(&md->s->mu);
	md->copying = false;
	pthread_cond_broadcast(&md->s->changed);
	return r;
}

void model_drop_locked(struct model *md, char temp[32])
{
	char random[9];

	random_text(random, sizeof random);
	snprintf(temp, 32, ".drop-%s", random);
	if (renameat(md->s->m->staging_fd, md->name, md->s->m->staging_fd, temp) < 0) {
		temp[0] = 0;
		if (errno != ENOENT)
			return; /* it stays, and is shown until next time */
	}
	md->staged = false;
	md->base[0] = 0;
	md->epoch++;
}
