/* GetObjectAttributes: what is known of an object and of the parts that it was made of. */
#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"

enum attribute { ETAG = 1, CHECKSUM = 2, PARTS = 4, CLASS = 8, SIZE = 16 };

static const struct {
	const char *name;
	enum attribute bit;
} attributes[] = {
	{"ETag",         ETAG    },
        {"Checksum",     CHECKSUM},
        {"ObjectParts",  PARTS   },
	{"StorageClass", CLASS   },
        {"ObjectSize",   SIZE    },
};

static unsigned bit_of(const char *p, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		if (strlen(attributes[i].name) == n && strncmp(attributes[i].name, p, n) == 0)
			return attributes[i].bit;
	}
	return 0;
}

/* A comma-separated header. false: replied. */
static bool read_attributes(struct request *r, unsigned *set)
{
	const char *p = text_or(request_header(r, "x-amz-object-attributes"), "");

	if (!*p)
		reply_error(r, 400, "InvalidArgument",
			    "The x-amz-object-attributes header specifying the attributes to be "
			    "retrieved is either missing or empty");
	for (*set = 0; *p; p += *p == ',') {
		p += strspn(p, " ");
		size_t n = strcspn(p, ",");
		unsigned bit = bit_of(p, n);
		if (!bit) {
			reply_error(r, 400, "InvalidArgument", "Invalid attribute name specified.");
			return false;
		}
		*set |= bit;
		p += n;
	}
	return *set != 0;
}

static int number_header(struct request *r, const char *name, int otherwise)
{
	const char *s = request_header(r, name);
	char *end;
	long n = s ? strtol(s, &end, 10) : otherwise;

	if (s && (*end || end == s || n < 0 || n > INT32_MAX)) {
		reply_error(r, 400, "InvalidArgument",
			    "Argument %s must be an integer between 0 and 2147483647",
			    starts_with(name, "x-amz-max") ? "max-parts" : "part-number-marker");
		return -1;
	}
	return (int)n;
}

/* S3 shows the parts themselves only where each has a checksum. */
static bool put_parts(struct request *r, struct buf *b, const struct reader *rd)
{
	size_t n, shown = 0;
	const struct segment *g = reader_segments(rd, &n);
	int most = number_header(r, "x-amz-max-parts", 1000),
	    marker = number_header(r, "x-amz-part-number-marker", 0), last = 0;

	if (most < 0 || marker < 0)
		return false;
	_cleanup_buf_ struct buf parts = BUF_INIT((size_t)8 << 20);
	bool more = false;
	for (size_t i = 0; i < n; i++) {
		if (g[i].number <= marker || !*g[i].sum)
			continue;
		more = shown == (size_t)MIN(most, 1000);
		if (more)
			break;
		buf_printf(&parts, "<Part><PartNumber>%d</PartNumber><Size>%llu</Size>",
			   g[i].number, (unsigned long long)g[i].size);
		put_checksum(&parts, g[i].sum, false);
		buf_str(&parts, "</Part>");
		last = g[i].number;
		shown++;
	}
	buf_printf(b, "<ObjectParts><PartsCount>%zu</PartsCount>", n);
	if (shown || more)
		buf_printf(
			b,
			"<PartNumberMarker>%d</PartNumberMarker><NextPartNumberMarker>%d</NextPartNumberMarker>"
			"<MaxParts>%d</MaxParts><IsTruncated>%s</IsTruncated>",
			marker, last, MIN(most, 1000), more ? "true" : "false");
	buf_add(b, buf_cstr(&parts), parts.len);
	buf_str(b, "</ObjectParts>");
	return !parts.failed;
}

static void put_attributes(struct buf *b, const struct object *o, unsigned set)
{
	char class[32];

	if (set & ETAG)
		buf_printf(b, "<ETag>%.*s</ETag>", (int)strlen(o->etag) - 2, o->etag + 1);
	if ((set & CHECKSUM) && *o->checksum) {
		buf_str(b, "<Checksum>");
		put_checksum(b, o->checksum, true);
		buf_str(b, "</Checksum>");
	}
	meta_storage_class(o->meta, class);
	if (set & CLASS)
		buf_printf(b, "<StorageClass>%s</StorageClass>", class);
	if (set & SIZE)
		buf_printf(b, "<ObjectSize>%llu</ObjectSize>", (unsigned long long)o->size);
}

void s3_get_attributes(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT((size_t)8 << 20);
	struct reader *rd = NULL;
	struct object o;
	struct err e;
	unsigned set;
	char when[40];

	if (!bucket_check(r) || !read_attributes(r, &set))
		return;
	int found = object_open(r->be, r->bucket, r->key.data, r->key.len, &o, &rd, &e);
	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_error(r, 404, "NoSuchKey", "The specified key does not exist.");
	if (found <= 0)
		return;
	buf_str(&b, XML "<GetObjectAttributesResponse " XMLNS ">");
	put_attributes(&b, &o, set);
	bool ok = !(set & PARTS) || !strchr(o.etag, '-') || put_parts(r, &b, rd);
	buf_str(&b, "</GetObjectAttributesResponse>");
	reader_free(rd);
	if (!ok)
		return;
	reply_xml(r, &b);
	http_time(o.modified, when);
	reply_header(r, "Last-Modified", "%s", when);
}
