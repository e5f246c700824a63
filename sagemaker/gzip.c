/*
 * gzip.c: chunks travel caller -> queue -> worker -> sink. Jobs stand in one list in the order of the stream; workers take
 * the first that nobody has, and whoever finishes the head of the list hands on all that is ready, in order.
 */
#include "sagemaker/gzip.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <zlib.h>

#define CHUNK         ((size_t)16 << 20)
#define STORED_MAX    ((size_t)65535)
#define STORED_HEADER 5
#define OUT_MAX       (CHUNK - CHUNK / 10) /* what shrinks less is stored, from where it is */
#define SAMPLES       4
#define SAMPLE        ((size_t)128 << 10)
#define MAX_THREADS \
 3 /* each costs two buffers of a chunk: with parts in flight beside, 256 MiB are the limit */
#define MAX_BUFFERS (MAX_THREADS + 1)

enum job_state { QUEUED, BUSY, DONE };

struct job {
	struct job *next;
	enum job_state state;
	unsigned char *in, *out; /* once DONE: the one whose bytes go to the sink, the other NULL */
	size_t in_len, out_len;
	uint32_t crc;
};

/* Free buffers of one kind; allocated when first needed. */
struct pool {
	unsigned char *idle[MAX_BUFFERS];
	size_t n_idle, n_made;
	size_t size;
};

/* What one thread needs to deflate. */
struct deflater {
	struct isal_zstream z;
	unsigned char level[ISAL_DEF_LVL1_LARGE];
	unsigned char scratch[SAMPLE + SAMPLE / 8];
};

struct gzip {
	gzip_sink *sink;
	void *arg;
	unsigned threads;
	struct job *fill; /* the chunk being written to: the caller's own, no lock */
	pthread_mutex_t mu;
	pthread_cond_t changed; /* any of the fields below */
	/* guarded by mu: */
	struct job *head, *tail; /* not yet in the sink */
	struct pool in, out;
	pthread_t worker[MAX_THREADS];
	unsigned started;
	bool stop;     /* workers end when the queue is empty */
	bool draining; /* one thread is in the sink */
	bool failed;
	struct err why; /* when failed */
	uint32_t crc;
	uint64_t total_in, total_out;
	struct gzip_point *points;
	size_t n_points, max_points;
};

static void fail_locked(struct gzip *g, const struct err *e)
{
	if (!g->failed)
		g->why = *e;
	g->failed = true;
	pthread_cond_broadcast(&g->changed);
}

/* A buffer, or NULL: none free now (*none is not set) or no memory (failed). */
static unsigned char *take_locked(struct gzip *g, struct pool *p)
{
	if (p->n_idle)
		return p->idle[--p->n_idle];
	if (p->n_made > g->threads)
		return NULL;
	unsigned char *b = malloc(p->size);
	struct err e = {0};

	if (!b) {
		err_set(&e, ENOMEM, "compress: out of memory");
		fail_locked(g, &e);
		return NULL;
	}
	p->n_made++;
	return b;
}

static void give_locked(struct gzip *g, struct pool *p, unsigned char *b)
{
	p->idle[p->n_idle++] = b;
	pthread_cond_broadcast(&g->changed);
}

/* Deflate n bytes into at most max, ending on a byte boundary with no reference across it. 0: it did not fit. */
static size_t deflate_into(struct deflater *d, unsigned char *p, size_t n, unsigned char *out,
			   size_t max)
{
	isal_deflate_init(&d->z);
	d->z.level = 1;
	d->z.level_buf = d->level;
	d->z.level_buf_size = sizeof(d->level);
	d->z.flush = FULL_FLUSH;
	d->z.next_in = p; /* only read */
	d->z.avail_in = (uint32_t)n;
	d->z.next_out = out;
	d->z.avail_out = (uint32_t)max;
	if (isal_deflate(&d->z) != COMP_OK || d->z.avail_in || !d->z.avail_out)
		return 0;
	return max - d->z.avail_out;
}

/* Deflating noise costs as much as deflating text and gains nothing: ask a few samples first. */
static bool worth_it(struct deflater *d, unsigned char *p, size_t n)
{
	size_t gained = 0, stride = n / SAMPLES;

	if (n <= SAMPLES * SAMPLE)
		return true; /* the attempt is as cheap as the samples */
	for (size_t i = 0; i < SAMPLES; i++) {
		size_t len = deflate_into(d, p + i * stride, SAMPLE, d->scratch, SAMPLE);

		gained += len ? SAMPLE - len : 0;
	}
	return gained >= SAMPLES * SAMPLE / 10;
}

/* A chunk as stored blocks, straight from where it was gathered. */
static int sink_stored(struct gzip *g, const struct job *j, struct err *e)
{
	const unsigned char *p = j->in;

	for (size_t n = j->in_len; n;) {
		uint16_t len = (uint16_t)MIN(n, STORED_MAX), not_len = (uint16_t)~len;
		const unsigned char header[STORED_HEADER] = {0, /* not the last block, stored */
							     (unsigned char)(len & 0xff),
							     (unsigned char)(len >> 8),
							     (unsigned char)(not_len & 0xff),
							     (unsigned char)(not_len >> 8)};

		if (g->sink(g->arg, header, sizeof(header), e) || g->sink(g->arg, p, len, e))
			return -1;
		p += len;
		n -= len;
	}
	return 0;
}

