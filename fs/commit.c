/*
 * commit.c: from staging to a published version: check, digest, store, publish. One commit per model at a time; who asks while
 * one runs waits and looks again.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"

#define ATTEMPTS 4 /* files may change under a commit that somebody waits for */

static void chain(void *arg)
{
	cancel_set(arg);
}

/* 1: this thread commits; 0: nothing to commit. */
static int begin(struct model *md, enum why why, struct cancel *c, struct err *e)
{
	SCOPED_LOCK(&md->s->mu);

	while (md->early || (md->committing && why != COMMIT_QUIET)) {
		if (cancel_is_set(c))
			return err_set(
				e, ECANCELED,
				"the commit of model '%s' was cancelled; its files stay staged",
				md->name);
		md->early_stop = md->early;
		models_wait_locked(md->s, 100);
	}
	if (md->deleting)
		return err_set(e, ENOENT, "model '%s' is being removed", md->name);
	if (md->committing || (!md->dirty && !md->gone.n))
		return 0;
	md->committing = true;
	progress_phase(&md->work, PROGRESS_CHECKING, 0);
	md->cancel = cancel_new();
	return 1;
}

static void retry_later_locked(struct model *md, const struct err *e)
{
	if (md->s->stopping || !md->dirty)
		return;
	if (e->no == EBUSY || md->gen != md->failed_gen)
		model_arm_locked(md, MODEL_QUIET_MS);
	else if (!md->refused && !md->conflict)
		model_arm_locked(md, MODEL_RETRY_MS);
}

static void end(struct model *md, enum why why, int r, const struct err *e)
{
	{
		SCOPED_LOCK(&md->s->mu);
		cancel_unref(md->cancel);
		md->cancel = NULL;
		md->committing = false;
		md->waiting = r < 0 && md->refused && why != COMMIT_ASKED;
		early_again_locked(md);
		if (r < 0) {
			md->error = *e;
			md->failed_gen = md->gen;
			md->failed_at = now_ms();
			retry_later_locked(md, e);
		} else if (!md->dirty) {
			err_clear(&md->error);
		}
		model_news_locked(md);
	}
	progress_phase(&md->work, PROGRESS_IDLE, 0);
	if (r < 0 && !md->waiting && e->no != ECANCELED)
		mount_fail(md->s->m, ROOM_MODELS, e);
	model_wake(md);
}

/* A file just closed may look open for a moment. */
static int quiescent(struct model *md, enum why why, struct cancel *c, struct err *e)
{
	_cleanup_buf_ struct buf path = BUF_INIT(0);
	int64_t until = now_ms() + (why == COMMIT_ASKED ? MODEL_GRACE_MS : 0);
	SCOPED_LOCK(&md->s->mu);

	while (md->writers && now_ms() < until && !cancel_is_set(c))
		models_wait_locked(md->s, 20);
	if (!md->writers)
		return 0;
	(void)file_writer_locked(md, &path);
	return err_set(
		e, EBUSY,
		"model '%s' cannot be committed while '%s' is open for writing; close it and try again",
		md->name, buf_cstr(&path));
}

static void overrides_locked(const struct model *md, struct package_settings *out)
{
	*out = (struct package_settings){.generated_code = true};
	memcpy(out->framework, md->framework, sizeof out->framework);
	memcpy(out->framework_version, md->framework_version, sizeof out->framework_version);
}

static int plan(struct model *md, bool sketch, struct package_plan **out, struct err *e)
{
	struct package_settings overrides;
	const struct package_how how = {&overrides, md->s->hashes, sketch};
	_cleanup_close_ int fd = staging_top(md);

	{
		SCOPED_LOCK(&md->s->mu);
		overrides_locked(md, &overrides);
	}
	if (fd < 0)
		return err_errno(e, "cannot open the staged files of model '%s'", md->name);
	return package_plan(fd, md->name, &how, out, e);
}

int model_plan(struct model *md, struct package_plan **out, struct err *e)
{
	return plan(md, false, out, e);
}

int model_sketch(struct model *md, struct package_plan **out, struct err *e)
{
	return plan(md, true, out, e);
}

/* A copy that broke off looks as if it had ended. Nobody asked for this commit, so nobody said that all is there. */
static int refuse_broken_locked(struct model *md, enum why why, struct err *e)
{
	if (why == COMMIT_ASKED || !writers_judge(&md->programs))
		return 0;
	md->refused = true;
	return err_set(
		e, ENODATA,
		"model '%s': %s while it wrote here, so files may be missing; copy again what is missing, or publish it as it is by sync models/%s",
		md->name, md->programs.broken, md->name);
}

static int check(struct commit *c, struct err *e)
{
	struct model *md = c->md;

	{
		SCOPED_LOCK(&md->s->mu);
		c->gen = md->gen;
		md->refused = false;
		if (refuse_broken_locked(md, c->why, e) < 0)
			return -1;
	}

	progress_phase(&md->work, PROGRESS_CHECKING, 0);
	if (model_plan(md, &c->plan, e) < 0)
		return -1;
	if (!c->plan->whole) {
		*e = c->plan->why;
		SCOPED_LOCK(&md->s->mu);
		md->refused = true;
		/* .error of models/ must tell which one */
		return strstr(e->text, md->name) ? -1 : err_prefix(e, "model '%s'", md->name);
	}
	return 0;
}

bool commit_stands(const struct commit *c)
{
	SCOPED_LOCK(&c->md->s->mu);

	return c->md->gen == c->gen && !c->md->writers;
}

