#include "sagemaker/local/stream.h"

#include <errno.h>
#include <microhttpd.h>

#define TAKEN_MOST   ((size_t)1 << 20)  /* bytes taken that still occupy memory */
#define WAITING_MOST ((size_t)64 << 20) /* bytes that a slow client may leave untaken */

struct stream {
	pthread_mutex_t mu; /* guards all below; leaf */
	unsigned refs;
	struct MHD_Connection *conn; /* NULL: closed */
	struct buf bytes;
	size_t at; /* of bytes: how far they were taken */
	bool ended, suspended;
};

struct stream *stream_new(struct MHD_Connection *conn)
{
	struct stream *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	pthread_mutex_init(&s->mu, NULL);
	s->refs = 1;
	s->conn = conn;
	s->bytes.max = WAITING_MOST;
	return s;
}

struct stream *stream_ref(struct stream *s)
{
	SCOPED_LOCK(&s->mu);
	s->refs++;
	return s;
}

void stream_unref(struct stream *s)
{
	pthread_mutex_lock(&s->mu);
	bool last = --s->refs == 0;
	pthread_mutex_unlock(&s->mu);
	if (!last)
		return;
	buf_release(&s->bytes);
	pthread_mutex_destroy(&s->mu);
	free(s);
}

static void wake_locked(struct stream *s)
{
	if (s->suspended && s->conn)
		MHD_resume_connection(s->conn);
	s->suspended = false;
}

int stream_put(struct stream *s, const void *p, size_t n)
{
	SCOPED_LOCK(&s->mu);
	errno = s->conn ? ENOBUFS : ECONNRESET;
	if (!s->conn || buf_add(&s->bytes, p, n))
		return -1;
	wake_locked(s);
	return 0;
}

void stream_end(struct stream *s)
{
	SCOPED_LOCK(&s->mu);
	s->ended = true;
	wake_locked(s);
}

ssize_t stream_take(struct stream *s, char *out, size_t max)
{
	SCOPED_LOCK(&s->mu);
	size_t n = MIN(max, s->bytes.len - s->at);

	if (n) {
		memcpy(out, s->bytes.data + s->at, n);
		s->at += n;
	}
	if (s->at == s->bytes.len || s->at > TAKEN_MOST) {
		buf_remove(&s->bytes, s->at);
		s->at = 0;
	}
	if (n)
		return (ssize_t)n;
	if (s->ended)
		return -1;
	s->suspended = true;
	MHD_suspend_connection(s->conn);
	return 0;
}

void stream_close(struct stream *s)
{
	pthread_mutex_lock(&s->mu);
	s->conn = NULL;
	pthread_mutex_unlock(&s->mu);
	stream_unref(s);
}
