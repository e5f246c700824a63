#include "sagemaker/creds.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "sagemaker/creds_internal.h"
#include "sagemaker/profile.h"

/* botocore's windows (credentials.py), but never more than a part of the keys' life: a role of 15 minutes would be asked for
 * with every request. */
#define RENEW_S     (15 * 60L) /* from here on they are renewed while they are used */
#define AWAIT_S     (10 * 60L) /* and from here on the new ones are waited for */
#define TRY_AGAIN_S 60         /* a renewal that failed, while the old keys live */

struct creds {
	const struct config *config;
	struct http *http, *own; /* own: http, where we made it; the thread's until creds_stop */
	struct cancel *cancel;
	char *path[2]; /* of the shared files; NULL: there is no home directory */
	pthread_mutex_t
		mu; /* guards all below; held while the shared files are read, never for the network */
	pthread_cond_t changed; /* wanted or stopping became true */
	struct origin *origin;
	struct timespec modified[2]; /* of the files that it was found in */
	struct lease lease;
	int64_t fetched;    /* when the lease was; 0: there is none */
	int64_t again;      /* no renewal before then */
	struct err trouble; /* why the last one failed; no 0: it did not */
	bool wanted, fetching, started, stopping;
	struct origin *busy; /* the one being fetched from: not freed by others */
	struct creds_waiter *waiters;
	pthread_t thread;
};

struct creds *creds_new(const struct config *c, struct http *h, struct err *e)
{
	struct creds *cr = calloc(1, sizeof *cr);

	if (!cr || !(cr->cancel = cancel_new())) {
		free(cr);
		err_set(e, ENOMEM, "could not keep credentials: out of memory");
		return NULL;
	}
	cr->config = c;
	cr->http = h;
	cr->path[0] = profile_path(PROFILE_CREDENTIALS);
	cr->path[1] = profile_path(PROFILE_CONFIG);
	pthread_mutex_init(&cr->mu, NULL);
	pthread_cond_init(&cr->changed, NULL);
	return cr;
}

/* Finding ---------------------------------------------------------------------------------- */

static void look_at_files(const struct creds *cr, struct timespec out[2])
{
	for (int i = 0; i < 2; i++) {
		struct stat st;

		out[i] = cr->path[i] && stat(cr->path[i], &st) == 0 ? st.st_mtim
								    : (struct timespec){0};
	}
}

static void drop_lease_locked(struct creds *cr)
{
	lease_wipe(&cr->lease);
	cr->fetched = cr->again = 0;
	err_clear(&cr->trouble);
}

static void drop_origin_locked(struct creds *cr)
{
	if (cr->origin != cr->busy)
		origin_free(cr->origin);
	cr->origin = NULL;
}

static int64_t left_locked(const struct creds *cr, int64_t now)
{
	if (!cr->fetched)
		return 0;
	return cr->lease.expires ? cr->lease.expires - now : INT64_MAX;
}

/* Files that are just being written may not make sense: keys that were fetched are used on. */
static int find_locked(struct creds *cr, struct err *e)
{
	struct timespec now[2];

	if (cr->origin && cr->config->access_key)
		return 0; /* given ones are nobody else's */
	look_at_files(cr, now);
	if (cr->origin && memcmp(now, cr->modified, sizeof now) == 0)
		return 0;
	struct origin *found = origin_find(cr->config, e);
	if (!found && left_locked(cr, (int64_t)time(NULL)) > 0)
		return 0;
	if (!found) {
		drop_origin_locked(cr);
		drop_lease_locked(cr);
		return -1;
	}
	memcpy(cr->modified, now, sizeof now);
	if (origin_equal(found, cr->origin)) {
		origin_free(found);
		return 0;
	}
	drop_origin_locked(cr);
	drop_lease_locked(cr);
	cr->origin = found;
	return 0;
}

/* Fetching: the thread --------------------------------------------------------------------- */

/* Takes the waiters off their list: from then on nobody but the caller knows them. */
static struct creds_waiter *take_waiters_locked(struct creds *cr)
{
	struct creds_waiter *all = cr->waiters;

	for (struct creds_waiter *w = all; w; w = w->next)
		w->queued = false;
	cr->waiters = NULL;
	return all;
}

static void on_waiter_cancel(void *arg);

static void wake(struct creds_waiter *w, const struct err *e)
{
	while (w) {
		struct creds_waiter *next = w->next;

		cancel_off(w->cancel, on_waiter_cancel, w);
		w->ready(w->arg, e);
		w = next;
	}
}