static size_t stored_size(size_t n)
{
	return n + (n + STORED_MAX - 1) / STORED_MAX * STORED_HEADER;
}

/* false: it does not shrink enough, and is to be stored. */
static bool compress_job(struct deflater *d, struct job *j)
{
	j->crc = crc32_gzip_refl(0, j->in, j->in_len);
	j->out_len = 0;
	if (worth_it(d, j->in, j->in_len))
		j->out_len = deflate_into(d, j->in, j->in_len, j->out, j->in_len - j->in_len / 10);
	bool shrunk = j->out_len != 0;
	if (!shrunk)
		j->out_len = stored_size(j->in_len);
	return shrunk;
}

/* Note where a chunk begins, before its bytes are counted. */
static int add_point_locked(struct gzip *g, uint32_t crc)
{
	if (g->n_points == g->max_points) {
		size_t max = g->max_points ? g->max_points * 2 : 64;
		struct gzip_point *p = reallocarray(g->points, max, sizeof(*p));

		if (!p)
			return -1;
		g->points = p;
		g->max_points = max;
	}
	g->points[g->n_points++] = (struct gzip_point){g->total_in, g->total_out, crc};
	return 0;
}

/* Hand the head of the list to the sink, without the lock while there. */
static void sink_head_locked(struct gzip *g)
{
	struct job *j = g->head;
	struct err e = {0};
	int rc = -1;

	if (add_point_locked(g, j->crc)) {
		err_set(&e, ENOMEM, "compress: out of memory");
	} else if (!g->failed) {
		pthread_mutex_unlock(&g->mu);
		rc = j->out ? g->sink(g->arg, j->out, j->out_len, &e) : sink_stored(g, j, &e);
		pthread_mutex_lock(&g->mu);
	}
	if (rc)
		fail_locked(g, &e);
	g->crc = (uint32_t)crc32_combine(g->crc, j->crc, (z_off_t)j->in_len);
	g->total_in += j->in_len;
	g->total_out += j->out_len;
	g->head = j->next;
	if (!g->head)
		g->tail = NULL;
	if (j->out)
		give_locked(g, &g->out, j->out);
	else
		give_locked(g, &g->in, j->in);
	free(j);
}

static void drain_locked(struct gzip *g)
{
	if (g->draining)
		return; /* that thread looks again before it stops */
	g->draining = true;
	while (g->head && g->head->state == DONE)
		sink_head_locked(g);
	g->draining = false;
	pthread_cond_broadcast(&g->changed);
}

static struct job *first_queued_locked(struct gzip *g)
{
	struct job *j = g->head;

	while (j && j->state != QUEUED)
		j = j->next;
	return j;
}

/* Compress one job that this thread has taken (BUSY, with an out buffer), then pass on what is ready. */
static void run_job_locked(struct gzip *g, struct deflater *d, struct job *j)
{
	pthread_mutex_unlock(&g->mu);
	bool shrunk = compress_job(d, j);
	pthread_mutex_lock(&g->mu);
	if (shrunk)
		give_locked(g, &g->in, steal(j->in));
	else
		give_locked(g, &g->out, steal(j->out));
	j->state = DONE;
	drain_locked(g);
}

/* Jobs take out buffers in their own order under the lock, so the head always has one and the stream cannot stall. */
static bool take_job_locked(struct gzip *g, struct job **out)
{
	struct job *j = first_queued_locked(g);

	if (!j || g->failed)
		return false;
	j->out = take_locked(g, &g->out);
	if (!j->out)
		return false;
	j->state = BUSY;
	*out = j;
	return true;
}

static void *work(void *arg)
{
	struct gzip *g = arg;
	_cleanup_free_ struct deflater *d = malloc(sizeof(*d));
	struct err e = {0};
	struct job *j;

	SCOPED_LOCK(&g->mu);
	if (!d) {
		err_set(&e, ENOMEM, "compress: out of memory");
		fail_locked(g, &e);
	}
	while (d && !g->failed) {
		if (take_job_locked(g, &j))
			run_job_locked(g, d, j);
		else if (g->stop && !first_queued_locked(g))
			break;
		else if (!g->failed)
			pthread_cond_wait(&g->changed, &g->mu);
	}
	return NULL;
}

/* One more worker, as long as there is more to do than there are. */
static void start_worker_locked(struct gzip *g)
{
	struct err e = {0};

	if (g->started == g->threads)
		return;
	int rc = pthread_create(&g->worker[g->started], NULL, work, g);

	if (rc == 0) {
		g->started++;
	} else if (!g->started) {
		errno = rc;
		err_errno(&e, "start a compressing thread");
		fail_locked(g, &e);
	}
}

