/*
 * tensor_bundle.c: variables.index, a table in LevelDB's format: data blocks of (key, value), an index block of (last key,
 * where the block is), a footer. The empty key holds a BundleHeaderProto, every other a BundleEntryProto that says in which
 * shard its bytes are and where. TensorFlow writes it without compression.
 */
#include <errno.h>
#include <fcntl.h>

#include "saved_model.pb-c.h"

#include "sagemaker/buf.h"
#include "sagemaker/hash.h"
#include "sagemaker/saved_model.h"

#define FOOTER     48
#define TRAILER    5 /* of a block: compression, masked CRC-32C */
#define MAGIC      0xdb4775248b80fb57ULL
#define INDEX_MAX  ((size_t)256 << 20)
#define SHARDS_MAX 100000

struct slice {
	const unsigned char *p;
	size_t n;
};

struct bundle {
	struct slice file;
	uint64_t *sizes;
	size_t n;
	bool header; /* seen */
};

static uint64_t le(const unsigned char *p, int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

/* A varint from the front of s; false when it does not end in it. */
static bool varint(struct slice *s, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; s->n && shift < 64; shift += 7) {
		unsigned char c = *s->p;

		s->p++;
		s->n--;
		*v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return true;
	}
	return false;
}

static uint32_t unmask(uint32_t masked)
{
	uint32_t rotated = masked - 0xa282ead8U;

	return rotated >> 17 | rotated << 15;
}

/* The entries of the block that a handle (offset, size) names, its checksum checked. */
static int find_block(const struct bundle *b, struct slice *handle, struct slice *out,
		      struct err *e)
{
	uint64_t at, n;

	if (!varint(handle, &at) || !varint(handle, &n) || at > b->file.n || n > b->file.n - at ||
	    b->file.n - at - n < TRAILER)
		return err_set(e, EINVAL, "it is damaged: a block lies outside the file");
	const unsigned char *p = b->file.p + at;
	if (p[n] != 0)
		return err_set(e, EINVAL, "it is damaged: a block is compressed");
	if (crc32c(0, p, n + 1) != unmask((uint32_t)le(p + n + 1, 4)))
		return err_set(e, EINVAL, "it is damaged: a checksum does not match");
	uint64_t restarts = n >= 4 ? le(p + n - 4, 4) : 0;
	if (n < 4 || restarts > (n - 4) / 4)
		return err_set(e, EINVAL, "it is damaged: a block ends early");
	*out = (struct slice){p, n - 4 - restarts * 4};
	return 0;
}

/* The next entry of a block. Keys share prefixes with their predecessor; only whether a key is empty matters here. */
static bool next_entry(struct slice *block, bool *empty_key, struct slice *value)
{
	uint64_t shared, rest, len;

	if (!varint(block, &shared) || !varint(block, &rest) || !varint(block, &len))
		return false;
	if (rest > block->n || len > block->n - rest)
		return false;
	*empty_key = shared == 0 && rest == 0;
	*value = (struct slice){block->p + rest, len};
	block->p += rest + len;
	block->n -= rest + len;
	return true;
}

static int take_header(struct bundle *b, const struct slice *v, struct err *e)
{
	Tf__BundleHeaderProto *h = tf__bundle_header_proto__unpack(NULL, v->n, v->p);
	int32_t shards = h ? h->num_shards : 0;

	if (h)
		tf__bundle_header_proto__free_unpacked(h, NULL);
	if (b->header || shards < 1 || shards > SHARDS_MAX)
		return err_set(e, EINVAL,
			       "it is damaged: it does not say how many shards there are");
	b->header = true;
	b->sizes = calloc((size_t)shards, sizeof(*b->sizes));
	b->n = (size_t)shards;
	return b->sizes ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int take_entry(struct bundle *b, const struct slice *v, struct err *e)
{
	Tf__BundleEntryProto *t = tf__bundle_entry_proto__unpack(NULL, v->n, v->p);
	bool good = t && t->shard_id >= 0 && (size_t)t->shard_id < b->n && t->offset >= 0 &&
		    t->size >= 0 && t->offset <= INT64_MAX - t->size;

	if (good) {
		uint64_t *size = &b->sizes[t->shard_id];

		*size = MAX(*size, (uint64_t)(t->offset + t->size));
	}
	if (t)
		tf__bundle_entry_proto__free_unpacked(t, NULL);
	return good ? 0 : err_set(e, EINVAL, "it is damaged: an entry makes no sense");
}

static int read_block(struct bundle *b, struct slice block, struct err *e)
{
	struct slice value = {0};
	bool empty = false;

	while (block.n) {
		if (!next_entry(&block, &empty, &value))
			return err_set(e, EINVAL, "it is damaged: an entry ends early");
		if (empty ? take_header(b, &value, e) : take_entry(b, &value, e))
			return -1;
	}
	return 0;
}

static int read_table(struct bundle *b, struct err *e)
{
	const unsigned char *footer = b->file.p + b->file.n - FOOTER;
	struct slice handles = {footer, FOOTER - 8}, index = {0}, block = {0}, value = {0};
	uint64_t at, n; /* of the meta index: unused */
	bool empty;

	if (!varint(&handles, &at) || !varint(&handles, &n))
		return err_set(e, EINVAL, "it is damaged: its footer makes no sense");
	if (find_block(b, &handles, &index, e))
		return -1;
	while (index.n) {
		if (!next_entry(&index, &empty, &value))
			return err_set(e, EINVAL, "it is damaged: its index ends early");
		if (find_block(b, &value, &block, e) || read_block(b, block, e))
			return -1;
	}
	return b->header ? 0 : err_set(e, EINVAL, "it is damaged: it has no header");
}

int tensor_bundle_parse(const void *p, size_t n, uint64_t **sizes, size_t *n_sizes, struct err *e)
{
	struct bundle b = {
		{p, n},
                NULL, 0, false
        };

	*sizes = NULL;
	*n_sizes = 0;
	if (n < FOOTER || le(b.file.p + n - 8, 8) != MAGIC)
		return err_set(e, ENODATA, "it is cut short");
	if (read_table(&b, e)) {
		free(b.sizes);
		return -1;
	}
	*sizes = b.sizes;
	*n_sizes = b.n;
	return 0;
}

int tensor_bundle_shards(int dirfd, const char *path, uint64_t **sizes, size_t *n, struct err *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT(INDEX_MAX);

	*sizes = NULL;
	*n = 0;
	if (buf_read_file(&b, dirfd, path))
		return err_errno(e, "read '%s'", path);
	if (tensor_bundle_parse(buf_cstr(&b), b.len, sizes, n, e))
		return err_prefix(e, "'%s' cannot be used", path);
	return 0;
}
