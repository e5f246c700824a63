/*
 * example_spec.c: follow a string tensor through identities and function calls to the ParseExample that reads it, then read
 * that node's keys (constants, possibly handed in through the calls) and types.
 *
 * The graph may be hostile: depth and the number of steps are bounded, indices are checked.
 */
#include "sagemaker/example_spec.h"

#define MAX_DEPTH    16
#define MAX_STEPS    50000000U /* looks at a node: under a second */
#define MAX_FEATURES 4096
#define MAX_KEY      1024

/* A body of nodes: the main graph, or a function as one call sees it. */
struct frame {
	Tf__NodeDef **node;
	size_t n_node;
	const Tf__FunctionDef *function; /* NULL: the main graph */
	const struct frame *caller;      /* and the call's node there: */
	const Tf__NodeDef *call;
	int depth;
};

struct search {
	const Tf__FunctionDefLibrary *library;
	unsigned steps;
	struct saved_model *out;
	bool no_memory;
};

/* "^name", "name:0", "name:output:0" all mean the node `name`. */
static bool refers(const char *input, const char *name)
{
	size_t n = strlen(name);

	input += *input == '^';
	return strncmp(input, name, n) == 0 && (input[n] == '\0' || input[n] == ':');
}

static const Tf__AttrValue *attr(const Tf__NodeDef *node, const char *key)
{
	for (size_t i = 0; i < node->n_attr; i++)
		if (streq(node->attr[i]->key, key))
			return node->attr[i]->value;
	return NULL;
}

/* Whether there are n steps left, which are then gone. */
static bool spend(struct search *s, size_t n)
{
	if (n > s->steps)
		return false;
	s->steps -= (unsigned)n;
	return true;
}

static const Tf__NodeDef *find_node(struct search *s, const struct frame *f, const char *input)
{
	if (!spend(s, f->n_node))
		return NULL;
	for (size_t i = 0; i < f->n_node; i++)
		if (refers(input, f->node[i]->name))
			return f->node[i];
	return NULL;
}

static const Tf__FunctionDef *find_function(struct search *s, const Tf__NodeDef *node)
{
	const Tf__AttrValue *f = attr(node, "f");
	const char *name = f && f->func ? f->func->name : node->op;

	if (!s->library || !spend(s, s->library->n_function))
		return NULL;
	for (size_t i = 0; i < s->library->n_function; i++) {
		const Tf__FunctionDef *d = s->library->function[i];

		if (d->signature && streq(d->signature->name, name))
			return d;
	}
	return NULL;
}

/* The number of the argument of f's function that input names; n_input_arg when there is none. */
static size_t find_argument(const struct frame *f, const char *input)
{
	const Tf__OpDef *op = f->function->signature;
	size_t i = 0;

	while (i < op->n_input_arg && !refers(input, op->input_arg[i]->name))
		i++;
	return i;
}

/* The constant behind an input: in this body, or an argument of its function, then of the call. */
static const Tf__TensorProto *find_const(struct search *s, const struct frame *f, const char *input,
					 int depth)
{
	while (depth--) {
		const Tf__NodeDef *node = find_node(s, f, input);

		if (node && streq(node->op, "Const")) {
			const Tf__AttrValue *v = attr(node, "value");

			return v ? v->tensor : NULL;
		}
		if (node) {
			if (!streq(node->op, "Identity") || !node->n_input)
				return NULL;
			input = node->input[0];
			continue;
		}
		size_t arg = f->function ? find_argument(f, input) : 0;
		if (!f->function || arg >= f->call->n_input)
			return NULL;
		input = f->call->input[arg];
		f = f->caller;
	}
	return NULL;
}

