/* s3_parts.c: which parts of an upload are at the service, so that a program that was killed, or a line that was cut, costs nothing twice.
 * What is listed counts only if its checksum is that of the bytes at hand: the CRC32C it was sent with, else the ETag, which is an MD5
 * wherever parts are not encrypted by a key of KMS. */
#include <errno.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3_upload_internal.h"
#include "sagemaker/xml.h"

/* One page ----------------------------------------------------------------------------------- */

static int end_part(struct s3_parts_page *p)
{
	int rc = p->fn(p->arg, p->number, &p->next);

	p->next = (struct s3_listed){0};
	p->number = 0;
	return rc;
}

static int on_part(void *arg, const char *path, const char *text)
{
	struct s3_parts_page *p = arg;

	if (!starts_with(path, "ListPartsResult/"))
		return 0;
	path += strlen("ListPartsResult/");
	if (streq(path, "Part"))
		return end_part(p);
	if (streq(path, "Part/PartNumber"))
		p->number = (int)strtol(text, NULL, 10);
	else if (streq(path, "Part/Size"))
		p->next.size = strtoull(text, NULL, 10);
	else if (streq(path, "Part/LastModified"))
		p->next.modified = s3_time(text, S3_XML_TIME);
	else if (streq(path, "Part/ETag"))
		(void)!s3_copy_text(p->next.etag, sizeof p->next.etag, text);
	else if (streq(path, "Part/ChecksumCRC32C"))
		(void)!s3_copy_text(p->next.crc, sizeof p->next.crc, text);
	else if (streq(path, "NextPartNumberMarker"))
		return s3_copy_text(p->marker, sizeof p->marker, text);
	else if (streq(path, "IsTruncated"))
		p->more = streq(text, "true");
	return 0;
}

int s3_parts_page(struct aws *a, const struct s3_bucket *bucket, const char *key, const char *id,
		  struct s3_parts_page *p, struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_buf_ struct buf query = BUF_INIT(0);

	buf_str(&query, "max-parts=1000");
	s3_query_add(&query, "uploadId", id);
	if (p->more)
		s3_query_add(&query, "part-number-marker", p->marker);
	if (query.failed)
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	if (s3_call_init(&c, a, "GET", bucket, key, e))
		return -1;
	c.q.query = buf_cstr(&query);
	c.q.cancel = cancel;
	p->more = false;
	if (s3_call_run(&c, a, "list the parts of", &r, e))
		return -1;
	return xml_scan(r.body.data, r.body.len, on_part, p, e);
}

/* Those of one upload ------------------------------------------------------------------------ */

static int keep_part(void *arg, int number, const struct s3_listed *part)
{
	struct s3_upload *u = arg;
	struct s3_listed *row;

	if (number < 1 || number > S3_MAX_PARTS || !part->etag[0])
		return 0;
	row = malloc(sizeof *row);
	if (!row)
		return -1;
	*row = *part;
	free(u->listed[number]);
	u->listed[number] = row;
	return 0;
}

int s3_parts_list(struct s3_upload *u, struct err *e)
{
	struct s3_parts_page p = {.fn = keep_part, .arg = u};

	if (!u->listed)
		u->listed = calloc(S3_MAX_PARTS + 1, sizeof(struct s3_listed *));
	if (!u->listed)
		return err_set(e, ENOMEM, "could not go on with an upload: out of memory");
	do {
		if (s3_parts_page(u->a, &u->bucket, u->key, u->id, &p, u->cancel, e))
			return -1;
	} while (p.more);
	return 0;
}

static bool is_md5(const char *etag, const void *bytes, size_t n)
{
	unsigned char sum[16];
	char text[36] = "\"";

	md5(bytes, n, sum);
	hex(sum, sizeof sum, text + 1);
	text[33] = '"';
	text[34] = '\0';
	return streq(etag, text);
}

bool s3_part_listed(const struct s3_upload *u, struct s3_part *p, const void *bytes)
{
	const struct s3_listed *row = u->listed ? u->listed[p->number] : NULL;
	char crc[S3_CRC_TEXT];

	if (!row || row->size != p->size)
		return false;
	s3_crc_text(p->crc, crc);
	if (row->crc[0] ? !streq(row->crc, crc) : !is_md5(row->etag, bytes, p->size))
		return false;
	memcpy(p->etag, row->etag, sizeof p->etag);
	return true;
}

void s3_part_unlist(struct s3_upload *u, int number)
{
	if (u->listed)
		free(steal(u->listed[number]));
}

void s3_listed_free(struct s3_upload *u)
{
	for (int i = 0; u->listed && i <= S3_MAX_PARTS; i++)
		free(u->listed[i]);
	free(u->listed);
	u->listed = NULL;
}
