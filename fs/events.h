/*
 * events.h: what happened to one thing (a model, an endpoint), as lines for readers that follow it. The newest are kept; a reader
 * that is slower than that goes on with the oldest there is.
 */
#ifndef FS_EVENTS_H
#define FS_EVENTS_H

#include <pthread.h>
#include <stdint.h>

#include "sagemaker/buf.h"

#define EVENTS_KEPT 128

struct events {
	pthread_mutex_t mu; /* guards what follows; a leaf */
	uint64_t last;      /* number of the newest line, 0: none yet */
	char *line[EVENTS_KEPT];
};

void events_init(struct events *ev);
void events_release(struct events *ev);
/* events_line: "2026-11-26T01:54:55.123Z TEXT\n", to be freed; text's own line ends become spaces. NULL: memory. */
char *events_line(const char *text);
/* events_add: that line. Without memory the event is lost. */
void events_add(struct events *ev, const char *text);
/* events_next: appends the line that follows *seen and moves it on; 0 stands for just before the newest. Nothing: out is as before. */
void events_next(struct events *ev, uint64_t *seen, struct buf *out);
uint64_t events_last(struct events *ev);

#endif
