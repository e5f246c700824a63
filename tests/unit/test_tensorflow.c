/* SavedModels: layouts, checks that find every missing or cut file, entry points, the generated handler's inputs. */
#include "model.h"

#include <dirent.h>

#include "sagemaker/saved_model.h"

#define AS_VERSION(n)                                \
 "export/Servo/" n "/saved_model.pb export/Servo/" n \
 "/variables/variables.data-00000-of-00001 export/Servo/" n "/variables/variables.index "

static void layouts(void **state)
{
	static const struct {
		const char *dir, *paths;
	} rows[] = {
		{"",		      AS_VERSION("1")         },
		{"7/",                    AS_VERSION("7")         },
		{"Servo/1795457192/",     AS_VERSION("1795457192")},
		{"export/Servo/2/",       AS_VERSION("2")         },
		{"export/iris/3/",        AS_VERSION("3")         },
		{"iris/",                 AS_VERSION("1")         },
		{"a/b/c/d/4/",            AS_VERSION("4")         },
		{"99999999999999999999/", AS_VERSION("1")         },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;

		scratch_make(&s);
		model_keras(&s, rows[i].dir);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		expect_paths(p, rows[i].paths);
		assert_string_equal(p->framework->name, "tensorflow");
		assert_string_equal(p->made_with, "2.15.1");
		assert_false(p->has_code);
	}
}

static void versions(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_keras(&s, "Servo/9/");
	model_keras(&s, "Servo/10/");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_paths(p, AS_VERSION("10") AS_VERSION("9"));
	scratch_text(&s, "Servo/11/variables/variables.data-00000-of-00001", "x");
	_cleanup_plan_ struct package_plan *more = model_plan(&s);
	expect_refused(more, ENODATA, "incomplete: 'Servo/11/saved_model.pb' is missing");
	assert_int_equal(remove_tree(s.fd, "Servo/11", NULL), 0);
	model_keras(&s, "Servo/09/");
	_cleanup_plan_ struct package_plan *same = model_plan(&s);
	expect_refused(same, EINVAL, "the same version");
}

static void repeated_copies(void **state)
{
	static const char *const rows[][2] = {
		{"Servo/1/", "export/Servo/1/"},
		{"Servo/1/", "export/Servo/2/"},
		{"1/",       "iris/1/"        },
		{"",         "iris/"          },
		{"",         "1/"             },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;

		scratch_make(&s);
		model_keras(&s, rows[i][0]);
		model_keras(&s, rows[i][1]);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		expect_refused(p, EINVAL, "cp -rT, or rsync -a --delete");
	}
}

static void two_models(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_keras(&s, "iris/1/");
	model_keras(&s, "digits/1/");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_refused(p, EINVAL, "two SavedModels, 'digits/1' and 'iris/1'");
}

static void extra_files(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_keras(&s, "");
	scratch_text(&s, "assets/words.txt", "a");
	scratch_text(&s, "assets.extra/inner/saved_model.pb", "not a graph of ours");
	scratch_text(&s, "README.md", "hello");
	scratch_text(&s, "code/requirements.txt", "x");
	scratch_text(&s, "code/lib/util.py", "x");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_paths(
		p,
		"README.md code/lib/util.py code/requirements.txt export/Servo/1/assets.extra/inner/saved_model.pb "
		"export/Servo/1/assets/words.txt " AS_VERSION("1"));
	expect_note(p, "README.md is no part of the model");
	assert_true(p->has_code);
}

