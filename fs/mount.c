#include "fs/mount.h"

#include <errno.h>
#include <stdarg.h>

#include "sagemaker/role.h"

int mount_role(struct mount *m, const char *own, char out[512], struct cancel *c, struct err *e)
{
	bool kept = options_given(m->opt, "role") || !*own;
	const char *set = kept ? m->config.role : own;
	struct identity id = {0};

	pthread_mutex_lock(&m->mu);
	memcpy(out, m->role, sizeof m->role);
	pthread_mutex_unlock(&m->mu);
	if (kept && out[0])
		return 0;
	/* A whole ARN needs nobody's account. */
	if (!(set && starts_with(set, "arn:")) && mount_identity(m, &id, c, e) < 0)
		return -1;
	if (role_find(m->aws, &id, set, out, c, e) < 0)
		return -1;
	SCOPED_LOCK(&m->mu);
	if (kept)
		snprintf(m->role, sizeof m->role, "%s", out);
	return 0;
}

void mount_note(struct mount *m, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	log_line(m->log, LOG_LEVEL_WARNING, "mount", "%s", text);
	SCOPED_LOCK(&m->mu);
	size_t n = strlen(m->notes), room = sizeof m->notes - n;
	if (strstr(m->notes, text))
		return;
	int len = snprintf(m->notes + n, room, "note       %s\n", text);
	if (len < 0 || (size_t)len >= room)
		m->notes[n] = '\0'; /* whole or not at all */
}

static const char *const room_names[ROOMS] = {"mount", "models", "endpoints", "invoke"};

void mount_fail(struct mount *m, enum room room, const struct err *e)
{
	_cleanup_buf_ struct buf line = {0};

	if (!e->no)
		return;
	pthread_mutex_lock(&m->mu);
	m->last[room] = *e;
	m->last[ROOM_ROOT] = *e;
	pthread_mutex_unlock(&m->mu);
	err_show(e, &line);
	log_line(m->log, LOG_LEVEL_ERROR, room_names[room], "%.*s",
		 (int)strcspn(buf_cstr(&line), "\n"), buf_cstr(&line));
}

void mount_last(struct mount *m, enum room room, struct err *out)
{
	SCOPED_LOCK(&m->mu);
	*out = m->last[room];
}

int mount_show_error(struct mount *m, enum room room, struct buf *out)
{
	struct err last;

	mount_last(m, room, &last);
	err_show(&last, out);
	return 0;
}

enum room node_room(struct node *n)
{
	char top[64];

	node_top_name(n->tree, n, top, sizeof top);
	for (int room = ROOM_MODELS; room < ROOMS; room++) {
		if (streq(top, room_names[room]))
			return (enum room)room;
	}
	return ROOM_ROOT;
}

struct mount *node_mount(const struct node *n)
{
	return tree_root(n->tree)->data;
}

void mount_where(struct mount *m, struct buf *out)
{
	char bucket[64];
	bool known = mount_bucket_name(m, bucket);
	SCOPED_LOCK(&m->mu);

	buf_printf(out, "backend    %s\n", m->source);
	buf_printf(out, "account    %s\n",
		   m->identity.account[0] ? m->identity.account : "not known yet");
	mount_place(m, out);
	buf_printf(out, "bucket     %s (prefix %s)\n", known ? bucket : "not known yet",
		   m->config.prefix);
	buf_printf(out, "identity   %s\n", m->identity.arn[0] ? m->identity.arn : "not known yet");
	buf_str(out, m->notes);
}
