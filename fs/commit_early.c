/*
 * commit_early.c: files that are closed are sent while others are still written, so that little is left when the last one is.
 *
 * Nobody tells which files are ready: now and then the tree is looked at as the commit will (package_plan), and what no one has open,
 * has not changed for a moment and is in no group yet goes out. So renames, replacements and removals need no bookkeeping. What turns
 * out wrong later costs its own parts (bundle.h); nothing is ever published from here.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/sending.h"

#define EARLY_MIN \
 ((uint64_t)16 << 20) /* bytes of closed files: less is quicker sent in one piece by the commit */
#define EARLY_GUESS \
 ((uint64_t)64      \
  << 20) /* one file of that, or that much of all, goes though its place in the archive is only guessed */
#define EARLY_WAIT_MS 100
#define EARLY_SHARE   4 /* a look that took long is not repeated before so many times that */
#define SETTLED_NS    60000000LL /* a file that changed since may change again with the same times */
#define SLACK         ((uint64_t)64 << 20)

static bool allowed_locked(const struct model *md)
{
	const struct options *opt = md->s->m->opt;

	return !opt->commit_explicit && !opt->read_only && !md->s->stopping && !md->deleting &&
	       !md->conflict && !md->early_failed;
}

/* Any file that is closed may be the one by which those that lie there are recognised, or that makes enough of them. */
static bool enough_locked(const struct model *md)
{
	return md->closed && md->closed + md->lying >= EARLY_MIN;
}

void early_again_locked(struct model *md)
{
	if (!enough_locked(md) || md->early_armed || md->early || md->committing || md->copying ||
	    !allowed_locked(md))
		return;
	md->early_armed = true;
	timer_arm(md->s->m->watch, &md->early_timer, MAX(md->early_wait, (int64_t)EARLY_WAIT_MS));
}

void early_closed(struct model *md, uint64_t bytes)
{
	SCOPED_LOCK(&md->s->mu);

	md->closed += MAX(bytes, (uint64_t)1); /* an empty one may be what is missing, too */
	early_again_locked(md);
}

/* What is looked at ------------------------------------------------------------------------------ */

struct look {
	struct model *md;
	struct cancel *cancel;
	struct package_plan *plan;
	struct file_key *sent; /* files that are in groups */
	size_t n_sent;
	struct file_key *open; /* files that somebody may still write to; dev and ino only */
	size_t n_open;
	size_t *ready; /* members to be sent */
	size_t n;
	uint64_t bytes;
	bool guess, bold, hopeless; /* what of them may go */
	uint64_t lying;             /* bytes of those that may not, yet */
	int64_t took;               /* ms */
};

static void look_release(struct look *l)
{
	package_plan_free(l->plan);
	free(l->sent);
	free(l->open);
	free(l->ready);
}

static bool stop_asked(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return md->early_stop || !allowed_locked(md);
}

static int open_files(struct look *l)
{
	SCOPED_LOCK(&l->md->s->mu);
	size_t n = 0;
	struct stat st;

	for (const struct file *f = l->md->files; f; f = f->next)
		n += f->writer;
	l->open = calloc(n + 1, sizeof *l->open);
	for (const struct file *f = l->md->files; l->open && f; f = f->next)
		if (f->writer && fstat(f->fd, &st) == 0)
			l->open[l->n_open++] =
				(struct file_key){.dev = st.st_dev, .ino = st.st_ino};
	return l->open ? 0 : -1;
}

static bool is_open(const struct look *l, const struct stat *st)
{
	for (size_t i = 0; i < l->n_open; i++)
		if (l->open[i].ino == st->st_ino && l->open[i].dev == st->st_dev)
			return true;
	return false;
}

static bool settled(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000000000 + now.tv_nsec -
		       st->st_ctim.tv_nsec >=
	       SETTLED_NS;
}

static bool may_go(const struct look *l, const struct package_member *m)
{
	return !l->hopeless && (!l->guess || l->bold || m->size >= EARLY_GUESS);
}

