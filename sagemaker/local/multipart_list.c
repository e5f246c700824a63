/* ListParts and ListMultipartUploads. */
#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/multipart.h"
#include "sagemaker/sigv4.h"

#define XML_MAX ((size_t)8 << 20)
#define OWNER   "<ID>" LOCAL_ACCOUNT "</ID>"
#define MOST    1000

/* A number from 0 to 2^31-1, at most `most`; false: replied. */
static bool number_arg(struct request *r, const char *arg, int otherwise, int most, int *out)
{
	const char *s = request_arg(r, arg);
	char *end;
	long n = s ? strtol(s, &end, 10) : otherwise;

	if (s && (*end || end == s || n < 0 || n > INT32_MAX)) {
		reply_error(r, 400, "InvalidArgument",
			    "Argument %s must be an integer between 0 and 2147483647", arg);
		return false;
	}
	*out = (int)MIN(n, most);
	return true;
}

static void put_part(struct buf *b, const struct part *p, enum sum sum)
{
	char when[32], value[SUM_TEXT];

	iso_time(p->modified, when);
	buf_printf(
		b,
		"<Part><PartNumber>%d</PartNumber><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%llu</Size>",
		p->number, when, p->md5, (unsigned long long)p->segment.size);
	if (sum != SUM_NONE && (p->sums.have & SUM_BIT(sum))) {
		sum_text(sum, p->sums.value[sum], value);
		buf_printf(b, "<%s>%s</%s>", sum_rows[sum].element, value, sum_rows[sum].element);
	}
	buf_str(b, "</Part>");
}

static void put_parts(struct request *r, const struct multipart *m, const struct part *parts,
		      size_t n, int marker, int most)
{
	_cleanup_buf_ struct buf b = BUF_INIT(XML_MAX), rows = BUF_INIT(XML_MAX);
	enum sum sum = sum_by_name(m->algorithm);
	char class[32];
	int shown = 0, last = 0;
	size_t i = 0;

	while (i < n && parts[i].number <= marker)
		i++;
	for (; i < n && shown < most; i++, shown++) {
		put_part(&rows, &parts[i], sum);
		last = parts[i].number;
	}
	meta_storage_class(m->meta, class);
	buf_printf(&b, XML "<ListPartsResult " XMLNS "><Bucket>%s</Bucket><Key>", r->bucket);
	xml_text(&b, r->key.data, r->key.len);
	buf_printf(
		&b,
		"</Key><UploadId>%s</UploadId><PartNumberMarker>%d</PartNumberMarker><NextPartNumberMarker>%d"
		"</NextPartNumberMarker><MaxParts>%d</MaxParts><IsTruncated>%s</IsTruncated>",
		m->id, marker, last, most, i < n && most ? "true" : "false");
	buf_add(&b, buf_cstr(&rows), rows.len);
	buf_printf(&b,
		   "<Initiator>" OWNER "</Initiator><Owner>" OWNER
		   "</Owner><StorageClass>%s</StorageClass>",
		   class);
	if (sum != SUM_NONE)
		buf_printf(
			&b,
			"<ChecksumAlgorithm>%s</ChecksumAlgorithm><ChecksumType>%s</ChecksumType>",
			m->algorithm, m->full ? "FULL_OBJECT" : "COMPOSITE");
	buf_str(&b, "</ListPartsResult>");
	b.failed |= rows.failed;
	reply_xml(r, &b);
}

void s3_list_parts(struct request *r)
{
	_cleanup_free_ struct part *parts = NULL;
	struct multipart m;
	struct err e;
	size_t n = 0;
	int marker, most;

	if (!number_arg(r, "part-number-marker", 0, INT32_MAX, &marker) ||
	    !number_arg(r, "max-parts", MOST, MOST, &most))
		return;
	{
		SCOPED_LOCK(db_lock(r->be->db));
		if (!multipart_find_locked(r, &m))
			return;
		if (multipart_parts_locked(r->be, m.id, &parts, &n, &e) < 0) {
			reply_failure(r, &e);
			return;
		}
	}
	put_parts(r, &m, parts, n, marker, most);
}

struct uploads {
	struct request *r;
	const char *prefix, *delimiter, *key_marker, *id_marker;
	bool encode, truncated;
	int most, shown;
	struct buf rows, prefixes;
	struct buf group;             /* the common prefix that was shown last */
	struct buf last_key, last_id; /* where the next page begins */
};

static void put_text(const struct uploads *u, struct buf *b, const char *s, size_t n)
{
	if (!u->encode)
		xml_text(b, s, n);
	else if (uri_encode(s, n, true, b) < 0)
		b->failed = true;
}

static void set(struct buf *b, const char *p, size_t n)
{
	buf_reset(b);
	buf_add(b, p, n);
}

static void put_upload(struct uploads *u, sqlite3_stmt *s, const char *key, size_t n)
{
	const char *algorithm = db_text(s, 3);
	char when[32], class[32];

	iso_time(sqlite3_column_double(s, 2), when);
	meta_storage_class(db_text(s, 5), class);
	buf_str(&u->rows, "<Upload><Key>");
	put_text(u, &u->rows, key, n);
	buf_printf(&u->rows,
		   "</Key><UploadId>%s</UploadId><Initiator>" OWNER "</Initiator><Owner>" OWNER
		   "</Owner><StorageClass>%s</StorageClass><Initiated>%s</Initiated>",
		   db_text(s, 0), class, when);
	if (*algorithm)
		buf_printf(
			&u->rows,
			"<ChecksumAlgorithm>%s</ChecksumAlgorithm><ChecksumType>%s</ChecksumType>",
			algorithm, sqlite3_column_int(s, 4) ? "FULL_OBJECT" : "COMPOSITE");
	buf_str(&u->rows, "</Upload>");
}

