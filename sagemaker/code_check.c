/* code_check.c: check_code.py over the scripts in code/, and what its lines mean for the container. */
#include "sagemaker/code_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

#include "sagemaker/images.h"
#include "sagemaker/requirements.h"

#define MAX_FILES  64
#define MAX_OUTPUT ((size_t)256 << 10)
#define LIMIT_S    10

extern const char check_code[]; /* generated from check_code.py */

/* What the containers have beside Python's own modules, as far as scripts use it. */
static const struct {
	const char *images, *modules;
} containers[] = {
	{"tensorflow",
	 " requests falcon gunicorn gevent grpc google tensorflow_serving boto3 botocore urllib3 "          },
	{"mxnet",       " mxnet numpy scipy pandas PIL cv2 requests boto3 botocore sagemaker_inference "
		  "sagemaker_mxnet_serving_container gluoncv gluonnlp "                    },
	{"pytorch",
	 " torch torchvision torchaudio numpy scipy pandas sklearn PIL cv2 requests boto3 botocore yaml "
	 "tqdm psutil six ts sagemaker_inference sagemaker_pytorch_serving_container "                      },
	{"sklearn",
	 " sklearn numpy scipy pandas joblib flask requests boto3 botocore PIL six psutil "
	 "sagemaker_containers sagemaker_inference sagemaker_sklearn_container "                            },
	{"xgboost",
	 " xgboost sklearn numpy scipy pandas joblib flask requests boto3 botocore matplotlib PIL pyarrow six "
	 "sagemaker_containers sagemaker_inference sagemaker_xgboost_container sagemaker_algorithm_toolkit "},
	{"huggingface",
	 " transformers tokenizers datasets safetensors huggingface_hub diffusers accelerate "
	 "sentence_transformers torch torchvision torchaudio numpy scipy pandas sklearn PIL librosa requests "
	 "boto3 botocore tqdm yaml sagemaker_inference sagemaker_huggingface_inference_toolkit "            },
};

struct looking {
	struct package_plan *p;
	const char *entry; /* path in the archive */
	char python[8];    /* the image's, "3.10", "" unknown */
	bool older;        /* the Python here is older than the image's */
};

/* ---- the process ---- */