/* A copy that stopped anywhere is not whole: remove or cut each file in turn. */
static void interrupted_copies(void **state)
{
	static const struct {
		const char *path;
		int cut; /* bytes kept, -1: removed */
		int no;
		const char *says;
	} rows[] = {
		{"1/saved_model.pb",                          -1,    ENODATA, "'1/saved_model.pb' is missing"                 },
		{"1/saved_model.pb",                          0,     EINVAL,  "'1/saved_model.pb' cannot be used: it is empty"},
		{"1/saved_model.pb",                          11298, EINVAL,  "it is cut short"                               },
		{"1/variables/variables.index",               -1,    ENODATA, "variables.index' is missing"                   },
		{"1/variables/variables.index",               0,     ENODATA, "cut short"                                     },
		{"1/variables/variables.index",               361,   ENODATA, "cut short"                                     },
		{"1/variables/variables.data-00000-of-00001", -1,    ENODATA,
		 "data-00000-of-00001' is missing"									    },
		{"1/variables/variables.data-00000-of-00001", 0,     ENODATA, "has 0 bytes of the"                            },
		{"1/variables/variables.data-00000-of-00001", 1239,  ENODATA,
		 "has 1239 bytes of the 1240"										 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;

		scratch_make(&s);
		model_keras(&s, "1/");
		if (rows[i].cut < 0) {
			assert_int_equal(unlinkat(s.fd, rows[i].path, 0), 0);
		} else {
			_cleanup_close_ int fd = openat(s.fd, rows[i].path, O_WRONLY);
			assert_int_equal(ftruncate(fd, rows[i].cut), 0);
		}
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		expect_refused(p, rows[i].no, rows[i].says);
	}
}

static void damaged_index(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_keras(&s, "1/");
	_cleanup_close_ int fd = openat(s.fd, "1/variables/variables.index", O_WRONLY);
	assert_int_equal(pwrite(fd, "\xff", 1, 20), 1);
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_refused(p, EINVAL, "checksum does not match");
}

static void text_graph(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	scratch_text(&s, "1/saved_model.pbtxt", "saved_model_schema_version: 1");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_refused(p, EINVAL, "as_text");
}

static void scripts(void **state)
{
	static const struct {
		const char *path, *text, *paths, *note;
		int no;
	} rows[] = {
		{"serve.py",               "def handler(data, context):\n  pass\n",         "code/inference.py ",
		 "entry point: serve.py, packed as code/inference.py",                                                           0     },
		{"serve.py",
		 "x = 1\ndef input_handler(d, c): pass\ndef output_handler (d, c): pass\n", "code/inference.py ", "entry point", 0     },
		{"iris_dnn_classifier.py", "def estimator_fn():\n  handler = 1\n",
		 "code/iris_dnn_classifier.py ",								  "not used",    0     },
		{"serve.py",               "def input_handler(d, c): pass\n",               "code/serve.py ",     "not used",    0     },
		{"code/inference.py",      "def handler(d, c): pass\n",                     "code/inference.py ",
		 "entry point: code/inference.py",									       0     },
		{"code/inference.py",      "from x import handler\n",                       "code/inference.py ",
		 "entry point",												  0     },
		{"code/inference.py",      "def model_fn(): pass\n",                        "",                   "",            EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;
		char want[512];

		scratch_make(&s);
		model_keras(&s, "1/");
		scratch_text(&s, rows[i].path, rows[i].text);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		if (rows[i].no) {
			expect_refused(p, rows[i].no, "only code/inference.py");
			continue;
		}
		snprintf(want, sizeof(want), "%s" AS_VERSION("1"), rows[i].paths);
		expect_paths(p, want);
		expect_note(p, rows[i].note);
		assert_string_equal(p->program, ""); /* this container does not read it */
	}
}

static void stated_entry_point(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_keras(&s, "1/");
	scratch_text(&s, "code/a.py", "def handler(d, c): pass\n");
	scratch_text(&s, "code/b.py", "def handler(d, c): pass\n");
	scratch_text(&s, "sagemaker.json", "{\"entry_point\": \"b.py\"}");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_paths(p, "code/a.py code/inference.py " AS_VERSION("1"));
	expect_note(p, "entry point: code/b.py, packed as code/inference.py");
	scratch_text(&s, "sagemaker.json", "{\"entry_point\": \"c.py\"}");
	_cleanup_plan_ struct package_plan *none = model_plan(&s);
	expect_refused(none, EINVAL, "entry_point 'c.py' is not in the model");
}

/* The estimator's version directory is a time: find it. */
static void copy_estimator(const struct scratch *s)
{
	_cleanup_closedir_ DIR *d = opendir(TEST_DATA "/tensorflow-estimator/export/Servo");
	static const char *const parts[] = {"saved_model.pb", "variables/variables.index",
					    "variables/variables.data-00000-of-00001"};
	const struct dirent *de;

	assert_non_null(d);
	while ((de = readdir(d)))
		for (size_t i = 0; de->d_name[0] != '.' && i < ARRAY_SIZE(parts); i++) {
			char from[512], to[128];

			snprintf(from, sizeof(from), "tensorflow-estimator/export/Servo/%s/%s",
				 de->d_name, parts[i]);
			snprintf(to, sizeof(to), "5/%s", parts[i]);
			model_copy(s, from, to);
		}
}

static void examples(void **state)
{
	_cleanup_scratch_ struct scratch s;
	struct saved_model m;
	struct err e = {0};

	(void)state;
	scratch_make(&s);
	copy_estimator(&s);
	assert_int_equal(saved_model_read(s.fd, "5/saved_model.pb", &m, &e), 0);
	assert_int_equal(m.input, INPUT_EXAMPLES);
	assert_string_equal(m.method, "classify");
	assert_true(m.serve && m.has_variables);
	assert_int_equal(m.n_signatures, 3);
	assert_int_equal(m.n_features, 1);
	assert_string_equal(m.features[0].name, "inputs");
	assert_int_equal(m.features[0].dtype, TF_FLOAT);
	assert_int_equal(m.features[0].values, 4);
	saved_model_release(&m);

	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_paths(p, "code/inference.py " AS_VERSION("5"));
	expect_note(p, "generated: code/inference.py");
	assert_false(p->has_code);
	scratch_text(&s, "iris_dnn_classifier.py", "def estimator_fn(): pass\n");
	_cleanup_plan_ struct package_plan *beside = model_plan(&s);
	expect_paths(beside, "code/inference.py code/iris_dnn_classifier.py " AS_VERSION("5"));
	scratch_text(&s, "sagemaker.json", "{\"generated_code\": false}");
	_cleanup_plan_ struct package_plan *none = model_plan(&s);
	expect_paths(none, "code/iris_dnn_classifier.py " AS_VERSION("5"));
	expect_note(none, "generated_code is false");
}

/* The table's reader on every truncation and on every byte changed: no crash, and never a shard less than there is. */
static void hostile_tables(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	struct err e = {0};
	uint64_t *sizes;
	size_t n;

	(void)state;
	assert_int_equal(buf_read_file(&b, AT_FDCWD,
				       TEST_DATA
				       "/tensorflow-keras/iris/1/variables/variables.index"),
			 0);
	assert_int_equal(tensor_bundle_parse(b.data, b.len, &sizes, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(sizes[0], 1240);
	free(sizes);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] = (char)(b.data[i] ^ 0x55);
		if (tensor_bundle_parse(b.data, b.len, &sizes, &n, &e) == 0)
			free(sizes);
		b.data[i] = (char)(b.data[i] ^ 0x55);
		assert_int_equal(tensor_bundle_parse(b.data, i, &sizes, &n, &e), -1);
	}
}

static void hostile_graphs(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	struct saved_model m;
	struct err e = {0};

	(void)state;
	assert_int_equal(buf_read_file(&b, AT_FDCWD,
				       TEST_DATA "/tensorflow-shapes/shapes/1/saved_model.pb"),
			 0);
	for (size_t i = 1; i < b.len; i += 7) {
		assert_int_equal(saved_model_parse(b.data, i, &m, &e), -1);
		saved_model_release(&m);
		b.data[i] = (char)(b.data[i] ^ 0x5a);
		(void)!saved_model_parse(b.data, b.len, &m, &e);
		saved_model_release(&m);
		b.data[i] = (char)(b.data[i] ^ 0x5a);
	}
}

/* What TensorFlow Serving loads and then cannot find is only warned of: another signature may do without. */
static void unrestored_variables(void **state)
{
	_cleanup_scratch_ struct scratch s, good;

	(void)state;
	scratch_make(&s);
	model_copy(&s, "bad/tensorflow-not-restored/1/saved_model.pb", "1/saved_model.pb");
	model_copy(&s, "bad/tensorflow-not-restored/1/variables/variables.index",
		   "1/variables/variables.index");
	model_copy(&s, "bad/tensorflow-not-restored/1/variables/variables.data-00000-of-00001",
		   "1/variables/variables.data-00000-of-00001");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	assert_true(p->whole);
	expect_note(
		p,
		"warning: 1/saved_model.pb reads the variable 'sequential/dense/kernel', but does not "
		"restore it");
	scratch_make(&good);
	model_keras(&good, "1/");
	_cleanup_plan_ struct package_plan *q = model_plan(&good);
	assert_null(strstr(buf_cstr(&q->notes), "warning"));
}

/* A model saved for Python is not recognised, with the way out. */
static void keras_files(void **state)
{
	static const char *const names[] = {"model.keras", "a/weights.h5", "m.hdf5"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_scratch_ struct scratch s;
		char says[128];

		scratch_make(&s);
		scratch_text(&s, names[i], "x");
		snprintf(
			says, sizeof(says),
			"'%s' is for Keras in Python, TensorFlow Serving takes a SavedModel: export one",
			names[i]);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		expect_refused(p, EINVAL, says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts),         cmocka_unit_test(versions),
		cmocka_unit_test(repeated_copies), cmocka_unit_test(two_models),
		cmocka_unit_test(extra_files),     cmocka_unit_test(interrupted_copies),
		cmocka_unit_test(damaged_index),   cmocka_unit_test(text_graph),
		cmocka_unit_test(scripts),         cmocka_unit_test(stated_entry_point),
		cmocka_unit_test(examples),        cmocka_unit_test(hostile_tables),
		cmocka_unit_test(hostile_graphs),  cmocka_unit_test(unrestored_variables),
		cmocka_unit_test(keras_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
