/* archive.c: archives made from manifests, and what their chunks are compared with. Pure. */
#include "fs/archive.h"

#include <errno.h>

struct archive *archive_new(const char *bucket, const char *key, const char *etag)
{
	_cleanup_free_ char *name = str_printf("%s\n%s\n%s", bucket ? bucket : "", key, etag);
	struct archive *a = calloc(1, sizeof *a);
	unsigned char digest[SHA256_LEN];

	if (!a || !name) {
		free(a);
		return NULL;
	}
	a->refs = 1;
	a->key = strdup(key);
	a->bucket = bucket ? strdup(bucket) : NULL;
	snprintf(a->etag, sizeof a->etag, "%s", etag);
	sha256(name, strlen(name), digest);
	hex(digest, (BLOCK_ID - 1) / 2, a->id);
	a->last = SIZE_MAX;
	if (!a->key || (bucket && !a->bucket)) {
		archive_unref(a);
		return NULL;
	}
	return a;
}

struct archive *archive_ref(struct archive *a)
{
	if (a)
		__atomic_add_fetch(&a->refs, 1, __ATOMIC_RELAXED);
	return a;
}

void archive_unref(struct archive *a)
{
	if (!a || __atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < a->n; i++)
		free(a->members[i].path);
	free(a->members);
	gz_index_release(&a->index);
	free(a->bucket);
	free(a->key);
	free(a);
}

void archive_unrefp(struct archive **a)
{
	archive_unref(*a);
}

int archive_add(struct archive *a, const struct extent *x)
{
	/* a power of two is full */
	if ((a->n & (a->n - 1)) == 0) {
		struct extent *more = reallocarray(a->members, a->n ? a->n * 2 : 1, sizeof *more);

		if (!more)
			return -1;
		a->members = more;
	}
	a->members[a->n++] = *x;
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->size < y->size ? -1 : x->size > y->size;
}

int archive_ready(struct archive *a, struct err *e)
{
	if (a->n)
		qsort(a->members, a->n, sizeof *a->members, by_place);
	for (size_t i = 0; i + 1 < a->n; i++) {
		if (a->members[i].from + a->members[i].size > a->members[i + 1].from)
			return err_set(e, EBADMSG,
				       "the index of its archive is damaged: members overlap");
	}
	return gz_index_check(&a->index, e);
}

static bool read_hex(const char *text, unsigned char *out, size_t n)
{
	if (strlen(text) != 2 * n || strspn(text, "0123456789abcdef") != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char pair[3] = {text[2 * i], text[2 * i + 1], 0};

		out[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return true;
}

static bool whole(const cJSON *v, double max, uint64_t *out)
{
	if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= max) ||
	    v->valuedouble != (double)(uint64_t)v->valuedouble)
		return false;
	*out = (uint64_t)v->valuedouble;
	return true;
}

#define OFFSET_MAX 1e15

bool archive_number(const cJSON *v, uint64_t *out)
{
	return whole(v, OFFSET_MAX, out);
}

bool archive_hash(const cJSON *record, unsigned char out[SHA256_LEN])
{
	return read_hex(manifest_text(record, "sha256"), out, SHA256_LEN);
}

static int unknown(struct err *e)
{
	return err_set(e, ENODATA, "the manifest does not say where the files are");
}

