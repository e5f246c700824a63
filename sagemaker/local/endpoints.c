#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/endpoints_internal.h"
#include "sagemaker/local/history.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/logs.h"
#include "sagemaker/local/sandbox.h"
#include "sagemaker/local/spawner.h"
#include "sagemaker/local/validate.h"
#include "sagemaker/unpack.h"

const char *const status_names[N_STATUS] = {"Creating",    "InService", "Updating",
					    "RollingBack", "Failed",    "Deleting"};

struct endpoint *endpoint_ref_locked(struct endpoint *ep)
{
	ep->refs++;
	return ep;
}

static void free_endpoint(struct endpoint *ep)
{
	deployment_unref_locked(ep->live);
	deployment_unref_locked(ep->next_up);
	while (ep->old) {
		struct deployment *dep = ep->old;

		ep->old = dep->next_old;
		deployment_unref_locked(dep);
	}
	cJSON_Delete(ep->pending);
	free(ep);
}

void endpoint_unref(struct endpoint *ep)
{
	pthread_mutex_t *mu = &ep->all->mu;

	pthread_mutex_lock(mu);
	bool last = --ep->refs == 0;
	pthread_mutex_unlock(mu);
	if (last)
		free_endpoint(ep);
}

static struct endpoint *make_endpoint(struct fleet *all, const char *name, double created)
{
	struct endpoint *ep = calloc(1, sizeof *ep);

	if (ep)
		*ep = (struct endpoint){.all = all, .refs = 1, .listed = true, .created = created};
	if (ep)
		snprintf(ep->name, sizeof ep->name, "%s", name);
	return ep;
}

/* Rows of stores that knew one variant only. */
static void bring_up_to_date(cJSON *row)
{
	cJSON *variant = cJSON_DetachItemFromObjectCaseSensitive(row, "Variant");

	if (!variant)
		return;
	cJSON_AddItemToObject(variant, "Model",
			      cJSON_DetachItemFromObjectCaseSensitive(row, "Model"));
	cJSON_AddItemToArray(cJSON_AddArrayToObject(row, "Variants"), variant);
}

/* What a row says; it runs again from its beginning, whatever it was. */
static int read_row(struct endpoint *ep, cJSON *row)
{
	const char *status = member_string(row, "Status");

	bring_up_to_date(row);
	ep->next_up = deployment_of(ep, row);
	ep->pending = cJSON_DetachItemFromObjectCaseSensitive(row, "Pending");
	snprintf(ep->failure, sizeof ep->failure, "%s", member_string(row, "FailureReason"));
	ep->modified = member_number(row, "LastModifiedTime", ep->created);
	for (int i = 0; i < N_STATUS; i++) {
		if (streq(status, status_names[i]))
			ep->status = (enum status)i;
	}
	return ep->next_up ? 0 : -1;
}

static void load(void *arg, const char *name, double created, cJSON *json)
{
	struct fleet *all = arg;
	struct endpoint *ep =
		make_endpoint(all, name, member_number(json, "CreationTime", created));
	bool good = ep && read_row(ep, json) == 0;

	cJSON_Delete(json);
	if (!good) {
		if (ep)
			free_endpoint(ep);
		logger_error(all->be->log, "the row of endpoint '%s' is damaged and was left aside",
			     name);
		return;
	}
	ep->next = all->first;
	all->first = ep;
}

static bool is_used(const struct fleet *all, const char *id)
{
	for (const struct endpoint *ep = all->first; ep; ep = ep->next) {
		if (streq(ep->next_up->id, id))
			return true;
	}
	return false;
}

/* Directories that a crash left behind. */
static void sweep(struct fleet *all)
{
	int fd = openat(all->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *t = d ? readdir(d) : NULL; t; t = readdir(d)) {
		struct err e;
		if (t->d_name[0] == '.' || is_used(all, t->d_name))
			continue;
		tree_writable(all->dirfd, t->d_name, true);
		if (remove_tree(all->dirfd, t->d_name, &e) < 0)
			logger_warn(all->be->log, "cannot remove what is left of an endpoint: %s",
				    e.text);
	}
}

struct fleet *fleet_new(struct backend *be, struct err *e)
{
	struct fleet *all = calloc(1, sizeof *all);

