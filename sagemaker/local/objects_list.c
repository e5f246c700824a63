#include <errno.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"
#include "sagemaker/sigv4.h"

#define XML_MAX  ((size_t)16 << 20)
#define MAX_KEYS 1000

enum form { LIST_V1, LIST_V2, LIST_VERSIONS };

struct listing {
	struct request *r;
	enum form form;
	const char *prefix, *delimiter, *after;
	bool encode; /* encoding-type=url */
	bool owner;  /* each object shows it */
	int max, count;
	bool truncated;
	struct buf from;     /* the smallest key that may come next */
	struct buf last;     /* the key or common prefix that was shown last */
	struct buf entries;  /* <Contents> */
	struct buf prefixes; /* <CommonPrefixes> */
};

static void put_key(const struct listing *l, struct buf *out, const char *key, size_t n)
{
	if (!l->encode)
		xml_text(out, key, n);
	else if (uri_encode(key, n, true, out) < 0)
		out->failed = true;
}

/* from = the smallest key after all that begin with p (n bytes, n > 0). */
static void after_prefix(struct buf *from, const char *p, size_t n)
{
	while (n && (unsigned char)p[n - 1] == 0xff)
		n--;
	buf_reset(from);
	buf_add(from, p, n);
	if (n)
		from->data[n - 1] = (char)((unsigned char)p[n - 1] + 1);
}

static void put_rest(struct listing *l, sqlite3_stmt *s)
{
	char class[32], value[SUM_TEXT], type[16];
	enum sum sum;

	meta_storage_class(db_text(s, 5), class);
	buf_printf(&l->entries, "<Size>%lld</Size><StorageClass>%s</StorageClass>",
		   (long long)sqlite3_column_int64(s, 1), class);
	if (checksum_split(db_text(s, 4), &sum, value, type))
		buf_printf(
			&l->entries,
			"<ChecksumAlgorithm>%s</ChecksumAlgorithm><ChecksumType>%s</ChecksumType>",
			sum_rows[sum].name, type);
	if (l->owner)
		buf_str(&l->entries, "<Owner><ID>" LOCAL_ACCOUNT "</ID></Owner>");
	if (l->form == LIST_VERSIONS)
		buf_str(&l->entries, "<VersionId>null</VersionId><IsLatest>true</IsLatest>");
}

static void put_object(struct listing *l, sqlite3_stmt *s, const char *key, size_t n)
{
	const char *element = l->form == LIST_VERSIONS ? "Version" : "Contents";
	char when[32];

	iso_time(sqlite3_column_double(s, 3), when);
	buf_printf(&l->entries, "<%s><Key>", element);
	put_key(l, &l->entries, key, n);
	buf_printf(&l->entries, "</Key><LastModified>%s</LastModified><ETag>", when);
	xml_text(&l->entries, db_text(s, 2), strlen(db_text(s, 2)));
	buf_str(&l->entries, "</ETag>");
	put_rest(l, s);
	buf_printf(&l->entries, "</%s>", element);
	buf_reset(&l->from);
	buf_add(&l->from, key, n);
	buf_char(&l->from, '\0'); /* the next key */
}

static void put_prefix(struct listing *l, const char *key, size_t n)
{
	buf_str(&l->prefixes, "<CommonPrefixes><Prefix>");
	put_key(l, &l->prefixes, key, n);
	buf_str(&l->prefixes, "</Prefix></CommonPrefixes>");
}

/* A page that ended with a common prefix has that as its marker: what lies below it was shown. */
static bool shown_before(const struct listing *l, const char *key, size_t n)
{
	return strlen(l->after) == n && memcmp(key, l->after, n) == 0;
}

