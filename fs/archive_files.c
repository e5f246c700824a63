/* archive_files.c: a file of a version without an archive, as an archive of one member that is not compressed. Pure. */
#include <errno.h>

#include "fs/archive.h"
#include "sagemaker/files.h"

static int add_chunks(struct archive *a, const cJSON *crcs, struct err *e)
{
	const cJSON *crc;
	uint64_t at = 0;

	cJSON_ArrayForEach(crc, crcs) {
		const struct gz_chunk c = {.in = at,
					   .out = at,
					   .crc = cJSON_IsNumber(crc) && crc->valuedouble >= 0 &&
								  crc->valuedouble <= UINT32_MAX
							  ? (uint32_t)crc->valuedouble
							  : 0};

		if (at >= a->index.size)
			break;
		if (gz_index_add(&a->index, &c, NULL) < 0)
			return err_set(e, ENOMEM, "out of memory");
		at += FILES_PIECE;
	}
	return at >= a->index.size ? 0
				   : err_set(e, EBADMSG, "the manifest lacks checksums of a file");
}

struct archive *archive_of_file(const cJSON *record, const struct manifest_member *m, struct err *e)
{
	_cleanup_free_ char *key = str_printf("%s%s", manifest_text(record, "key"), m->archive);
	_cleanup_(archive_unrefp)
	struct archive *a = key ? archive_new(NULL, key, "") : NULL;
	struct extent x = {.size = m->size};

	if (!a || !(x.path = strdup(m->archive)) || archive_add(a, &x) < 0) {
		free(x.path);
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	a->members[0].hashed = archive_hash(m->json, a->members[0].sha256);
	a->index.raw = true;
	a->index.size = a->index.length = m->size;
	if (add_chunks(a, cJSON_GetObjectItemCaseSensitive(m->json, "crcs"), e) < 0 ||
	    archive_ready(a, e) < 0)
		return NULL;
	return steal(a);
}
