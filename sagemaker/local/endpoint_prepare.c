/* endpoint_prepare.c: a deployment's directory DIR/endpoints/ID: a directory N for each variant with model/ (the unpacked archive),
 * code/ (the user's, for containers that download it), `whole`, written when that is complete, and INSTANCE/tmp/ (scratch); and the
 * process that runs there. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sagemaker/images.h"
#include "sagemaker/local/endpoints_internal.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/logs.h"
#include "sagemaker/local/model_data.h"
#include "sagemaker/local/sandbox.h"
#include "sagemaker/local/spawner.h"
#include "sagemaker/local/validate.h"
#include "sagemaker/unpack.h"

#define ENV_MAX 128

static const cJSON *model_of(const struct variant *v)
{
	return cJSON_GetObjectItem(v->json, "Model");
}

static struct fleet *fleet_of(const struct variant *v)
{
	return v->dep->ep->all;
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int variant_choose(struct variant *v, struct err *e)
{
	const char *uri = member_string(model_of(v), "Image");
	struct image image;

	if (!images_parse(uri, &image))
		return err_set(
			e, EINVAL,
			"the local backend cannot run the image '%s': it runs AWS's TensorFlow, MXNet, PyTorch, scikit-learn, "
			"XGBoost and Hugging Face inference images by their URIs; deploy it with AWS (a mount of aws:REGION)",
			uri);
	if (runtime_server(image.framework, v->server, e) < 0)
		return -1;
	return runtime_choose(image.framework, image.version,
			      fleet_of(v)->be->options->strict_runtimes, &v->runtime, e);
}

/* ---- files ---- */

/* What `whole` holds: after a crash of the machine an unpacked tree cannot be trusted, after ours it can. */
static void boot_id(char out[64])
{
	_cleanup_buf_ struct buf b = BUF_INIT(63);

	buf_read_file(&b, AT_FDCWD, "/proc/sys/kernel/random/boot_id");
	snprintf(out, 64, "%s", buf_cstr(&b));
}

static bool is_whole(int base)
{
	_cleanup_buf_ struct buf b = BUF_INIT(63);
	char now[64];

	boot_id(now);
	return buf_read_file(&b, base, "whole") == 0 && streq(buf_cstr(&b), now);
}

