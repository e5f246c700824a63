/* What is remembered of an object besides its bytes: the headers that it is read with, its tags, its checksum. */
#include <errno.h>
#include <microhttpd.h>
#include <strings.h>

#include "sagemaker/local/objects_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define USER_META_MAX 2048 /* names and values, "Object metadata" of the S3 User Guide */
#define OBJECT_TAGS   10

/* clang-format off */
static const char *const kept_headers[] = {
	"cache-control", "content-disposition", "content-encoding", "content-language", "expires",
	"x-amz-website-redirect-location", "x-amz-storage-class", "x-amz-server-side-encryption",
	"x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-bucket-key-enabled",
};
static const char *const storage_classes[] = {
	"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR",
};
static const char *const acls[] = {"private", "bucket-owner-full-control", "bucket-owner-read"};

/* clang-format on */

struct meta {
	cJSON *json;
	bool failed;
	size_t user; /* bytes of x-amz-meta-* */
};

static bool listed(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* "aws-chunked" tells how the body came, not what it is. */
static void add_encoding(struct meta *m, const char *value)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1024);

	for (const char *p = value; *p; p += *p == ',') {
		p += strspn(p, " ");
		size_t n = strcspn(p, ",");
		if (n && !(n == 11 && strncasecmp(p, "aws-chunked", n) == 0)) {
			buf_str(&b, b.len ? "," : "");
			buf_add(&b, p, n);
		}
		p += n;
	}
	if (b.len && !cJSON_AddStringToObject(m->json, "content-encoding", buf_cstr(&b)))
		m->failed = true;
}

static bool lower_case(const char *s, char *out, size_t size)
{
	size_t n = strlen(s);

	if (n >= size)
		return false;
	for (size_t i = 0; i <= n; i++)
		out[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + 32 : s[i]);
	return true;
}

static enum MHD_Result add_meta(void *arg, enum MHD_ValueKind kind, const char *name,
				const char *value)
{
	struct meta *m = arg;
	bool user = strncasecmp(name, "x-amz-meta-", 11) == 0;
	char lower[1024];

	(void)kind;
	if (!user && !listed(kept_headers, ARRAY_SIZE(kept_headers), name))
		return MHD_YES;
	m->user += user ? strlen(name) - 11 + strlen(value) : 0;
	m->failed |= m->user > USER_META_MAX || !lower_case(name, lower, sizeof lower);
	if (m->failed)
		return MHD_NO;
	if (streq(lower, "content-encoding"))
		add_encoding(m, value);
	else if (!cJSON_AddStringToObject(m->json, lower, value))
		m->failed = true;
	return MHD_YES;
}

/* Headers of a write that cannot mean anything here, or only some of their values. false: replied. */
static bool check_headers(struct request *r)
{
	const char *class = request_header(r, "x-amz-storage-class"),
		   *acl = request_header(r, "x-amz-acl"),
		   *sse = request_header(r, "x-amz-server-side-encryption");
	bool cold = class && (streq(class, "GLACIER") || streq(class, "DEEP_ARCHIVE"));

	if (cold)
		reply_error(r, 501, "NotImplemented", "the local backend archives nothing: %s",
			    class);
	else if (class && !listed(storage_classes, ARRAY_SIZE(storage_classes), class))
		reply_error(r, 400, "InvalidStorageClass",
			    "The storage class you specified is not valid");
	else if (acl && !listed(acls, ARRAY_SIZE(acls), acl))
		reply_error(r, 400, "AccessControlListNotSupported",
			    "The bucket does not allow ACLs");
	else if (sse && !streq(sse, "AES256") && !starts_with(sse, "aws:kms"))
		reply_error(r, 400, "InvalidArgument",
			    "The encryption method specified is not supported");
	else
		return true;
	return false;
}

bool meta_json(struct request *r, char out[META_MAX])
{
	_cleanup_json_ cJSON *json = cJSON_CreateObject();
	struct meta m = {json, !json, 0};

	if (!check_headers(r))
		return false;
	MHD_get_connection_values(r->conn, MHD_HEADER_KIND, add_meta, &m);
	if (!m.failed && cJSON_PrintPreallocated(json, out, META_MAX - 16, false))
		return true;
	reply_error(r, 400, "MetadataTooLarge",
		    "Your metadata headers exceed the maximum allowed metadata size.");
	return false;
}

