/* CompleteMultipartUpload: the list of parts that the client names becomes an object, without a byte being copied. */
#include <errno.h>
#include <expat.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/calls.h"
#include "sagemaker/local/multipart.h"

struct wish {
	int number;
	char etag[80]; /* without quotes */
	enum sum sum;  /* SUM_NONE: no checksum was named */
	char value[SUM_TEXT];
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
	w->rows[w->n++] = (struct wish){.sum = SUM_NONE};
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
	for (enum sum s = 0; s < N_SUMS; s++) {
		if (!streq(name, sum_rows[s].element))
			continue;
		row->sum = s;
		keep(row->value, sizeof row->value, text);
	}
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
	unsigned char value[SUM_MOST];

	return streq(p->md5, w->etag) &&
	       (w->sum == SUM_NONE ||
		(sum_parse(w->sum, w->value, value) && (p->sums.have & SUM_BIT(w->sum)) &&
		 memcmp(value, p->sums.value[w->sum], sum_rows[w->sum].len) == 0));
}

/* A composite checksum is made of values that the client must name again. false: replied. */
static bool named_again(struct request *r, const struct multipart *m, const struct wish *w)
{
	enum sum sum = sum_by_name(m->algorithm);

	if (sum == SUM_NONE || m->full || w->sum == sum)
		return true;
	reply_error(
		r, 400, "InvalidRequest",
		"The upload was created using a %s checksum. The complete request must include the "
		"checksum for each part. It was missing for part %d in the request.",
		sum_rows[sum].lower, w->number);
	return false;
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
static bool choose(struct request *r, const struct multipart *m, const struct wishes *w,
		   const struct part *parts, size_t n, struct part *out)
{
	if (!in_order(w)) {
		reply_error(
			r, 400, "InvalidPartOrder",
			"The list of parts was not in ascending order. Parts must be ordered by part number.");
		return false;
	}
	for (size_t i = 0; i < w->n; i++) {
		if (!named_again(r, m, &w->rows[i]))
			return false;
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

/* A composite checksum may be given without the number of its parts. */
static bool same_checksum(const char *given, const char *value)
{
	size_t n = strcspn(value, "-");

	return streq(given, value) || (strlen(given) == n && strncmp(given, value, n) == 0);
}

/* Which checksum the request gives of the whole; SUM_NONE: none. */
static enum sum given_sum(struct request *r, const char **value)
{
	enum sum s = 0;

	while (s < N_SUMS && !(*value = request_header(r, sum_rows[s].header)))
		s++;
	return s;
}

/* Of the parts; out is "" where one of them lacks the value. -1: out of memory. */
static int join(enum sum sum, bool full, const struct part *parts, size_t n, char out[SUM_TEXT])
{
	struct sum_join j = SUM_JOIN_INIT(sum);
	bool whole = true;

	j.values.max = (size_t)PARTS_MAX * SUM_MOST;
	for (size_t i = 0; i < n; i++) {
		whole = whole && (parts[i].sums.have & SUM_BIT(sum));
		sum_join_add(&j, parts[i].sums.value[sum], parts[i].segment.size);
	}
	int rc = sum_join_text(&j, full, out);
	if (!whole)
		out[0] = '\0';
	return rc;
}

/* x-amz-checksum-type and x-amz-mp-object-size of the request. false: replied. */
static bool check_promises(struct request *r, const struct multipart *m, uint64_t size)
{
	const char *type = request_header(r, "x-amz-checksum-type"),
		   *given = request_header(r, "x-amz-mp-object-size"),
		   *own = m->full ? "FULL_OBJECT" : "COMPOSITE";

	if (type && m->algorithm[0] && !streq(type, own)) {
		reply_error(
			r, 400, "InvalidRequest",
			"The upload was created using the %s checksum mode. The complete request "
			"must use the same checksum mode.",
			own);
		return false;
	}
	if (!given || strtoull(given, NULL, 10) == size)
		return true;
	reply_error(r, 400, "InvalidRequest",
		    "The provided 'x-amz-mp-object-size' header value %s does not match what was "
		    "computed: %llu",
		    given, (unsigned long long)size);
	return false;
}

/* The object's checksum as it is remembered, compared with the one that the client sent. false: replied. */
static bool checksum_of(struct request *r, const struct multipart *m, const struct part *parts,
			size_t n, char out[CHECKSUM_TEXT])
{
	const char *given = NULL;
	enum sum claim = given_sum(r, &given), sum = sum_by_name(m->algorithm);
	char value[SUM_TEXT];

	if (sum ==
	    SUM_NONE) /* S3's default; an upload without one may still be checked by its whole */
		sum = claim != SUM_NONE && sum_rows[claim].full ? claim : SUM_CRC64NVME;
	out[0] = '\0';
	if (join(sum, m->full, parts, n, value) < 0) {
		reply_error(r, 500, "InternalError", "out of memory");
		return false;
	}
	if (given && (claim != sum || !same_checksum(given, value))) {
		reply_error(r, 400, "BadDigest",
			    "The %s you specified did not match the calculated checksum.",
			    sum_rows[claim].lower);
		return false;
	}
	if (*value)
		snprintf(out, CHECKSUM_TEXT, "%s:%s:%s", sum_rows[sum].lower, value,
			 m->full ? "FULL_OBJECT" : "COMPOSITE");
	return true;
}

/* What a segment keeps of its part: the value that a composite checksum was made of. */
static void keep_sum(const struct multipart *m, const struct part *p, struct segment *g)
{
	enum sum sum = sum_by_name(m->algorithm);
	char value[SUM_TEXT];

	g->sum[0] = '\0';
	if (sum == SUM_NONE || m->full || !(p->sums.have & SUM_BIT(sum)))
		return;
	sum_text(sum, p->sums.value[sum], value);
	snprintf(g->sum, sizeof g->sum, "%s:%.48s", sum_rows[sum].lower, value);
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

	buf_printf(&b,
		   XML "<CompleteMultipartUploadResult " XMLNS
		       "><Location>http://127.0.0.1:%u%s</Location><Bucket>%s</Bucket><Key>",
		   r->be->port, r->path, r->bucket);
	xml_text(&b, r->key.data, r->key.len);
	buf_str(&b, "</Key><ETag>");
	xml_text(&b, n->etag, strlen(n->etag));
	buf_str(&b, "</ETag>");
	put_checksum(&b, n->checksum, true);
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
	struct new_object o = {
		.n = n, .type = m->type, .meta = m->meta, .tags = m->tags, .upload = m->id};
	char checksum[CHECKSUM_TEXT];

	if (!checksum_of(r, m, parts, n, checksum))
		return;
	_cleanup_free_ struct segment *segments = calloc(n, sizeof *segments);
	if (!segments) {
		reply_error(r, 500, "InternalError", "out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		segments[i] = parts[i].segment;
		keep_sum(m, &parts[i], &segments[i]);
		o.size += segments[i].size;
	}
	o.segments = segments;
	o.checksum = checksum;
	etag_of(parts, n, o.etag);
	if (check_promises(r, m, o.size) && object_commit(r, &o))
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
		else if (choose(r, &m, &w, parts, n, chosen))
			commit(r, &m, chosen, w.n);
		if (chosen && r->reply.status == 200)
			remove_unused(r->be, parts, n, chosen, w.n);
	}
	free(w.rows);
	buf_release(&w.text);
}
