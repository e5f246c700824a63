/* digest.c: what a package is: one SHA-256 over its members' places, exec bits, sizes and contents. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/package.h"
#include "sagemaker/plan.h"

#define WORTH_A_THREAD ((uint64_t)64 << 20)

struct work {
	struct package_plan *plan;
	struct hash_cache *cache;
	struct cancel *cancel;
	pthread_mutex_t mu; /* guards the rest */
	size_t next;
	bool failed;
	struct err why;
};

static int hash_member(struct work *w, struct package_member *m, struct err *e)
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

/* The next member that nobody has, or NULL. */
static struct package_member *take(struct work *w)
{
	SCOPED_LOCK(&w->mu);
	if (w->failed || w->next == w->plan->n_members)
		return NULL;
	return &w->plan->members[w->next++];
}

static void *hash_members(void *arg)
{
	struct work *w = arg;
	struct package_member *m;
	struct err e = {0};

	while ((m = take(w))) {
		m->hashed = hash_member(w, m, &e) == 0;
		if (m->hashed)
			continue;
		SCOPED_LOCK(&w->mu);
		if (!w->failed)
			w->why = e;
		w->failed = true;
	}
	return NULL;
}

/* The caller's thread works too; a thread that cannot be had is not missed. */
static void hash_all(struct work *w)
{
	pthread_t extra;
	bool more = w->plan->bytes >= WORTH_A_THREAD && w->plan->n_members > 1 &&
		    pthread_create(&extra, NULL, hash_members, w) == 0;

	hash_members(w);
	if (more)
		pthread_join(extra, NULL);
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

	pthread_mutex_init(&w.mu, NULL);
	hash_all(&w);
	pthread_mutex_destroy(&w.mu);
	if (w.failed) {
		if (e)
			*e = w.why;
		return -1;
	}
	return package_digest_known(p) < 0 ? err_set(e, ENOMEM, "hash the model: out of memory")
					   : 0;
}
