/*
 * mxnet.c: checkpoints as Module.save_checkpoint writes them, PREFIX-symbol.json and PREFIX-NNNN.params, with the shapes of
 * the inputs in PREFIX-shapes.json. The container wants them flat, with the prefix `model` and epoch 0.
 */
#include "sagemaker/mxnet.h"

#include <ctype.h>
#include <errno.h>

#include "sagemaker/handler.h"
#include "sagemaker/json.h"
#include "sagemaker/plan.h"

#define JSON_MAX     ((size_t)256 << 20)
#define NAMES_MAX    ((size_t)16 << 20)
#define EPOCH_DIGITS 4 /* as MXNet writes them; more beyond 9999 */

extern const char handler_gluon[]; /* generated from handler_gluon.py */

static const char symbol_end[] = "-symbol.json", shapes_end[] = "-shapes.json";

struct checkpoint {
	const struct source *s;
	struct package_plan *plan;
	const struct source_file *symbol, *params, *shapes;
	size_t prefix; /* bytes of the symbol's path before "-symbol.json" */
	unsigned long epoch;
	bool unclear; /* several prefixes: nothing can be placed */
	bool entry;   /* the model brings code of its own, which may load and ask it in any way */
	bool loads;   /* ... its own model_fn, which needs no shapes, or the generated one */
	struct buf names; /* of the parameters, a line feed around each; owned */
};

/* PREFIX-NNNN.params: the epoch, and the length of the prefix; false when it is named otherwise. */
static bool split_params(const char *path, size_t *prefix, unsigned long *epoch)
{
	size_t n = strlen(path), digits = 0;

	if (!ends_with(path, ".params"))
		return false;
	n -= strlen(".params");
	while (digits < n && isdigit((unsigned char)path[n - 1 - digits]))
		digits++;
	if (digits < EPOCH_DIGITS || digits > 9 || digits == n || path[n - 1 - digits] != '-')
		return false;
	*prefix = n - 1 - digits;
	*epoch = strtoul(path + *prefix + 1, NULL, 10);
	return true;
}

static bool has_prefix(const char *path, const char *prefix, size_t n, const char *end)
{
	return strncmp(path, prefix, n) == 0 && streq(path + n, end);
}

static const char *first_path(const struct source *s, bool (*test)(const char *path))
{
	for (size_t i = 0; i < s->n; i++)
		if (test(s->files[i].path))
			return s->files[i].path;
	return NULL;
}

static bool is_symbol(const char *path)
{
	return ends_with(path, symbol_end);
}

/* The parameters of the highest epoch. */
static const char *last_params(const struct source *s)
{
	const char *found = NULL;
	unsigned long epoch, highest = 0;
	size_t prefix;

	for (size_t i = 0; i < s->n; i++)
		if (split_params(s->files[i].path, &prefix, &epoch) &&
		    (!found || epoch > highest)) {
			found = s->files[i].path;
			highest = epoch;
		}
	return found;
}

int mxnet_detect(const struct source *s, struct buf *evidence)
{
	const char *symbol = first_path(s, is_symbol), *params = last_params(s);

	if (symbol)
		buf_str(evidence, symbol);
	if (params)
		buf_printf(evidence, "%s%s", symbol ? ", " : "", params);
	if (symbol && params)
		return 100;
	return symbol || params ? 50 : 0; /* what an interrupted copy leaves */
}

/* All prefixes that have a symbol; more than one is the user's to sort out. */
static void find_symbol(struct checkpoint *c)
{
	for (size_t i = 0; i < c->s->n; i++) {
		const struct source_file *f = &c->s->files[i];

		if (!ends_with(f->path, symbol_end))
			continue;
		if (c->symbol) {
			c->unclear = true;
			if (streq(source_base_name(c->symbol->path), source_base_name(f->path)))
				plan_fail(c->plan, EINVAL,
					  "the model is in it twice, as '%s' and as '%s': a "
					  "repeated cp -r nests; use cp -rT, or rsync -a --delete, "
					  "and remove one",
					  c->symbol->path, f->path);
			plan_fail(c->plan, EINVAL,
				  "there are two MXNet models, '%s' and '%s': one model per "
				  "directory",
				  c->symbol->path, f->path);
			return;
		}
		c->symbol = f;
		c->prefix = strlen(f->path) - strlen(symbol_end);
	}
}

