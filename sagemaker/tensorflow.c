/*
 * tensorflow.c: SavedModels. The container looks for export/Servo/N/saved_model.pb; users have N/, Servo/N/, export/Servo/N/,
 * several N, or the bare directory.
 */
#include "sagemaker/tensorflow.h"

#include <ctype.h>
#include <errno.h>

#include "sagemaker/handler.h"
#include "sagemaker/images.h"
#include "sagemaker/old_code.h"
#include "sagemaker/plan.h"
#include "sagemaker/saved_model.h"

#define GRAPH       "saved_model.pb"
#define SERVO       "export/Servo/"
#define VERSION_MAX 18 /* digits that fit in TensorFlow Serving's int64 */

/* One SavedModel: a directory of the source. */
struct version {
	const char *dir; /* a source path that begins with the directory */
	size_t len;      /* of the directory, 0: the top */
	size_t base;     /* of the directory that holds the versions, for a bare one its own */
	const char *number;
	int number_len;
	bool bare;
	bool graph; /* saved_model.pb is there */
};

struct layout {
	const struct source *s;
	struct package_plan *plan;
	struct version *v;
	size_t n;
	bool unclear; /* which files belong to which version: nothing can be placed */
};

/* What stands in a bare SavedModel's directory and belongs to it; anything else there is the user's own. */
static const char *const own_parts[] = {GRAPH,        "keras_metadata.pb", "fingerprint.pb",
					"variables/", "assets/",           "assets.extra/",
					"debug/"};

static size_t dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* n bytes at s are a version number. */
static bool is_number(const char *s, size_t n)
{
	if (n == 0 || n > VERSION_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return true;
}

/* path lies in the directory of n bytes at dir; *rest is what follows. n == 0: the top. */
static bool within(const char *path, const char *dir, size_t n, const char **rest)
{
	if (n && (strncmp(path, dir, n) != 0 || path[n] != '/'))
		return false;
	*rest = path + (n ? n + 1 : 0);
	return true;
}

static bool is_part(const char *rest)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_parts); i++)
		if (ends_with(own_parts[i], "/") ? starts_with(rest, own_parts[i])
						 : streq(rest, own_parts[i]))
			return true;
	return false;
}

/* A saved_model.pb inside another SavedModel's assets is an asset. */
static bool is_asset(const char *path)
{
	return strstr(path, "/assets/") || strstr(path, "/assets.extra/") ||
	       starts_with(path, "assets/") || starts_with(path, "assets.extra/");
}

static bool is_graph(const struct source_file *f, const char *name)
{
	return streq(source_base_name(f->path), name) && !is_asset(f->path);
}

int tensorflow_detect(const struct source *s, struct buf *evidence)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_graph(&s->files[i], GRAPH) || is_graph(&s->files[i], GRAPH "txt")) {
			buf_str(evidence, s->files[i].path);
			return 100;
		}
	for (size_t i = 0; i < s->n; i++)
		if (ends_with(s->files[i].path, "variables/variables.index")) {
			buf_str(evidence, s->files[i].path);
			return 50; /* a copy that has not come to the graph yet */
		}
	return 0;
}

/* Before the graph and the index are there: the numbered directory above variables/ or assets/. *len: of its path. */
static bool begun(const char *path, size_t *len)
{
	static const char *const parts[] = {"variables/variables.data-", "assets/",
					    "assets.extra/"};

	for (const char *name = path, *slash; (slash = strchr(name, '/')); name = slash + 1)
		for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
			if (starts_with(slash + 1, parts[i]) &&
			    is_number(name, (size_t)(slash - name))) {
				*len = (size_t)(slash - path);
				return true;
			}
	return false;
}

bool tensorflow_begun(const struct source *s)
{
	size_t len;

	for (size_t i = 0; i < s->n; i++)
		if (begun(s->files[i].path, &len))
			return true;
	return false;
}

static struct version *find_version(struct layout *l, const char *dir, size_t len)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].len == len && memcmp(l->v[i].dir, dir, len) == 0)
			return &l->v[i];
	return NULL;
}

