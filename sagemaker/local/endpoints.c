#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/endpoints_internal.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/sandbox.h"
#include "sagemaker/local/spawner.h"
#include "sagemaker/local/validate.h"
#include "sagemaker/unpack.h"

const char *const status_names[N_STATUS] = {"Creating", "InService", "Failed", "Deleting"};

struct endpoint *endpoint_ref_locked(struct endpoint *ep)
{
	ep->refs++;
	return ep;
}

static void free_endpoint(struct endpoint *ep)
{
	if (ep->listen_fd >= 0)
		close(ep->listen_fd);
	cJSON_Delete(ep->plan);
	free(ep->base);
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

/* An endpoint of its stored row; takes over plan. NULL: the row is damaged or memory is out. */
static struct endpoint *make_endpoint(struct fleet *all, cJSON *plan, double created)
{
	const cJSON *variant = cJSON_GetObjectItem(plan, "Variant");
	struct endpoint *ep = calloc(1, sizeof *ep);
	const char *status = member_string(plan, "Status");

	if (!ep || !*member_string(plan, "EndpointName") || !*member_string(plan, "Id")) {
		free(ep);
		cJSON_Delete(plan);
		return NULL;
	}
	*ep = (struct endpoint){.all = all,
				.refs = 1,
				.listed = true,
				.plan = plan,
				.created = created,
				.listen_fd = -1};
	snprintf(ep->name, sizeof ep->name, "%s", member_string(plan, "EndpointName"));
	snprintf(ep->config, sizeof ep->config, "%s", member_string(plan, "EndpointConfigName"));
	snprintf(ep->variant, sizeof ep->variant, "%s", member_string(variant, "VariantName"));
	snprintf(ep->id, sizeof ep->id, "%s", member_string(plan, "Id"));
	snprintf(ep->failure, sizeof ep->failure, "%s", member_string(plan, "FailureReason"));
	ep->modified = member_number(plan, "LastModifiedTime", created);
	for (int i = 0; i < N_STATUS; i++) {
		if (streq(status, status_names[i]))
			ep->status = (enum status)i;
	}
	ep->base = str_printf("%s/endpoints/%s", all->be->dir, ep->id);
	if (ep->base)
		return ep;
	free_endpoint(ep);
	return NULL;
}

static void load(void *arg, const char *name, double created, cJSON *json)
{
	struct fleet *all = arg;
	struct endpoint *ep = make_endpoint(all, json, created);

	if (!ep) {
		logger_line(all->be->log, "the row of endpoint '%s' is damaged and was left aside",
			    name);
		return;
	}
	ep->next = all->first;
	all->first = ep;
}

static struct endpoint *find_id(const struct fleet *all, const char *id)
{
	struct endpoint *ep = all->first;

	while (ep && !streq(ep->id, id))
		ep = ep->next;
	return ep;
}

/* Directories that a crash left behind. */
static void sweep(struct fleet *all)
{
	int fd = openat(all->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *t = d ? readdir(d) : NULL; t; t = readdir(d)) {
		struct err e;
		if (t->d_name[0] == '.' || find_id(all, t->d_name))
			continue;
		tree_writable(all->dirfd, t->d_name, true);
		if (remove_tree(all->dirfd, t->d_name, &e) < 0)
			logger_line(all->be->log, "cannot remove what is left of an endpoint: %s",
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
	for (struct endpoint *ep = all->first; ep; ep = ep->next) {
		if (ep->begun)
			continue; /* a request came first */
		if (ep->status == IN_SERVICE)
			endpoint_set_locked(ep, CREATING, NULL);
		if (ep->status == CREATING)
			endpoint_begin_locked(ep);
		else if (ep->status == DELETING)
			endpoint_end_locked(ep);
	}
}

void fleet_stop(struct fleet *all)
{
	SCOPED_LOCK(&all->mu);
	all->stopping = true;
	cancel_set(all->ending);
	for (struct endpoint *ep = all->first; ep; ep = ep->next) {
		if (ep->alive)
			spawner_kill(all->be->spawner, ep->process, SIGTERM);
	}
}

unsigned fleet_alive(struct fleet *all)
{
	unsigned n = 0;

	SCOPED_LOCK(&all->mu);
	for (const struct endpoint *ep = all->first; ep; ep = ep->next)
		n += ep->alive;
	return n;
}

void fleet_tick(struct fleet *all)
{
	SCOPED_LOCK(&all->mu);
	for (struct endpoint *ep = all->first; ep; ep = ep->next) {
		if (ep->alive && endpoint_trim_log(ep))
			ep->log_from = 0;
	}
}

static struct endpoint *find_locked(struct fleet *all, const char *name, size_t len)
{
	struct endpoint *ep = all->first;

	while (ep && (strncasecmp(ep->name, name, len) != 0 || ep->name[len]))
		ep = ep->next;
	return ep;
}

static void set_string(cJSON *j, const char *name, const char *value)
{
	cJSON_DeleteItemFromObjectCaseSensitive(j, name);
	if (value)
		cJSON_AddStringToObject(j, name, value);
}

/* The members of the row that change. */
static void note_state(cJSON *plan, enum status status, const char *failure, double modified)
{
	set_string(plan, "Status", status_names[status]);
	set_string(plan, "FailureReason", failure && *failure ? failure : NULL);
	cJSON_DeleteItemFromObjectCaseSensitive(plan, "LastModifiedTime");
	cJSON_AddNumberToObject(plan, "LastModifiedTime", modified);
}

void endpoint_set_locked(struct endpoint *ep, enum status status, const char *failure)
{
	struct backend *be = ep->all->be;
	struct err e;

	ep->status = status;
	ep->modified = time_now();
	snprintf(ep->failure, sizeof ep->failure, "%s", failure ? failure : "");
	note_state(ep->plan, status, ep->failure, ep->modified);
	if (resource_update(be, &KIND_ENDPOINT, ep->name, ep->plan, &e) < 0)
		logger_line(be->log, "endpoint %s: its state was not kept: %s", ep->name, e.text);
	logger_line(be->log, "endpoint %s: %s%s%s", ep->name, status_names[status],
		    failure ? ": " : "", failure ? failure : "");
}

int fleet_create(struct fleet *all, cJSON *plan, const cJSON *tags, struct err *e)
{
	const char *name = member_string(plan, "EndpointName");
	char id[17];

	random_text(id, sizeof id);
	set_string(plan, "Id", id);
	note_state(plan, CREATING, NULL, time_now());
	SCOPED_LOCK(&all->mu);
	int added = find_locked(all, name, strlen(name))
			    ? 0
			    : resource_add(all->be, &KIND_ENDPOINT, name, plan, tags, e);
	if (added <= 0) {
		cJSON_Delete(plan);
		return added;
	}
	struct endpoint *ep = make_endpoint(all, plan, time_now());
	if (!ep)
		return err_set(e, ENOMEM, "out of memory");
	ep->next = all->first;
	all->first = ep;
	endpoint_begin_locked(ep);
	return 1;
}

static cJSON *describe_variant(const struct endpoint *ep)
{
	const cJSON *variant = cJSON_GetObjectItem(ep->plan, "Variant");
	const char *image = member_string(cJSON_GetObjectItem(ep->plan, "Model"), "Image");
	double weight = member_number(variant, "InitialVariantWeight", 1),
	       count = member_number(variant, "InitialInstanceCount", 1);
	cJSON *j = cJSON_CreateObject(), *images = cJSON_AddArrayToObject(j, "DeployedImages"),
	      *i = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "VariantName", ep->variant);
	cJSON_AddStringToObject(i, "SpecifiedImage", image);
	cJSON_AddStringToObject(i, "ResolvedImage", image);
	cJSON_AddNumberToObject(i, "ResolutionTime", ep->created);
	cJSON_AddItemToArray(images, i);
	cJSON_AddNumberToObject(j, "CurrentWeight", weight);
	cJSON_AddNumberToObject(j, "DesiredWeight", weight);
	cJSON_AddNumberToObject(j, "CurrentInstanceCount", ep->status == IN_SERVICE ? count : 0);
	cJSON_AddNumberToObject(j, "DesiredInstanceCount", count);
	return j;
}

cJSON *fleet_describe(struct fleet *all, const char *name)
{
	char arn[256];

	SCOPED_LOCK(&all->mu);
	const struct endpoint *ep = find_locked(all, name, strlen(name));
	if (!ep)
		return NULL;
	cJSON *j = cJSON_CreateObject();
	resource_arn(all->be, &KIND_ENDPOINT, ep->name, arn);
	cJSON_AddStringToObject(j, "EndpointName", ep->name);
	cJSON_AddStringToObject(j, "EndpointArn", arn);
	cJSON_AddStringToObject(j, "EndpointConfigName", ep->config);
	cJSON_AddStringToObject(j, "EndpointStatus", status_names[ep->status]);
	cJSON_AddNumberToObject(j, "CreationTime", ep->created);
	cJSON_AddNumberToObject(j, "LastModifiedTime", ep->modified);
	if (ep->failure[0])
		cJSON_AddStringToObject(j, "FailureReason", ep->failure);
	if (ep->status != FAILED)
		cJSON_AddItemToArray(cJSON_AddArrayToObject(j, "ProductionVariants"),
				     describe_variant(ep));
	return j;
}

enum delete_result fleet_delete(struct fleet *all, const char *name, struct err *e)
{
	SCOPED_LOCK(&all->mu);
	struct endpoint *ep = find_locked(all, name, strlen(name));
	if (!ep)
		return DELETE_MISSING;
	if (ep->status == CREATING || ep->status == DELETING)
		return DELETE_IN_PROGRESS;
	note_state(ep->plan, DELETING, ep->failure, time_now());
	if (resource_update(all->be, &KIND_ENDPOINT, ep->name, ep->plan, e) < 0) {
		note_state(ep->plan, ep->status, ep->failure, ep->modified);
		return DELETE_FAILED; /* what is not kept is not promised */
	}
	ep->status = DELETING;
	ep->modified = time_now();
	logger_line(all->be->log, "endpoint %s: Deleting", ep->name);
	endpoint_end_locked(ep);
	return DELETE_BEGUN;
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

enum invokable fleet_target(struct fleet *all, const char *name, size_t len,
			    struct invoke_target *out)
{
	SCOPED_LOCK(&all->mu);
	const struct endpoint *ep = find_locked(all, name, len);
	if (!ep || ep->status != IN_SERVICE)
		return INVOKE_UNKNOWN;
	snprintf(out->url, sizeof out->url, "http://127.0.0.1:%u/invocations", ep->port);
	memcpy(out->name, ep->name, sizeof out->name);
	memcpy(out->variant, ep->variant, sizeof out->variant);
	return ep->ready ? INVOKE_READY : INVOKE_RESTARTING;
}