/* The UTF-8 character at p (n bytes left): its length, 0 when malformed. */
static size_t character(const unsigned char *p, size_t n, uint32_t *c)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = {
		{0x80, 0,    0      },
                {0xe0, 0xc0, 0x80   },
                {0xf0, 0xe0, 0x800  },
                {0xf8, 0xf0, 0x10000}
        };

	size_t len = 0;

	while (len < ARRAY_SIZE(forms) && (p[0] & forms[len].mask) != forms[len].lead)
		len++;
	if (len == ARRAY_SIZE(forms) || len >= n)
		return 0;
	*c = p[0] & (unsigned char)~forms[len].mask;
	for (size_t k = 1; k <= len; k++) {
		if ((p[k] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[k] & 0x3f);
	}
	return *c >= forms[len].least ? len + 1 : 0;
}

/* Well-formed UTF-8 without control characters, so that it can stand in JSON, Python and a line of text. */
static bool is_text(const unsigned char *p, size_t n)
{
	for (size_t i = 0, len; i < n; i += len) {
		uint32_t c = 0;

		len = character(p + i, n - i, &c);
		if (!len || c < ' ' || c == 0x7f || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
	}
	return true;
}

/* One feature; a name that JSON or Python could not take is refused (-1). */
static int add_feature(struct search *s, const ProtobufCBinaryData *key, int dtype, int64_t values)
{
	struct saved_model *m = s->out;

	if (!key->len || key->len > MAX_KEY || !is_text(key->data, key->len) ||
	    m->n_features == MAX_FEATURES)
		return -1;
	if (dtype != TF_FLOAT && dtype != TF_INT64 && dtype != TF_STRING)
		return -1;
	struct saved_feature *f = reallocarray(m->features, m->n_features + 1, sizeof(*f));
	if (f)
		m->features = f;
	char *name = f ? strndup((const char *)key->data, key->len) : NULL;
	if (!name) {
		s->no_memory = true;
		return -1;
	}
	m->features[m->n_features++] = (struct saved_feature){name, dtype, values};
	return 0;
}

static int64_t count_values(const Tf__AttrValue__ListValue *shapes, size_t i)
{
	int64_t n = 1;

	if (!shapes || i >= shapes->n_shape || shapes->shape[i]->unknown_rank)
		return -1;
	for (size_t d = 0; d < shapes->shape[i]->n_dim; d++) {
		int64_t size = shapes->shape[i]->dim[d]->size;

		if (size < 0 || size > INT32_MAX || (size && n > INT32_MAX / size))
			return -1;
		n *= size;
	}
	return n;
}

static const Tf__AttrValue__ListValue *list_attr(const Tf__NodeDef *node, const char *key)
{
	const Tf__AttrValue *a = attr(node, key);

	return a ? a->list : NULL;
}

/* The keys of one kind with their types. `at`: the input that holds them all (V2), or the first of n inputs with one each. */
struct keys {
	size_t at, n;
	bool each;
	const Tf__AttrValue__ListValue *types, *shapes; /* shapes NULL: any number of values */
};

static int add_keys(struct search *s, const struct frame *f, const Tf__NodeDef *node,
		    const struct keys *k)
{
	for (size_t i = 0; i < k->n; i++) {
		size_t at = k->at + (k->each ? i : 0), element = k->each ? 0 : i;
		const Tf__TensorProto *t =
			at < node->n_input ? find_const(s, f, node->input[at], MAX_DEPTH) : NULL;

		if (!t || element >= t->n_string_val || !k->types || i >= k->types->n_type)
			return -1;
		if (add_feature(s, &t->string_val[element], k->types->type[i],
				k->shapes ? count_values(k->shapes, i) : -1))
			return -1;
	}
	return 0;
}

static size_t n_types(const Tf__AttrValue__ListValue *l)
{
	return l ? MIN(l->n_type, (size_t)MAX_FEATURES) : 0;
}

/* ParseExample:   serialized names sparse_keys... dense_keys... dense_defaults...
 * ParseExampleV2: serialized names sparse_keys dense_keys ragged_keys dense_defaults... */
static int read_node(struct search *s, const struct frame *f, const Tf__NodeDef *node)
{
	bool v2 = streq(node->op, "ParseExampleV2");
	const Tf__AttrValue__ListValue *dense = list_attr(node, "Tdense");
	const Tf__AttrValue__ListValue *sparse = list_attr(node, "sparse_types");
	const Tf__AttrValue__ListValue *ragged = list_attr(node, "ragged_value_types");
	struct keys k_dense = {v2 ? 3 : 2 + n_types(sparse), n_types(dense), !v2, dense,
			       list_attr(node, "dense_shapes")};
	struct keys k_sparse = {2, n_types(sparse), !v2, sparse, NULL};
	struct keys k_ragged = {4, v2 ? n_types(ragged) : 0, false, ragged, NULL};

	if (add_keys(s, f, node, &k_dense) || add_keys(s, f, node, &k_sparse) ||
	    add_keys(s, f, node, &k_ragged))
		return -1;
	return s->out->n_features ? 0 : -1;
}

static void forget_features(struct saved_model *m)
{
	while (m->n_features)
		free(m->features[--m->n_features].name);
}

static bool follow(struct search *s, const struct frame *f, const char *name);

/* The function that node calls, from its argument number `arg` on. */
static bool follow_call(struct search *s, const struct frame *f, const Tf__NodeDef *node,
			size_t arg)
{
	const Tf__FunctionDef *d = find_function(s, node);

	if (!d || f->depth == MAX_DEPTH || arg >= d->signature->n_input_arg)
		return false;
	struct frame inner = {d->node_def, d->n_node_def, d, f, node, f->depth + 1};
	return follow(s, &inner, d->signature->input_arg[arg]->name);
}

static bool follow_into(struct search *s, const struct frame *f, const Tf__NodeDef *node,
			size_t arg)
{
	if (arg == 0 && (streq(node->op, "ParseExample") || streq(node->op, "ParseExampleV2"))) {
		if (read_node(s, f, node) == 0)
			return true;
		forget_features(s->out);
		return false;
	}
	if (arg == 0 && streq(node->op, "Identity") && f->depth < MAX_DEPTH) {
		struct frame same = *f;

		same.depth++; /* a chain of identities is bounded like a chain of calls */
		return follow(s, &same, node->name);
	}
	return follow_call(s, f, node, arg);
}

/* Whoever takes the tensor `name` in this body; true when it led to a ParseExample whose features are known. */
static bool follow(struct search *s, const struct frame *f, const char *name)
{
	for (size_t i = 0; i < f->n_node; i++) {
		const Tf__NodeDef *node = f->node[i];

		for (size_t arg = 0; arg < node->n_input; arg++) {
			if (s->no_memory || !spend(s, 1))
				return false;
			if (refers(node->input[arg], name) && follow_into(s, f, node, arg))
				return true;
		}
	}
	return false;
}

static bool has_parser(Tf__NodeDef *const *node, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (starts_with(node[i]->op, "Parse") && strstr(node[i]->op, "Example"))
			return true;
	return false;
}

bool example_spec_possible(const Tf__GraphDef *g)
{
	if (has_parser(g->node, g->n_node))
		return true;
	for (size_t i = 0; g->library && i < g->library->n_function; i++)
		if (has_parser(g->library->function[i]->node_def,
			       g->library->function[i]->n_node_def))
			return true;
	return false;
}

int example_spec_find(const Tf__GraphDef *g, const char *tensor, struct saved_model *out)
{
	struct frame main_graph = {g->node, g->n_node, NULL, NULL, NULL, 0};
	struct search s = {g->library, MAX_STEPS, out, false};
	size_t n = strcspn(tensor, ":");
	_cleanup_free_ char *name = strndup(tensor, n);

	if (!name)
		return -1;
	if (follow(&s, &main_graph, name))
		out->input = INPUT_EXAMPLES;
	return s.no_memory ? -1 : 0;
}
