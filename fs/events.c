/* events.c: a ring of lines. */
#include "fs/events.h"

#include <string.h>

#include "sagemaker/util.h"

void events_init(struct events *ev)
{
	memset(ev, 0, sizeof *ev);
	pthread_mutex_init(&ev->mu, NULL);
}

void events_release(struct events *ev)
{
	for (size_t i = 0; i < EVENTS_KEPT; i++)
		free(ev->line[i]);
	pthread_mutex_destroy(&ev->mu);
}

char *events_line(const char *text)
{
	char time[32];

	now_text(time);
	char *line = str_printf("%s %s\n", time, text);

	for (char *c = line; c && c[0] && c[1]; c++) {
		if (*c == '\n')
			*c = ' ';
	}
	return line;
}

void events_add(struct events *ev, const char *text)
{
	char *line = events_line(text);

	if (!line)
		return;
	SCOPED_LOCK(&ev->mu);
	char **at = &ev->line[++ev->last % EVENTS_KEPT];
	free(*at);
	*at = line;
}

void events_next(struct events *ev, uint64_t *seen, struct buf *out)
{
	SCOPED_LOCK(&ev->mu);
	uint64_t oldest = ev->last > EVENTS_KEPT ? ev->last - EVENTS_KEPT + 1 : 1;

	if (!ev->last || *seen == ev->last)
		return;
	*seen = *seen ? MAX(*seen + 1, oldest) : ev->last;
	buf_str(out, ev->line[*seen % EVENTS_KEPT]);
}

uint64_t events_last(struct events *ev)
{
	SCOPED_LOCK(&ev->mu);

	return ev->last;
}
