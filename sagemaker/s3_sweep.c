/* s3_sweep.c: multipart uploads that nobody will finish: their ids were lost with a reply, or their program is no more. */
#include <errno.h>
#include <time.h>

#include "sagemaker/s3_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define MAX_FOUND  1000 /* a page */
#define PART_PAGES 10   /* of 1000: no upload has more */

struct upload {
	char *key, *id;
	double begun; /* epoch seconds, 0: not told */
};

struct page {
	struct upload next; /* the one being read */
	struct upload rows[MAX_FOUND];
	size_t n;
	char *key_marker, *id_marker; /* of the next page */
	bool more;
	double now; /* at the service */
};

static void upload_release(struct upload *u)
{
	free(u->key);
	free(u->id);
	*u = (struct upload){0};
}

static void page_free(struct page **where)
{
	struct page *p = *where;

	for (size_t i = 0; p && i < p->n; i++)
		upload_release(&p->rows[i]);
	if (p) {
		upload_release(&p->next);
		free(p->key_marker);
		free(p->id_marker);
	}
	free(p);
}

static int keep(char **where, char *value)
{
	free(*where);
	*where = value;
	return value ? 0 : -1;
}

static int end_upload(struct page *p)
{
	if (!p->next.key || !p->next.id)
		return 0;
	p->rows[p->n++] = p->next;
	p->next = (struct upload){0};
	return p->n == MAX_FOUND;
}

static int on_upload(void *arg, const char *path, const char *text)
{
	struct page *p = arg;

	if (!starts_with(path, "ListMultipartUploadsResult/"))
		return 0;
	path += strlen("ListMultipartUploadsResult/");
	if (streq(path, "Upload"))
		return end_upload(p);
	if (streq(path, "Upload/Key"))
		return keep(&p->next.key, s3_decode(text));
	if (streq(path, "Upload/UploadId"))
		return keep(&p->next.id, strdup(text));
	if (streq(path, "Upload/Initiated"))
		p->next.begun = s3_time(text, S3_XML_TIME);
	if (streq(path, "NextKeyMarker"))
		return keep(&p->key_marker, s3_decode(text));
	if (streq(path, "NextUploadIdMarker"))
		return keep(&p->id_marker, strdup(text));
	if (streq(path, "IsTruncated"))
		p->more = streq(text, "true");
	return 0;
}

/* What is swept, and what is asked about it. */
struct sweep {
	struct aws *a;
	const struct s3_bucket *bucket;
	struct cancel *cancel;
};

/* The uploads whose keys begin with prefix, after those of the page before (NULL: from the first). */
static struct page *list(const struct sweep *s, const char *prefix, const struct page *before,
			 struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_buf_ struct buf query = BUF_INIT(0);
	_cleanup_(page_free)
	struct page *p = calloc(1, sizeof *p);

	buf_str(&query, "uploads=&encoding-type=url");
	s3_query_add(&query, "prefix", prefix);
	if (before) {
		s3_query_add(&query, "key-marker", before->key_marker);
		s3_query_add(&query, "upload-id-marker", before->id_marker);
	}
	if (!p || query.failed) {
		err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
		return NULL;
	}
	if (s3_call_init(&c, s->a, "GET", s->bucket, NULL, e))
		return NULL;
	c.q.query = buf_cstr(&query);
	c.q.cancel = s->cancel;
	if (s3_call_run(&c, s->a, "list the unfinished uploads of", &r, e) ||
	    xml_scan(r.body.data, r.body.len, on_upload, p, e))
		return NULL;
	p->more = p->more && p->key_marker && *p->key_marker && p->id_marker;
	p->now = s3_time(http_header_get(&r.headers, "Date"), "%a, %d %b %Y %H:%M:%S");
	if (p->now <= 0)
		p->now = (double)time(NULL);
	return steal(p);
}

/* That key; or, where it ends in a slash, any below it. */
static bool is_meant(const char *key, const char *found)
{
	return ends_with(key, "/") ? starts_with(found, key) : streq(found, key);
}

int s3_multipart_sweep(struct aws *a, const struct s3_bucket *bucket, const char *key,
		       const char *but, struct cancel *c, struct err *e)
{
	const struct sweep s = {a, bucket, c};
	/* The key itself comes first among those that it begins; one page holds all that lost replies make. */
	_cleanup_(page_free)
	struct page *p = list(&s, key, NULL, e);
	int rc = p ? 0 : -1;

	for (size_t i = 0; rc == 0 && i < p->n; i++) {
		const struct upload *u = &p->rows[i];

		if (is_meant(key, u->key) && !(but && streq(u->id, but)))
			rc = s3_multipart_abort(a, bucket, u->key, u->id, c, e);
	}
	return rc;
}

/* Old ones --------------------------------------------------------------------------------- */

static int take_newest(void *arg, int number, const struct s3_listed *part)
{
	double *newest = arg;

	(void)number;
	*newest = MAX(*newest, part->modified);
	return 0;
}

/* Whether its last part came before then. Who may not ask, or gets no answer, takes it for somebody's. */
static bool is_left(const struct sweep *s, const struct upload *u, double then)
{
	double newest = 0; /* when the last one came, 0: there is none */
	struct s3_parts_page p = {.fn = take_newest, .arg = &newest};
	int pages = 0;

	if (u->begun <= 0 || u->begun >= then)
		return false;
	do {
		if (s3_parts_page(s->a, s->bucket, u->key, u->id, &p, s->cancel, NULL) ||
		    newest >= then)
			return false;
	} while (p.more && ++pages < PART_PAGES);
	return newest > 0 && !p.more;
}

int s3_multipart_sweep_old(struct aws *a, const struct s3_bucket *bucket, const char *prefix,
			   double age, unsigned *aborted, struct cancel *c, struct err *e)
{
	const struct sweep s = {a, bucket, c};
	_cleanup_(page_free)
	struct page *p = list(&s, prefix, NULL, e), *next = NULL;

	*aborted = 0;
	while (p) {
		for (size_t i = 0; i < p->n; i++) {
			const struct upload *u = &p->rows[i];

			if (!is_left(&s, u, p->now - age))
				continue;
			if (s3_multipart_abort(a, bucket, u->key, u->id, c, e))
				return -1;
			++*aborted;
		}
		if (!p->more)
			return 0;
		next = list(&s, prefix, p, e);
		page_free(&p);
		p = steal(next);
	}
	return -1;
}