static int spawn_python(int dirfd, char **words, int out, pid_t *pid)
{
	char *env[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin"}, (char[]){"LC_ALL=C.UTF-8"},
		       NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addfchdir_np(&files, dirfd);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int failed = posix_spawnp(pid, words[0], &files, &attr, words, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return failed;
}

static int64_t monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What it prints, until it ends or its time is over. */
static void read_all(int fd, struct buf *out)
{
	int64_t limit = monotonic_ms() + (int64_t)LIMIT_S * 1000;
	char piece[4096];

	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		int64_t left = limit - monotonic_ms();

		if (left <= 0 || (poll(&p, 1, (int)left) == 0))
			return;
		ssize_t n = read(fd, piece, sizeof(piece));
		if (n == 0 || (n < 0 && errno != EINTR))
			return;
		if (n > 0)
			buf_add(out, piece, (size_t)n);
	}
}

static void run(int dirfd, char **words, struct buf *out)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return;
	int failed = spawn_python(dirfd, words, ends[1], &pid);
	close(ends[1]);
	if (!failed) {
		read_all(ends[0], out);
		kill(pid, SIGKILL); /* over, or too slow */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
}

/* ---- what it says ---- */

static bool contains(const char *list, const char *word)
{
	_cleanup_free_ char *with = str_printf(" %s ", word);

	return with && strstr(list, with) != NULL;
}

static bool container_has(const struct package_plan *p, const char *module)
{
	for (size_t i = 0; i < ARRAY_SIZE(containers); i++)
		if (streq(containers[i].images, p->framework->images))
			return contains(containers[i].modules, module);
	return true; /* a container of the user's own */
}

static bool has_below(const struct package_plan *p, const char *dir, const char *module)
{
	size_t d = strlen(dir), n = strlen(module);

	for (size_t i = 0; i < p->n_members; i++) {
		const char *at = p->members[i].archive;

		if (strncmp(at, dir, d) == 0 && strncmp(at + d, module, n) == 0 &&
		    (at[d + n] == '/' || at[d + n] == '.'))
			return true;
	}
	return false;
}

/* A file or a package beside the script, or in code/lib. */
static bool code_has_module(const struct package_plan *p, const char *module)
{
	return has_below(p, "code/", module) || has_below(p, "code/lib/", module);
}

static int take_import(struct looking *l, const char *path, const char *module, struct err *e)
{
	bool required = false;

	if (container_has(l->p, module) || code_has_module(l->p, module))
		return 0;
	if (requirements_module(l->p, module, &required, e))
		return -1;
	if (!required)
		plan_note(
			l->p,
			"warning: %s imports '%s', which the %s container may lack: name its package in "
			"code/requirements.txt, or put the module into code/",
			path, module, l->p->framework->images);
	return 0;
}

static void take_syntax(struct looking *l, const char *path, const char *line, const char *why)
{
	const struct package_member *entry = plan_find(l->p, l->entry);

	if (entry && entry->path && streq(entry->path, path) && !l->older)
		plan_fail(l->p, EINVAL,
			  "'%s' does not compile: line %s: %s; the container could not import it",
			  path, line, why);
	else
		plan_note(l->p, "warning: %s does not compile: line %s: %s", path, line, why);
}

/* The fields of a line, at most four; missing ones are "". */
static void split(char *line, char *field[4])
{
	for (int i = 0; i < 4; i++) {
		field[i] = line;
		line += strcspn(line, "\t");
		if (*line)
			*line++ = '\0';
	}
}

static int take_line(struct looking *l, char *line, struct err *e)
{
	char *f[4];

	split(line, f);
	if (streq(f[0], "V"))
		l->older = *l->python && version_compare(f[1], l->python) < 0;
	else if (streq(f[0], "S"))
		take_syntax(l, f[1], f[2], f[3]);
	else if (streq(f[0], "N"))
		plan_note(l->p, "warning: %s needs a newer Python than the image's %s: line %s: %s",
			  f[1], l->python, f[2], f[3]);
	else if (streq(f[0], "I"))
		return take_import(l, f[1], f[2], e);
	return 0;
}

/* "py310" is 3.10, "py38" 3.8; "py3" says nothing. */
static void image_python(const struct package_plan *p, char out[8])
{
	struct image image;
	const char *type = p->settings.instance_type[0] ? p->settings.instance_type : "ml.m5.large";

	out[0] = '\0';
	if (package_image(p, "us-east-1", type, &image, NULL) == 0 &&
	    starts_with(image.py, "py3") && image.py[3])
		snprintf(out, 8, "3.%.3s", image.py + 3);
}

/* The user's scripts in code/ as arguments; returns how many. */
static size_t add_scripts(const struct package_plan *p, char **words, size_t n)
{
	size_t before = n;

	for (size_t i = 0; i < p->n_members && n < before + MAX_FILES; i++) {
		const struct package_member *m = &p->members[i];

		if (m->path && starts_with(m->archive, "code/") && ends_with(m->archive, ".py") &&
		    !starts_with(m->archive, "code/lib/"))
			words[n++] = m->path;
	}
	return n - before;
}

int code_check(struct package_plan *p, struct err *e)
{
	_cleanup_free_ char *program = strdup(check_code);
	_cleanup_free_ char *entry =
		str_printf("code/%s", *p->program ? p->program : "inference.py");
	_cleanup_buf_ struct buf out = BUF_INIT(MAX_OUTPUT);
	struct looking l = {.p = p, .entry = entry};
	char *words[MAX_FILES + 8] = {(char[]){"python3"}, (char[]){"-IS"}, (char[]){"-c"}, program,
				      l.python};

	if (!program || !entry)
		return err_set(e, ENOMEM, "check the code: out of memory");
	if (!p->framework || !*p->framework->name || !add_scripts(p, words, 5))
		return 0;
	image_python(p, l.python);
	run(p->dirfd, words, &out);
	for (char *line = out.data; line && *line;) {
		size_t n = strcspn(line, "\n");
		char *next = line + n + (line[n] == '\n');

		line[n] = '\0';
		if (take_line(&l, line, e))
			return -1;
		line = next;
	}
	return 0;
}
