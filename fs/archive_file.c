/*
 * archive_file.c: the index of an archive that was read once, as a file of the cache. Pure.
 *
 *   "smfsidx1" LF, JSON LF, the windows of all chunks, SHA-256 of all before it
 */
#include <errno.h>

#include "fs/archive.h"

#define MAGIC     "smfsidx1\n"
#define MAGIC_LEN (sizeof MAGIC - 1)
#define FILE_MAX  ((size_t)1 << 30)

static int chunk_json(cJSON *list, const struct gz_chunk *c)
{
	const double row[] = {(double)c->in, (double)c->out, (double)c->crc, (double)c->bits,
			      (double)c->window};

	return cJSON_AddItemToArray(list, cJSON_CreateDoubleArray(row, 5)) ? 0 : -1;
}

static int extent_json(cJSON *list, const struct extent *x)
{
	cJSON *j = cJSON_CreateObject();
	char digest[SHA256_HEX];

	hex(x->sha256, sizeof x->sha256, digest);
	cJSON_AddStringToObject(j, "path", x->path ? x->path : "");
	cJSON_AddNumberToObject(j, "from", (double)x->from);
	cJSON_AddNumberToObject(j, "size", (double)x->size);
	cJSON_AddNumberToObject(j, "mode", x->mode);
	cJSON_AddNumberToObject(j, "mtime", (double)x->mtime);
	cJSON_AddStringToObject(j, "sha256", digest);
	return cJSON_AddItemToArray(list, j) ? 0 : -1;
}

static char *text_of(const struct archive *a)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	cJSON_AddNumberToObject(j, "size", (double)a->index.size);
	cJSON_AddNumberToObject(j, "length", (double)a->index.length);
	cJSON *chunks = cJSON_AddArrayToObject(j, "chunks");
	cJSON *members = cJSON_AddArrayToObject(j, "members");
	for (size_t i = 0; i < a->index.n; i++) {
		if (chunk_json(chunks, &a->index.chunks[i]) < 0)
			return NULL;
	}
	for (size_t i = 0; i < a->n; i++) {
		if (extent_json(members, &a->members[i]) < 0)
			return NULL;
	}
	return cJSON_PrintUnformatted(j);
}

int archive_save(const struct archive *a, struct buf *out)
{
	_cleanup_free_ char *text = text_of(a);
	unsigned char digest[SHA256_LEN];

	if (!text)
		return -1;
	out->max = FILE_MAX;
	buf_add(out, MAGIC, MAGIC_LEN);
	buf_str(out, text);
	buf_char(out, '\n');
	for (size_t i = 0; i < a->index.n; i++)
		buf_add(out, a->index.windows.data + a->index.chunks[i].at,
			a->index.chunks[i].window);
	if (out->failed)
		return -1;
	sha256(out->data, out->len, digest);
	return buf_add(out, digest, sizeof digest);
}

static int bad(struct err *e)
{
	return err_set(e, EBADMSG, "the index of its archive is damaged");
}

static int read_chunks(struct archive *a, const cJSON *list, const char *windows, size_t n,
		       struct err *e)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, list) {
		uint64_t v[5];

		for (int i = 0; i < 5; i++) {
			if (!archive_number(cJSON_GetArrayItem(row, i), &v[i]))
				return bad(e);
		}
		const struct gz_chunk c = {.in = v[0],
					   .out = v[1],
					   .crc = (uint32_t)v[2],
					   .bits = (unsigned char)v[3],
					   .window = (uint16_t)v[4]};
		if (v[2] > UINT32_MAX || v[3] > 7 || v[4] > GZ_WINDOW || v[4] > n)
			return bad(e);
		if (gz_index_add(&a->index, &c, windows) < 0)
			return err_set(e, ENOMEM, "out of memory");
		windows += v[4];
		n -= v[4];
	}
	return 0;
}

static int read_members(struct archive *a, const cJSON *list, struct err *e)
{
	const cJSON *m;

	cJSON_ArrayForEach(m, list) {
		const char *path = manifest_text(m, "path");
		struct extent x = {.hashed = archive_hash(m, x.sha256)};
		uint64_t mode;

		if (!archive_number(cJSON_GetObjectItemCaseSensitive(m, "from"), &x.from) ||
		    !archive_number(cJSON_GetObjectItemCaseSensitive(m, "size"), &x.size) ||
		    !archive_number(cJSON_GetObjectItemCaseSensitive(m, "mode"), &mode) ||
		    !x.hashed || !*path)
			return bad(e);
		const cJSON *mtime = cJSON_GetObjectItemCaseSensitive(m, "mtime");
		x.mtime =
			cJSON_IsNumber(mtime) && mtime->valuedouble > 0 && mtime->valuedouble < 1e12
				? (int64_t)mtime->valuedouble
				: 0;
		x.mode = (mode_t)mode & 0777;
		x.path = strdup(path);
		if (!x.path || archive_add(a, &x) < 0) {
			free(x.path);
			return err_set(e, ENOMEM, "out of memory");
		}
	}
	return 0;
}

static int read_all(struct archive *a, const char *text, const char *end, struct err *e)
{
	const char *line = memchr(text, '\n', (size_t)(end - text));
	_cleanup_json_ cJSON *j = line ? cJSON_ParseWithLength(text, (size_t)(line - text)) : NULL;

	if (!j || !archive_number(cJSON_GetObjectItemCaseSensitive(j, "size"), &a->index.size) ||
	    !archive_number(cJSON_GetObjectItemCaseSensitive(j, "length"), &a->index.length))
		return bad(e);
	if (read_chunks(a, cJSON_GetObjectItemCaseSensitive(j, "chunks"), line + 1,
			(size_t)(end - line - 1), e) < 0 ||
	    read_members(a, cJSON_GetObjectItemCaseSensitive(j, "members"), e) < 0)
		return -1;
	return archive_ready(a, e);
}

int archive_read(struct archive *a, const char *p, size_t n, struct err *e)
{
	unsigned char digest[SHA256_LEN];

	if (n < MAGIC_LEN + SHA256_LEN || memcmp(p, MAGIC, MAGIC_LEN) != 0)
		return bad(e);
	sha256(p, n - SHA256_LEN, digest);
	if (memcmp(digest, p + n - SHA256_LEN, SHA256_LEN) != 0)
		return bad(e);
	return read_all(a, p + MAGIC_LEN, p + n - SHA256_LEN, e);
}
