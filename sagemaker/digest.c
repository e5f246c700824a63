/* digest.c: what a package is: one SHA-256 over its members' places, exec bits, sizes and contents. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/each.h"
#include "sagemaker/package.h"
#include "sagemaker/plan.h"

#define WORTH_A_THREAD ((uint64_t)64 << 20)

struct work {
	struct package_plan *plan;
	struct hash_cache *cache;
	struct cancel *cancel;
};

static int hash_member(const struct work *w, struct package_member *m, struct err *e)
{
	if (m->content) {
		sha256(m->content, m->size, m->sha256);
		return 0;
	}
	_cleanup_close_ int fd = source_open(w->plan->dirfd, m->path);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return errno == ENOENT ? err_set(e, EBUSY, "'%s' vanished meanwhile", m->path)
				       : err_errno(e, "read '%s'", m->path);
	if ((uint64_t)st.st_size != m->size)
		return err_set(e, EBUSY, "'%s' changed meanwhile", m->path);
	if (hash_cache_file(w->cache, fd, w->cancel, m->sha256, e))
		return err_prefix(e, "'%s'", m->path);
	return 0;
}

int package_hash(struct package_plan *p, size_t member, struct hash_cache *cache,
		 struct cancel *cancel, struct err *e)
{
	struct work w = {.plan = p, .cache = cache, .cancel = cancel};
	struct package_member *m = &p->members[member];

	if (hash_member(&w, m, e))
		return -1;
	m->hashed = true;
	return 0;
}

static int hash_one(void *arg, size_t i, struct err *e)
{
	const struct work *w = arg;
	struct package_member *m = &w->plan->members[i];

	m->hashed = m->hashed || hash_member(w, m, e) == 0;
	return m->hashed ? 0 : -1;
}

/* "path NUL exec NUL size NUL sha256 LF" */
static void add_member(struct sha256 *h, const struct package_member *m)
{
	char line[128], digest[SHA256_HEX];

	hex(m->sha256, SHA256_LEN, digest);
	sha256_update(h, m->archive, strlen(m->archive) + 1);
	int n = snprintf(line, sizeof(line), "%d%c%llu%c%s\n", m->mode & 0111 ? 1 : 0, 0,
			 (unsigned long long)m->size, 0, digest);
	sha256_update(h, line, (size_t)n);
}

int package_digest_known(struct package_plan *p)
{
	struct sha256 *h = sha256_new();
	unsigned char out[SHA256_LEN];

	if (!h)
		return -1;
	sha256_update(h, PACKAGE_LAYOUT_VERSION "\n", strlen(PACKAGE_LAYOUT_VERSION "\n"));
	if (p->ready)
		sha256_update(h, "ready\n", strlen("ready\n"));
	for (size_t i = 0; i < p->n_members; i++)
		add_member(h, &p->members[i]);
	sha256_final(h, out);
	hex(out, sizeof(out), p->digest);
	return 0;
}

static int by_archive(const void *a, const void *b)
{
	const struct package_member *x = a, *y = b;
	int order = strcmp(x->archive, y->archive);

	return order ? order : (x->order > y->order) - (x->order < y->order);
}

void package_sort_last(struct package_plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_members; i++)
		p->members[i].order = i;
	if (p->n_members)
		qsort(p->members, p->n_members, sizeof(*p->members), by_archive);
	for (size_t i = 0; i < p->n_members; i++) {
		struct package_member *m = &p->members[i];

		if (i + 1 < p->n_members && streq(m->archive, m[1].archive)) {
			free(m->path);
			free(m->archive);
			free(m->content);
		} else {
			p->members[n++] = *m;
		}
	}
	p->n_members = n;
}

int package_digest(struct package_plan *p, struct hash_cache *cache, struct cancel *cancel,
		   struct err *e)
{
	struct work w = {.plan = p, .cache = cache, .cancel = cancel};

	if (each_parallel(p->n_members, p->bytes >= WORTH_A_THREAD ? 2 : 1, hash_one, &w, cancel,
			  e))
		return -1;
	return package_digest_known(p) < 0 ? err_set(e, ENOMEM, "hash the model: out of memory")
					   : 0;
}