static int mark_whole(int base, struct err *e)
{
	_cleanup_close_ int fd =
		openat(base, "whole", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char now[64];

	boot_id(now);
	if (fd < 0 || write(fd, now, strlen(now)) != (ssize_t)strlen(now))
		return err_errno(e, "cannot write the endpoint's 'whole'");
	return 0;
}

/* An empty directory base/name. */
static int fresh_dir(int base, const char *name, mode_t mode, struct err *e)
{
	tree_writable(base, name, true);
	if (remove_tree(base, name, e) < 0)
		return -1;
	return mkdirat(base, name, mode) < 0 ? err_errno(e, "cannot make the endpoint's '%s'", name)
					     : 0;
}

/* DIR/endpoints/ID/N, or -1. */
static int make_base(const struct variant *v, struct err *e)
{
	const char *id = v->dep->id;

	if (mkdirat(fleet_of(v)->dirfd, id, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make the endpoint's directory");
	if (mkdir(v->base, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make the variant's directory");
	int base = open_dir(v->base);
	return base < 0 ? err_errno(e, "cannot open the variant's directory") : base;
}

/* The data as base/name, which is made anew. */
static int fetch_into(const struct variant *v, const struct model_data *data, int base,
		      const char *name, struct err *e)
{
	if (fresh_dir(base, name, 0755, e))
		return -1;
	_cleanup_close_ int dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, "cannot open the endpoint's '%s'", name);
	return model_data_fetch(fleet_of(v)->be, data, dir, fleet_of(v)->ending, e);
}

int variant_unpack(struct variant *v, struct err *e)
{
	_cleanup_close_ int base = make_base(v, e);
	struct model_data data, code;

	if (base < 0)
		return -1;
	if (is_whole(base))
		return 0;
	if (model_data_read(model_of(v), &data, e) || fetch_into(v, &data, base, "model", e))
		return -1;
	model_data_code(model_of(v), &code);
	if (code.kind != DATA_NONE && fetch_into(v, &code, base, "code", e))
		return err_prefix(e, "SAGEMAKER_SUBMIT_DIRECTORY");
	tree_writable(base, "code", true);
	tree_writable(base, "model", true); /* and readable: the model server may be another user */
	return mark_whole(base, e);
}

void deployment_remove_files(struct deployment *dep)
{
	struct fleet *all = dep->ep->all;
	struct err e;

	tree_writable(all->dirfd, dep->id, true);
	if (remove_tree(all->dirfd, dep->id, &e) < 0)
		logger_warn(all->be->log, "endpoint %s: cannot remove its files: %s", dep->ep->name,
			    e.text);
}

/* ---- the process ---- */

int instance_listen(int *out, unsigned *port, struct err *e)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;

	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return err_errno(e, "cannot make the model server's socket");
	*port = ntohs(a.sin_port);
	*out = steal_fd(&fd);
	return 0;
}

struct environment {
	char *rows[ENV_MAX + 1];
	size_t n;
};

static void add_env(struct environment *v, const char *name, const char *value)
{
	char *row = v->n < ENV_MAX ? str_printf("%s=%s", name, value) : NULL;

	if (row)
		v->rows[v->n++] = row;
}

/* Ours to say: a model's Environment may not contradict what we do. */
static bool is_reserved(const char *name)
{
	static const char *const names[] = {"SAGEMAKER_BASE_DIR", "SAGEMAKER_BIND_TO_PORT"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (streq(name, names[i]))
			return true;
	}
	return starts_with(name, "SAGEMAKERFS_");
}

static void fill_environment(const struct launch *l, const char *home, struct environment *env)
{
	const cJSON *own = cJSON_GetObjectItemCaseSensitive(model_of(l->variant), "Environment"),
		    *j;

	const struct {
		const char *name, *format, *value;
	} rows[] = {
		{"PATH",                  "%s/bin:/usr/local/bin:/usr/bin:/bin", l->variant->runtime.dir},
		{"HOME",                  "%s/tmp",                              home                   },
		{"TMPDIR",                "%s/tmp",                              home                   },
		{"LANG",                  "%s",				  "C.UTF-8"              },
		{"PYTHONUNBUFFERED",      "%s",
		 "1"										    }, /* else its last lines are lost when it is killed */
		{"SAGEMAKERFS_LISTEN_FD", "%s",                                  "3"                    },
	};
	struct image image = {.version = ""};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *percent = strstr(rows[i].format, "%s");
		char *value = str_printf("%.*s%s%s", (int)(percent - rows[i].format),
					 rows[i].format, rows[i].value, percent + 2);
		if (value && (is_reserved(rows[i].name) ||
			      !cJSON_GetObjectItemCaseSensitive(own, rows[i].name)))
			add_env(env, rows[i].name, value);
		free(value);
	}
	cJSON_ArrayForEach(j, own) {
		if (cJSON_IsString(j) && !is_reserved(j->string))
			add_env(env, j->string, j->valuestring);
	}
	char port[16];
	snprintf(port, sizeof port, "%u", l->port);
	add_env(env, "SAGEMAKER_BIND_TO_PORT", port);
	images_parse(member_string(model_of(l->variant), "Image"), &image);
	add_env(env, "SAGEMAKERFS_FRAMEWORK", image.framework);
	add_env(env, "SAGEMAKERFS_FRAMEWORK_VERSION", image.version);
}

static char *home_of(const struct variant *v, const char *id)
{
	return str_printf("%s/%s", v->base, id);
}

/* INSTANCE/, with an empty tmp/; its path, NULL: *e says why. */
static char *make_home(const struct launch *l, struct err *e)
{
	char *home = home_of(l->variant, l->id);
	_cleanup_close_ int base = open_dir(l->variant->base);

	if (home && base >= 0 && (mkdirat(base, l->id, 0700) == 0 || errno == EEXIST)) {
		_cleanup_close_ int dir = openat(base, l->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0 && (l->installed || fresh_dir(dir, "tmp", 0700, e) == 0))
			return home;
	}
	if (!e->no)
		err_errno(e, "cannot make the instance's directory");
	free(home);
	return NULL;
}

/* The first lines of a process's log: which runtime stands in for which container. */
static void introduce(const struct variant *v, int log)
{
	char now[32];

	now_text(now);
	dprintf(log, "sagemakerfs: %s image %s served by %s %s (%s)\n", now,
		member_string(model_of(v), "Image"), v->runtime.framework, v->runtime.version,
		v->runtime.dir);
}

/* Whether the model's code asks for packages. They are installed by a process of its own, which keeps the network; the model
 * server, which runs the model's code, does not. */
static bool wants_packages(const struct variant *v)
{
	const cJSON *env = cJSON_GetObjectItemCaseSensitive(model_of(v), "Environment");
	_cleanup_free_ char *named =
		str_printf("code/%s", member_string(env, "SAGEMAKER_REQUIREMENTS"));
	const char *const places[] = {"model/code/requirements.txt", "code/requirements.txt",
				      named && !streq(named, "code/") ? named : NULL};
	_cleanup_close_ int base = open_dir(v->base);

	for (size_t i = 0; base >= 0 && i < ARRAY_SIZE(places); i++) {
		if (places[i] && faccessat(base, places[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/* The program beside the model servers that installs them; NULL: memory. */
static char *installer(const struct variant *v)
{
	const char *slash = strrchr(v->server, '/');

	return str_printf("%.*s/smfs_packages.py", slash ? (int)(slash - v->server) : 0, v->server);
}

int instance_spawn(struct launch *l, long long *log_from, struct err *e)
{
	_cleanup_free_ char *packages = installer(l->variant);

	const struct variant *v = l->variant;
	struct backend *be = fleet_of(v)->be;
	struct environment env = {.n = 0};
	char python[sizeof v->runtime.dir + 16];
	_cleanup_free_ char *home = make_home(l, e);
	_cleanup_close_ int log = home ? logs_open(be, v->dep->ep->name, v->name, l->id, e) : -1;

	if (log < 0)
		return -1;
	introduce(v, log);
	*log_from = lseek(log, 0, SEEK_END);
	snprintf(python, sizeof python, "%s/bin/python", v->runtime.dir);
	fill_environment(l, home, &env);
	l->installs = !l->installed && packages && access(packages, F_OK) == 0 && wants_packages(v);
	struct spawn p = {.tag = l->process,
			  .python = python,
			  .script = l->installs ? packages : v->server,
			  .network = l->installs,
			  .base = v->base,
			  .home = home,
			  .env = (const char *const *)env.rows,
			  .listen_fd = l->listen_fd,
			  .log_fd = log};
	int r = spawner_start(be->spawner, &p, &l->pid, e);
	for (size_t i = 0; i < env.n; i++)
		free(env.rows[i]);
	return r;
}

void instance_last_lines(const struct instance *i, size_t max, struct buf *out)
{
	const struct variant *v = i->variant;
	_cleanup_close_ int log = logs_fd(fleet_of(v)->be, v->dep->ep->name, v->name, i->id);
	const off_t from = i->log_from;
	char text[1025];
	struct stat st;

	if (log < 0 || fstat(log, &st) < 0)
		return;
	off_t at = MAX(from, st.st_size - (off_t)MIN(max, sizeof text - 1));
	ssize_t n = pread(log, text, MIN(max, sizeof text - 1), at);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	const char *p = text, *line = memchr(text, '\n', (size_t)n);
	if (at > from && line) /* begin with a whole line */
		p = line + 1;
	utf8_clean(text, (size_t)n);
	buf_add(out, p, (size_t)(text + n - p));
}
