/* CompleteMultipartUpload: the list of parts that the client names becomes an object, without a byte being copied. */
#include <errno.h>
#include <expat.h>
#include <zlib.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/calls.h"
#include "sagemaker/local/multipart.h"

struct wish {
	int number;
	char etag[80]; /* without quotes */
	char crc32c[16], crc32[16];
};

struct wishes {
	struct wish *rows;
	size_t n, cap;
	struct buf text; /* of the element that is open */
	bool failed;
};

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct wishes *w = arg;

	(void)attributes;
	buf_reset(&w->text);
	if (!streq(name, "Part"))
		return;
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 16;
		struct wish *more =
			w->n < PARTS_MAX ? realloc(w->rows, w->cap * sizeof *more) : NULL;
		if (!more) {
			w->failed = true;
			w->cap = w->n;
			return;
		}
		w->rows = more;
	}
	w->rows[w->n++] = (struct wish){.number = 0};
}

static void XMLCALL on_text(void *arg, const XML_Char *s, int n)
{
	struct wishes *w = arg;

	buf_add(&w->text, s, (size_t)n);
}

static void keep(char *out, size_t size, const char *text)
{
	size_t n = strlen(text);

	if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
		text++;
		n -= 2;
	}
	copy_text(out, size, text, n);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct wishes *w = arg;
	const char *text = buf_cstr(&w->text);

	if (!w->n || w->failed)
		return;
	struct wish *row = &w->rows[w->n - 1];
	if (streq(name, "PartNumber"))
		row->number = (int)strtol(text, NULL, 10);
	else if (streq(name, "ETag"))
		keep(row->etag, sizeof row->etag, text);
	else if (streq(name, "ChecksumCRC32C"))
		keep(row->crc32c, sizeof row->crc32c, text);
	else if (streq(name, "ChecksumCRC32"))
		keep(row->crc32, sizeof row->crc32, text);
	buf_reset(&w->text);
}

/* A document type could define entities: there is none in what S3 takes. */
static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
			       const XML_Char *public, int internal)
{
	struct wishes *w = arg;

	(void)name, (void)system, (void)public, (void)internal;
	w->failed = true;
}

static bool parse(struct request *r, struct wishes *w)
{
	XML_Parser p = XML_ParserCreate("UTF-8");

	if (p) {
		XML_SetUserData(p, w);
		XML_SetElementHandler(p, on_start, on_end);
		XML_SetCharacterDataHandler(p, on_text);
		XML_SetStartDoctypeDeclHandler(p, on_doctype);
	}
	bool ok = p && XML_Parse(p, buf_cstr(&r->body), (int)r->body.len, 1) == XML_STATUS_OK &&
		  !w->failed && !w->text.failed && w->n;
	XML_ParserFree(p);
	if (!ok)
		reply_error(
			r, 400, "MalformedXML",
			"The XML you provided was not well-formed or did not validate against our published schema");
	return ok;
}