void meta_storage_class(const char *meta, char out[32])
{
	static const char name[] = "\"x-amz-storage-class\":\"";
	const char *p = strstr(meta, name);

	if (!p || !copy_text(out, 32, p + sizeof name - 1, strcspn(p + sizeof name - 1, "\"")))
		snprintf(out, 32, "STANDARD");
}

void reply_encryption(struct request *r)
{
	static const char prefix[] = "x-amz-server-side-encryption";

	for (size_t i = 0; i < ARRAY_SIZE(kept_headers); i++) {
		const char *value = request_header(r, kept_headers[i]);
		if (value && starts_with(kept_headers[i], prefix))
			reply_header(r, kept_headers[i], "%s", value);
	}
}

struct tag_list {
	struct request *r;
	unsigned n, most;
	struct buf out; /* "a=b&c=d" */
	struct buf key; /* of the tag whose value comes next */
	bool bad;
};

static bool has_tag(const struct buf *list, const char *pair, size_t key_len)
{
	for (const char *p = buf_cstr(list); *p; p = strchrnul(p, '&'), p += *p == '&') {
		if (strncmp(p, pair, key_len) == 0 && p[key_len] == '=')
			return true;
	}
	return false;
}

static bool tag_refused(struct tag_list *l, const char *code, const char *text)
{
	reply_error(l->r, 400, code, "%s", text);
	return false;
}

/* Letters, digits and blanks of any script and some signs ("Categorizing your storage using tags"); lengths are of characters. */
static bool tag_part_ok(const char *s, size_t n, size_t least, size_t most)
{
	static const char ascii[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789 \t\r\n+-=._:/@";
	size_t characters = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c < 0x80 && (!c || !strchr(ascii, c)))
			return false;
		characters += (c & 0xc0) != 0x80; /* a byte that does not continue one */
	}
	return characters >= least && characters <= most && utf8_valid(s, n);
}

/* One more tag, decoded. false: replied. */
static bool add_tag(struct tag_list *l, const char *key, size_t nk, const char *value, size_t nv)
{
	_cleanup_buf_ struct buf pair = BUF_INIT(4096);

	if (!tag_part_ok(key, nk, 1, 128))
		return tag_refused(l, "InvalidTag", "The TagKey you have provided is invalid");
	if (!tag_part_ok(value, nv, 0, 256))
		return tag_refused(l, "InvalidTag", "The TagValue you have provided is invalid");
	bool failed = uri_encode(key, nk, false, &pair) < 0;
	size_t key_len = pair.len;
	failed |= buf_char(&pair, '=') < 0;
	failed |= uri_encode(value, nv, false, &pair) < 0;
	if (failed || has_tag(&l->out, buf_cstr(&pair), key_len))
		return tag_refused(l, "InvalidTag",
				   "Cannot provide multiple Tags with the same key");
	if (++l->n > l->most)
		return tag_refused(l, "BadRequest",
				   l->most == 10 ? "Object tags cannot be greater than 10"
						 : "Bucket tag count cannot be greater than 50");
	buf_str(&l->out, l->out.len ? "&" : "");
	buf_add(&l->out, pair.data, pair.len);
	return true;
}

static bool end_tags(struct tag_list *l, bool ok, char out[TAGS_MAX])
{
	if (ok && (l->out.failed || !copy_text(out, TAGS_MAX, buf_cstr(&l->out), l->out.len))) {
		reply_error(l->r, 400, "InvalidTag", "The tags are too long");
		ok = false;
	}
	buf_release(&l->out);
	buf_release(&l->key);
	return ok;
}

static bool add_encoded(struct tag_list *l, const char *p, const char *end)
{
	_cleanup_buf_ struct buf key = BUF_INIT(2048), value = BUF_INIT(2048);
	const char *eq = memchr(p, '=', (size_t)(end - p)), *key_end = eq ? eq : end;

	if (url_decode(p, (size_t)(key_end - p), true, &key) < 0 ||
	    (eq && url_decode(eq + 1, (size_t)(end - eq - 1), true, &value) < 0)) {
		reply_error(
			l->r, 400, "InvalidArgument",
			"The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL "
			"query parameters without tag name duplicates.");
		return false;
	}
	return add_tag(l, buf_cstr(&key), key.len, buf_cstr(&value), value.len);
}

