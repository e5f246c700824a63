/* hash_cache.c: a table of fixed size; a row is found by what changes whenever a file's content can have changed. */
#include <errno.h>
#include <sys/stat.h>

#include "sagemaker/package.h"

#define WAYS       8 /* rows that one key may stand in */
#define READ_BLOCK ((size_t)1 << 18)

struct row {
	struct file_key key;
	uint64_t used; /* when last; 0: empty */
	bool plain;    /* nothing is known in it, and what follows is of its name */
	unsigned char sha256[SHA256_LEN];
};

struct hash_cache {
	pthread_mutex_t mu; /* guards all below */
	uint64_t clock;
	size_t n; /* rows, a multiple of WAYS */
	struct row row[];
};

static int key_of(int fd, struct file_key *k, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_errno(e, "read a file's attributes");
	file_key_of(&st, k);
	return 0;
}

struct hash_cache *hash_cache_new(size_t max_rows)
{
	size_t n = MAX(max_rows / WAYS, (size_t)1) * WAYS;
	struct hash_cache *c = calloc(1, sizeof(*c) + n * sizeof(c->row[0]));

	if (!c)
		return NULL;
	pthread_mutex_init(&c->mu, NULL);
	c->n = n;
	return c;
}

void hash_cache_free(struct hash_cache *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->mu);
	free(c);
}

/* The first of the rows that k may stand in. */
static struct row *rows_of(struct hash_cache *c, const struct file_key *k)
{
	uint64_t h = (k->ino ^ k->dev << 32 ^ k->size) * 0x9e3779b97f4a7c15ULL;

	return &c->row[(h >> 32) % (c->n / WAYS) * WAYS];
}

static bool look_up(struct hash_cache *c, const struct file_key *k, bool plain,
		    unsigned char out[SHA256_LEN])
{
	SCOPED_LOCK(&c->mu);
	struct row *r = rows_of(c, k);

	for (int i = 0; i < WAYS; i++, r++)
		if (r->used && r->plain == plain && file_key_same(&r->key, k)) {
			r->used = ++c->clock;
			memcpy(out, r->sha256, SHA256_LEN);
			return true;
		}
	return false;
}

static void remember(struct hash_cache *c, const struct file_key *k, bool plain,
		     const unsigned char *hash)
{
	if (file_key_young(k))
		return;
	SCOPED_LOCK(&c->mu);
	struct row *r = rows_of(c, k), *oldest = r;
	for (int i = 0; i < WAYS; i++, r++)
		if (r->used < oldest->used)
			oldest = r;
	*oldest = (struct row){.key = *k, .used = ++c->clock, .plain = plain};
	memcpy(oldest->sha256, hash, SHA256_LEN);
}

void hash_cache_keep(struct hash_cache *c, const struct stat *st,
		     const unsigned char sha256[SHA256_LEN])
{
	struct file_key k;

	file_key_of(st, &k);
	if (c)
		remember(c, &k, false, sha256);
}

void hash_cache_plain_keep(struct hash_cache *c, const struct file_key *k, const char *name)
{
	unsigned char sum[SHA256_LEN];

	sha256(name, strlen(name), sum);
	if (c)
		remember(c, k, true, sum);
}

bool hash_cache_plain(struct hash_cache *c, const struct file_key *k, const char *name)
{
	unsigned char sum[SHA256_LEN], kept[SHA256_LEN];

	if (!c || !look_up(c, k, true, kept))
		return false;
	sha256(name, strlen(name), sum);
	return memcmp(kept, sum, SHA256_LEN) == 0;
}

static int hash_file(int fd, struct cancel *cancel, unsigned char out[SHA256_LEN], struct err *e)
{
	_cleanup_free_ char *block = malloc(READ_BLOCK);
	struct sha256 *h = block ? sha256_new() : NULL;
	off_t at = 0;
	ssize_t n = 1;

	if (!h)
		return err_set(e, ENOMEM, "hash a file: out of memory");
	while (n > 0 && !cancel_is_set(cancel)) {
		do
			n = pread(fd, block, READ_BLOCK, at);
		while (n < 0 && errno == EINTR);
		if (n > 0)
			sha256_update(h, block, (size_t)n);
		at += n;
	}
	if (n == 0) {
		sha256_final(h, out);
		return 0;
	}
	sha256_free(h);
	return n < 0 ? err_errno(e, "read a file") : err_set(e, ECANCELED, "hashing was cancelled");
}

int hash_cache_file(struct hash_cache *c, int fd, struct cancel *cancel,
		    unsigned char out[SHA256_LEN], struct err *e)
{
	struct file_key before = {0}, after = {0};

	if (key_of(fd, &before, e))
		return -1;
	if (c && look_up(c, &before, false, out))
		return 0;
	if (hash_file(fd, cancel, out, e) || key_of(fd, &after, e))
		return -1;
	if (!file_key_same(&before, &after))
		return err_set(e, EBUSY, "it changed while it was read");
	if (c)
		remember(c, &before, false, out);
	return 0;
}