static int add_version(struct layout *l, const char *dir, size_t len, bool graph, struct err *e)
{
	struct version *v = reallocarray(l->v, l->n + 1, sizeof(*v));
	size_t parent = len;

	if (!v)
		return err_set(e, ENOMEM, "lay out the model: out of memory");
	l->v = v;
	v += l->n++;
	while (parent && dir[parent - 1] != '/')
		parent--;
	bool bare = !is_number(dir + parent, len - parent);
	*v = (struct version){.dir = dir,
			      .len = len,
			      .base = len,
			      .number = "1",
			      .number_len = 1,
			      .bare = bare,
			      .graph = graph};
	if (!bare) {
		size_t zeros = strspn(dir + parent, "0");

		/* "0000000" has broken containers; 1 serves as well */
		v->number = zeros < len - parent ? dir + parent + zeros : "1";
		v->number_len = zeros < len - parent ? (int)(len - parent - zeros) : 1;
		if (zeros)
			plan_note(l->plan, "version %.*s is packed as %.*s", (int)(len - parent),
				  dir + parent, v->number_len, v->number);
		v->base = parent ? parent - 1 : 0;
	}
	return 0;
}

/* Every directory with a graph, or with what is left of an interrupted copy of one. */
static int find_versions(struct layout *l, struct err *e)
{
	static const char index[] = "variables/variables.index";

	for (size_t i = 0; i < l->s->n; i++) {
		const struct source_file *f = &l->s->files[i];
		bool graph = is_graph(f, GRAPH);
		size_t len = dir_len(f->path);

		if (!graph && !(ends_with(f->path, index) && !is_asset(f->path)))
			continue;
		if (!graph) {
			size_t cut = strlen(f->path) - strlen(index);

			len = cut ? cut - 1 : 0;
			if (cut && f->path[cut - 1] != '/')
				continue;
		}
		struct version *known = find_version(l, f->path, len);
		if (known)
			known->graph = known->graph || graph;
		else if (add_version(l, f->path, len, graph, e))
			return -1;
	}
	return 0;
}

static int find_begun(struct layout *l, struct err *e)
{
	size_t len;

	for (size_t i = 0; i < l->s->n; i++) {
		const char *path = l->s->files[i].path;

		if (begun(path, &len) && !find_version(l, path, len) &&
		    add_version(l, path, len, false, e))
			return -1;
	}
	return 0;
}

/* Numeric directories beside the ones found belong to the model even if their graph is still missing. */
static int find_siblings(struct layout *l, struct err *e)
{
	const struct version first = l->v[0];
	const char *rest;

	for (size_t i = 0; i < l->s->n && !first.bare; i++) {
		const char *path = l->s->files[i].path;

		if (!within(path, first.dir, first.base, &rest))
			continue;
		size_t n = strcspn(rest, "/");
		if (rest[n] != '/' || !is_number(rest, n))
			continue;
		size_t len = (size_t)(rest - path) + n;
		if (!find_version(l, path, len) && add_version(l, path, len, false, e))
			return -1;
	}
	return 0;
}

/* One directory's path ends in the other's: the same tree copied into itself. */
static bool nested(const char *a, size_t an, const char *b, size_t bn)
{
	if (an > bn)
		return nested(b, bn, a, an);
	return an == 0 || (memcmp(a, b + bn - an, an) == 0 && (bn == an || b[bn - an - 1] == '/'));
}

static void check_one_base(struct layout *l)
{
	const struct version *a = &l->v[0];

	for (size_t i = 1; i < l->n; i++) {
		const struct version *b = &l->v[i];

		if (!a->bare && !b->bare && a->base == b->base &&
		    memcmp(a->dir, b->dir, a->base) == 0)
			continue;
		l->unclear = true;
		if (nested(a->dir, a->base, b->dir, b->base))
			plan_fail(
				l->plan, EINVAL,
				"the model is in it twice, as '%.*s' and as '%.*s': a repeated cp -r "
				"nests; use cp -rT, or rsync -a --delete, and remove one",
				(int)MAX(a->len, (size_t)1), a->len ? a->dir : ".",
				(int)MAX(b->len, (size_t)1), b->len ? b->dir : ".");
		else
			plan_fail(l->plan, EINVAL,
				  "there are two SavedModels, '%.*s' and '%.*s': one model per "
				  "directory",
				  (int)a->len, a->dir, (int)b->len, b->dir);
		return;
	}
}

/* "1" and "01" are the same version to TensorFlow Serving. */
static void check_numbers(struct layout *l)
{
	for (size_t i = 0; i < l->n; i++)
		for (size_t k = i + 1; k < l->n; k++)
			if (strtoull(l->v[i].number, NULL, 10) ==
			    strtoull(l->v[k].number, NULL, 10)) {
				l->unclear = true;
				plan_fail(l->plan, EINVAL,
					  "'%.*s' and '%.*s' are the same version to TensorFlow "
					  "Serving: remove one",
					  (int)l->v[i].len, l->v[i].dir, (int)l->v[k].len,
					  l->v[k].dir);
			}
}