	if (!all) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	all->be = be;
	pthread_mutex_init(&all->mu, NULL);
	all->ending = cancel_new();
	all->dirfd = -1;
	if (mkdirat(be->dirfd, "endpoints", 0700) == 0 || errno == EEXIST)
		all->dirfd = openat(be->dirfd, "endpoints", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (all->dirfd < 0) {
		err_errno(e, "cannot open the store's 'endpoints'");
		fleet_free(all);
		return NULL;
	}
	if (resource_each(be, &KIND_ENDPOINT, load, all, e) < 0) {
		fleet_free(all);
		return NULL;
	}
	sweep(all);
	return all;
}

void fleet_free(struct fleet *all)
{
	if (!all)
		return;
	while (all->first) {
		struct endpoint *ep = all->first;
		all->first = ep->next;
		endpoint_unref(ep);
	}
	if (all->dirfd >= 0)
		close(all->dirfd);
	cancel_unref(all->ending);
	pthread_mutex_destroy(&all->mu);
	free(all);
}

void fleet_start(struct fleet *all)
{
	SCOPED_LOCK(&all->mu);
	for (struct endpoint *ep = all->first, *next; ep; ep = next) {
		next = ep->next; /* one that is being deleted may go at once */
		if (ep->begun)
			continue; /* a request came first */
		if (ep->status == DELETING) {
			endpoint_end_locked(ep);
		} else if (ep->status != FAILED) {
			endpoint_set_locked(ep, CREATING, NULL);
			endpoint_begin_locked(ep);
		}
	}
}

static void each_in(struct deployment *dep, void (*fn)(struct instance *i, void *arg), void *arg)
{
	for (size_t k = 0; dep && k < dep->n; k++) {
		for (struct instance *i = dep->variants[k].first; i; i = i->next)
			fn(i, arg);
	}
}

/* Every instance of every endpoint, whatever its deployment is doing. */
static void each_instance_locked(struct fleet *all, void (*fn)(struct instance *i, void *arg),
				 void *arg)
{
	for (struct endpoint *ep = all->first; ep; ep = ep->next) {
		each_in(ep->live, fn, arg);
		each_in(ep->next_up, fn, arg);
		for (struct deployment *dep = ep->old; dep; dep = dep->next_old)
			each_in(dep, fn, arg);
	}
}

static void terminate(struct instance *i, void *arg)
{
	struct fleet *all = arg;

	if (i->alive)
		spawner_kill(all->be->spawner, i->process, SIGTERM);
}

void fleet_stop(struct fleet *all)
{
	SCOPED_LOCK(&all->mu);
	all->stopping = true;
	cancel_set(all->ending);
	each_instance_locked(all, terminate, all);
}

static void count(struct instance *i, void *arg)
{
	*(unsigned *)arg += i->alive;
}

unsigned fleet_alive(struct fleet *all)
{
	unsigned n = 0;

	SCOPED_LOCK(&all->mu);
	each_instance_locked(all, count, &n);
	return n;
}

struct census {
	unsigned alive, in_flight;
};

static void count_work(struct instance *i, void *arg)
{
	struct census *c = arg;

	c->alive += i->alive;
	c->in_flight += i->in_flight;
}

void fleet_census(struct fleet *all, cJSON *j)
{
	unsigned n[N_STATUS] = {0};
	struct census c = {0};
	cJSON *endpoints = cJSON_AddObjectToObject(j, "endpoints");

	SCOPED_LOCK(&all->mu);
	for (const struct endpoint *ep = all->first; ep; ep = ep->next)
		n[ep->status]++;
	each_instance_locked(all, count_work, &c);
	for (size_t i = 0; i < N_STATUS; i++)
		cJSON_AddNumberToObject(endpoints, status_names[i], n[i]);
	cJSON_AddNumberToObject(j, "model_servers", c.alive);
	cJSON_AddNumberToObject(j, "invocations_in_flight", c.in_flight);
}

struct printing { /* an instance whose process may print */
	char endpoint[64], variant[64], id[20];
};

struct printers {
	struct printing *rows;
	size_t n, cap;
};

static void add_printer(struct instance *i, void *arg)
{
	struct printers *l = arg;

	if (i->alive && l->n < l->cap) {
		struct printing *p = &l->rows[l->n++];

		memcpy(p->endpoint, i->variant->dep->ep->name, sizeof p->endpoint);
		memcpy(p->variant, i->variant->name, sizeof p->variant);
		memcpy(p->id, i->id, sizeof p->id);
	}
}

static void restart_log(struct instance *i, void *id)
{
	if (streq(i->id, id))
		i->log_from = 0;
}

/* The disk is not asked with the lock held: invocations need it. */
static void note_logs(struct fleet *all)
{
	struct printers l = {.cap = fleet_alive(all)};

	l.rows = calloc(l.cap + 1, sizeof *l.rows);
	if (!l.rows)
		return;
	pthread_mutex_lock(&all->mu);
	each_instance_locked(all, add_printer, &l);
	pthread_mutex_unlock(&all->mu);
	for (size_t k = 0; k < l.n; k++) {
		if (!logs_note(all->be, l.rows[k].endpoint, l.rows[k].variant, l.rows[k].id))
			continue;
		SCOPED_LOCK(&all->mu);
		each_instance_locked(all, restart_log, l.rows[k].id);
	}
	free(l.rows);
}

void fleet_tick(struct fleet *all)
{
	note_logs(all);
	SCOPED_LOCK(&all->mu);
	for (struct endpoint *ep = all->first; ep; ep = ep->next) {
		for (size_t k = 0; ep->live && ep->status == IN_SERVICE && k < ep->live->n; k++)
			variant_rest_locked(&ep->live->variants[k],
					    all->be->options->serverless_idle);
	}
}

bool fleet_variant(struct fleet *all, const char *name, const char *variant,
		   struct variant_state *out)
{
	SCOPED_LOCK(&all->mu);
	const struct endpoint *ep = endpoint_find_locked(all, name, strlen(name));
	struct deployment *dep = !ep ? NULL : ep->live ? ep->live : ep->next_up;
	const struct variant *v = dep ? variant_find(dep, variant) : NULL;