/* One row: 1 go on with the next, 2 skip to l->from, 0 the end. */
static int take_row(struct listing *l, sqlite3_stmt *s)
{
	const char *key = sqlite3_column_blob(s, 0);
	size_t n = (size_t)sqlite3_column_bytes(s, 0), skip = strlen(l->prefix),
	       dn = strlen(l->delimiter);

	if (n < skip || memcmp(key, l->prefix, skip) != 0)
		return 0; /* keys are in order: past the prefix */
	const char *d = dn ? memmem(key + skip, n - skip, l->delimiter, dn) : NULL;
	size_t group = d ? (size_t)(d - key) + dn : 0;
	bool again = d && shown_before(l, key, group);
	if (!again && l->count == l->max) {
		l->truncated = true;
		return 0;
	}
	l->count += !again;
	if (!again) {
		buf_reset(&l->last);
		buf_add(&l->last, key, d ? group : n);
	}
	if (!d) {
		put_object(l, s, key, n);
		return 1;
	}
	if (!again)
		put_prefix(l, key, group);
	after_prefix(&l->from, key, group);
	return 2;
}

static int list_locked(struct listing *l, struct err *e)
{
	static const char sql[] =
		"SELECT key, size, etag, modified, checksum, meta FROM object WHERE bucket=? AND key>=? ORDER BY key";
	int more;

	for (int go = 2; go == 2;) {
		_cleanup_buf_ struct buf from = BUF_INIT(4096);
		buf_add(&from, buf_cstr(&l->from), l->from.len);
		_cleanup_stmt_ sqlite3_stmt *s = db_prepare(
			l->r->be->db, e, sql, "sb", l->r->bucket, buf_cstr(&from), from.len);
		if (!s)
			return -1;
		go = 1;
		while (go == 1 && (more = db_step(s, e)) != 0) {
			if (more < 0)
				return -1;
			go = take_row(l, s);
		}
		if (go == 1)
			break;
	}
	return 0;
}

/* Where the listing begins: prefix, marker or start-after, continuation-token; the greatest of them. */
static bool begin_at(struct listing *l)
{
	static const char *const markers[] = {
		[LIST_V1] = "marker", [LIST_V2] = "start-after", [LIST_VERSIONS] = "key-marker"};
	const char *token = l->form == LIST_V2 ? request_arg(l->r, "continuation-token") : NULL;

	l->after = text_or(request_arg(l->r, markers[l->form]), "");
	buf_str(&l->from, l->prefix);
	if (token) {
		l->after = "";
		buf_reset(&l->from);
	}
	if (token && (unbase64(token, strlen(token), &l->from) < 0 || !l->from.len)) {
		reply_error(l->r, 400, "InvalidArgument",
			    "The continuation token provided is incorrect");
		return false;
	}
	if (*l->after && strcmp(l->after, l->prefix) >= 0) {
		buf_reset(&l->from);
		buf_str(&l->from, l->after);
		buf_char(&l->from, '\0');
	}
	return true;
}

static bool read_form(struct listing *l)
{
	const char *type = request_arg(l->r, "list-type");

	l->form = request_arg(l->r, "versions") ? LIST_VERSIONS : type ? LIST_V2 : LIST_V1;
	l->owner =
		l->form != LIST_V2 || streq(text_or(request_arg(l->r, "fetch-owner"), ""), "true");
	if (!type || streq(type, "2") || streq(type, "1"))
		return true;
	reply_error(l->r, 400, "InvalidArgument", "Invalid List Type specified in Query");
	return false;
}

static bool read_arguments(struct listing *l)
{
	const char *encoding = request_arg(l->r, "encoding-type"),
		   *max = request_arg(l->r, "max-keys");
	char *end;

	l->prefix = text_or(request_arg(l->r, "prefix"), "");
	l->delimiter = text_or(request_arg(l->r, "delimiter"), "");
	l->encode = encoding && streq(encoding, "url");
	if (encoding && !l->encode) {
		reply_error(l->r, 400, "InvalidArgument",
			    "Invalid Encoding Method specified in Request");
		return false;
	}
	long n = max && *max ? strtol(max, &end, 10) : MAX_KEYS;
	if (max && *max && (*end || n < 0 || n > INT32_MAX)) {
		reply_error(l->r, 400, "InvalidArgument",
			    "Argument max-keys must be an integer between 0 and 2147483647");
		return false;
	}
	l->max = (int)MIN(n, MAX_KEYS);
	return read_form(l) && begin_at(l);
}