static int fetch(struct creds *cr, struct origin *s, struct lease *out, struct err *e)
{
	if (!cr->http)
		cr->http = cr->own = http_new(cr->config, e);
	if (!cr->http)
		return -1;
	const struct fetch f = {cr->config, cr->http, cr->cancel};
	int failed = origin_lease(&f, s, out, e);
	if (!failed && out->expires && out->expires <= (int64_t)time(NULL))
		failed = err_set(e, EACCES, "they had ended already when they came");
	/* where the last resort fails there is no source to name */
	if (failed && s->provider->fetch != fetch_instance)
		err_prefix(e, "get the AWS keys of %s", s->from);
	return failed;
}

/* What came of it, for everybody; true: e is for the waiters. */
static bool settle_locked(struct creds *cr, int failed, const struct lease *l, const struct err *e)
{
	int64_t now = (int64_t)time(NULL);

	if (!failed) {
		cr->lease = *l;
		cr->fetched = now;
		cr->again = 0;
		err_clear(&cr->trouble);
		return false;
	}
	cr->trouble = *e;
	cr->again = now + TRY_AGAIN_S;
	return left_locked(cr, now) <= 0;
}

static void fetch_once(struct creds *cr, struct origin *s)
{
	struct lease l _cleanup_lease_ = {0};
	struct creds_waiter *waiters = NULL;
	struct err e = {0};
	bool tell = false;
	int failed = fetch(cr, s, &l, &e);

	pthread_mutex_lock(&cr->mu);
	cr->busy = NULL;
	cr->fetching = false;
	if (cr->origin == s)
		tell = settle_locked(cr, failed, &l, &e);
	else
		origin_free(s); /* the files say something else by now */
	if (!cr->wanted)
		waiters = take_waiters_locked(cr);
	pthread_mutex_unlock(&cr->mu);
	wake(waiters, tell ? &e : NULL);
}

/* The next thing to fetch; NULL: the end. */
static struct origin *next_wanted(struct creds *cr)
{
	SCOPED_LOCK(&cr->mu);
	while (!cr->wanted && !cr->stopping)
		pthread_cond_wait(&cr->changed, &cr->mu);
	if (cr->stopping)
		return NULL;
	cr->wanted = false;
	cr->fetching = true;
	cr->busy = cr->origin;
	return cr->origin;
}

static void *work(void *arg)
{
	struct creds *cr = arg;

	for (struct origin *s; (s = next_wanted(cr));)
		fetch_once(cr, s);
	return NULL;
}

static int start_locked(struct creds *cr, struct err *e)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&cr->thread, NULL, work, cr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	cr->started = errno == 0;
	return cr->started ? 0 : err_errno(e, "could not start the thread that gets AWS keys");
}

static int want_locked(struct creds *cr, struct err *e)
{
	if (cr->stopping)
		return err_set(e, ECANCELED, "cancelled");
	if (!cr->started && start_locked(cr, e))
		return -1;
	if (!cr->fetching || cr->busy != cr->origin) {
		cr->wanted = true;
		pthread_cond_signal(&cr->changed);
	}
	return 0;
}

/* Handing out ------------------------------------------------------------------------------ */

static int give_at_once(const struct origin *s, struct keys *out, struct err *e)
{
	const struct lease *l = &s->lease;
	char when[32];

	if (l->expires && l->expires <= (int64_t)time(NULL)) {
		time_write(l->expires, when);
		return err_set(e, EACCES, "the AWS keys of %s ended at %s; put new ones there",
			       s->from, when);
	}
	*out = l->keys;
	return 0;
}

static int give_locked(struct creds *cr, struct keys *out, struct err *e)
{
	int64_t now = (int64_t)time(NULL), left = left_locked(cr, now);
	int64_t life = cr->lease.expires ? cr->lease.expires - cr->fetched : INT64_MAX;

	if (left <= 0)
		return want_locked(cr, e) ? -1 : 1;
	if (left <= MIN(RENEW_S, life / 2)) {
		if (now >= cr->again && want_locked(cr, e))
			return -1;
		if ((cr->wanted || cr->fetching) && left <= MIN(AWAIT_S, life / 4))
			return 1;
	}
	*out = cr->lease.keys;
	return 0;
}

int creds_get(struct creds *cr, struct keys *out, struct err *e)
{
	SCOPED_LOCK(&cr->mu);
	if (find_locked(cr, e))
		return -1;
	if (!cr->origin->provider->fetch)
		return give_at_once(cr->origin, out, e);
	return give_locked(cr, out, e);
}