static int place(struct layout *l, const struct source_file *f, struct err *e)
{
	const char *rest;

	for (size_t i = 0; i < l->n; i++) {
		const struct version *v = &l->v[i];

		if (!within(f->path, v->dir, v->len, &rest))
			continue;
		if (!v->bare && starts_with(rest, "code/") && !is_part(rest)) {
			plan_note(l->plan,
				  "%s is packed as %s: the container looks for code/ at the top",
				  f->path, rest);
			return plan_add(l->plan, f, e, "%s", rest);
		}
		if (!v->bare || is_part(rest))
			return plan_add(l->plan, f, e, SERVO "%.*s/%s", v->number_len, v->number,
					rest);
	}
	return code_place(l->plan, f, l->v[0].dir, l->v[0].base, e);
}

/* The path of a part of a version; "" when memory is out, which then matches nothing. */
static const char *part_path(const struct version *v, struct buf *b, const char *part)
{
	buf_reset(b);
	buf_printf(b, "%.*s%s%s", (int)v->len, v->dir, v->len ? "/" : "", part);
	return buf_cstr(b);
}

static void check_shard(struct layout *l, const struct version *v, size_t i, size_t n,
			uint64_t size)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	char name[80];

	snprintf(name, sizeof(name), "variables/variables.data-%05zu-of-%05zu", i, n);
	const char *path = part_path(v, &b, name);
	const struct source_file *f = source_find(l->s, path);
	if (!f)
		plan_fail(l->plan, ENODATA, "incomplete: '%s' is missing", path);
	else if (f->size < size)
		plan_fail(l->plan, ENODATA,
			  "incomplete: '%s' has %llu bytes of the %llu that variables.index names",
			  path, (unsigned long long)f->size, (unsigned long long)size);
}

/* variables/: what the index names is there. Without an index there must be nothing that needs one. */
static int check_variables(struct layout *l, const struct version *v, bool needed, struct err *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	_cleanup_free_ uint64_t *sizes = NULL;
	const char *path = part_path(v, &b, "variables/variables.index");
	struct err why = {0};
	size_t n = 0;

	if (!source_find(l->s, path)) {
		for (size_t i = 0; i < l->s->n && !needed; i++)
			needed = strncmp(l->s->files[i].path, path,
					 strlen(path) - strlen("index")) == 0;
		if (needed)
			plan_fail(l->plan, ENODATA, "incomplete: '%s' is missing", path);
		return 0;
	}
	if (tensor_bundle_shards(l->s->dirfd, path, &sizes, &n, &why)) {
		if (why.no != EINVAL && why.no != ENODATA) {
			*e = why;
			return -1;
		}
		plan_fail(l->plan, why.no, "%s%s", why.no == ENODATA ? "incomplete: " : "",
			  why.text);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		check_shard(l, v, i, n, sizes[i]);
	return 0;
}

static void check_graph(struct layout *l, const struct version *v, const struct saved_model *m)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0), name = BUF_INIT(0);

	if (!m->serve)
		plan_fail(l->plan, EINVAL,
			  "'%s' cannot be served: no graph in it has the tag 'serve'",
			  part_path(v, &b, GRAPH));
	if (!m->n_signatures)
		plan_note(l->plan, "warning: %s has no signature, so nothing can be asked of it",
			  part_path(v, &b, GRAPH));
	if (m->unrestored)
		plan_note(l->plan,
			  "warning: %s reads the variable '%s', but does not restore it, so "
			  "TensorFlow Serving will answer 'Could not find variable': save Keras 3 "
			  "models with model.export(), not with tf.saved_model.save()",
			  part_path(v, &b, GRAPH), m->unrestored);
	for (size_t i = 0; i < m->n_assets; i++) {
		buf_reset(&name);
		buf_printf(&name, "assets/%s", m->assets[i]);
		if (!source_find(l->s, part_path(v, &b, buf_cstr(&name))))
			plan_fail(l->plan, ENODATA, "incomplete: '%s' is missing", buf_cstr(&b));
	}
}

/* *m is the model's, for the caller to release. */
static int check_version(struct layout *l, const struct version *v, struct saved_model *m,
			 struct err *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	struct err why = {0};

	memset(m, 0, sizeof(*m));
	const char *path = part_path(v, &b, GRAPH);
	if (!v->graph) {
		plan_fail(l->plan, ENODATA, "incomplete: '%s' is missing", path);
		return 0;
	}
	if (saved_model_read(l->s->dirfd, path, m, &why)) {
		if (why.no != EINVAL) {
			*e = why;
			return -1;
		}
		plan_fail(l->plan, EINVAL, "%s", why.text);
		return 0;
	}
	check_graph(l, v, m);
	if (!*l->plan->made_with || version_compare(m->version, l->plan->made_with) > 0)
		snprintf(l->plan->made_with, sizeof(l->plan->made_with), "%s", m->version);
	return check_variables(l, v, m->has_variables, e);
}

