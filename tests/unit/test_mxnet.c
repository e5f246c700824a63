/* MXNet checkpoints: layouts, checks, entry points. */
#include "model.h"

#include "sagemaker/mxnet.h"

#define FLAT "model-0000.params model-shapes.json model-symbol.json "

static void layouts(void **state)
{
	static const char *const dirs[] = {"", "model/", "a/b/"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_scratch_ struct scratch s;

		scratch_make(&s);
		model_mxnet(&s, dirs[i]);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		expect_paths(p, "code/inference.py " FLAT);
		assert_string_equal(p->framework->name, "mxnet");
		assert_string_equal(p->made_with, "1.9.1");
		assert_int_equal(p->members[0].size, 0);
		assert_null(p->members[0].path);
		assert_string_equal(p->program, "");
	}
}

static void epochs(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	model_copy(&s, "mxnet-iris/model/iris-0003.params", "iris-0003.params");
	model_copy(&s, "mxnet-iris/model/iris-0003.params", "iris-10003.params");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_paths(p, "code/inference.py " FLAT);
	assert_string_equal(p->members[1].path, "iris-10003.params");
	expect_note(p, "left out: iris-0003.params (the model takes iris-10003.params)");
	expect_note(p, "framework: mxnet, for iris-symbol.json, iris-10003.params\n");
}