/* The symbol's parameters of the highest epoch. Those of another prefix are reported, not taken. */
static void find_params(struct checkpoint *c)
{
	for (size_t i = 0; i < c->s->n; i++) {
		const struct source_file *f = &c->s->files[i];
		unsigned long epoch;
		size_t prefix;

		if (!split_params(f->path, &prefix, &epoch) || prefix != c->prefix ||
		    memcmp(f->path, c->symbol->path, prefix) != 0)
			continue;
		if (!c->params || epoch > c->epoch) {
			c->params = f;
			c->epoch = epoch;
		}
	}
}

/* The symbol's own, else the only one: scripts write model-shapes.json, as the container calls it, beside any prefix. */
static void find_shapes(struct checkpoint *c)
{
	const struct source_file *only = NULL;
	size_t n = 0;

	for (size_t i = 0; i < c->s->n; i++) {
		const struct source_file *f = &c->s->files[i];

		if (!ends_with(f->path, shapes_end))
			continue;
		only = f;
		n++;
		if (has_prefix(f->path, c->symbol->path, c->prefix, shapes_end))
			c->shapes = f;
	}
	if (!c->shapes && n == 1)
		c->shapes = only;
}

/* 10901 is 1.9.1. */
static void take_version(struct checkpoint *c, const cJSON *graph)
{
	const cJSON *attrs = cJSON_GetObjectItemCaseSensitive(graph, "attrs");
	const cJSON *pair = cJSON_GetObjectItemCaseSensitive(attrs, "mxnet_version");
	const cJSON *number = cJSON_GetArrayItem(pair, 1);

	if (!cJSON_IsNumber(number) || number->valuedouble < 100 || number->valuedouble > 999999)
		return;
	unsigned v = (unsigned)number->valuedouble;
	snprintf(c->plan->made_with, sizeof(c->plan->made_with), "%u.%u.%u", v / 10000,
		 v / 100 % 100, v % 100);
}

/* *out is NULL, and the plan not whole, when the file is no JSON. */
static int read_json(struct checkpoint *c, const struct source_file *f, cJSON **out, struct err *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT(JSON_MAX);

	if (buf_read_file(&b, c->s->dirfd, f->path))
		return err_errno(e, "read '%s'", f->path);
	plan_refuse_mark(c->plan, f->path, buf_cstr(&b));
	*out = cJSON_ParseWithLength(buf_cstr(&b), b.len);
	if (!*out)
		plan_fail(c->plan, EINVAL, "'%s' cannot be used: it is cut short or no JSON",
			  f->path);
	return 0;
}

static int check_symbol(struct checkpoint *c, cJSON **graph, struct err *e)
{
	if (read_json(c, c->symbol, graph, e))
		return -1;
	if (!*graph)
		return 0;
	if (!cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(*graph, "nodes")))
		plan_fail(c->plan, EINVAL, "'%s' cannot be used: it holds no nodes of a graph",
			  c->symbol->path);
	take_version(c, *graph);
	return 0;
}

#define SHAPES_EXAMPLE "[{\"name\": \"data\", \"shape\": [1, 1, 28, 28]}]"

static bool good_shape(const cJSON *row)
{
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(row, "name");
	const cJSON *shape = cJSON_GetObjectItemCaseSensitive(row, "shape");
	const cJSON *dim;

	if (!cJSON_IsString(name) || !*name->valuestring || !cJSON_IsArray(shape) || !shape->child)
		return false;
	cJSON_ArrayForEach(dim, shape) {
		if (!cJSON_IsNumber(dim) || dim->valuedouble < 0 || dim->valuedouble > INT32_MAX ||
		    dim->valuedouble != (double)dim->valueint)
			return false;
	}
	return true;
}

/* Whether the graph has an argument of that name, which nothing in it computes. */
static bool has_argument(const cJSON *graph, const char *name)
{
	const cJSON *node;

	cJSON_ArrayForEach(node, cJSON_GetObjectItemCaseSensitive(graph, "nodes")) {
		const char *op = json_text(node, "op"), *is = json_text(node, "name");

		if (op && is && streq(op, "null") && streq(is, name))
			return true;
	}
	return false;
}