static void consider(struct look *l, size_t i)
{
	const struct package_member *m = &l->plan->members[i];
	struct file_key key;
	struct stat st;

	if (m->content || fstatat(l->plan->dirfd, m->path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || (uint64_t)st.st_size != m->size || is_open(l, &st))
		return;
	file_key_of(&st, &key);
	if (file_key_find(l->sent, l->n_sent, &key))
		return;
	if (!may_go(l, m)) {
		l->lying += m->size;
		return;
	}
	if (!settled(&st)) {
		SCOPED_LOCK(&l->md->s->mu);
		l->md->closed += m->size;
		return;
	}
	l->ready[l->n++] = i;
	l->bytes += m->size;
}

/* What is there. What is not recognised yet may be the rest of a model whose index comes last: then large files, or many, go where they
 * stand. Should that be wrong, the first part of each large one is sent again, and the small ones whole. */
static int make_plan(struct look *l, struct err *e)
{
	if (model_sketch(l->md, &l->plan, e) < 0)
		return -1;
	l->guess = !l->plan->framework;
	l->bold = l->plan->bytes >= EARLY_GUESS;
	return 0;
}

/* What no further copying will mend is not worth a byte. */
static bool hopeless(const struct look *l)
{
	return !l->guess && !l->plan->whole && l->plan->why.no != ENODATA;
}

/* What is an archive already, or goes up as files, makes none. */
static bool no_archive(const struct look *l)
{
	return l->plan->ready || package_as_files(l->plan, l->md->s->m->opt->files_above);
}

static int find_ready(struct look *l, struct err *e)
{
	if (open_files(l) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (make_plan(l, e) < 0)
		return -1;
	l->hopeless = hopeless(l);
	l->ready = calloc(l->plan->n_members + 1, sizeof *l->ready);
	if (!l->ready)
		return err_set(e, ENOMEM, "out of memory");
	if (l->md->sending)
		l->sent = bundle_keys(l->md->sending->bundle, &l->n_sent);
	for (size_t i = 0; i < l->plan->n_members && !no_archive(l); i++)
		consider(l, i);
	return 0;
}

/* Known already ---------------------------------------------------------------------------------- */

/* Both lists are sorted by the archive's paths; at: where the last search ended. */
static const cJSON *member_of(const cJSON **at, const char *archive)
{
	while (*at && strcmp(manifest_text(*at, "archive"), archive) < 0)
		*at = (*at)->next;
	return *at && streq(manifest_text(*at, "archive"), archive) ? *at : NULL;
}

/* A file that the current version has with the same content waits: most likely the model is copied once more as it is, and then nothing
 * has to be sent at all. Its hash is known then, too. */
static bool is_published(struct look *l, const cJSON **at, size_t i)
{
	const struct package_member *m = &l->plan->members[i];
	const cJSON *old = member_of(at, m->archive);
	char sum[SHA256_HEX];
	struct err e;

	if (!old ||
	    cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(old, "size")) != (double)m->size)
		return false;
	if (package_hash(l->plan, i, l->md->s->hashes, l->cancel, &e) < 0)
		return true; /* changed meanwhile: the next look knows better */
	hex(m->sha256, SHA256_LEN, sum);
	return streq(sum, manifest_text(old, "sha256"));
}

static void leave_out_published(struct look *l, const struct manifest *man)
{
	const cJSON *at = cJSON_GetObjectItemCaseSensitive(man->current, "members");
	size_t kept = 0;

	at = at ? at->child : NULL;
	l->bytes = 0;
	for (size_t k = 0; k < l->n && !stop_asked(l->md); k++) {
		if (is_published(l, &at, l->ready[k]))
			continue;
		l->bytes += l->plan->members[l->ready[k]].size;
		l->ready[kept++] = l->ready[k];
	}
	l->n = kept;
}

/* 1: another mount has published, the commit will be a conflict. */
static int against_published(struct look *l, struct err *e)
{
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	char etag[128];
	bool ours;

	if (catalog_load(l->md, &man, etag, l->cancel, e) < 0)
		return -1;
	if (!man)
		return 0;
	{
		SCOPED_LOCK(&l->md->s->mu);
		ours = streq(l->md->base, man->version);
	}
	if (ours)
		leave_out_published(l, man);
	return !ours;
}

/* Sending ------------------------------------------------------------------------------------------ */

/* A model that is written over and over must not be sent over and over. */
static bool too_much(const struct look *l)
{
	const struct sending *s = l->md->sending;

	return s && __atomic_load_n(&s->done.made, __ATOMIC_RELAXED) + l->bytes >
			    2 * l->plan->bytes + SLACK;
}

static int send_ready(struct look *l, struct err *e)
{
	struct sending *s;

	if (sending_open(l->md, l->cancel, &s, e) < 0)
		return -1;
	int rc = bundle_pack(s->bundle, l->plan, l->ready, l->n, &l->bytes, l->cancel, e);
	sending_close(s, l->cancel, rc < 0);
	return rc;
}

/* l->bytes: what was ready and did not go. */
static int look_and_send(struct look *l, struct err *e)
{
	int64_t began = now_ms();
	struct s3_bucket bucket;

	if (find_ready(l, e) < 0)
		return -1;
	l->took = now_ms() - began;
	if (l->bytes < EARLY_MIN || too_much(l))
		return 0;
	if (mount_bucket(l->md->s->m, &bucket, l->cancel, e) < 0)
		return -1;
	int r = against_published(l, e);
	if (r || l->bytes < EARLY_MIN || stop_asked(l->md))
		return r < 0 ? -1 : 0;
	return send_ready(l, e);
}

static int look(struct model *md, struct cancel *cancel, struct err *e)
{
	_cleanup_(look_release)

	struct look l = {.md = md, .cancel = cancel};

	{
		SCOPED_LOCK(&md->s->mu);
		md->closed = 0;
	}

	int rc = look_and_send(&l, e);
	SCOPED_LOCK(&md->s->mu);
	md->lying = l.lying + l.bytes;
	md->early_wait = MAX(EARLY_SHARE * l.took, (int64_t)EARLY_WAIT_MS);
	return rc;
}

/* The job ------------------------------------------------------------------------------------------- */

static struct cancel *begin(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	if (md->early || md->committing || md->copying || !md->staged || !md->dirty ||
	    !allowed_locked(md))
		return NULL;
	md->cancel = cancel_new();
	md->early = md->cancel != NULL;
	md->early_stop = false;
	return cancel_ref(md->cancel);
}

/* What has nothing to do with the service. */
static bool passes(const struct err *e)
{
	return e->no == EBUSY || e->no == ECANCELED || e->no == ENOENT;
}

/* A failure is not told: the commit meets it again, or it has passed by then. */
static void end(struct model *md, int r, const struct err *e)
{
	if (r < 0 && !passes(e))
		log_line(md->s->m->log, LOG_LEVEL_INFO, "models",
			 "model '%s': its files are not sent before it is whole: %s", md->name,
			 e->text);
	SCOPED_LOCK(&md->s->mu);
	cancel_unref(steal(md->cancel));
	md->early = false;
	md->early_failed |= r < 0 && !passes(e);
	early_again_locked(md);
	pthread_cond_broadcast(&md->s->changed);
}

/* After how many ms; 0: there is nothing more for now. */
static int64_t more(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return enough_locked(md) && !md->early_stop && allowed_locked(md) ? md->early_wait : 0;
}

static void relay(void *arg)
{
	cancel_set(arg);
}

static void early_job(void *arg, struct cancel *cancel)
{
	struct model *md = arg;
	struct cancel *own = begin(md);
	struct err e = {0};
	int64_t wait;
	int r;

	if (!own)
		return;
	cancel_on(cancel, relay, own);
	do {
		r = look(md, own, &e);
		wait = r == 0 ? more(md) : 0;
	} while (wait && !cancel_sleep(own, wait));
	cancel_off(cancel, relay, own);
	cancel_unref(own);
	end(md, r, &e);
}

void early_timer(struct timer *t)
{
	struct model *md = t->arg;
	SCOPED_LOCK(&md->s->mu);

	md->early_armed = false;
	if (md->early || md->committing || !allowed_locked(md))
		return;
	if (jobs_run(md->s->m->jobs, early_job, md) < 0)
		md->early_failed = true;
}
