/* The generated handler: from hand-made graphs to the features, from the features to Python that does what it should. */
#include "model.h"

#include "sagemaker/handler.h"

/* A message being written: protobuf's wire format, by hand. */
static void put_varint(struct buf *b, uint64_t v)
{
	for (; v > 127; v >>= 7)
		buf_char(b, (char)(v | 128));
	buf_char(b, (char)v);
}

static void put_int(struct buf *b, unsigned field, uint64_t v)
{
	put_varint(b, field << 3);
	put_varint(b, v);
}

static void put_bytes(struct buf *b, unsigned field, const void *p, size_t n)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, n);
	buf_add(b, p, n);
}

static void put_text(struct buf *b, unsigned field, const char *s)
{
	put_bytes(b, field, s, strlen(s));
}

/* The message m as a field of b; m is empty again. */
static void put_message(struct buf *b, unsigned field, struct buf *m)
{
	put_bytes(b, field, buf_cstr(m), m->len);
	buf_release(m);
}

static void put_entry(struct buf *b, unsigned field, const char *key, struct buf *value)
{
	struct buf entry = BUF_INIT(0);

	put_text(&entry, 1, key);
	put_message(&entry, 2, value);
	put_message(b, field, &entry);
}

/* A node with its op and inputs (NULL ends them); the caller adds attributes. */
static void start_node(struct buf *node, const char *name, const char *op,
		       const char *const *inputs)
{
	put_text(node, 1, name);
	put_text(node, 2, op);
	for (; inputs && *inputs; inputs++)
		put_text(node, 3, *inputs);
}

static void attr_types(struct buf *node, const char *key, const char *types)
{
	struct buf list = BUF_INIT(0), value = BUF_INIT(0);

	if (*types)
		put_bytes(&list, 6, types, strlen(types));
	put_message(&value, 1, &list);
	put_entry(node, 5, key, &value);
}

/* Shapes of one dimension each; 0: a scalar, 255: unknown. */
static void attr_shapes(struct buf *node, const char *key, const unsigned char *dims, size_t n)
{
	struct buf list = BUF_INIT(0), value = BUF_INIT(0);

	for (size_t i = 0; i < n; i++) {
		struct buf shape = BUF_INIT(0), dim = BUF_INIT(0);

		put_int(&dim, 1, dims[i] == 255 ? UINT64_MAX : dims[i]);
		if (dims[i])
			put_message(&shape, 2, &dim);
		buf_release(&dim);
		put_message(&list, 7, &shape);
	}
	put_message(&value, 1, &list);
	put_entry(node, 5, key, &value);
}

static void attr_function(struct buf *node, const char *name)
{
	struct buf f = BUF_INIT(0), value = BUF_INIT(0);

	put_text(&f, 1, name);
	put_message(&value, 10, &f);
	put_entry(node, 5, "f", &value);
}

static void put_const(struct buf *graph, unsigned field, const char *name,
		      const char *const *strings)
{
	struct buf node = BUF_INIT(0), tensor = BUF_INIT(0), value = BUF_INIT(0);

	start_node(&node, name, "Const", NULL);
	for (; strings && *strings; strings++)
		put_text(&tensor, 8, *strings);
	put_message(&value, 8, &tensor);
	put_entry(&node, 5, "value", &value);
	put_message(graph, field, &node);
}

static void put_node(struct buf *graph, unsigned field, const char *name, const char *op,
		     const char *const *inputs, const char *function)
{
	struct buf node = BUF_INIT(0);

	start_node(&node, name, op, inputs);
	if (function)
		attr_function(&node, function);
	put_message(graph, field, &node);
}

