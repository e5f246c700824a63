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

int staging_put(void *arg, const void *p, size_t n, struct err *e)
{
	const int *fd = arg;
	const char *at = p;

	while (n) {
		ssize_t k = write(*fd, at, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(e, "cannot write into staging");
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

int staging_make_file(int top, const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	const char *dir;

	if (!copy) {
		errno = ENOMEM;
		return -1;
	}
	const char *name = split(copy, &dir);
	_cleanup_close_ int at = make_dirs(top, dir);
	return at < 0 ? -1 : openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

/* A published model's files on their way into staging. */
struct copy_up {
	struct model *md;
	struct manifest *man;
	struct archive *archive; /* of the member before, which may be this one's, too */
	int top;                 /* the new directory */
	struct cancel *c;
};

/* All bytes of a member, from the archive or from its own object. */
static int copy_content(struct copy_up *u, const struct manifest_member *f, int to, struct err *e)
{
	if (!f->size)
		return 0;
	if (f->content)
		return staging_put(&to, f->content, f->size, e);
	if (!u->archive || record_is_files(u->man->current)) {
		archive_unref(u->archive);
		u->archive = archive_learn(u->md, u->man, f, u->c, e);
	}
	if (!u->archive)
		return -1;
	const struct extent *x = archive_find(u->archive, f);
	if (!x)
		return err_set(e, EBADMSG,
			       "its archive in S3 does not hold it, or in another size");
	return reads_copy(u->md, u->archive, x, staging_put, &to, u->c, e);
}

static int copy_member(struct copy_up *u, const struct manifest_member *f, struct err *e)
{
	const struct timespec ts[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = f->mtime}};
	_cleanup_close_ int to = staging_make_file(u->top, f->path);

	if (to < 0)
		return err_errno(e, "cannot make it in staging");
	if (copy_content(u, f, to, e) < 0)
		return -1;
	if (fchmod(to, f->mode & 0777) < 0 || futimens(to, ts) < 0)
		return err_errno(e, "cannot set its mode and times in staging");
	progress_add(&u->md->work, f->size);
	return 0;
}

static bool is_gone(struct model *md, const char *path)
{
	SCOPED_LOCK(&md->s->mu);

	return names_has(&md->gone, path);
}

/* Copies what is left of the published view. */
static int copy_members(struct copy_up *u, struct err *e)
{
	for (size_t i = 0; i < u->man->n; i++) {
		const struct manifest_member *f = &u->man->members[i];

		if (!is_gone(u->md, f->path) && copy_member(u, f, e) < 0)
			return err_prefix(e, "'%s'", f->path);
	}
	return 0;
}

/* Into the new directory temp of staging. */
static int copy_all(struct model *md, struct manifest *man, const char *temp, struct cancel *c,
		    struct err *e)
{
	int staging = md->s->m->staging_fd;

	if (mkdirat(staging, temp, 0755) < 0)
		return err_errno(e, "cannot make a directory in staging");
	_cleanup_close_ int top = walk(staging, temp);
	struct copy_up u = {md, man, NULL, top, c};
	int r = top < 0 ? err_errno(e, "cannot open staging") : copy_members(&u, e);

	archive_unref(u.archive);
	return r;
}

static uint64_t bytes_of(const struct manifest *man)
{
	uint64_t all = 0;

	for (size_t i = 0; i < man->n; i++)
		all += man->members[i].size;
	return all;
}

static void copying_over(struct model *md)
{
	bool committing;

	{
		SCOPED_LOCK(&md->s->mu);
		md->copying = false;
		committing = md->committing;
		early_again_locked(md);
		pthread_cond_broadcast(&md->s->changed);
	}
	progress_phase(&md->work, committing ? PROGRESS_CHECKING : PROGRESS_IDLE, 0);
}

/* A version that was chosen by the attribute, and not by sagemaker.json, is in no file: the copy keeps it. */
static void keep_choice_locked(struct model *md, const struct manifest *man)
{
	_cleanup_json_ cJSON *settings = cJSON_Parse(manifest_text(man->current, "settings"));

	if (!md->framework_version[0] && !cJSON_HasObjectItem(settings, "framework_version"))
		snprintf(md->framework_version, sizeof md->framework_version, "%s",
			 manifest_text(man->current, "framework_version"));
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
		keep_choice_locked(md, man);
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
	if (elsewhere_refuse_locked(md, e) < 0) {
		names_clear(&md->gone); /* what was noted as removed is back */
		return -1;
	}
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
	progress_phase(&md->work, PROGRESS_COPYING, bytes_of(man));
	r = copy_up(md, man, c, e);
	copying_over(md);
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