void creds_refused(struct creds *cr, const char *access)
{
	SCOPED_LOCK(&cr->mu);
	if (!cr->origin)
		return;
	if (!cr->origin->provider->fetch)
		memset(cr->modified, 0, sizeof cr->modified); /* perhaps there are others by now */
	else if (cr->fetched && streq(cr->lease.keys.access, access))
		drop_lease_locked(cr);
}

int creds_source(struct creds *cr, struct buf *out, struct err *e)
{
	SCOPED_LOCK(&cr->mu);
	if (find_locked(cr, e))
		return -1;
	buf_str(out, cr->origin->from);
	if (cr->trouble.no)
		buf_printf(out, " (not renewed: %s)", cr->trouble.text);
	return out->failed ? err_set(e, ENOMEM, "could not say where keys come from") : 0;
}

/* Waiting ---------------------------------------------------------------------------------- */

static void on_waiter_cancel(void *arg)
{
	struct creds_waiter *w = arg;
	struct creds *cr = w->creds;
	bool ours;

	pthread_mutex_lock(&cr->mu);
	ours = w->queued;
	w->cancelled = true;
	w->queued = false;
	for (struct creds_waiter **at = &cr->waiters; ours && *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	pthread_mutex_unlock(&cr->mu);
	if (ours)
		w->ready(w->arg, NULL);
}

/* The hook comes first: once w is on the list it may be over any time. */
bool creds_wait(struct creds *cr, struct creds_waiter *w)
{
	w->creds = cr;
	w->queued = w->cancelled = false;
	cancel_on(w->cancel, on_waiter_cancel, w);
	pthread_mutex_lock(&cr->mu);
	bool waits = !w->cancelled && !cr->stopping && (cr->wanted || cr->fetching);
	if (waits) {
		w->queued = true;
		w->next = cr->waiters;
		cr->waiters = w;
	}
	pthread_mutex_unlock(&cr->mu);
	if (!waits)
		cancel_off(w->cancel, on_waiter_cancel, w);
	return waits;
}

/* A thread that waits. */
struct sleeper {
	pthread_mutex_t mu; /* guards over, e */
	pthread_cond_t changed;
	bool over;
	struct err e;
};

static void on_ready(void *arg, const struct err *e)
{
	struct sleeper *s = arg;

	SCOPED_LOCK(&s->mu);
	s->over = true;
	if (e)
		s->e = *e;
	pthread_cond_signal(&s->changed);
}

static int sleep_until_ready(struct creds *cr, struct cancel *cancel, struct err *e)
{
	struct sleeper s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, {0}};
	struct creds_waiter w = {.ready = on_ready, .arg = &s, .cancel = cancel};

	if (!creds_wait(cr, &w))
		return 0;
	pthread_mutex_lock(&s.mu);
	while (!s.over)
		pthread_cond_wait(&s.changed, &s.mu);
	pthread_mutex_unlock(&s.mu);
	if (s.e.no)
		*e = s.e;
	return s.e.no ? -1 : 0;
}

int creds_fetch(struct creds *cr, struct keys *out, struct cancel *cancel, struct err *e)
{
	for (;;) {
		int r = cancel_is_set(cancel) ? err_set(e, ECANCELED, "cancelled")
					      : creds_get(cr, out, e);

		if (r <= 0)
			return r;
		if (sleep_until_ready(cr, cancel, e))
			return -1;
	}
}

/* The end ---------------------------------------------------------------------------------- */

void creds_stop(struct creds *cr)
{
	struct err e = {0};

	pthread_mutex_lock(&cr->mu);
	cr->stopping = true;
	bool started = cr->started;
	cr->started = false;
	pthread_cond_signal(&cr->changed);
	pthread_mutex_unlock(&cr->mu);
	cancel_set(cr->cancel);
	if (started)
		pthread_join(cr->thread, NULL);
	pthread_mutex_lock(&cr->mu);
	struct creds_waiter *waiters = take_waiters_locked(cr);
	pthread_mutex_unlock(&cr->mu);
	err_set(&e, ECANCELED, "cancelled");
	wake(waiters, &e);
}

void creds_free(struct creds *cr)
{
	if (!cr)
		return;
	creds_stop(cr);
	http_free(cr->own);
	origin_free(cr->origin);
	lease_wipe(&cr->lease);
	cancel_unref(cr->cancel);
	free(cr->path[0]);
	free(cr->path[1]);
	pthread_cond_destroy(&cr->changed);
	pthread_mutex_destroy(&cr->mu);
	free(cr);
}