static void append_locked(struct gzip *g, struct job *j)
{
	if (g->tail)
		g->tail->next = j;
	else
		g->head = j;
	g->tail = j;
}

static int failure_locked(struct gzip *g, struct err *e)
{
	if (e)
		*e = g->why;
	return -1;
}

/* A new chunk to fill, waiting for a free buffer; NULL: failed. */
static struct job *start_chunk(struct gzip *g, struct err *e)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j) {
		err_set(e, ENOMEM, "compress: out of memory");
		return NULL;
	}
	SCOPED_LOCK(&g->mu);
	while (!g->failed && !(j->in = take_locked(g, &g->in)))
		if (!g->failed)
			pthread_cond_wait(&g->changed, &g->mu);
	if (!j->in) {
		free(j);
		failure_locked(g, e);
		return NULL;
	}
	return j;
}

static int queue_chunk(struct gzip *g, struct err *e)
{
	SCOPED_LOCK(&g->mu);
	append_locked(g, g->fill);
	g->fill = NULL;
	start_worker_locked(g);
	pthread_cond_broadcast(&g->changed);
	return g->failed ? failure_locked(g, e) : 0;
}

int gzip_write(struct gzip *g, const void *p, size_t n, struct err *e)
{
	const unsigned char *from = p;

	while (n) {
		if (!g->fill)
			g->fill = start_chunk(g, e);
		if (!g->fill)
			return -1;
		size_t part = MIN(n, CHUNK - g->fill->in_len);

		memcpy(g->fill->in + g->fill->in_len, from, part);
		g->fill->in_len += part;
		from += part;
		n -= part;
		if (g->fill->in_len == CHUNK && queue_chunk(g, e))
			return -1;
	}
	return 0;
}

struct gzip *gzip_new(gzip_sink *sink, void *arg, unsigned threads, struct err *e)
{
	static const unsigned char header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
	struct gzip *g = calloc(1, sizeof(*g));
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!g) {
		err_set(e, ENOMEM, "compress: out of memory");
		return NULL;
	}
	if (!threads)
		threads = cpus > 0 ? (unsigned)MIN(cpus, MAX_THREADS) : 1;
	g->sink = sink;
	g->arg = arg;
	g->threads = MIN(threads, (unsigned)MAX_THREADS);
	g->in.size = CHUNK;
	g->out.size = OUT_MAX;
	pthread_mutex_init(&g->mu, NULL);
	pthread_cond_init(&g->changed, NULL);
	g->total_out = sizeof(header);
	if (sink(arg, header, sizeof(header), e)) {
		gzip_free(g);
		return NULL;
	}
	return g;
}

/* The last chunk of a short stream needs no thread. */
static void compress_here(struct gzip *g)
{
	_cleanup_free_ struct deflater *d = malloc(sizeof(*d));
	struct err e = {0};
	struct job *j;

	SCOPED_LOCK(&g->mu);
	if (!d) {
		err_set(&e, ENOMEM, "compress: out of memory");
		fail_locked(g, &e);
		return;
	}
	if (take_job_locked(g, &j))
		run_job_locked(g, d, j);
}

static void stop_workers(struct gzip *g)
{
	pthread_mutex_lock(&g->mu);
	g->stop = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->mu);
	for (unsigned i = 0; i < g->started; i++)
		pthread_join(g->worker[i], NULL);
	g->started = 0;
}

static void put_le32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

/* The last chunk, the empty final block, the trailer. */
static int finish(struct gzip *g, struct err *e)
{
	unsigned char end[10] = {3, 0}; /* an empty block with the final bit */

	if (g->fill && g->started && queue_chunk(g, e))
		return -1;
	if (g->fill) {
		append_locked(g, steal(g->fill));
		compress_here(g);
	}
	stop_workers(g);
	if (g->failed)
		return failure_locked(g, e);
	put_le32(end + 2, g->crc);
	put_le32(end + 6, (uint32_t)g->total_in);
	return g->sink(g->arg, end, sizeof(end), e);
}

int gzip_finish(struct gzip *g, struct gzip_point **points, size_t *n_points, struct err *e)
{
	int rc = finish(g, e);

	if (rc == 0 && points) {
		*points = steal(g->points);
		*n_points = g->n_points;
	}
	gzip_free(g);
	return rc;
}

static void free_job(struct job *j)
{
	free(j->in);
	free(j->out);
	free(j);
}

static void free_pool(struct pool *p)
{
	while (p->n_idle)
		free(p->idle[--p->n_idle]);
}

void gzip_free(struct gzip *g)
{
	struct err e = {0};

	if (!g)
		return;
	err_set(&e, ECANCELED, "compressing was given up");
	pthread_mutex_lock(&g->mu);
	fail_locked(g, &e);
	pthread_mutex_unlock(&g->mu);
	stop_workers(g);
	if (g->fill)
		free_job(g->fill);
	for (struct job *next, *j = g->head; j; j = next) {
		next = j->next;
		free_job(j);
	}
	free_pool(&g->in);
	free_pool(&g->out);
	free(g->points);
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->mu);
	free(g);
}
