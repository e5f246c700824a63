/* plan.c: recognise, lay out, check; and the small functions by which frameworks fill a plan. */
#include "sagemaker/plan.h"

#include <errno.h>
#include <fcntl.h>

#include "sagemaker/code_check.h"
#include "sagemaker/images.h"
#include "sagemaker/old_code.h"
#include "sagemaker/ready.h"
#include "sagemaker/requirements.h"
#include "sagemaker/settings.h"
#include "sagemaker/sniff.h"
#include "sagemaker/tensorflow.h"

#define MAX_NOTES ((size_t)256 << 10)

/* The entry for one more member, zeroed. */
static struct package_member *new_member(struct package_plan *p)
{
	struct package_member *m = reallocarray(p->members, p->n_members + 1, sizeof(*m));

	if (!m)
		return NULL;
	p->members = m;
	m += p->n_members++;
	memset(m, 0, sizeof(*m));
	return m;
}

int plan_add(struct package_plan *p, const struct source_file *f, struct err *e,
	     const char *archive, ...)
{
	struct package_member *m = new_member(p);
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	va_list ap;

	va_start(ap, archive);
	buf_vprintf(&b, archive, ap);
	va_end(ap);
	if (!m || b.failed)
		return err_set(e, ENOMEM, "lay out the model: out of memory");
	m->path = strdup(f->path);
	m->archive = buf_steal(&b);
	m->size = f->size;
	m->mode = f->mode;
	m->mtime = f->mtime;
	if (!m->path || !m->archive)
		return err_set(e, ENOMEM, "lay out the model: out of memory");
	return 0;
}

int plan_generate(struct package_plan *p, const char *archive, const char *content, size_t n,
		  struct err *e)
{
	struct package_member *m = new_member(p);

	if (!m)
		return err_set(e, ENOMEM, "lay out the model: out of memory");
	m->archive = strdup(archive);
	m->content = malloc(n + 1);
	m->size = n;
	m->mode = 0644;
	if (!m->archive || !m->content)
		return err_set(e, ENOMEM, "lay out the model: out of memory");
	memcpy(m->content, content, n);
	m->content[n] = '\0';
	return 0;
}

int plan_rename(struct package_member *m, const char *archive, struct err *e)
{
	char *s = strdup(archive);

	if (!s)
		return err_set(e, ENOMEM, "lay out the model: out of memory");
	free(m->archive);
	m->archive = s;
	return 0;
}

struct package_member *plan_find(const struct package_plan *p, const char *archive)
{
	for (size_t i = 0; i < p->n_members; i++)
		if (streq(p->members[i].archive, archive))
			return &p->members[i];
	return NULL;
}

void plan_fail(struct package_plan *p, int no, const char *fmt, ...)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	va_list ap;

	if (!p->whole)
		return;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	p->whole = false;
	err_set(&p->why, no, "%s", buf_cstr(&b));
}

void plan_note(struct package_plan *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&p->notes, fmt, ap);
	va_end(ap);
	buf_char(&p->notes, '\n');
}

void plan_refuse_mark(struct package_plan *p, const char *path, const char *text)
{
	if (starts_with(text, "\xef\xbb\xbf"))
		plan_fail(
			p, EINVAL,
			"'%s' begins with a byte order mark, which the container's reader of JSON "
			"refuses: save it as UTF-8 without one (sed -i '1s/^\\xef\\xbb\\xbf//' '%s')",
			path, path);
}

int plan_env(struct package_plan *p, const char *name, const char *value, struct err *e)
{
	if (!p->env)
		p->env = cJSON_CreateObject();
	cJSON_DeleteItemFromObjectCaseSensitive(p->env, name);
	if (!cJSON_AddStringToObject(p->env, name, value))
		return err_set(e, ENOMEM, "lay out the model: out of memory");
	return 0;
}

