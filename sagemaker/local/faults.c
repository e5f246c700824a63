#include "sagemaker/local/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/local/logger.h"
#include "sagemaker/local/routes.h"

#define POLL_US 20000

/* One row, and how often its operation was called since the row appeared. */
struct fault {
	struct fault *next;
	char *text; /* the row's JSON: its identity over reloads */
	cJSON *json;
	const char *operation, *action;
	int nth; /* 0: every call */
	unsigned seen;
};

struct held {
	struct held *next;
	struct request *request;
	char *text; /* released when no row reads so any more; NULL: at `until` */
	double until;
};

struct faults {
	struct backend *be;
	char *path;
	pthread_t thread;
	pthread_mutex_t mu; /* guards what follows */
	struct fault *rows;
	struct held *held;
	struct stat stat; /* of the file when it was read */
	bool ending;
	unsigned mistakes; /* rows left out when it was read */
};

static void free_row(struct fault *row)
{
	cJSON_Delete(row->json);
	cJSON_free(row->text);
	free(row);
}

static struct fault *find_text(struct fault *rows, const char *text)
{
	while (rows && !streq(rows->text, text))
		rows = rows->next;
	return rows;
}

/* A row that could never be met is a mistake of who wrote it. NULL: none; else what is wrong with it. */
static const char *mistake(const char *operation, const char *action)
{
	static const char *const actions[] = {"withhold", "delay", "reset", "truncate", "status"};

	if (!operation || !action)
		return "a row needs 'operation' and 'action'";
	if (!route_named(operation))
		return "no such operation";
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (streq(actions[i], action))
			return NULL;
	}
	return "no such action";
}

/* A row of its JSON, which is taken out of the table and owned from here on; NULL: not a row. */
static struct fault *make_row(struct faults *f, cJSON *json)
{
	const char *operation = cJSON_GetStringValue(cJSON_GetObjectItem(json, "operation"));
	const char *action = cJSON_GetStringValue(cJSON_GetObjectItem(json, "action"));
	const cJSON *nth = cJSON_GetObjectItem(json, "nth");
	const char *wrong = mistake(operation, action);
	struct fault *row = wrong ? NULL : calloc(1, sizeof *row);

	if (wrong) {
		logger_warn(f->be->log, "faults: operation '%.60s', action '%.60s': %s",
			    text_or(operation, ""), text_or(action, ""), wrong);
		f->mistakes++;
	}
	if (!row) {
		cJSON_Delete(json);
		return NULL;
	}
	*row = (struct fault){.json = json,
			      .operation = operation,
			      .action = action,
			      .text = cJSON_PrintUnformatted(json),
			      .nth = cJSON_IsNumber(nth) ? nth->valueint : 0};
	if (!row->text) {
		free_row(row);
		return NULL;
	}
	return row;
}