/* What the container's own way of loading and asking a model would fail on; the model's own code may do without it. */
static void warn_of_shapes(struct checkpoint *c, const cJSON *shapes, const cJSON *graph)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, shapes) {
		const char *name = json_text(row, "name");

		if (!has_argument(graph, name))
			plan_note(c->plan,
				  "warning: '%s' names the input '%s', which '%s' does not have: "
				  "the container will not load it",
				  c->shapes->path, name, c->symbol->path);
	}
	if (cJSON_GetArraySize(shapes) > 1)
		plan_note(c->plan,
			  "warning: '%s' names several inputs: the container asks models of one "
			  "only, unless code/inference.py does it (transform_fn); a label is no "
			  "input",
			  c->shapes->path);
}

static int check_shapes(struct checkpoint *c, const cJSON *graph, struct err *e)
{
	_cleanup_json_ cJSON *j = NULL;
	const cJSON *row;

	if (!c->shapes && c->loads)
		return 0;
	if (!c->shapes) {
		plan_fail(
			c->plan, EINVAL,
			"'%.*s%s' is missing, from which the container takes the names and shapes of "
			"the inputs, batch size first: write it, as " SHAPES_EXAMPLE,
			(int)c->prefix, c->symbol->path, shapes_end);
		return 0;
	}
	if (read_json(c, c->shapes, &j, e))
		return -1;
	if (!j)
		return 0;
	bool good = cJSON_IsArray(j) && j->child;
	cJSON_ArrayForEach(row, j)
		good = good && good_shape(row);
	if (!good)
		plan_fail(c->plan, EINVAL,
			  "'%s' cannot be used: it must list names and shapes of the inputs, batch "
			  "size first, as " SHAPES_EXAMPLE,
			  c->shapes->path);
	else if (graph && !c->entry && !c->loads)
		warn_of_shapes(c, j, graph);
	return 0;
}

static int check_params(struct checkpoint *c, struct err *e)
{
	struct err why = {0};

	if (!c->params) {
		plan_fail(c->plan, ENODATA, "incomplete: '%.*s-0000.params' is missing",
			  (int)c->prefix, c->symbol->path);
		return 0;
	}
	if (mxnet_params_check(c->s->dirfd, c->params->path, &c->names, &why) == 0)
		return 0;
	if (why.no != EINVAL && why.no != ENODATA) {
		*e = why;
		return -1;
	}
	plan_fail(c->plan, why.no, "%s%s", why.no == ENODATA ? "incomplete: " : "", why.text);
	return 0;
}

static int place(struct checkpoint *c, const struct source_file *f, struct err *e)
{
	size_t prefix, dir = c->prefix;
	unsigned long epoch;

	if (f == c->symbol)
		return plan_add(c->plan, f, e, "model%s", symbol_end);
	if (f == c->shapes)
		return plan_add(c->plan, f, e, "model%s", shapes_end);
	if (f == c->params)
		return plan_add(c->plan, f, e, "model-0000.params");
	if (split_params(f->path, &prefix, &epoch)) {
		plan_note(c->plan, "left out: %s (the model takes %s)", f->path, c->params->path);
		return 0;
	}
	while (dir && c->symbol->path[dir] != '/')
		dir--;
	return code_place(c->plan, f, c->symbol->path, dir, e);
}

static const char *const handlers[][2] = {
	{"model_fn",     ""  },
        {"transform_fn", ""  },
        {"input_fn",     ""  },
	{"predict_fn",   ""  },
        {"output_fn",    ""  },
        {NULL,           NULL}
};

static const struct code_rule rule = {
	"MXNet container", handlers,
	"a script that defines model_fn, transform_fn, input_fn, predict_fn or output_fn, or that "
	"entry_point in sagemaker.json names",
	false};

