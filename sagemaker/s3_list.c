#include <errno.h>
#include <time.h>

#include "sagemaker/s3_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define MAX_ROWS 2000 /* a page has 1000 keys and prefixes; more is no S3 */

struct row {
	char *key, *etag;
	bool is_prefix;
	uint64_t size;
	double modified;
};

struct page {
	struct row *rows;
	size_t n;
	struct row next; /* the one being read */
	char *token;     /* of the next page, NULL: the last one */
	bool no_memory;
};

static void row_release(struct row *r)
{
	free(r->key);
	free(r->etag);
	*r = (struct row){0};
}

static void page_release(struct page *p)
{
	for (size_t i = 0; i < p->n; i++)
		row_release(&p->rows[i]);
	free(p->rows);
	row_release(&p->next);
	free(p->token);
	*p = (struct page){0};
}

static void keep(struct page *p, char **where, char *value)
{
	free(*where);
	*where = value;
	p->no_memory = p->no_memory || !value;
}

static int push(struct page *p)
{
	if (!p->next.key) {
		row_release(&p->next);
		return 0;
	}
	if (!p->rows)
		p->rows = calloc(MAX_ROWS, sizeof *p->rows);
	if (!p->rows || p->n == MAX_ROWS) {
		p->no_memory = true;
		return -1;
	}
	p->rows[p->n++] = p->next;
	p->next = (struct row){0};
	return 0;
}

static int on_element(void *arg, const char *path, const char *text)
{
	struct page *p = arg;

	if (!starts_with(path, "ListBucketResult/"))
		return 0;
	path += strlen("ListBucketResult/");
	if (streq(path, "Contents/Key") || streq(path, "CommonPrefixes/Prefix")) {
		keep(p, &p->next.key, s3_decode(text));
		p->next.is_prefix = path[1] == 'o' && path[2] == 'm';
	} else if (streq(path, "Contents/Size")) {
		p->next.size = strtoull(text, NULL, 10);
	} else if (streq(path, "Contents/LastModified")) {
		p->next.modified = s3_time(text, S3_XML_TIME);
	} else if (streq(path, "Contents/ETag")) {
		keep(p, &p->next.etag, strdup(text));
	} else if (streq(path, "NextContinuationToken")) {
		keep(p, &p->token, strdup(text));
	} else if (streq(path, "Contents") || streq(path, "CommonPrefixes")) {
		return push(p);
	}
	return p->no_memory;
}

struct query {
	struct aws *a;
	const struct s3_bucket *bucket;
	const char *prefix, *delimiter;
	struct cancel *cancel;
};

static int read_page(const struct query *l, const char *token, struct page *out, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_buf_ struct buf query = BUF_INIT(0);

	buf_str(&query, "list-type=2&encoding-type=url&max-keys=1000");
	if (l->delimiter)
		s3_query_add(&query, "delimiter", l->delimiter);
	if (l->prefix && *l->prefix)
		s3_query_add(&query, "prefix", l->prefix);
	if (token)
		s3_query_add(&query, "continuation-token", token);
	if (query.failed)
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	if (s3_call_init(&c, l->a, "GET", l->bucket, NULL, e))
		return -1;
	c.q.query = buf_cstr(&query);
	c.q.cancel = l->cancel;
	if (s3_call_run(&c, l->a, "list", &r, e))
		return -1;
	if (xml_scan(r.body.data, r.body.len, on_element, out, e))
		return err_prefix(e, "list 's3://%s'", l->bucket->name);
	return out->no_memory ? err_set(e, ENOMEM, "list 's3://%s': the page is too large",
					l->bucket->name)
			      : 0;
}

static int compare_rows(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;

	return strcmp(a->key, b->key);
}

/* A page lists keys and then common prefixes: put together they are in order. */
static bool give(struct page *p, s3_list_fn *fn, void *arg)
{
	if (p->n)
		qsort(p->rows, p->n, sizeof *p->rows, compare_rows);
	for (size_t i = 0; i < p->n; i++) {
		const struct s3_item item = {p->rows[i].key, p->rows[i].is_prefix, p->rows[i].size,
					     p->rows[i].etag ? p->rows[i].etag : "",
					     p->rows[i].modified};

		if (fn(arg, &item))
			return false;
	}
	return true;
}

int s3_list(struct aws *a, const struct s3_bucket *bucket, const char *prefix,
	    const char *delimiter, s3_list_fn *fn, void *arg, struct cancel *c, struct err *e)
{
	const struct query l = {a, bucket, prefix, delimiter, c};
	_cleanup_free_ char *token = NULL;
	bool more;

	do {
		struct page p _cleanup_(page_release) = {0};

		if (read_page(&l, token, &p, e))
			return -1;
		if (token && p.token && streq(token, p.token))
			return err_set(e, EPROTO,
				       "list 's3://%s': the service repeats a page for ever",
				       bucket->name);
		more = give(&p, fn, arg) && p.token;
		free(token);
		token = steal(p.token);
	} while (more);
	return 0;
}