static const char *const handlers[][2] = {
	{"handler",       ""              },
        {"input_handler", "output_handler"},
        {NULL,            NULL            }
};

static const struct code_rule rule = {
	"TensorFlow Serving container", handlers,
	"only code/inference.py with handler, or with input_handler and output_handler", true};

/* Up to 1.10 a script is any module: what it does not define the container does itself. */
static const char *const old_handlers[][2] = {
	{"input_fn",     ""  },
        {"output_fn",    ""  },
        {"transform_fn", ""  },
        {NULL,           NULL}
};

static const struct code_rule old_rule = {
	"TensorFlow container", old_handlers,
	"a script that defines input_fn, output_fn or transform_fn, or that entry_point in "
	"sagemaker.json names",
	false};

/* The newest version's signature decides about the generated handler: it is the one that TensorFlow Serving answers with. */
static int add_handler(struct layout *l, const struct saved_model *m, struct err *e)
{
	_cleanup_buf_ struct buf text = BUF_INIT(0);
	bool entry = false, old = old_code_wanted(l->plan, "tensorflow");

	if (code_settle(l->plan, old ? &old_rule : &rule, &entry, e))
		return -1;
	if (m->input == INPUT_TENSORS)
		return 0;
	if (entry)
		plan_note(l->plan, "no handler is generated: the model brings its own");
	else if (m->input == INPUT_TEXT)
		plan_note(l->plan, "no handler is generated: the model takes text as it is, not "
				   "tf.Examples");
	else if (m->input == INPUT_STRINGS)
		plan_note(l->plan, "no handler is generated: the model takes strings, and which "
				   "tf.Example features they hold cannot be read from its graph");
	else if (old)
		plan_note(l->plan, "no handler is generated: this version's container makes "
				   "tf.Examples itself, of a list the feature 'inputs'");
	else if (!l->plan->settings.generated_code)
		plan_note(l->plan, "no handler is generated: generated_code is false in "
				   "sagemaker.json; requests must carry tf.Examples");
	else if (handler_generate(m, &text))
		return err_set(e, ENOMEM, "generate '" CODE_MAIN "': out of memory");
	else {
		handler_describe(m, &l->plan->notes);
		return plan_generate(l->plan, CODE_MAIN, buf_cstr(&text), text.len, e);
	}
	return 0;
}

static int check_all(struct layout *l, struct err *e)
{
	struct saved_model newest = {0};
	const struct version *top = NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->n; i++) {
		const struct version *v = &l->v[i];
		struct saved_model m;

		rc = check_version(l, v, &m, e);
		if (!top || strtoull(v->number, NULL, 10) > strtoull(top->number, NULL, 10)) {
			saved_model_release(&newest);
			newest = m;
			top = v;
		} else {
			saved_model_release(&m);
		}
	}
	if (rc == 0)
		rc = add_handler(l, &newest, e);
	saved_model_release(&newest);
	return rc;
}

/* No graph anywhere: a text graph, or only what sagemaker.json says. */
static void refuse_text(struct layout *l)
{
	for (size_t i = 0; i < l->s->n; i++)
		if (is_graph(&l->s->files[i], GRAPH "txt"))
			plan_fail(l->plan, EINVAL,
				  "'%s' cannot be used: TensorFlow Serving reads " GRAPH
				  "; export the model again without as_text",
				  l->s->files[i].path);
}

static int lay_out(struct layout *l, struct err *e)
{
	int rc = find_siblings(l, e);

	check_one_base(l);
	if (!l->unclear)
		check_numbers(l);
	if (l->unclear)
		return rc;
	for (size_t i = 0; rc == 0 && i < l->s->n; i++)
		rc = place(l, &l->s->files[i], e);
	return rc ? rc : check_all(l, e);
}

int tensorflow_lay_out(const struct source *s, struct package_plan *plan, struct err *e)
{
	struct layout l = {.s = s, .plan = plan};
	int rc = find_versions(&l, e);

	if (rc == 0 && !l.n) {
		refuse_text(&l); /* the first reason stays */
		rc = find_begun(&l, e);
	}
	if (rc == 0 && l.n)
		rc = lay_out(&l, e);
	else if (rc == 0)
		plan_fail(plan, EINVAL, "no " GRAPH " is in it, which a TensorFlow model needs");
	free(l.v);
	return rc;
}