/* What is published is what was staged at c->gen. */
static int settle(struct commit *c, struct err *e)
{
	struct model *md = c->md;

	{
		SCOPED_LOCK(&md->s->mu);
		memcpy(md->base, c->version, sizeof md->base);
		md->conflict = md->early_failed = false;
		md->dirty = md->gen != c->gen;
		md->closed = md->lying = 0;
		if (!md->dirty)
			writers_forget(&md->programs);
	}

	return model_persist(md, e);
}

/* One try with fresh eyes. EBUSY: files changed meanwhile. */
static int attempt(struct commit *c, struct err *e)
{
	if (check(c, e) < 0 || commit_store(c, e) < 0)
		return -1;
	if (!commit_stands(c))
		return err_set(e, EBUSY, "model '%s' changed while it was being committed",
			       c->md->name);
	if (c->record && commit_publish(c, e) < 0)
		return -1;
	return settle(c, e);
}

static void commit_release(struct commit *c)
{
	package_plan_free(c->plan);
	manifest_unref(c->old);
	cJSON_Delete(c->record);
	cJSON_Delete(c->data);
}

static int attempt_once(struct model *md, enum why why, struct cancel *cancel, struct err *e)
{
	struct commit c = {.md = md, .why = why, .cancel = cancel};
	int r = attempt(&c, e);

	commit_finish(&c, r);
	commit_release(&c);
	return r;
}

static int commit(struct model *md, enum why why, struct cancel *cancel, struct err *e)
{
	bool staged;

	{
		SCOPED_LOCK(&md->s->mu);
		staged = md->staged;
	}
	/* only settings changed, or files were removed from the published view */
	if (!staged && (model_copy_up(md, cancel, e) < 0 || model_touch(md, e) < 0))
		return -1;
	for (int i = 0;; i++) {
		if (quiescent(md, why, cancel, e) < 0)
			return -1;
		int r = attempt_once(md, why, cancel, e);
		bool again = r < 0 && (e->no == EBUSY || e->no == ESTALE) && why == COMMIT_ASKED;
		if (!again || i + 1 == ATTEMPTS || cancel_is_set(cancel))
			return r;
	}
}

int model_commit(struct model *md, enum why why, struct cancel *c, struct err *e)
{
	struct cancel *own;
	int r = begin(md, why, c, e);

	if (r <= 0)
		return r;
	{
		SCOPED_LOCK(&md->s->mu);
		own = cancel_ref(md->cancel);
	}
	if (c && own)
		cancel_on(c, chain, own);
	r = commit(md, why, own, e);
	if (c && own)
		cancel_off(c, chain, own);
	cancel_unref(own);
	end(md, why, r, e);
	return r;
}

static void asked_job(void *arg, struct cancel *cancel)
{
	struct err e = {0};

	(void)!model_commit(arg, COMMIT_ASKED, cancel, &e); /* the failure is the model's */
}

void model_commit_start(struct model *md)
{
	struct err e = {0};

	if (jobs_run(md->s->m->jobs, asked_job, md) == 0)
		return;
	err_set(&e, ENOMEM, "out of memory");
	model_fail(md, &e);
}

/* sync models/NAME: the caller waits, and may stop waiting. */
struct syncing {
	struct req *r;
	struct model *md;
	bool answered; /* atomic: by the job or by the interrupt */
};

static bool claim(struct syncing *s)
{
	return !__atomic_exchange_n(&s->answered, true, __ATOMIC_ACQ_REL);
}

static void interrupted(void *arg)
{
	struct syncing *s = arg;
	struct req *r = s->r;

	if (claim(s))
		reply_err(r, EINTR); /* the commit goes on */
}

static void sync_job(void *arg, struct cancel *cancel)
{
	struct syncing *s = arg;
	struct err e = {0};
	int r = model_commit(s->md, COMMIT_ASKED, cancel, &e);

	if (claim(s))
		reply_err(s->r, r < 0 ? (e.no ? e.no : EIO) : 0);
	free(s);
}

/*
 * `sync models/NAME` commits. A program that makes its own changes last (databases after each transaction, shred after each renaming)
 * asks for the disk only: in a directory below, while it has a file of the model open, or by fdatasync.
 */
static bool for_the_disk(struct model *md, struct node *dir, pid_t tid, bool datasync)
{
	_cleanup_buf_ struct buf path = BUF_INIT(0);

	if (staging_path(dir, &path) < 0 || path.len)
		return true;
	{
		SCOPED_LOCK(&md->s->mu);
		if (!writers_has(&md->programs, tid))
			return false;
		buf_printf(&path, "%s/models/%s/", md->s->m->mountpoint, md->name);
	}
	return datasync || writers_opened(tid, buf_cstr(&path));
}

static void dir_to_disk(struct req *r, struct node *dir, bool datasync)
{
	_cleanup_close_ int fd = staging_dir(dir);

	file_to_disk(r, fd < 0 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		     datasync);
}

void staging_fsyncdir(struct req *r, struct node *dir, bool datasync)
{
	struct model *md = model_of(dir);
	bool disk = for_the_disk(md, dir, req_caller(r).tid, datasync);
	bool clean, staged;

	{
		SCOPED_LOCK(&md->s->mu);
		clean = !md->dirty && !md->gone.n && !md->committing;
		staged = md->staged;
	}
	if (disk && staged) {
		dir_to_disk(r, dir, datasync);
		return;
	}
	struct syncing *s = clean || disk ? NULL : calloc(1, sizeof *s);
	if (!s) {
		reply_err(r, clean || disk ? 0 : ENOMEM);
		return;
	}
	*s = (struct syncing){.r = r, .md = md};
	req_on_interrupt(r, interrupted, s);
	if (jobs_run(md->s->m->jobs, sync_job, s) == 0)
		return;
	if (claim(s))
		reply_err(r, ENOMEM);
	free(s);
}