static bool is_group(const struct uploads *u, const char *key, size_t n)
{
	return u->group.len && n >= u->group.len && memcmp(key, u->group.data, u->group.len) == 0;
}

/* One row; false: the page is full. */
static bool take_upload(struct uploads *u, sqlite3_stmt *s)
{
	const char *key = sqlite3_column_blob(s, 1);
	size_t n = (size_t)sqlite3_column_bytes(s, 1), skip = strlen(u->prefix),
	       dn = strlen(u->delimiter);

	if (is_group(u, key, n)) {
		set(&u->last_key, key, n);
		return true;
	}
	if (u->shown == u->most) {
		u->truncated = true;
		return false;
	}
	u->shown++;
	const char *d = dn ? memmem(key + skip, n - skip, u->delimiter, dn) : NULL;
	if (d) {
		set(&u->group, key, (size_t)(d - key) + dn);
		buf_str(&u->prefixes, "<CommonPrefixes><Prefix>");
		put_text(u, &u->prefixes, u->group.data, u->group.len);
		buf_str(&u->prefixes, "</Prefix></CommonPrefixes>");
	} else {
		put_upload(u, s, key, n);
	}
	set(&u->last_key, key, n);
	set(&u->last_id, db_text(s, 0), strlen(db_text(s, 0)));
	return true;
}

/* Uploads of one key are in the order of their ids, so that a marker names a place also when one of them is gone. */
static int list_locked(struct uploads *u, struct err *e)
{
	static const char sql[] =
		"SELECT id, key, created, algorithm, full, meta FROM upload WHERE bucket=?1"
		" AND substr(key, 1, length(?2))=?2 AND (key>?3 OR (?4<>'' AND key=?3 AND id>?4))"
		" ORDER BY key, id";
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(u->r->be->db, e, sql, "sbbs", u->r->bucket, u->prefix, strlen(u->prefix),
			   u->key_marker, strlen(u->key_marker),
			   *u->key_marker ? u->id_marker : "");
	int more = s ? 1 : -1;

	while (more > 0 && (more = db_step(s, e)) > 0 && take_upload(u, s))
		;
	return more < 0 ? -1 : 0;
}

static void put_element(const struct uploads *u, struct buf *b, const char *name, const char *s,
			size_t n)
{
	buf_printf(b, "<%s>", name);
	put_text(u, b, s, n);
	buf_printf(b, "</%s>", name);
}

static void put_uploads(struct uploads *u, struct buf *b)
{
	buf_printf(b, XML "<ListMultipartUploadsResult " XMLNS "><Bucket>%s</Bucket>",
		   u->r->bucket);
	put_element(u, b, "KeyMarker", u->key_marker, strlen(u->key_marker));
	put_element(u, b, "UploadIdMarker", u->id_marker, strlen(u->id_marker));
	put_element(u, b, "Prefix", u->prefix, strlen(u->prefix));
	if (*u->delimiter)
		put_element(u, b, "Delimiter", u->delimiter, strlen(u->delimiter));
	if (u->truncated) {
		put_element(u, b, "NextKeyMarker", buf_cstr(&u->last_key), u->last_key.len);
		put_element(u, b, "NextUploadIdMarker", buf_cstr(&u->last_id), u->last_id.len);
	}
	if (u->encode)
		buf_str(b, "<EncodingType>url</EncodingType>");
	buf_printf(b, "<MaxUploads>%d</MaxUploads><IsTruncated>%s</IsTruncated>", u->most,
		   u->truncated ? "true" : "false");
	buf_add(b, buf_cstr(&u->rows), u->rows.len);
	buf_add(b, buf_cstr(&u->prefixes), u->prefixes.len);
	buf_str(b, "</ListMultipartUploadsResult>");
	b->failed |= u->rows.failed || u->prefixes.failed;
}

void s3_list_uploads(struct request *r)
{
	struct uploads u = {.r = r,
			    .prefix = text_or(request_arg(r, "prefix"), ""),
			    .delimiter = text_or(request_arg(r, "delimiter"), ""),
			    .key_marker = text_or(request_arg(r, "key-marker"), ""),
			    .id_marker = text_or(request_arg(r, "upload-id-marker"), ""),
			    .encode = streq(text_or(request_arg(r, "encoding-type"), ""), "url"),
			    .rows = BUF_INIT(XML_MAX),
			    .prefixes = BUF_INIT(XML_MAX)};
	_cleanup_buf_ struct buf b = BUF_INIT(XML_MAX);
	struct err e;
	int rc = -1;

	if (number_arg(r, "max-uploads", MOST, MOST, &u.most)) {
		SCOPED_LOCK(db_lock(r->be->db));
		if (bucket_check_locked(r) && (rc = u.most ? list_locked(&u, &e) : 0) < 0)
			reply_failure(r, &e);
	}
	if (rc == 0) {
		put_uploads(&u, &b);
		reply_xml(r, &b);
	}
	buf_release(&u.rows);
	buf_release(&u.prefixes);
	buf_release(&u.group);
	buf_release(&u.last_key);
	buf_release(&u.last_id);
}
