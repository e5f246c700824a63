/* stats.h: DIR/stats.json: what the backend has done since it started, for those who watch it. */
#ifndef SAGEMAKER_LOCAL_STATS_H
#define SAGEMAKER_LOCAL_STATS_H

#include "sagemaker/local/request.h"

struct stats;

struct stats *stats_new(struct backend *be, struct err *e) _must_check_;
void stats_free(struct stats *s);
/* stats_request: r is answered with sent bytes of body. Any thread; a short lock. */
void stats_request(struct stats *s, const struct request *r, uint64_t sent);
/* stats_tick: once a second, from the main loop: writes the file when something has changed, every few seconds. */
void stats_tick(struct stats *s);

#endif