/* The whole file around a graph: one meta graph, tag serve, a signature on examples:0. */
static void wrap(struct buf *graph, const char *method, struct buf *out)
{
	struct buf meta = BUF_INIT(0), info = BUF_INIT(0), sig = BUF_INIT(0), tensor = BUF_INIT(0);

	put_text(&info, 4, "serve");
	put_text(&info, 5, "2.16.1");
	put_message(&meta, 1, &info);
	put_message(&meta, 2, graph);
	put_text(&tensor, 1, "examples:0");
	put_int(&tensor, 2, TF_STRING);
	put_entry(&sig, 1, "examples", &tensor);
	put_text(&sig, 3, method);
	put_entry(&meta, 5, "serving_default", &sig);
	put_int(out, 1, 1);
	put_message(out, 2, &meta);
}

static void parse(struct buf *graph, const char *method, struct saved_model *m)
{
	struct buf file = BUF_INIT(0);
	struct err e = {0};

	wrap(graph, method, &file);
	if (saved_model_parse(file.data, file.len, m, &e))
		fail_msg("%s", e.text);
	buf_release(&file);
}

static void expect_feature(const struct saved_model *m, size_t i, const char *name, int dtype,
			   int64_t values)
{
	assert_true(i < m->n_features);
	assert_string_equal(m->features[i].name, name);
	assert_int_equal(m->features[i].dtype, dtype);
	assert_int_equal(m->features[i].values, values);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* TensorFlow 1: ParseExample with a constant per key. */
static void parse_example_v1(void **state)
{
	struct buf g = BUF_INIT(0), node = BUF_INIT(0);
	struct saved_model m;

	(void)state;
	put_node(&g, 1, "examples", "Placeholder", NULL, NULL);
	put_const(&g, 1, "names", NULL);
	put_const(&g, 1, "sparse", LIST("words"));
	put_const(&g, 1, "d0", LIST("age"));
	put_const(&g, 1, "d1", LIST("pixels"));
	start_node(&node, "parse", "ParseExample",
		   LIST("examples", "names", "sparse", "d0", "d1", "^examples"));
	attr_types(&node, "sparse_types", "\x07");
	attr_types(&node, "Tdense", "\x09\x01");
	attr_shapes(&node, "dense_shapes", (const unsigned char[]){0, 16}, 2);
	put_message(&g, 1, &node);
	parse(&g, "tensorflow/serving/regress", &m);
	assert_int_equal(m.input, INPUT_EXAMPLES);
	assert_string_equal(m.method, "regress");
	expect_feature(&m, 0, "age", TF_INT64, 1);
	expect_feature(&m, 1, "pixels", TF_FLOAT, 16);
	expect_feature(&m, 2, "words", TF_STRING, -1);
	saved_model_release(&m);
}

/* TensorFlow 2: two calls deep, through an identity, with the keys handed in as arguments. */
static void parse_example_in_functions(void **state)
{
	struct buf g = BUF_INIT(0), lib = BUF_INIT(0), f = BUF_INIT(0), op = BUF_INIT(0),
		   arg = BUF_INIT(0), node = BUF_INIT(0);
	struct saved_model m;

	(void)state;
	put_node(&g, 1, "examples", "Placeholder", NULL, NULL);
	put_const(&g, 1, "keys", LIST("a", "b"));
	put_node(&g, 1, "call", "StatefulPartitionedCall", LIST("keys", "examples"), "outer");
	for (int i = 0; i < 2; i++) { /* outer(k, x) calls inner(k, Identity(x)) */
		put_text(&op, 1, i ? "inner" : "outer");
		put_text(&arg, 1, "k");
		put_message(&op, 2, &arg);
		put_text(&arg, 1, "x");
		put_message(&op, 2, &arg);
		put_message(&f, 1, &op);
		if (i == 0) {
			put_node(&f, 3, "id", "Identity", LIST("x"), NULL);
			put_node(&f, 3, "call", "PartitionedCall", LIST("k", "id:output:0"),
				 "inner");
		} else {
			put_const(&f, 3, "none", NULL);
			start_node(&node, "p/ParseExampleV2", "ParseExampleV2",
				   LIST("x", "none:output:0", "none:output:0", "k",
					"none:output:0"));
			attr_types(&node, "Tdense", "\x01\x07");
			attr_types(&node, "sparse_types", "");
			attr_shapes(&node, "dense_shapes", (const unsigned char[]){4, 255}, 2);
			put_message(&f, 3, &node);
		}
		put_message(&lib, 1, &f);
	}
	put_message(&g, 2, &lib);
	parse(&g, "tensorflow/serving/predict", &m);
	assert_int_equal(m.input, INPUT_EXAMPLES);
	expect_feature(&m, 0, "a", TF_FLOAT, 4);
	expect_feature(&m, 1, "b", TF_STRING, -1);
	saved_model_release(&m);
}

/* Strings that are no Examples; a function that calls itself; keys that are no text. */
static void not_derivable(void **state)
{
	struct buf g = BUF_INIT(0), lib = BUF_INIT(0), f = BUF_INIT(0), op = BUF_INIT(0),
		   arg = BUF_INIT(0), node = BUF_INIT(0);
	struct saved_model m;

	(void)state;
	put_node(&g, 1, "examples", "Placeholder", NULL, NULL);
	put_node(&g, 1, "lower", "StringLower", LIST("examples"), NULL);
	parse(&g, "", &m);
	assert_int_equal(m.input, INPUT_TEXT);
	saved_model_release(&m);

	put_node(&g, 1, "call", "PartitionedCall", LIST("examples", "examples"), "f");
	put_text(&op, 1, "f");
	put_text(&arg, 1, "x");
	put_message(&op, 2, &arg);
	put_message(&f, 1, &op);
	for (int i = 0; i < 10; i++)
		put_node(&f, 3, "call", "PartitionedCall", LIST("x"), "f");
	put_message(&lib, 1, &f);
	put_message(&g, 2, &lib);
	parse(&g, "", &m);
	assert_int_equal(m.input, INPUT_TEXT);
	saved_model_release(&m);

	put_const(&g, 1, "keys", LIST("ok", "bad\n\"\"\"\nimport os"));
	start_node(&node, "p", "ParseExampleV2", LIST("examples", "keys", "keys", "keys", "keys"));
	attr_types(&node, "Tdense", "\x01\x01");
	put_message(&g, 1, &node);
	parse(&g, "", &m);
	assert_int_equal(m.input, INPUT_STRINGS);
	assert_int_equal(m.n_features, 0);
	saved_model_release(&m);
}

/* Generate for the features and let handler_check.py run its cases. */
static void check(const char *method, struct saved_feature *features, size_t n, const char *cases)
{
	_cleanup_scratch_ struct scratch s;
	_cleanup_buf_ struct buf text = BUF_INIT(0), again = BUF_INIT(0);
	struct saved_model m = {.input = INPUT_EXAMPLES, .features = features, .n_features = n};
	char command[1024];

	snprintf(m.method, sizeof(m.method), "%s", method);
	scratch_make(&s);
	assert_int_equal(handler_generate(&m, &text), 0);
	assert_int_equal(handler_generate(&m, &again), 0);
	assert_string_equal(buf_cstr(&text), buf_cstr(&again));
	scratch_file(&s, "inference.py", text.data, text.len);
	snprintf(command, sizeof(command),
		 "python3 -B %s/../unit/handler_check.py %s/inference.py %s", TEST_DATA, s.path,
		 cases);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own command */
}

static char name_inputs[] = "inputs", name_a[] = "a", name_b[] = "b\"", name_c[] = "c",
	    name_x[] = "x";

static void generated(void **state)
{
	struct saved_feature iris[] = {
		{name_inputs, TF_FLOAT, 4}
        };
	struct saved_feature scalars[] = {
		{name_a, TF_FLOAT,  1},
                {name_b, TF_INT64,  1},
                {name_c, TF_STRING, 1}
        };
	struct saved_feature one[] = {
		{name_x, TF_FLOAT, 1}
        };

	(void)state;
	check("classify", iris, 1, "iris upstream");
	check("predict", scalars, 3, "scalars");
	check("regress", one, 1, "one_scalar");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_example_v1),
		cmocka_unit_test(parse_example_in_functions),
		cmocka_unit_test(not_derivable),
		cmocka_unit_test(generated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