/* The arguments of the graph that the parameters do not have, one a line, into out; their number, 0 with a label among them. */
static size_t find_inputs(const struct checkpoint *c, const cJSON *graph, struct buf *out)
{
	const cJSON *node;
	size_t n = 0;

	cJSON_ArrayForEach(node, cJSON_GetObjectItemCaseSensitive(graph, "nodes")) {
		const char *op = json_text(node, "op"), *name = json_text(node, "name");
		_cleanup_free_ char *line = name ? str_printf("\n%s\n", name) : NULL;

		if (!op || !line || !streq(op, "null") || strstr(buf_cstr(&c->names), line))
			continue;
		if (ends_with(name, "_label"))
			return 0;
		buf_printf(out, "%s%s", n++ ? "\n" : "", name);
	}
	return c->names.len ? n : 0;
}

/* Gluon needs no shapes, and the generated code takes several inputs and gives several outputs. */
static int add_gluon(struct checkpoint *c, const struct buf *inputs, struct err *e)
{
	_cleanup_buf_ struct buf text = BUF_INIT(0), shown = BUF_INIT(0);

	if (handler_named(handler_gluon, "INPUTS", buf_cstr(inputs), &text))
		return err_set(e, ENOMEM, "generate '" CODE_MAIN "': out of memory");
	for (const char *p = buf_cstr(inputs); *p; p++)
		buf_printf(&shown, *p == '\n' ? "', '" : "%c", *p);
	c->loads = true;
	plan_note(c->plan,
		  "generated: " CODE_MAIN
		  ", which loads the network by Gluon with the input '%s', as %s; it takes %s",
		  buf_cstr(&shown),
		  c->shapes ? "the container's own handling is of one input and one output"
			    : "there is no *-shapes.json",
		  strchr(buf_cstr(inputs), '\n') ? "JSON, {\"name\": [...], ...}" : "JSON and npy");
	return plan_generate(c->plan, CODE_MAIN, buf_cstr(&text), text.len, e);
}

static int outputs_of(const cJSON *graph)
{
	return cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(graph, "heads"));
}

/* The container imports code/inference.py whatever the model, and fails without one. */
static int add_code(struct checkpoint *c, const cJSON *graph, struct err *e)
{
	_cleanup_buf_ struct buf inputs = BUF_INIT(0);
	size_t n = find_inputs(c, graph, &inputs);

	if (code_settle(c->plan, &rule, &c->entry, e))
		return -1;
	if (c->entry)
		return code_has(c->plan, "model_fn", &c->loads, e);
	if (n && (!c->shapes || n > 1 || outputs_of(graph) > 1) && c->plan->settings.generated_code)
		return add_gluon(c, &inputs, e);
	if (outputs_of(graph) > 1)
		plan_note(c->plan,
			  "warning: '%s' has %d outputs, and the container answers one only, "
			  "unless code/inference.py does it (transform_fn)",
			  c->symbol->path, outputs_of(graph));
	if (!c->plan->settings.generated_code) {
		plan_note(c->plan, "warning: no " CODE_MAIN " is generated, as generated_code is "
				   "false in sagemaker.json: the container fails without one");
		return 0;
	}
	plan_note(c->plan, "generated: " CODE_MAIN ", empty, as the container fails without one");
	return plan_generate(c->plan, CODE_MAIN, "", 0, e);
}

static int check_files(struct checkpoint *c, struct err *e)
{
	_cleanup_json_ cJSON *graph = NULL;

	if (check_symbol(c, &graph, e) || check_params(c, e))
		return -1;
	for (size_t i = 0; c->params && i < c->s->n; i++)
		if (place(c, &c->s->files[i], e))
			return -1;
	if (c->params && add_code(c, graph, e))
		return -1;
	return check_shapes(c, graph, e);
}

int mxnet_lay_out(const struct source *s, struct package_plan *plan, struct err *e)
{
	struct checkpoint c = {.s = s, .plan = plan};

	find_symbol(&c);
	if (!c.symbol) {
		plan_fail(plan, ENODATA,
			  "incomplete: PREFIX-symbol.json is missing, which an MXNet model needs");
		return 0;
	}
	if (c.unclear)
		return 0;
	find_params(&c);
	find_shapes(&c);
	c.names.max = NAMES_MAX;
	int rc = check_files(&c, e);
	buf_release(&c.names);
	return rc;
}