bool tags_header(struct request *r, char out[TAGS_MAX])
{
	struct tag_list l = {.r = r, .most = OBJECT_TAGS, .out = BUF_INIT(TAGS_MAX)};
	bool ok = true;

	out[0] = '\0';
	for (const char *p = text_or(request_header(r, "x-amz-tagging"), ""), *end; ok && *p;
	     p = *end ? end + 1 : end) {
		end = strchrnul(p, '&');
		ok = end == p || add_encoded(&l, p, end);
	}
	return end_tags(&l, ok, out);
}

static int take_tag(void *arg, const char *path, const char *text)
{
	struct tag_list *l = arg;

	if (streq(path, "Tagging/TagSet/Tag/Key")) {
		buf_reset(&l->key);
		buf_str(&l->key, text);
	} else if (streq(path, "Tagging/TagSet/Tag/Value")) {
		l->bad = !add_tag(l, buf_cstr(&l->key), l->key.len, text, strlen(text));
		buf_reset(&l->key);
	} else if (!streq(path, "Tagging") && !streq(path, "Tagging/TagSet") &&
		   !streq(path, "Tagging/TagSet/Tag")) {
		reply_error(
			l->r, 400, "MalformedXML",
			"The XML you provided was not well-formed or did not validate against our "
			"published schema");
		l->bad = true;
	}
	return l->bad;
}

bool tags_xml(struct request *r, unsigned most, char out[TAGS_MAX])
{
	struct tag_list l = {
		.r = r, .most = most, .out = BUF_INIT(TAGS_MAX), .key = BUF_INIT(2048)};
	struct err e;
	int rc = xml_scan(buf_cstr(&r->body), r->body.len, take_tag, &l, &e);

	if (rc < 0 && !r->reply.status)
		reply_error(
			r, 400, "MalformedXML",
			"The XML you provided was not well-formed or did not validate against our "
			"published schema");
	return end_tags(&l, rc == 0 && !l.bad, out);
}

unsigned tags_count(const char *tags)
{
	unsigned n = *tags != '\0';

	for (const char *p = tags; (p = strchr(p, '&')); p++)
		n++;
	return n;
}

static void put_decoded(struct buf *b, const char *s, size_t n)
{
	_cleanup_buf_ struct buf text = BUF_INIT(2048);

	if (url_decode(s, n, false, &text) == 0)
		xml_text(b, buf_cstr(&text), text.len);
}

void put_tags(struct buf *b, const char *tags)
{
	buf_str(b, "<TagSet>");
	for (const char *p = tags; *p; p = strchrnul(p, '&'), p += *p == '&') {
		size_t n = strcspn(p, "="), whole = strcspn(p, "&");
		buf_str(b, "<Tag><Key>");
		put_decoded(b, p, n);
		buf_str(b, "</Key><Value>");
		put_decoded(b, p + n + 1, whole - n - 1);
		buf_str(b, "</Value></Tag>");
	}
	buf_str(b, "</TagSet>");
}

bool checksum_split(const char *checksum, enum sum *s, char value[SUM_TEXT], char type[16])
{
	char name[16];
	const char *p = strchr(checksum, ':'), *q = p ? strchrnul(p + 1, ':') : NULL;

	if (!p || !copy_text(name, sizeof name, checksum, (size_t)(p - checksum)))
		return false;
	*s = sum_by_name(name);
	snprintf(type, 16, "%s", *q ? q + 1 : "FULL_OBJECT");
	return *s != SUM_NONE && copy_text(value, SUM_TEXT, p + 1, (size_t)(q - p - 1));
}

void put_checksum(struct buf *b, const char *checksum, bool with_type)
{
	char value[SUM_TEXT], type[16];
	enum sum s;

	if (!checksum_split(checksum, &s, value, type))
		return;
	buf_printf(b, "<%s>%s</%s>", sum_rows[s].element, value, sum_rows[s].element);
	if (with_type)
		buf_printf(b, "<ChecksumType>%s</ChecksumType>", type);
}

void reply_part_checksum(struct request *r, const char *checksum)
{
	char value[SUM_TEXT], type[16];
	enum sum s;

	if (checksum_split(checksum, &s, value, type))
		reply_header(r, sum_rows[s].header, "%s", value);
}

void reply_checksum(struct request *r, const char *checksum)
{
	char value[SUM_TEXT], type[16];
	enum sum s;

	reply_part_checksum(r, checksum);
	if (checksum_split(checksum, &s, value, type))
		reply_header(r, "x-amz-checksum-type", "%s", type);
}