static void missing(void **state)
{
	static const struct {
		const char *path;
		int cut, no;
		const char *says;
	} rows[] = {
		{"iris-symbol.json", -1,  ENODATA, "PREFIX-symbol.json is missing"    },
		{"iris-symbol.json", 500, EINVAL,
		 "'iris-symbol.json' cannot be used: it is cut short or no JSON"      },
		{"iris-0007.params", -1,  ENODATA, "'iris-0000.params' is missing"    },
		{"iris-0007.params", 0,   ENODATA,
		 "'iris-0007.params' cannot be used: it is cut short"                 },
		{"iris-0007.params", 783, ENODATA, "it is cut short"                  },
		{"iris-shapes.json", -1,  EINVAL,  "'iris-shapes.json' is missing"    },
		{"iris-shapes.json", 10,  EINVAL,  "'iris-shapes.json' cannot be used"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;

		scratch_make(&s);
		model_mxnet(&s, "");
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

static void shapes(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{"[{\"name\": \"data\", \"shape\": [1, 4]}]",                                              true },
		{"[{\"shape\": [0, 3, 224, 224], \"name\": \"data\"}, {\"name\": \"b\", \"shape\": [1]}]",
		 true											   },
		{"[]",										     false},
		{"{\"name\": \"data\", \"shape\": [1, 4]}",                                                false},
		{"[{\"name\": \"data\", \"shape\": []}]",                                                  false},
		{"[{\"name\": \"data\", \"shape\": [1.5]}]",                                               false},
		{"[{\"name\": \"data\", \"shape\": [-1]}]",                                                false},
		{"[{\"shape\": [1]}]",								     false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;

		scratch_make(&s);
		model_mxnet(&s, "");
		scratch_text(&s, "iris-shapes.json", rows[i].text);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		assert_int_equal(p->whole, rows[i].good);
	}
}

/* model-shapes.json, as the container calls it, serves any prefix; two of them none. */
static void shapes_of_another_prefix(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	assert_int_equal(renameat(s.fd, "iris-shapes.json", s.fd, "model-shapes.json"), 0);
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_paths(p, "code/inference.py " FLAT);
	assert_string_equal(p->members[2].path, "model-shapes.json");
	model_copy(&s, "mxnet-iris/model/iris-shapes.json", "other-shapes.json");
	_cleanup_plan_ struct package_plan *two = model_plan(&s);
	expect_refused(two, EINVAL, "'iris-shapes.json' is missing");
}

static void shapes_the_container_cannot_use(void **state)
{
	static const struct {
		const char *text, *warning;
	} rows[] = {
		{"[{\"name\": \"image\", \"shape\": [1, 4]}]",
		 "warning: 'iris-shapes.json' names the input 'image', which 'iris-symbol.json' does not have"},
		{"[{\"name\": \"data\", \"shape\": [1, 4]}, {\"name\": \"softmax_label\", \"shape\": [1]}]",
		 "warning: 'iris-shapes.json' names several inputs"                                           },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;

		scratch_make(&s);
		model_mxnet(&s, "");
		scratch_text(&s, "iris-shapes.json", rows[i].text);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		assert_true(p->whole);
		expect_note(p, rows[i].warning);
		scratch_text(&s, "code/inference.py", "def model_fn(d): pass\n");
		_cleanup_plan_ struct package_plan *own = model_plan(&s);
		assert_true(own->whole);
		assert_null(strstr(buf_cstr(&own->notes), "warning"));
	}
}

static void prefixes(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	model_copy(&s, "mxnet-iris/model/iris-symbol.json", "other-symbol.json");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_refused(p, EINVAL, "'iris-symbol.json' and 'other-symbol.json'");
	assert_int_equal(unlinkat(s.fd, "other-symbol.json", 0), 0);
	model_mxnet(&s, "model/");
	_cleanup_plan_ struct package_plan *nested = model_plan(&s);
	expect_refused(nested, EINVAL, "cp -rT");
}

static void scripts(void **state)
{
	static const struct {
		const char *path[2], *text, *settings, *paths, *program;
		int no;
	} rows[] = {
		{{"code/inference.py"},              "",    "{}",                              "code/inference.py ", "inference.py", 0     },
		{{"code/serve.py"},                  "",    "{}",                              "code/serve.py ",     "serve.py",     0     },
		{{"code/a.py", "code/b.py"},         "",    "{}",                              "",                   "",             EINVAL},
		{{"code/a.py", "code/b.py"},
		 "",					"{\"entry_point\": \"b.py\"}",
		 "code/a.py code/b.py ",									     "b.py",
		 0															 },
		{{"code/a.py", "code/inference.py"},
		 "",					"{}",
		 "code/a.py code/inference.py ",								     "inference.py",
		 0															 },
		{{"mnist.py"},
		 "def main(): pass\n",		      "{}",
		 "code/inference.py code/mnist.py ",								 "",
		 0															 },
		{{"mnist.py"},
		 "def transform_fn(m, d, i, o):\n  pass\n", "{}",
		 "code/mnist.py ",										   "mnist.py",
		 0															 },
		{{"mnist.py"},
		 "",					"{\"entry_point\": \"mnist.py\"}",
		 "code/mnist.py ",										   "mnist.py",
		 0															 },
		{{"mnist.py"},                       "",    "{\"generated_code\": false}",     "code/mnist.py ",     "",             0     },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;
		char want[512];

		scratch_make(&s);
		model_mxnet(&s, "");
		for (size_t k = 0; k < 2 && rows[i].path[k]; k++)
			scratch_text(&s, rows[i].path[k], rows[i].text);
		scratch_text(&s, "sagemaker.json", rows[i].settings);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		if (rows[i].no) {
			expect_refused(p, rows[i].no, "entry_point");
			continue;
		}
		snprintf(want, sizeof(want), "%s" FLAT, rows[i].paths);
		expect_paths(p, want);
		assert_string_equal(p->program, rows[i].program);
	}
}

/* Every truncation of a .params file is found; every changed byte is survived. */
static void hostile_params(void **state)
{
	_cleanup_scratch_ struct scratch s;
	_cleanup_buf_ struct buf b = BUF_INIT(0);

	(void)state;
	scratch_make(&s);
	assert_int_equal(
		buf_read_file(&b, AT_FDCWD, TEST_DATA "/mxnet-iris/model/iris-0007.params"), 0);
	for (size_t i = 0; i < b.len; i++) {
		struct err e = {0};

		scratch_file(&s, "p", b.data, i);
		assert_int_equal(mxnet_params_check(s.fd, "p", NULL, &e), -1);
		b.data[i] = (char)(b.data[i] ^ 0xff);
		scratch_file(&s, "p", b.data, b.len);
		(void)!mxnet_params_check(s.fd, "p", NULL, &e);
		b.data[i] = (char)(b.data[i] ^ 0xff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts),
		cmocka_unit_test(epochs),
		cmocka_unit_test(missing),
		cmocka_unit_test(shapes),
		cmocka_unit_test(shapes_of_another_prefix),
		cmocka_unit_test(shapes_the_container_cannot_use),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(scripts),
		cmocka_unit_test(hostile_params),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
