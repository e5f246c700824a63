#include <errno.h>
#include <signal.h>

#include "fs/ops_private.h"

#define WORKERS 4

/* libfuse takes ',' and '\' in option values escaped. */
static void add_escaped(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (*s == ',' || *s == '\\')
			buf_char(out, '\\');
		buf_char(out, *s);
	}
}

static int session_options(const struct mount *m, struct buf *out)
{
	const struct options *o = m->opt;

	buf_str(out, "-osubtype=sagemakerfs,fsname=");
	add_escaped(out, m->source);
	/* Where only one user gets in, the backing disk and the rooms check what that user may; the kernel would ask for a directory's
	 * attributes again after each change in it, only to check them. */
	if (o->allow_other)
		buf_str(out, ",allow_other,default_permissions");
	if (o->read_only)
		buf_str(out, ",ro");
	if (o->fuse_args && *o->fuse_args)
		buf_printf(out, ",%s", o->fuse_args);
	return out->failed ? -1 : 0;
}

/* libfuse explains its failures with a line for stderr: it is the cause in our sentence. No argument can be handed to its
 * log function, hence the one variable. */
static struct {
	char line[256];
} said;

_printf_(2, 0) static void hear(enum fuse_log_level level, const char *fmt, va_list ap)
{
	(void)level;
	vsnprintf(said.line, sizeof said.line, fmt, ap);
	said.line[strcspn(said.line, "\n")] = '\0';
}

static int say(struct err *e, int no, const char *what)
{
	return err_set(e, no, "cannot %s%s%s", what, said.line[0] ? ": " : "", said.line);
}

int ops_mount(struct mount *m, struct err *e)
{
	_cleanup_buf_ struct buf options = {0};
	struct session *s = calloc(1, sizeof *s);

	if (!s || session_options(m, &options) < 0) {
		free(s);
		return err_set(e, ENOMEM, "out of memory");
	}
	char name[] = "sagemakerfs", *argv[] = {name, options.data, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	s->m = m;
	fuse_set_log_func(hear);
	s->se = fuse_session_new(&args, &ops_table, sizeof ops_table, s);
	fuse_opt_free_args(&args);
	if (!s->se) {
		free(s);
		return say(e, EINVAL, "make a FUSE session");
	}
	m->fuse = s;
	if (fuse_session_mount(s->se, m->mountpoint) < 0) {
		say(e, EIO, "mount");
		if (m->opt->allow_other && geteuid() != 0)
			err_append(
				e,
				"-o allow_other of an ordinary user needs the line 'user_allow_other' in /etc/fuse.conf");
		return -1;
	}
	atomic_store(&s->mounted, true);
	return 0;
}

static int loop(struct fuse_session *se)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 12)
	struct fuse_loop_config *c = fuse_loop_cfg_create();

	if (!c)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(c, 0);
	fuse_loop_cfg_set_max_threads(c, WORKERS);
	fuse_loop_cfg_set_idle_threads(c, WORKERS);
	int rc = fuse_session_loop_mt(se, c);
	fuse_loop_cfg_destroy(c);
	return rc;
#else
	struct fuse_loop_config c = {.clone_fd = 0, .max_idle_threads = WORKERS};

	return fuse_session_loop_mt(se, &c);
#endif
}

int ops_loop(struct mount *m, void (*ready)(void *arg), void *arg, struct err *e)
{
	struct session *s = m->fuse;
	sigset_t ours, old;

	s->ready = ready;
	s->ready_arg = arg;
	if (fuse_set_signal_handlers(s->se) < 0)
		return say(e, EIO, "take signals");
	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGHUP);
	pthread_sigmask(SIG_UNBLOCK, &ours, &old);
	int rc = loop(s->se);
	/* A second SIGTERM while we end is not to cut the end short. */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	fuse_remove_signal_handlers(s->se);
	if (rc < 0 && rc != -ENODEV)
		return say(e, -rc, "serve requests");
	return 0;
}

void ops_unmount(struct mount *m)
{
	struct session *s = m->fuse;

	if (s && atomic_exchange(&s->mounted, false))
		fuse_session_unmount(s->se);
}

void ops_free(struct mount *m)
{
	struct session *s = steal(m->fuse);

	if (!s)
		return;
	fuse_session_destroy(s->se);
	free(s);
}

unsigned ops_pending(const struct mount *m)
{
	struct session *s = m->fuse;

	return s ? atomic_load(&s->pending) : 0;
}
