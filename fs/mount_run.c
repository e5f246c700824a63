#include <errno.h>
#include <poll.h>

#include "fs/endpoints.h"
#include "fs/mount_gone.h"
#include "fs/mount_linger.h"
#include "fs/mount_private.h"
#include "fs/ops.h"
#include "fs/rooms.h"
#include "fs/vfile.h"
#include "sagemaker/role.h"

#define JOB_THREADS 16
#define BUCKET_MS \
 15000 /* for the look at it; a network that fails meanwhile does not keep the mount from starting */
#define COMMIT_GRACE_MS 7500 /* with what follows the end takes 10 s at most */
#define JOB_GRACE_MS    1000

/* A mount while it is being put together: what mount.h does not hold. */
struct making {
	struct mount m;
	struct local_backend *backend;
	struct cancel *cancel; /* of the look at the bucket */
	struct mount_gone *gone;
	struct err unknown; /* why the caller is not known yet */
	bool rooms;
};

static int configure_local(struct making *k, struct err *e)
{
	const struct options *o = k->m.opt;
	struct config *c = &k->m.config;
	_cleanup_free_ char *store = local_store(o->source, e);
	_cleanup_(local_run_release)
	struct local_run run = {0};

	if (!store)
		return -1;
	k->backend = local_join(store, o->strict_runtimes, &run, e);
	if (!k->backend)
		return -1;
	k->m.source = str_printf("local:%s", store);
	/* Its own region, whatever the options say: the local backend is one place. */
	c->isolated = true;
	if (!k->m.source || take_setting(&c->endpoint_url, run.url, e) < 0 ||
	    take_setting(&c->region, run.region, e) < 0 ||
	    take_setting(&c->access_key, run.access_key, e) < 0 ||
	    take_setting(&c->secret_key, run.secret_key, e) < 0)
		return -1;
	snprintf(k->m.identity.account, sizeof k->m.identity.account, "%s", run.account);
	return take_setting(&c->role, run.role, e);
}