static void put_argument(const struct listing *l, struct buf *b, const char *element,
			 const char *value)
{
	if (!value)
		return;
	buf_printf(b, "<%s>", element);
	put_key(l, b, value, strlen(value));
	buf_printf(b, "</%s>", element);
}

static void put_v2(struct listing *l, struct buf *b)
{
	const char *token = request_arg(l->r, "continuation-token");

	buf_printf(b, "<KeyCount>%d</KeyCount>", l->count);
	put_argument(l, b, "StartAfter", request_arg(l->r, "start-after"));
	if (token) {
		buf_str(b, "<ContinuationToken>");
		xml_text(b, token, strlen(token));
		buf_str(b, "</ContinuationToken>");
	}
	if (l->truncated) {
		buf_str(b, "<NextContinuationToken>");
		base64(buf_cstr(&l->from), l->from.len, b);
		buf_str(b, "</NextContinuationToken>");
	}
}

static void put_markers(struct listing *l, struct buf *b)
{
	bool versions = l->form == LIST_VERSIONS;
	const char *next = versions ? "NextKeyMarker" : "NextMarker";

	put_argument(l, b, versions ? "KeyMarker" : "Marker", l->after);
	if (versions)
		buf_str(b, "<VersionIdMarker></VersionIdMarker>");
	if (!l->truncated || (!versions && !*l->delimiter))
		return;
	buf_printf(b, "<%s>", next);
	put_key(l, b, buf_cstr(&l->last), l->last.len);
	buf_printf(b, "</%s>%s", next,
		   versions ? "<NextVersionIdMarker>null</NextVersionIdMarker>" : "");
}

static void put_result(struct listing *l, struct buf *b)
{
	const char *root = l->form == LIST_VERSIONS ? "ListVersionsResult" : "ListBucketResult";

	buf_printf(b,
		   XML
		   "<%s xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>%s</Name><Prefix>",
		   root, l->r->bucket);
	put_key(l, b, l->prefix, strlen(l->prefix));
	buf_printf(b, "</Prefix><MaxKeys>%d</MaxKeys><IsTruncated>%s</IsTruncated>", l->max,
		   l->truncated ? "true" : "false");
	put_argument(l, b, "Delimiter", *l->delimiter ? l->delimiter : NULL);
	if (l->encode)
		buf_str(b, "<EncodingType>url</EncodingType>");
	if (l->form == LIST_V2)
		put_v2(l, b);
	else
		put_markers(l, b);
	buf_add(b, buf_cstr(&l->entries), l->entries.len);
	buf_add(b, buf_cstr(&l->prefixes), l->prefixes.len);
	buf_printf(b, "</%s>", root);
	b->failed |= l->entries.failed || l->prefixes.failed;
}

void s3_list_objects(struct request *r)
{
	struct listing l = {.r = r,
			    .from = BUF_INIT(4096),
			    .entries = BUF_INIT(XML_MAX),
			    .prefixes = BUF_INIT(XML_MAX)};
	_cleanup_buf_ struct buf b = BUF_INIT(XML_MAX);
	struct err e;
	int ok = -1;

	if (bucket_check(r) && read_arguments(&l)) {
		SCOPED_LOCK(db_lock(r->be->db));
		ok = l.max ? list_locked(&l, &e) : 0;
		if (ok < 0)
			reply_failure(r, &e);
	}
	if (ok == 0) {
		put_result(&l, &b);
		reply_xml(r, &b);
	}
	buf_release(&l.from);
	buf_release(&l.last);
	buf_release(&l.entries);
	buf_release(&l.prefixes);
}