int package_adopt(struct package_plan *p, const struct package_plan *seen, struct err *e)
{
	const cJSON *item;

	p->framework = seen->framework;
	p->has_code = seen->has_code;
	memcpy(p->program, seen->program, sizeof(p->program));
	memcpy(p->made_with, seen->made_with, sizeof(p->made_with));
	cJSON_ArrayForEach(item, seen->env) {
		if (plan_env(p, item->string, item->valuestring, e))
			return -1;
	}
	return 0;
}

void package_plan_free(struct package_plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_members; i++) {
		free(p->members[i].path);
		free(p->members[i].archive);
		free(p->members[i].content);
	}
	free(p->members);
	buf_release(&p->notes);
	settings_release(&p->settings);
	cJSON_Delete(p->env);
	closep(&p->dirfd);
	free(p);
}

void package_plan_freep(struct package_plan **p)
{
	package_plan_free(*p);
}

static struct package_plan *plan_new(int dirfd, struct err *e)
{
	_cleanup_(package_plan_freep)
	struct package_plan *p = calloc(1, sizeof(*p));

	if (!p) {
		err_set(e, ENOMEM, "lay out the model: out of memory");
		return NULL;
	}
	settings_init(&p->settings);
	p->whole = true;
	p->notes.max = MAX_NOTES;
	p->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	if (p->dirfd < 0) {
		err_errno(e, "open the model's directory");
		return NULL;
	}
	return steal(p);
}

static int read_settings(struct package_plan *p, const struct package_settings *over, struct err *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT(SETTINGS_MAX);

	if (buf_read_file(&b, p->dirfd, SETTINGS_FILE)) {
		if (errno != ENOENT)
			return err_errno(e, "read '" SETTINGS_FILE "'");
	} else if (settings_parse(buf_cstr(&b), b.len, &p->settings, e)) {
		return -1;
	}
	return over ? settings_override(&p->settings, over, e) : 0;
}

static void list_frameworks(struct buf *out, const char *between)
{
	for (const struct framework *f = framework_all; f->name; f++)
		buf_printf(out, "%s%s", f == framework_all ? "" : between, f->name);
}

/* The row that the settings name, themselves or by their image; its evidence, if any, is noted. */
static void choose_named(const struct source *s, const char *name, struct package_plan *p)
{
	_cleanup_buf_ struct buf known = BUF_INIT(0), evidence = BUF_INIT(0);

	p->framework = framework_find(name);
	if (!p->framework) {
		list_frameworks(&known, " ");
		plan_fail(p, EINVAL,
			  SETTINGS_FILE ": framework '%s' is not known here; known are %s", name,
			  buf_cstr(&known));
		return;
	}
	p->framework->detect(s, &evidence);
	plan_note(p, "framework: %s, as chosen in " SETTINGS_FILE " or .sagemaker/framework%s%s",
		  p->framework->name, evidence.len ? "; found " : "", buf_cstr(&evidence));
}

/* An image is given and no row knows what it wants: the files stay as they are. */
static void choose_own(struct package_plan *p)
{
	p->framework = &framework_own;
	plan_note(p, "framework: left to the image; the files are packed as they are");
}

/* The surest row; two equally sure ones are the user's to decide. */
static void choose_detected(const struct source *s, struct package_plan *p)
{
	_cleanup_buf_ struct buf best = BUF_INIT(0);
	const struct framework *rival = NULL;
	int top = 0;

	for (const struct framework *f = framework_all; f->name; f++) {
		_cleanup_buf_ struct buf evidence = BUF_INIT(0);
		int sure = f->detect(s, &evidence);

		if (sure && sure == top)
			rival = f;
		if (sure <= top)
			continue;
		top = sure;
		rival = NULL;
		p->framework = f;
		buf_reset(&best);
		buf_add(&best, buf_cstr(&evidence), evidence.len);
	}
	if (rival)
		plan_fail(p, EINVAL,
			  "the files look like %s and like %s: say \"framework\" in " SETTINGS_FILE,
			  p->framework->name, rival->name);
	else if (p->framework)
		plan_note(p, "framework: %s, for %s", p->framework->name, buf_cstr(&best));
}