static int read_points(struct archive *a, const cJSON *record, struct err *e)
{
	const cJSON *p;

	if (!whole(cJSON_GetObjectItemCaseSensitive(record, "size"), OFFSET_MAX, &a->index.size))
		return unknown(e);
	a->index.raw = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(record, "ready"));
	if (a->index.raw)
		a->index.length = a->index.size;
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(record, "points")) {
		struct gz_chunk c = {0};
		uint64_t crc;

		if (!whole(cJSON_GetArrayItem(p, 0), OFFSET_MAX, &c.in) ||
		    !whole(cJSON_GetArrayItem(p, 1), OFFSET_MAX, &c.out) ||
		    !whole(cJSON_GetArrayItem(p, 2), UINT32_MAX, &crc))
			return unknown(e);
		c.crc = (uint32_t)crc;
		if (gz_index_add(&a->index, &c, NULL) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return a->index.n ? 0 : unknown(e);
}

static int read_extents(struct archive *a, const cJSON *record, struct err *e)
{
	const cJSON *m;

	cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(record, "members")) {
		struct extent x = {0};

		if (!whole(cJSON_GetObjectItemCaseSensitive(m, "offset"), OFFSET_MAX, &x.from) ||
		    !whole(cJSON_GetObjectItemCaseSensitive(m, "size"), OFFSET_MAX, &x.size))
			return unknown(e);
		x.hashed = archive_hash(m, x.sha256);
		if (archive_add(a, &x) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

/* "s3://bucket/key" apart; the key, NULL: it is none. */
const char *archive_uri(const char *uri, char bucket[64])
{
	const char *rest = starts_with(uri, "s3://") ? uri + strlen("s3://") : "";
	size_t n = strcspn(rest, "/");

	if (!n || n >= 64 || !rest[n] || !rest[n + 1])
		return NULL;
	memcpy(bucket, rest, n);
	bucket[n] = 0;
	return rest + n + 1;
}

struct archive *archive_place(const cJSON *record, struct err *e)
{
	const char *uri = manifest_text(record, "uri"), *key = manifest_text(record, "key");
	char bucket[64] = "";
	struct archive *a;

	if (*uri)
		key = archive_uri(uri, bucket);
	if (!key || !*key) {
		err_set(e, EBADMSG, "the manifest does not say where the archive is");
		return NULL;
	}
	a = archive_new(*uri ? bucket : NULL, key, manifest_text(record, "etag"));
	if (!a)
		err_set(e, ENOMEM, "out of memory");
	return a;
}

struct archive *archive_of(const cJSON *record, struct err *e)
{
	_cleanup_(archive_unrefp)
	struct archive *a = archive_place(record, e);

	if (!a || read_points(a, record, e) < 0 || read_extents(a, record, e) < 0 ||
	    archive_ready(a, e) < 0)
		return NULL;
	return steal(a);
}

/* The first member at or after this byte of the tar stream. */
static size_t member_at(const struct archive *a, uint64_t at)
{
	size_t lo = 0, hi = a->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (a->members[mid].from < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct extent *archive_find(const struct archive *a, const struct manifest_member *m)
{
	size_t i;

	if (m->offset != OFFSET_UNKNOWN) {
		for (i = member_at(a, m->offset); i < a->n && a->members[i].from == m->offset; i++)
			if (a->members[i].size == m->size)
				return &a->members[i];
	}
	for (i = a->n; i-- > 0;) { /* of two of one name, the later one */
		if (a->members[i].path && streq(a->members[i].path, m->archive))
			return a->members[i].size == m->size ? &a->members[i] : NULL;
	}
	return NULL;
}

void chunk_check_begin(struct chunk_check *c, const struct archive *a, size_t chunk)
{
	uint64_t at = a->index.chunks[chunk].in;

	*c = (struct chunk_check){.a = a, .at = at, .next = member_at(a, at)};
}

/* The member that begins here is to be hashed; -1: memory. */
static int start(struct chunk_check *c, struct err *e)
{
	const struct extent *x = &c->a->members[c->next];

	c->hash = x->hashed ? sha256_new() : NULL;
	c->left = x->size;
	return c->hash || !x->hashed ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* All of the member was there. */
static int finish(struct chunk_check *c, struct err *e)
{
	const struct extent *x = &c->a->members[c->next++];
	unsigned char digest[SHA256_LEN];

	if (!c->hash)
		return 0;
	sha256_final(steal(c->hash), digest);
	return memcmp(digest, x->sha256, sizeof digest) == 0
		       ? 0
		       : err_set(e, EBADMSG,
				 "a file in its archive in S3 is not the one that was published (SHA-256 differs)");
}

int chunk_check_take(struct chunk_check *c, const void *p, size_t n, struct err *e)
{
	const char *bytes = p;
	uint64_t end = c->at + n;

	while (c->next < c->a->n) {
		const struct extent *x = &c->a->members[c->next];

		if (x->from > end || (x->from == end && x->size))
			break;
		if (c->at <= x->from) {
			bytes += x->from - c->at;
			c->at = x->from;
			if (start(c, e) < 0)
				return -1;
		}
		size_t part = (size_t)MIN(c->left, end - c->at);
		if (c->hash)
			sha256_update(c->hash, bytes, part);
		bytes += part;
		c->at += part;
		c->left -= part;
		if (c->left)
			break;
		if (finish(c, e) < 0)
			return -1;
	}
	c->at = end;
	return 0;
}

void chunk_check_drop(struct chunk_check *c)
{
	sha256_free(c->hash);
	c->hash = NULL;
}
