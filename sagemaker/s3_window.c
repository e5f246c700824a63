/*
 * s3_window.c: how many parts are sent at once. On a short line a few are enough, and more would only fill memory; where the service is
 * far away, or serves each connection slowly, every further one brings more, until one does not.
 */
#include "sagemaker/s3_upload_internal.h"

#define FIRST \
 4U /* enough for a line of 200 Mbit/s and 40 ms: nobody waits for the window to open */
#define LEAST 2U
#define MOST  32U
#define MORE  1.05 /* a change that is worth a further connection */
#define LESS  0.7  /* a line that has become another one */

void s3_window_init(struct s3_window *w)
{
	*w = (struct s3_window){.size = FIRST};
}

void s3_window_ended(struct s3_window *w, uint64_t bytes, double now)
{
	if (w->since <= 0) { /* the first one's time is that of its connection, too */
		w->since = now;
		return;
	}
	w->count++;
	w->bytes += bytes;
	if (w->count < 2 * w->size || now <= w->since)
		return;
	double rate = (double)w->bytes / (now - w->since);

	if (rate > w->best * MORE) {
		w->best = rate;
		w->size = MIN(w->size + 1, MOST);
	} else if (rate < w->best * LESS) {
		w->best = rate;
		w->size = MAX(w->size - 1, LEAST);
	}
	w->count = 0;
	w->bytes = 0;
	w->since = now;
}
