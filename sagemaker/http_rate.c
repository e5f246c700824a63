/* http_rate.c: bodies that share a rate (config.upload_limit): each has curl keep to its part of it, which is told anew whenever their
 * number changes. Nobody waits: curl leaves the socket alone until more may go. */
#include "sagemaker/http_internal.h"

#define CHUNK_LEAST ((int64_t)16 << 10) /* curl's own least */
#define CHUNK_MOST  ((int64_t)1 << 20)
#define CHUNKS      16 /* a second */

static int64_t share_of(const struct http *h)
{
	return MAX((int64_t)h->config->upload_limit / MAX(h->pacing, 1), (int64_t)1);
}

long rate_chunk(const struct http *h)
{
	int64_t chunk = (int64_t)h->config->upload_limit / CHUNKS;

	return (long)MIN(MAX(chunk, CHUNK_LEAST), CHUNK_MOST);
}

long rate_pause_ms(const struct xfer *x)
{
	return x->pacing ? (long)(2000 * rate_chunk(x->h) / share_of(x->h)) : 0;
}

void rate_join(struct xfer *x)
{
	if (!x->q.paced || !x->h->config->upload_limit || !x->q.body_len)
		return;
	x->pacing = true;
	x->h->pacing++;
	x->h->rate_stale = true;
}

void rate_leave(struct xfer *x)
{
	if (!x->pacing)
		return;
	x->pacing = false;
	x->h->pacing--;
	x->h->rate_stale = true;
}

/* curl pauses after the last piece, too, before it looks for a reply. */
void rate_done(struct xfer *x)
{
	x->moved += rate_pause_ms(x);
	rate_leave(x);
}

void rate_share(struct http *h)
{
	if (!h->rate_stale)
		return;
	h->rate_stale = false;
	for (struct xfer *x = h->active; x; x = x->next)
		if (x->pacing)
			curl_easy_setopt(x->easy, CURLOPT_MAX_SEND_SPEED_LARGE,
					 (curl_off_t)share_of(h));
}