static void replace_rows_locked(struct faults *f, cJSON *table)
{
	struct fault *old = f->rows, **last = &f->rows;

	f->rows = NULL;
	f->mistakes = 0;
	while (table && table->child) {
		struct fault *row = make_row(f, cJSON_DetachItemViaPointer(table, table->child));
		if (!row)
			continue;
		const struct fault *before = find_text(old, row->text);
		row->seen = before ? before->seen : 0;
		*last = row;
		last = &row->next;
	}
	while (old) {
		struct fault *next = old->next;
		free_row(old);
		old = next;
	}
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void reload_locked(struct faults *f)
{
	_cleanup_buf_ struct buf b = BUF_INIT((size_t)1 << 20);
	struct stat st = {0};

	if (stat(f->path, &st) == 0 && same_file(&st, &f->stat))
		return;
	f->stat = st;
	_cleanup_json_ cJSON *table =
		buf_read_file(&b, AT_FDCWD, f->path) == 0 ? cJSON_Parse(buf_cstr(&b)) : NULL;
	replace_rows_locked(f, cJSON_IsArray(table) ? table : NULL);
	if (st.st_size && !cJSON_IsArray(table)) {
		logger_warn(f->be->log, "faults: '%s' is not a JSON array of rows", f->path);
		f->mistakes++;
	}
}

/* Those whose time has come, taken out of the list. */
static struct held *take_due_locked(struct faults *f, bool all)
{
	struct held *due = NULL, **at = &f->held;
	double now = time_mono();

	while (*at) {
		struct held *h = *at;
		bool over = h->text ? !find_text(f->rows, h->text) : now >= h->until;
		if (!over && !all) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		h->next = due;
		due = h;
	}
	return due;
}

static void let_go(struct held *due)
{
	while (due) {
		struct held *next = due->next;
		due->request->faulted = true;
		request_done(due->request);
		free(due->text);
		free(due);
		due = next;
	}
}

static void *watch(void *arg)
{
	struct faults *f = arg;

	for (bool ending = false; !ending;) {
		usleep(POLL_US);
		pthread_mutex_lock(&f->mu);
		reload_locked(f);
		ending = f->ending;
		struct held *due = take_due_locked(f, ending);
		pthread_mutex_unlock(&f->mu);
		let_go(due);
	}
	return NULL;
}

static int write_table(const char *path, const char *text, struct err *e)
{
	_cleanup_json_ cJSON *json = cJSON_Parse(text);

	if (!cJSON_IsArray(json))
		return err_set(e, EINVAL, "the fault table is not a JSON array of rows");
	_cleanup_fclose_ FILE *out = fopen(path, "we");
	if (!out || fputs(text, out) < 0 || fflush(out) != 0)
		return err_errno(e, "cannot write '%s'", path);
	return 0;
}

struct faults *faults_new(struct backend *be, const char *spec, struct err *e)
{
	struct faults *f = calloc(1, sizeof *f);
	int no;

	if (!f) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	f->be = be;
	pthread_mutex_init(&f->mu, NULL);
	bool text = !spec || *spec == '[';
	f->path = text ? str_printf("%s/faults.json", be->dir) : strdup(spec + (*spec == '@'));
	if (!f->path || (spec && text && write_table(f->path, spec, e) < 0))
		goto fail;
	reload_locked(f);
	if (spec && f->mistakes) {
		err_set(e, EINVAL, "the fault table '%s' has %u mistakes, which '%s/log' names",
			f->path, f->mistakes, be->dir);
		goto fail;
	}
	no = pthread_create(&f->thread, NULL, watch, f);
	if (!no)
		return f;
	errno = no;
	err_errno(e, "cannot start a thread");
fail:
	replace_rows_locked(f, NULL);
	free(f->path);
	pthread_mutex_destroy(&f->mu);
	free(f);
	return NULL;
}

void faults_free(struct faults *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->mu);
	f->ending = true;
	pthread_mutex_unlock(&f->mu);
	pthread_join(f->thread, NULL);
	replace_rows_locked(f, NULL);
	pthread_mutex_destroy(&f->mu);
	free(f->path);
	free(f);
}

static double number_of(const cJSON *json, const char *name, double otherwise)
{
	const cJSON *j = cJSON_GetObjectItem(json, name);

	return cJSON_IsNumber(j) ? j->valuedouble : otherwise;
}

static bool is_before(const struct fault *row)
{
	return streq(row->action, "status") ||
	       cJSON_IsTrue(cJSON_GetObjectItem(row->json, "before"));
}

static bool is_call(const struct request *r, const char *operation)
{
	char name[64];

	route_call(r, name);
	return streq(operation, name);
}

/* The first row that this call meets, or NULL. All count it. */
static struct fault *meet_locked(struct faults *f, const struct request *r, bool before)
{
	struct fault *met = NULL;

	for (struct fault *row = f->rows; row; row = row->next) {
		if (!is_call(r, row->operation) || is_before(row) != before)
			continue;
		row->seen++;
		if (!met && (!row->nth || row->seen == (unsigned)row->nth))
			met = row;
	}
	return met;
}

bool faults_before(struct faults *f, struct request *r)
{
	SCOPED_LOCK(&f->mu);
	reload_locked(f);
	const struct fault *row = meet_locked(f, r, true);
	if (!row)
		return false;
	(void)meet_locked(f, r, false); /* a call that was not made is one all the same */
	const char *code = cJSON_GetStringValue(cJSON_GetObjectItem(row->json, "code"));
	const char *message = cJSON_GetStringValue(cJSON_GetObjectItem(row->json, "message"));
	reply_error(r, (unsigned)number_of(row->json, "arg", 500), code ? code : "InternalFailure",
		    "%s", message ? message : "a fault that a test asked for");
	r->reply.reset = streq(row->action, "reset");
	r->faulted = true;
	return true;
}

static bool hold_locked(struct faults *f, struct request *r, const struct fault *row)
{
	struct held *h = calloc(1, sizeof *h);
	bool delay = streq(row->action, "delay");

	if (!h)
		return false;
	*h = (struct held){.next = f->held,
			   .request = r,
			   .text = delay ? NULL : strdup(row->text),
			   .until = time_mono() + number_of(row->json, "arg", 0) / 1e3};
	f->held = h;
	return true;
}

bool faults_hold(struct faults *f, struct request *r)
{
	if (r->faulted)
		return false;
	SCOPED_LOCK(&f->mu);
	reload_locked(f);
	const struct fault *row = meet_locked(f, r, false);
	if (!row || f->ending)
		return false;
	if (streq(row->action, "withhold") || streq(row->action, "delay"))
		return hold_locked(f, r, row);
	r->reply.reset = streq(row->action, "reset");
	if (streq(row->action, "truncate"))
		r->reply.truncate_at = (size_t)number_of(row->json, "arg", 1);
	return false;
}