static const struct source_file *find_kind(const struct source *s, enum file_kind kind)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->files[i].facts && s->files[i].facts->kind == kind)
			return &s->files[i];
	return NULL;
}

/* A pickle may be anything: say of what. */
static void say_of_pickles(const struct source *s, const char *name, struct package_plan *p)
{
	const struct source_file *f = find_kind(s, KIND_PICKLE);

	if (f && f->facts->no)
		plan_fail(p, f->facts->no, "%s'%s' cannot be used: %s",
			  f->facts->no == ENODATA ? "incomplete: " : "", f->path, f->facts->why);
	else if (f && *f->facts->owner)
		plan_fail(
			p, EINVAL,
			"model '%s' is not recognised: '%s' is a pickle of %s: add code/inference.py "
			"with model_fn, and say \"framework\" in " SETTINGS_FILE,
			name, f->path, f->facts->owner);
}

static void nothing_recognised(const struct source *s, const char *name, struct package_plan *p)
{
	const struct source_file *f;

	if (!s->n) {
		plan_fail(p, ENOENT, "model '%s' is empty", name);
		return;
	}
	for (size_t i = 0; i < s->n; i++)
		if (ready_name(s->files[i].path))
			plan_fail(p, EINVAL,
				  "model '%s' holds the archive '%s' and other files: leave the "
				  "archive alone there, or unpack it (tar xzf) and remove it",
				  name, s->files[i].path);
	if ((f = find_kind(s, KIND_KERAS)) || (f = find_kind(s, KIND_HDF5)))
		plan_fail(p, EINVAL,
			  "model '%s' is not recognised: '%s' is for Keras in Python, TensorFlow "
			  "Serving takes a SavedModel: export one with python3 -c \"import keras; "
			  "keras.models.load_model('%s').export('%s/1')\"",
			  name, f->path, f->path, name);
	if ((f = find_kind(s, KIND_UNSERVED)))
		plan_fail(p, EINVAL, "model '%s' is not recognised: '%s' %s", name, f->path,
			  f->facts->form);
	if ((f = find_kind(s, KIND_GGUF)))
		plan_fail(
			p, EINVAL,
			"model '%s' is not recognised: '%s' is for llama.cpp, of which AWS has no "
			"container: name one of your own as \"image\" in " SETTINGS_FILE,
			name, f->path);
	say_of_pickles(s, name, p);
	/* the first reason stays */
	plan_fail(
		p, EINVAL,
		"model '%s' is not recognised: there is no TensorFlow SavedModel (saved_model.pb), "
		"MXNet checkpoint (*-symbol.json, *-NNNN.params), PyTorch (*.pt, *.pth), scikit-learn "
		"(*.joblib, *.pkl), XGBoost (*.json, *.ubj, xgboost-model), LightGBM (*.txt), ONNX "
		"(*.onnx) or Hugging Face (config.json, *.safetensors) model in it; with "
		"\"framework\" in " SETTINGS_FILE
		" and a code/inference.py, or with \"image\", the "
		"files are packed as they are",
		name);
}

/* What the settings name decides, then the image's own kind, then what the files look like. */
static void choose(const struct source *s, struct package_plan *p)
{
	struct image image;
	const char *named = p->settings.framework;
	bool own = s->n && p->settings.image[0];

	if (!*named && images_parse(p->settings.image, &image))
		named = image.framework;
	if (s->n && *named)
		choose_named(s, named, p);
	else
		choose_detected(s, p);
	if (!p->framework && !*named && own)
		choose_own(p);
}

static int by_archive(const void *a, const void *b)
{
	return strcmp(((const struct package_member *)a)->archive,
		      ((const struct package_member *)b)->archive);
}

static const char *origin(const struct package_member *m)
{
	return m->path ? m->path : "a generated file";
}

/* Whether b would lie beneath the file a. Members are sorted, so it is enough to look at neighbours and at what shares a's
 * name as a prefix. */
static bool lies_beneath(const char *a, const char *b)
{
	size_t n = strlen(a);

	return strncmp(a, b, n) == 0 && b[n] == '/';
}

