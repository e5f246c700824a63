/*
 * sniff_zip.c: zip archives by their central directory: TorchScript and torch.save (every member NAME/...), torch.export,
 * Keras 3. An archive without its end record was cut short.
 */
#include <errno.h>

#include "sagemaker/sniff.h"

#define END_LEN     22
#define END64_LEN   56
#define LOCATOR_LEN 20
#define ENTRY_LEN   46
#define LOCAL_LEN   30
#define MAX_ENTRIES 200000

struct zip {
	struct bytes *b;
	uint64_t at, count; /* of the central directory */
	uint64_t pickle;    /* offset of data.pkl's content, 0: none or compressed */
	bool script, data, keras, weights, exported;
};

/* The last record, or NULL; *end is where it stands. */
static const uint8_t *find_end(struct bytes *b, uint64_t *end)
{
	size_t n = (size_t)MIN(b->size, (uint64_t)BYTES_WINDOW);
	const uint8_t *p = bytes_at(b, b->size - n, n);

	for (size_t i = n >= END_LEN ? n - END_LEN + 1 : 0; p && i-- > 0;)
		if (memcmp(p + i, "PK\5\6", 4) == 0) {
			*end = b->size - n + i;
			return p + i;
		}
	return NULL;
}

/* Large archives have a second end record before the first. */
static void read_end64(struct zip *z, uint64_t end)
{
	const uint8_t *p =
		end >= LOCATOR_LEN ? bytes_at(z->b, end - LOCATOR_LEN, LOCATOR_LEN) : NULL;

	if (!p || memcmp(p, "PK\6\7", 4) != 0)
		return;
	p = bytes_at(z->b, bytes_le(p + 8, 8), END64_LEN);
	if (!p || memcmp(p, "PK\6\6", 4) != 0)
		return;
	z->count = bytes_le(p + 32, 8);
	z->at = bytes_le(p + 48, 8);
}

static bool named(const char *name, size_t n, const char *end)
{
	size_t m = strlen(end);

	return n >= m && memcmp(name + n - m, end, m) == 0;
}

/* The second component, "code/...", of "NAME/code/..." */
static bool has_part(const char *name, size_t n, const char *part)
{
	const char *slash = memchr(name, '/', n);
	size_t m = strlen(part);

	return slash && (size_t)(name + n - slash) > m && memcmp(slash + 1, part, m) == 0;
}

static void take_name(struct zip *z, const char *name, size_t n, bool stored, uint64_t local)
{
	if (has_part(name, n, "code/") || named(name, n, "/constants.pkl"))
		z->script = true;
	if (named(name, n, "/data.pkl")) {
		z->data = true;
		z->pickle = stored ? local + 1 : 0;
	}
	z->exported = z->exported || named(name, n, "serialized_exported_program.json") ||
		      named(name, n, "archive_format");
	z->keras = z->keras || (n == 13 && memcmp(name, "metadata.json", 13) == 0);
	z->weights = z->weights || (n == 16 && memcmp(name, "model.weights.h5", 16) == 0);
}

static bool walk(struct zip *z)
{
	uint64_t at = z->at;

	for (uint64_t i = 0; i < z->count && i < MAX_ENTRIES; i++) {
		const uint8_t *p = bytes_at(z->b, at, ENTRY_LEN);

		if (!p || memcmp(p, "PK\1\2", 4) != 0)
			return false;
		size_t n = (size_t)bytes_le(p + 28, 2);
		uint64_t more = bytes_le(p + 30, 2) + bytes_le(p + 32, 2),
			 local = bytes_le(p + 42, 4);
		bool stored = bytes_le(p + 10, 2) == 0;
		const uint8_t *name = bytes_at(z->b, at + ENTRY_LEN, n);

		if (!name)
			return false;
		take_name(z, (const char *)name, n, stored, local);
		at += ENTRY_LEN + n + more;
	}
	return true;
}

/* What torch.save pickled: a dict of tensors, or a module whose class must be importable. */
static void read_pickle(struct zip *z, struct file_facts *out)
{
	const uint8_t *p = z->pickle ? bytes_at(z->b, z->pickle - 1, LOCAL_LEN) : NULL;

	if (p && memcmp(p, "PK\3\4", 4) == 0)
		sniff_pickle_names(
			z->b, z->pickle - 1 + LOCAL_LEN + bytes_le(p + 26, 2) + bytes_le(p + 28, 2),
			out);
	out->form = !*out->owner || streq(out->owner, "collections.OrderedDict") ||
				    starts_with(out->owner, "torch._utils.")
			    ? "state_dict"
			    : "pickled module";
}

static void judge(struct zip *z, struct file_facts *out)
{
	if (z->exported) {
		out->kind = KIND_TORCH_EXPORT;
		out->form = "program of torch.export";
	} else if (z->data && z->script) {
		out->kind = KIND_TORCHSCRIPT;
		out->form = "TorchScript";
	} else if (z->data) {
		out->kind = KIND_TORCH_SAVE;
		read_pickle(z, out);
	} else if (z->keras && z->weights) {
		out->kind = KIND_KERAS;
	}
}

bool sniff_zip(struct bytes *b, struct file_facts *out)
{
	const uint8_t *p = bytes_at(b, 0, 4), *end;
	struct zip z = {.b = b};
	uint64_t at = 0;

	if (!p || memcmp(p, "PK\3\4", 4) != 0)
		return false;
	end = find_end(b, &at);
	if (!end) {
		/* only torch and Keras make models of it */
		out->kind = bytes_find(b, 0, 4096, "data.pkl", 8) != UINT64_MAX ? KIND_TORCH_SAVE
										: KIND_NONE;
		if (bytes_find(b, 0, 4096, "/code/", 6) != UINT64_MAX)
			out->kind = KIND_TORCHSCRIPT;
		return sniff_broken(out, ENODATA,
				    "it is cut short: the zip archive has no end record");
	}
	z.count = bytes_le(end + 10, 2);
	z.at = bytes_le(end + 16, 4);
	read_end64(&z, at);
	bool walked = walk(&z);
	judge(&z, out);
	return walked ? true
		      : sniff_broken(out, EINVAL,
				     "it is damaged: the zip archive's directory is broken");
}