static int configure(struct making *k, struct err *e)
{
	const struct options *o = k->m.opt;
	struct config *c = &k->m.config;
	bool local = starts_with(o->source, "local");

	if (mount_configure(o, c, e) < 0)
		return -1;
	if ((local && configure_local(k, e) < 0) || config_load(c, e) < 0 ||
	    (c->role && role_check(c->role, e) < 0))
		return -1;
	k->m.bucket_strict = !local && c->bucket;
	if (!k->m.source)
		k->m.source = str_printf("aws:%s", c->region);
	return k->m.source ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* ------------------------------------------------------------------ who am I */

static void too_long(struct timer *t)
{
	cancel_set(t->arg);
}

/* The first signed call: wrong keys end the mount here, an unreachable AWS does not. */
static int identify(struct making *k, struct err *e)
{
	struct mount *m = &k->m;
	struct identity id;

	if (k->backend) /* its account came with its keys: the question is whether it takes them */
		m->identity.account[0] = '\0';
	if (mount_identity(m, &id, NULL, e) == 0)
		return 0;
	/* The question needs no permission, but a VPC endpoint or a proxy may have rules of its own. */
	bool denied = starts_with(e->code, "AccessDenied");
	if (k->backend || (!denied && !mount_network_failed(e)))
		return err_prefix(e, "cannot use '%s'", m->source);
	k->unknown = *e;
	err_clear(e);
	return 0;
}

/* A bucket that was named and is not there, or elsewhere, or not its owner's, ends the mount here too. */
static int look_at_bucket(struct making *k, struct err *e)
{
	struct mount *m = &k->m;
	struct timer limit = {.fn = too_long};

	if (k->unknown.no || !m->identity.account[0])
		return 0;
	k->cancel = cancel_new();
	if (!k->cancel)
		return err_set(e, ENOMEM, "out of memory");
	limit.arg = k->cancel;
	timer_arm(m->watch, &limit, BUCKET_MS);
	int rc = mount_bucket_look(m, k->cancel, e);
	timer_disarm(m->watch, &limit);
	return rc == 0 || mount_network_failed(e) ? 0 : err_prefix(e, "cannot use '%s'", m->source);
}

/* ------------------------------------------------------------------ state */

/* A store has one account, whatever becomes of it. */
static int local_state(struct mount *m, struct err *e)
{
	_cleanup_free_ char *key =
		str_printf("%s\n%s\n%s\n%s\n%s", m->source, m->identity.account, m->config.region,
			   m->opt->bucket ? m->opt->bucket : "", m->config.prefix);

	return key ? state_open(m, key, 1, e) : err_set(e, ENOMEM, "out of memory");
}

static int open_state(struct making *k, struct err *e)
{
	struct mount *m = &k->m;
	const struct options *o = m->opt;
	bool damaged = false;

	if ((k->backend ? local_state(m, e) : account_open_state(m, e)) < 0)
		return -1;
	m->log = log_open(m->state_fd, o->foreground, o->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
			  e);
	m->journal = m->log ? journal_open(m->state_fd, &damaged, e) : NULL;
	if (damaged)
		log_line(
			m->log, LOG_LEVEL_WARNING, "mount",
			"the journal in '%s' was damaged and is set aside; the state comes from the service",
			m->state_path);
	return m->journal ? journal_set(m->journal, "source", m->source, e) : -1;
}

static int make_engines(struct mount *m, struct err *e)
{
	m->jobs = jobs_new(JOB_THREADS, e);
	m->watch = m->jobs ? watch_new(e) : NULL;
	if (!m->watch)
		return -1;
	m->vfiles = vfiles_new();
	m->tree = tree_new(&root_ops, root_rows, m);
	if (!m->vfiles || !m->tree)
		return err_set(e, ENOMEM, "out of memory");
	m->aws = aws_new(&m->config, e);
	return m->aws ? 0 : -1;
}

static int begin(struct making *k, struct err *e)
{
	struct mount *m = &k->m;

	if (configure(k, e) < 0 || make_engines(m, e) < 0 || identify(k, e) < 0 ||
	    open_state(k, e) < 0 || look_at_bucket(k, e) < 0)
		return -1;
	if (k->unknown.no) {
		err_prefix(
			&k->unknown,
			"mounted without knowing whose these keys are; AWS is asked again when needed");
		mount_fail(m, ROOM_ROOT, &k->unknown);
	}
	if (rooms_start(m, e) < 0)
		return -1;
	k->rooms = true;
	if (k->backend && local_guard(k->backend, m->log, e) < 0)
		return -1;
	if (ops_mount(m, e) < 0)
		return -1;
	k->gone = mount_gone_start(m->mountpoint, e);
	return k->gone ? 0 : -1;
}

/* Deletions that are not done outlive the mount, once nobody waits for an answer of it. */
static void linger(struct making *k)
{
	struct mount *m = &k->m;
	const int64_t until = now_ms() + JOB_GRACE_MS;

	while (ops_pending(m) && now_ms() < until)
		poll(NULL, 0, 20);
	if (k->gone && !ops_pending(m)) { /* it was usable once */
		ops_unmount(m);
		mount_linger(m);
	}
	endpoints_stop(m->endpoints, 0, 0);
}

/* The end, in order: nobody asks any more, commits get their time, jobs end, the kernel lets go, memory. */
static void end(struct making *k)
{
	struct mount *m = &k->m;

	mount_gone_stop(k->gone);
	if (m->vfiles && m->tree)
		vfiles_stop(m);
	if (k->rooms) {
		rooms_stop(m, COMMIT_GRACE_MS);
		linger(k);
	}
	jobs_stop(m->jobs, JOB_GRACE_MS);
	ops_unmount(m);
	watch_stop(m->watch);
	if (ops_pending(m))
		log_line(m->log, LOG_LEVEL_WARNING, "mount", "%u requests were not answered",
			 ops_pending(m));
	else if (m->vfiles && m->tree)
		vfiles_close(m);
	ops_free(m);
	tree_free(m->tree);
	if (k->rooms)
		rooms_free(m);
	aws_free(m->aws);
	jobs_free(m->jobs);
	watch_free(m->watch);
	vfiles_free(m->vfiles);
	journal_close(m->journal);
	log_line(m->log, LOG_LEVEL_INFO, "mount", "ended");
	log_close(m->log);
	local_leave(k->backend);
	cancel_unref(k->cancel);
	config_release(&m->config);
	if (m->staging_fd >= 0)
		close(m->staging_fd);
	if (m->state_fd >= 0)
		close(m->state_fd);
	free(m->state_path);
	free(m->source);
	pthread_mutex_destroy(&m->mu);
}

int mount_run(const struct options *o, void (*ready)(void *arg), void *arg, struct err *e)
{
	struct making *k = calloc(1, sizeof *k);

	if (!k)
		return err_set(e, ENOMEM, "out of memory");
	k->m = (struct mount){.opt = o,
			      .mountpoint = o->mountpoint,
			      .uid = getuid(),
			      .gid = getgid(),
			      .started = time(NULL),
			      .state_fd = -1,
			      .staging_fd = -1};
	pthread_mutex_init(&k->m.mu, NULL);
	int rc = begin(k, e);
	if (rc == 0) {
		log_line(k->m.log, LOG_LEVEL_INFO, "mount", "'%s' on '%s', state in '%s'",
			 k->m.source, k->m.mountpoint, k->m.state_path);
		rc = ops_loop(&k->m, ready, arg, e);
		log_line(k->m.log, LOG_LEVEL_INFO, "mount", "ending");
	}
	end(k);
	free(k);
	return rc;
}