static void check_collisions(struct package_plan *p)
{
	for (size_t i = 0; i + 1 < p->n_members; i++) {
		const struct package_member *a = &p->members[i], *b = a + 1;

		if (streq(a->archive, b->archive))
			plan_fail(p, EINVAL, "'%s' and '%s' would both be '%s' in the archive",
				  origin(a), origin(b), a->archive);
		for (; b < p->members + p->n_members && starts_with(b->archive, a->archive); b++)
			if (lies_beneath(a->archive, b->archive))
				plan_fail(p, EINVAL,
					  "'%s' would be a file and a directory in the archive",
					  a->archive);
	}
}

static void finish_plan(struct package_plan *p)
{
	if (p->n_members)
		qsort(p->members, p->n_members, sizeof(*p->members), by_archive);
	check_collisions(p);
	for (size_t i = 0; i < p->n_members; i++) {
		const struct package_member *m = &p->members[i];

		p->bytes += m->size;
		if (m->path && starts_with(m->archive, "code/"))
			p->has_code = true;
	}
}

/* Code that stands where no container looks. */
static void note_places(struct package_plan *p)
{
	for (size_t i = 0; i < p->n_members; i++) {
		const struct package_member *m = &p->members[i];
		const char *base = source_base_name(m->archive);

		if (!m->path || p->framework == &framework_own)
			continue;
		if (streq(base, "inference.py") && !streq(m->archive, CODE_MAIN))
			plan_note(
				p,
				"warning: %s is not found by the container, which looks for " CODE_MAIN
				": code/ belongs beside or above the model",
				m->path);
		if (streq(base, "requirements.txt") && !streq(m->archive, "code/requirements.txt"))
			plan_note(p,
				  "warning: %s is not installed: the container looks for "
				  "code/requirements.txt",
				  m->path);
	}
}

/* Endpoints' names are stricter than models'. */
static void note_name(struct package_plan *p, const char *name)
{
	_cleanup_free_ char *plain = strdup(name);
	size_t n = 0;

	if (!plain || !strpbrk(name, "_."))
		return;
	for (const char *c = name; *c; c++) {
		bool mark = *c == '_' || *c == '.';

		if (!mark || (n && plain[n - 1] != '-'))
			plain[n++] = (char)(mark ? '-' : *c);
	}
	plain[n] = '\0';
	plan_note(
		p,
		"endpoint: names of endpoints have no '_' and no '.': mkdir endpoints/%s deploys it",
		plain);
}

/* Nothing is recognised yet. */
static int sketch_out(const struct source *s, struct package_plan *p, struct err *e)
{
	return tensorflow_begun(s) ? tensorflow_lay_out(s, p, e) : framework_own.lay_out(s, p, e);
}

static int lay_out(const struct source *s, const char *name, bool sketch, struct package_plan *p,
		   struct err *e)
{
	if (ready_find(s))
		return ready_lay_out(s, name, p, e);
	choose(s, p);
	if (p->framework)
		return p->framework->lay_out(s, p, e) ? -1 : old_code_add(p, e);
	nothing_recognised(s, name, p);
	return sketch ? sketch_out(s, p, e) : 0;
}

int package_plan(int dirfd, const char *name, const struct package_how *how,
		 struct package_plan **out, struct err *e)
{
	_cleanup_(package_plan_freep)
	struct package_plan *p = plan_new(dirfd, e);
	_cleanup_(source_release)
	struct source s = {.dirfd = -1};
	const struct package_how plain = {0};

	*out = NULL;
	how = how ? how : &plain;
	if (!p || read_settings(p, how->overrides, e) ||
	    source_walk(p->dirfd, p, how->known, &s, e))
		return -1;
	if (lay_out(&s, name, how->sketch, p, e))
		return -1;
	finish_plan(p);
	if (!p->ready && !how->sketch && (requirements_check(p, e) || code_check(p, e)))
		return -1;
	note_places(p);
	note_name(p, name);
	packaging_check(p);
	*out = steal(p);
	return 0;
}
