/*
 * catalog_cache.c: published archives, fetched whole and unpacked into STATE/cache/NAME@VERSION. A directory appears there by a
 * rename, so one that is there is whole.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"
#include "sagemaker/s3.h"
#include "sagemaker/unpack.h"

#define CACHE_MAX   ((uint64_t)10 << 30)
#define CACHE_DEPTH 64 /* of directories that are counted */

/* '@' cannot be in a model's name, so names do not run into versions. */
static void cache_name(const char *model, const char *version, char out[128])
{
	snprintf(out, 128, "%s@%s", model, version);
}

int catalog_cached(struct model *md, const struct manifest *man)
{
	char name[128];

	cache_name(md->name, man->version, name);
	int fd = openat(md->s->cache_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) /* its time is the last use */
		(void)!utimensat(md->s->cache_fd, name, NULL, AT_SYMLINK_NOFOLLOW);
	return fd;
}

static uint64_t tree_bytes(int at, const char *name, int depth)
{
	_cleanup_closedir_ DIR *d = dir_open(at, name);
	uint64_t bytes = 0;
	struct dirent *de;
	struct stat st;

	while (d && (de = readdir(d))) {
		if (streq(de->d_name, ".") || streq(de->d_name, "..") ||
		    fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_size;
		else if (S_ISDIR(st.st_mode) && depth)
			bytes += tree_bytes(dirfd(d), de->d_name, depth - 1);
	}
	return bytes;
}

/* Calls fn for every directory of the cache. */
static void each_cached(int cache_fd, void (*fn)(void *arg, const char *name), void *arg)
{
	_cleanup_closedir_ DIR *d = dir_open(cache_fd, ".");
	struct dirent *de;

	while (d && (de = readdir(d))) {
		if (de->d_name[0] != '.')
			fn(arg, de->d_name);
	}
}

struct survey {
	int cache_fd;
	uint64_t bytes;
	char oldest[NAME_MAX + 1];
	struct timespec used;
	const char *spare; /* never the oldest */
};

static void survey_one(void *arg, const char *name)
{
	struct survey *v = arg;
	struct stat st;

	if (fstatat(v->cache_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	v->bytes += tree_bytes(v->cache_fd, name, CACHE_DEPTH);
	if (streq(name, v->spare))
		return;
	if (v->oldest[0] &&
	    (st.st_mtim.tv_sec > v->used.tv_sec ||
	     (st.st_mtim.tv_sec == v->used.tv_sec && st.st_mtim.tv_nsec >= v->used.tv_nsec)))
		return;
	v->used = st.st_mtim;
	snprintf(v->oldest, sizeof v->oldest, "%s", name);
}

/* Drops the least recently used until the rest fits. */
static void trim(struct models *s, const char *spare)
{
	for (;;) {
		struct survey v = {.cache_fd = s->cache_fd, .spare = spare};
		struct err e = {0};

		each_cached(s->cache_fd, survey_one, &v);
		if (v.bytes <= CACHE_MAX || !v.oldest[0] ||
		    remove_tree(s->cache_fd, v.oldest, &e) < 0)
			return;
	}
}

struct forgetting {
	struct models *s;
	const char *model, *keep;
};

static void forget_one(void *arg, const char *name)
{
	const struct forgetting *f = arg;
	size_t n = strlen(f->model);
	struct err e = {0};

	if (strncmp(name, f->model, n) == 0 && name[n] == '@' && !streq(name + n + 1, f->keep))
		(void)!remove_tree(f->s->cache_fd, name, &e);
}

void catalog_forget(struct models *s, const char *name, const char *keep)
{
	struct forgetting f = {s, name, keep};

	each_cached(s->cache_fd, forget_one, &f);
}

/* The archive into an unnamed file, whole: size and checksum are what the manifest says. */
static int download(struct model *md, const struct manifest *man, struct cancel *c, struct err *e)
{
	const char *crc = manifest_text(man->current, "crc32c");
	const cJSON *size = cJSON_GetObjectItemCaseSensitive(man->current, "size");
	struct s3_object o = {0};
	struct s3_bucket bucket;
	_cleanup_close_ int fd = openat(md->s->cache_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(e, "cannot make a file in %s/cache", md->s->m->state_path);
	if (mount_bucket(md->s->m, &bucket, c, e) < 0 ||
	    s3_get_fd(md->s->m->aws, &bucket, manifest_text(man->current, "key"), fd, &o, c, e) < 0)
		return -1;
	if ((double)o.size != size->valuedouble)
		return err_set(
			e, EBADMSG,
			"its archive in S3 has %llu bytes and should have %.0f; somebody replaced it",
			(unsigned long long)o.size, size->valuedouble);
	if (*crc && o.crc32c[0] && !streq(crc, o.crc32c))
		return err_set(
			e, EBADMSG,
			"its archive in S3 is not the one that was published (CRC32C differs)");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, "cannot read its archive");
	return steal_fd(&fd);
}

/* Every member is there with its size. */
static int verify(const struct manifest *man, int dirfd, struct err *e)
{
	for (size_t i = 0; i < man->n; i++) {
		const struct manifest_member *f = &man->members[i];
		struct stat st;

		if (fstatat(dirfd, f->archive, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->size)
			return err_set(e, EBADMSG,
				       "its archive lacks '%s' or has it in another size",
				       f->archive);
	}
	return 0;
}

/* The archive's members beneath dir; of one that its writer had ready, the archive itself is the member. */
static int open_up(const struct manifest *man, int archive, int dir, struct cancel *c,
		   struct err *e)
{
	char self[32];

	if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(man->current, "ready")))
		return unpack(archive, dir, NULL, c, e);
	snprintf(self, sizeof self, "/proc/self/fd/%d", archive);
	if (linkat(AT_FDCWD, self, dir, "model.tar.gz", AT_SYMLINK_FOLLOW) < 0)
		return err_errno(e, "cannot name the archive");
	return 0;
}

static int fetch_into(struct model *md, const struct manifest *man, const char *temp,
		      struct cancel *c, struct err *e)
{
	char name[128];
	_cleanup_close_ int archive = download(md, man, c, e);

	if (archive < 0)
		return -1;
	if (mkdirat(md->s->cache_fd, temp, 0700) < 0)
		return err_errno(e, "cannot make a directory in %s/cache", md->s->m->state_path);
	_cleanup_close_ int dir = openat(md->s->cache_fd, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, "cannot open a directory in %s/cache", md->s->m->state_path);
	if (open_up(man, archive, dir, c, e) < 0 || verify(man, dir, e) < 0)
		return -1;
	cache_name(md->name, man->version, name);
	if (renameat(md->s->cache_fd, temp, md->s->cache_fd, name) < 0)
		return err_errno(e, "cannot name a directory in %s/cache", md->s->m->state_path);
	trim(md->s, name);
	return 0;
}

/* One fetch per model at a time; the others wait and find it cached. */
static int fetch_turn(struct model *md, struct cancel *c, struct err *e)
{
	SCOPED_LOCK(&md->s->mu);

	while (md->fetching) {
		if (cancel_is_set(c))
			return err_set(e, ECANCELED, "cancelled");
		models_wait_locked(md->s, 100);
	}
	md->fetching = true;
	return 0;
}

int catalog_fetch(struct model *md, struct manifest *man, struct cancel *c, struct err *e)
{
	char random[9], temp[32];
	struct err dropped;
	int r = 0;

	if (fetch_turn(md, c, e) < 0)
		return -1;
	int fd = catalog_cached(md, man);
	if (fd < 0) {
		random_text(random, sizeof random);
		snprintf(temp, sizeof temp, ".%s", random);
		r = fetch_into(md, man, temp, c, e);
		if (r < 0)
			(void)!remove_tree(md->s->cache_fd, temp, &dropped);
		else
			fd = catalog_cached(md, man);
	}
	SCOPED_LOCK(&md->s->mu);
	md->fetching = false;
	pthread_cond_broadcast(&md->s->changed);
	if (fd < 0 && r == 0)
		err_set(e, EIO, "its files vanished from the cache");
	return fd >= 0 ? fd
		       : err_prefix(e, "cannot fetch the published files of model '%s'", md->name);
}