	if (v)
		*out = (struct variant_state){v->count, ep->status == IN_SERVICE, v->serverless};
	return v != NULL;
}

struct visit {
	void (*fn)(void *arg, const char *endpoint, const char *variant, pid_t pid);
	void *arg;
};

static void visit_process(struct instance *i, void *arg)
{
	const struct visit *v = arg;

	if (i->alive && i->pid)
		v->fn(v->arg, i->variant->dep->ep->name, i->variant->name, i->pid);
}

void fleet_processes(struct fleet *all,
		     void (*fn)(void *arg, const char *endpoint, const char *variant, pid_t pid),
		     void *arg)
{
	struct visit v = {fn, arg};

	SCOPED_LOCK(&all->mu);
	each_instance_locked(all, visit_process, &v);
}

struct search {
	const char *id;
	bool found;
};

static void compare_id(struct instance *i, void *arg)
{
	struct search *s = arg;

	s->found = s->found || streq(i->id, s->id);
}

bool fleet_has_instance(struct fleet *all, const char *id)
{
	struct search s = {id, false};

	SCOPED_LOCK(&all->mu);
	each_instance_locked(all, compare_id, &s);
	return s.found;
}

struct endpoint *endpoint_find_locked(struct fleet *all, const char *name, size_t len)
{
	struct endpoint *ep = all->first;

	while (ep && (strncasecmp(ep->name, name, len) != 0 || ep->name[len]))
		ep = ep->next;
	return ep;
}

/* The row of an endpoint: of what serves or, before that, of what shall; and the update that is being made. */
static cJSON *make_row(const struct endpoint *ep, enum status status, const char *failure,
		       double modified)
{
	const struct deployment *dep = ep->live ? ep->live : ep->next_up;
	cJSON *row = dep ? deployment_json(dep) : cJSON_CreateObject();

	cJSON_AddStringToObject(row, "EndpointName", ep->name);
	cJSON_AddStringToObject(row, "Status", status_names[status]);
	if (*failure)
		cJSON_AddStringToObject(row, "FailureReason", failure);
	cJSON_AddNumberToObject(row, "CreationTime", ep->created);
	cJSON_AddNumberToObject(row, "LastModifiedTime", modified);
	if (ep->live && ep->next_up)
		cJSON_AddItemToObject(row, "Pending", deployment_json(ep->next_up));
	else if (ep->pending)
		cJSON_AddItemToObject(row, "Pending", cJSON_Duplicate(ep->pending, true));
	return row;
}

int endpoint_save_locked(struct endpoint *ep, enum status status, struct err *e)
{
	_cleanup_json_ cJSON *row = make_row(ep, status, ep->failure, time_now());

	return resource_update(ep->all->be, &KIND_ENDPOINT, ep->name, row, e);
}

void endpoint_set_locked(struct endpoint *ep, enum status status, const char *failure)
{
	struct backend *be = ep->all->be;
	struct err e;

	endpoint_note_locked(ep);
	ep->status = status;
	ep->modified = time_now();
	snprintf(ep->failure, sizeof ep->failure, "%s", failure ? failure : "");
	if (endpoint_save_locked(ep, status, &e) < 0)
		logger_error(be->log, "endpoint %s: its state was not kept: %s", ep->name, e.text);
	if (failure)
		logger_error(be->log, "endpoint %s: %s: %s", ep->name, status_names[status],
			     failure);
	else
		logger_line(be->log, "endpoint %s: %s", ep->name, status_names[status]);
}

void endpoint_unlist_locked(struct endpoint *ep)
{
	struct endpoint **p = &ep->all->first;

	endpoint_note_locked(ep);
	while (*p != ep)
		p = &(*p)->next;
	*p = ep->next;
	ep->listed = false;
	logger_line(ep->all->be->log, "endpoint %s: deleted", ep->name);
	ep->refs--; /* the table's; who called has another */
}

int fleet_create(struct fleet *all, const char *name, const char *config, cJSON *variants,
		 const cJSON *tags, struct err *e)
{
	char id[17];

	random_text(id, sizeof id);
	SCOPED_LOCK(&all->mu);
	if (endpoint_find_locked(all, name, strlen(name))) {
		cJSON_Delete(variants);
		return 0;
	}
	struct endpoint *ep = make_endpoint(all, name, time_now());
	if (!ep) {
		cJSON_Delete(variants);
		return err_set(e, ENOMEM, "out of memory");
	}
	ep->modified = ep->created;
	ep->next_up = deployment_new(ep, config, id, variants);
	if (ep->next_up &&
	    endpoint_room_locked(all, ep->next_up, deployment_count(ep->next_up), e) < 0) {
		free_endpoint(ep);
		return -1;
	}
	_cleanup_json_ cJSON *row = make_row(ep, CREATING, "", ep->created);
	int added = ep->next_up ? resource_add(all->be, &KIND_ENDPOINT, name, row, tags, e)
				: err_set(e, ENOMEM, "out of memory");
	if (added <= 0) {
		free_endpoint(ep);
		return added;
	}
	ep->next = all->first;
	all->first = ep;
	history_note(all->be->history, &KIND_ENDPOINT, name, NULL);
	endpoint_delay_locked(ep, all->be->options->create_delay);
	endpoint_begin_locked(ep);
	return 1;
}

static cJSON *describe_variants(const struct deployment *dep)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t k = 0; k < dep->n; k++)
		cJSON_AddItemToArray(list, variant_describe(&dep->variants[k]));
	return list;
}