static const struct part *find_part(const struct part *parts, size_t n, int number)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (parts[mid].number == number)
			return &parts[mid];
		if (parts[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static bool agrees(const struct part *p, const struct wish *w)
{
	char c[16], z[16];

	crc_base64(p->segment.crc32c, c);
	crc_base64(p->crc32, z);
	return streq(p->md5, w->etag) && (!w->crc32c[0] || streq(w->crc32c, c)) &&
	       (!w->crc32[0] || streq(w->crc32, z));
}

static bool in_order(const struct wishes *w)
{
	for (size_t i = 1; i < w->n; i++) {
		if (w->rows[i].number <= w->rows[i - 1].number)
			return false;
	}
	return true;
}

/* The parts that were asked for, into out. false: replied. */
static bool choose(struct request *r, const struct wishes *w, const struct part *parts, size_t n,
		   struct part *out)
{
	if (!in_order(w)) {
		reply_error(
			r, 400, "InvalidPartOrder",
			"The list of parts was not in ascending order. Parts must be ordered by part number.");
		return false;
	}
	for (size_t i = 0; i < w->n; i++) {
		const struct part *p = find_part(parts, n, w->rows[i].number);
		if (!p || !agrees(p, &w->rows[i])) {
			reply_error(
				r, 400, "InvalidPart",
				"One or more of the specified parts could not be found. The part may not have been "
				"uploaded, or the specified entity tag may not match the part's entity tag.");
			return false;
		}
		if (i + 1 < w->n && p->segment.size < PART_MIN) {
			reply_error(
				r, 400, "EntityTooSmall",
				"Your proposed upload is smaller than the minimum allowed size");
			return false;
		}
		out[i] = *p;
	}
	return true;
}

static void add_big_endian(struct buf *b, uint32_t crc)
{
	const unsigned char bytes[4] = {(unsigned char)(crc >> 24), (unsigned char)(crc >> 16),
					(unsigned char)(crc >> 8), (unsigned char)crc};

	buf_add(b, bytes, sizeof bytes);
}

/* The CRC of the whole, and the CRC of the parts' CRCs. */
static void combine(const struct part *parts, size_t n, bool c, uint32_t *full, uint32_t *composite)
{
	_cleanup_buf_ struct buf all = BUF_INIT((size_t)PARTS_MAX * 4);

	*full = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t crc = c ? parts[i].segment.crc32c : parts[i].crc32;
		uint64_t size = parts[i].segment.size;
		add_big_endian(&all, crc);
		if (c)
			*full = i ? crc32c_combine(*full, crc, size) : crc;
		else
			*full = i ? (uint32_t)crc32_combine(*full, crc, (z_off_t)size) : crc;
	}
	*composite =
		c ? crc32c(0, buf_cstr(&all), all.len) : crc32_gzip(0, buf_cstr(&all), all.len);
}

/* What the whole's CRC is called and is worth: the full object's, or that of the parts' CRCs with their number. */
static void crc_text(const struct part *parts, size_t n, bool c, bool full, char out[48])
{
	uint32_t whole, composite;
	char crc[16];

	combine(parts, n, c, &whole, &composite);
	crc_base64(full ? whole : composite, crc);
	if (full)
		snprintf(out, 48, "%s", crc);
	else
		snprintf(out, 48, "%s-%zu", crc, n);
}

/* A composite checksum may be given without the number of its parts. */
static bool same_checksum(const char *given, const char *value)
{
	size_t n = strcspn(value, "-");

	return streq(given, value) || (strlen(given) == n && strncmp(given, value, n) == 0);
}

/* The object's checksum as it is remembered, compared with the one that the client sent. false: replied. */
static bool checksum_of(struct request *r, const struct multipart *m, const struct part *parts,
			size_t n, char out[128])
{
	const char *given = request_header(r, "x-amz-checksum-crc32c");
	bool c = given || streq(m->algorithm, "CRC32C"), full = m->full || !m->algorithm[0];
	char value[48];

	out[0] = '\0';
	if (!c)
		given = request_header(r, "x-amz-checksum-crc32");
	if (!given && !m->algorithm[0])
		return true;
	crc_text(parts, n, c, full, value);
	if (given && !same_checksum(given, value)) {
		reply_error(r, 400, "BadDigest",
			    "The %s you specified did not match the calculated checksum.",
			    c ? "CRC32C" : "CRC32");
		return false;
	}
	snprintf(out, 128, "%s:%s:%s", c ? "crc32c" : "crc32", value,
		 full ? "FULL_OBJECT" : "COMPOSITE");
	return true;
}

/* The 16 bytes of a hex digest of ours. */
static void unhex(const char *text, unsigned char *out)
{
	for (size_t i = 0; i < 16; i++) {
		char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
		out[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
}

/* "md5 of the parts' md5s-N" */
static void etag_of(const struct part *parts, size_t n, char out[80])
{
	struct md5 *h = md5_new();
	unsigned char sum[16] = {0};
	char text[33];

	for (size_t i = 0; h && i < n; i++) {
		unhex(parts[i].md5, sum);
		md5_update(h, sum, sizeof sum);
	}
	if (h)
		md5_final(h, sum);
	hex(sum, sizeof sum, text);
	snprintf(out, 80, "\"%s-%zu\"", text, n);
}

static void reply_completed(struct request *r, const struct new_object *n)
{
	_cleanup_buf_ struct buf b = BUF_INIT(65536);

	buf_printf(
		&b,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUploadResult "
		"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Location>http://127.0.0.1:%u%s</Location><Bucket>%s</Bucket><Key>",
		r->be->port, r->path, r->bucket);
	xml_text(&b, r->key.data, r->key.len);
	buf_str(&b, "</Key><ETag>");
	xml_text(&b, n->etag, strlen(n->etag));
	buf_str(&b, "</ETag>");
	const char *value = strchr(n->checksum, ':');
	if (value) {
		const char *type = strchrnul(value + 1, ':');
		const char *element =
			starts_with(n->checksum, "crc32c") ? "ChecksumCRC32C" : "ChecksumCRC32";
		buf_printf(&b, "<%s>%.*s</%s><ChecksumType>%s</ChecksumType>", element,
			   (int)(type - value - 1), value + 1, element, *type ? type + 1 : "");
	}
	buf_str(&b, "</CompleteMultipartUploadResult>");
	reply_xml(r, &b);
}

/* Parts that were uploaded but not named in the list. */
static void remove_unused(struct backend *be, const struct part *all, size_t n,
			  const struct part *used, size_t n_used)
{
	for (size_t i = 0; i < n; i++) {
		struct segment g = all[i].segment;
		const struct part *p = find_part(used, n_used, all[i].number);
		if (!p || !streq(p->segment.file, g.file))
			files_remove(be->objects, &g, 1);
	}
}

static void commit(struct request *r, const struct multipart *m, const struct part *parts, size_t n)
{
	struct new_object o = {.n = n, .type = m->type, .meta = m->meta, .upload = m->id};
	char checksum[128];

	if (!checksum_of(r, m, parts, n, checksum))
		return;
	_cleanup_free_ struct segment *segments = calloc(n, sizeof *segments);
	if (!segments) {
		reply_error(r, 500, "InternalError", "out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		segments[i] = parts[i].segment;
		o.size += segments[i].size;
	}
	o.segments = segments;
	o.checksum = checksum;
	etag_of(parts, n, o.etag);
	if (object_commit(r, &o))
		reply_completed(r, &o);
}

/* Under the lock: the upload and its parts. false: replied. */
static bool load(struct request *r, struct multipart *m, struct part **parts, size_t *n)
{
	struct err e;

	SCOPED_LOCK(db_lock(r->be->db));
	if (!multipart_find_locked(r, m))
		return false;
	if (multipart_parts_locked(r->be, m->id, parts, n, &e) == 0)
		return true;
	reply_failure(r, &e);
	return false;
}

void s3_complete_multipart(struct request *r)
{
	struct wishes w = {.text = BUF_INIT(4096)};
	_cleanup_free_ struct part *parts = NULL, *chosen = NULL;
	struct multipart m;
	size_t n = 0;

	if (load(r, &m, &parts, &n) && parse(r, &w)) {
		chosen = calloc(w.n, sizeof *chosen);
		if (!chosen)
			reply_error(r, 500, "InternalError", "out of memory");
		else if (choose(r, &w, parts, n, chosen))
			commit(r, &m, chosen, w.n);
		if (chosen && r->reply.status == 200)
			remove_unused(r->be, parts, n, chosen, w.n);
	}
	free(w.rows);
	buf_release(&w.text);
}