static void describe_pending(const struct deployment *dep, cJSON *j)
{
	cJSON *p = cJSON_AddObjectToObject(j, "PendingDeploymentSummary");

	cJSON_AddStringToObject(p, "EndpointConfigName", dep->config);
	cJSON_AddItemToObject(p, "ProductionVariants", describe_variants(dep));
	cJSON_AddNumberToObject(p, "StartTime", dep->began);
}

static cJSON *describe_locked(const struct endpoint *ep)
{
	char arn[256];
	const struct deployment *dep = ep->live ? ep->live : ep->next_up ? ep->next_up : ep->old;
	cJSON *j = cJSON_CreateObject();
	resource_arn(ep->all->be, &KIND_ENDPOINT, ep->name, arn);
	cJSON_AddStringToObject(j, "EndpointName", ep->name);
	cJSON_AddStringToObject(j, "EndpointArn", arn);
	cJSON_AddStringToObject(j, "EndpointConfigName", dep ? dep->config : ep->last_config);
	cJSON_AddStringToObject(j, "EndpointStatus", status_names[ep->status]);
	cJSON_AddNumberToObject(j, "CreationTime", ep->created);
	cJSON_AddNumberToObject(j, "LastModifiedTime", ep->modified);
	if (ep->failure[0])
		cJSON_AddStringToObject(j, "FailureReason", ep->failure);
	if (dep && ep->status != FAILED)
		cJSON_AddItemToObject(j, "ProductionVariants", describe_variants(dep));
	const cJSON *async = dep ? cJSON_GetObjectItem(dep->variants[0].json, "Async") : NULL;
	if (async)
		cJSON_AddItemToObject(j, "AsyncInferenceConfig", cJSON_Duplicate(async, true));
	if (ep->live && ep->next_up)
		describe_pending(ep->next_up, j);
	return j;
}

cJSON *fleet_describe(struct fleet *all, const char *name)
{
	SCOPED_LOCK(&all->mu);
	const struct endpoint *ep = endpoint_find_locked(all, name, strlen(name));

	return ep ? describe_locked(ep) : NULL;
}

void endpoint_note_locked(const struct endpoint *ep)
{
	struct history *h = ep->all->be->history;

	if (h)
		history_note(h, &KIND_ENDPOINT, ep->name, describe_locked(ep));
}

struct listed *fleet_list(struct fleet *all, size_t *n)
{
	size_t count = 0;

	*n = 0;
	SCOPED_LOCK(&all->mu);
	for (const struct endpoint *ep = all->first; ep; ep = ep->next)
		count++;
	struct listed *rows = calloc(count + 1, sizeof *rows);
	if (!rows)
		return NULL;
	for (const struct endpoint *ep = all->first; ep; ep = ep->next) {
		struct listed *l = &rows[(*n)++];
		*l = (struct listed){.created = ep->created,
				     .modified = ep->modified,
				     .status = status_names[ep->status]};
		snprintf(l->name, sizeof l->name, "%s", ep->name);
	}
	return rows;
}
