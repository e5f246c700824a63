/* Recognition: which row, what is left out, what is refused before any framework looks. */
#include "model.h"

#include "sagemaker/images.h"

static void rows(void **state)
{
	(void)state;
	assert_string_equal(framework_find("tensorflow")->name, "tensorflow");
	assert_string_equal(framework_find("mxnet")->content_type, "application/json");
	assert_null(framework_find("caffe"));
}

static void empty(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	scratch_text(&s, "sagemaker.json", "{}");
	scratch_text(&s, ".DS_Store", "x");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	assert_null(p->framework);
	expect_refused(p, ENOENT, "model 'iris' is empty");
}

static void unknown(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	scratch_text(&s, "model.pkl", "x");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_refused(p, EINVAL, "saved_model.pb");
	unlinkat(s.fd, "model.pkl", 0);
	scratch_text(&s, "model.tar.gz", "x");
	_cleanup_plan_ struct package_plan *tar = model_plan(&s);
	expect_refused(tar, EINVAL, "'model.tar.gz' cannot be used: the archive is not");
}

static void file_names(void **state)
{
	static const struct {
		const char *file, *model;
	} rows[] = {
		{"iris.tar.gz", "iris"},
                {"a.b.joblib",  "a.b" },
                {"net.pt",      "net" },
                {"x.tgz",       "x"   },
		{".pt",         NULL  },
                {"iris",        NULL  },
                {"a.tar",       NULL  },
	};

	char model[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(package_file_model(rows[i].file, model, sizeof(model)),
				 rows[i].model != NULL);
		if (rows[i].model)
			assert_string_equal(model, rows[i].model);
	}
}

/* A container of the user's own takes the files as they are; so does one of AWS's whose layout is not known here. */
static void own_image(void **state)
{
	_cleanup_scratch_ struct scratch s;
	struct image image;
	struct err e;
	char framework[32];

	(void)state;
	scratch_make(&s);
	scratch_text(&s, "model.pkl", "x");
	scratch_text(&s, "code/inference.py", "x");
	scratch_text(&s, "sagemaker.json", "{\"image\": \"ghcr.io/me/predict:1\"}");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	assert_true(p->whole);
	assert_int_equal(p->n_members, 2);
	assert_string_equal(p->members[1].archive, "model.pkl");
	assert_string_equal(p->program, "");
	assert_int_equal(package_image(p, "eu-west-1", "ml.m8g.large", &image, &e), 0);
	assert_string_equal(image.uri, "ghcr.io/me/predict:1");
	package_framework(p, framework);
	assert_string_equal(framework, "");

	scratch_text(&s, "sagemaker.json",
		     "{\"image\": \"1.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6-cpu\","
		     " \"entry_point\": \"inference.py\"}");
	_cleanup_plan_ struct package_plan *aws = model_plan(&s);
	assert_true(aws->whole);
	assert_string_equal(aws->program, "inference.py");
	package_framework(aws, framework);
	assert_string_equal(framework, "pytorch");
	assert_int_equal(package_image(aws, "eu-west-1", "ml.m5.large", &image, &e), 0);
	assert_string_equal(image.version, "2.6.0");
}

static void own_image_refusals(void **state)
{
	static const struct {
		const char *settings, *says;
	} rows[] = {
		{"{\"framework\": \"pytorch\"}",
		 "no code/inference.py that could load anything else"                         },
		{"{\"framework\": \"caffe\", \"image\": \"x/y:1\"}",  "'caffe' is not known"  },
		{"{\"image\": \"x/y:1\", \"entry_point\": \"a.py\"}", "'a.py' is not in code/"},
		{"{\"image\": \"x/tensorflow-inference:2.19-cpu\"}",  "saved_model.pb"        },
	};
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	scratch_text(&s, "model.pkl", "x");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scratch_text(&s, "sagemaker.json", rows[i].settings);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		assert_false(p->whole);
		if (!strstr(p->why.text, rows[i].says))
			fail_msg("'%s' does not say '%s'", p->why.text, rows[i].says);
	}
}

static void two_frameworks(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_keras(&s, "1/");
	model_mxnet(&s, "");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_refused(p, EINVAL, "like tensorflow and like mxnet: say \"framework\"");
	scratch_text(&s, "sagemaker.json", "{\"framework\": \"mxnet\"}");
	_cleanup_plan_ struct package_plan *said = model_plan(&s);
	assert_string_equal(said->framework->name, "mxnet");
	assert_true(said->whole);
	expect_note(said, "as chosen in sagemaker.json");
	scratch_text(&s, "sagemaker.json", "{\"framework\": \"caffe\"}");
	_cleanup_plan_ struct package_plan *other = model_plan(&s);
	expect_refused(other, EINVAL, "known are tensorflow mxnet");
}

static void bad_settings(void **state)
{
	_cleanup_scratch_ struct scratch s;
	struct package_plan *p = NULL;
	struct err e = {0};

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	scratch_text(&s, "sagemaker.json", "{\"frame\": 1}");
	assert_int_equal(package_plan(s.fd, "iris", NULL, &p, &e), -1);
	assert_int_equal(e.no, EINVAL);
	assert_null(p);
}

static void droppings(void **state)
{
	static const char *const left_out[] = {
		".git/config",
		"__pycache__/x.pyc",
		".ipynb_checkpoints/a.ipynb",
		".DS_Store",
		".iris.params.swp",
		".iris-0007.params.Ab3dE9",
		"notes.txt~",
		".~lock.a.ods#",
		".nfs000001",
		".upload.tmp",
		"code/__pycache__/m.pyc",
		".cache/huggingface/download/w.metadata",
		"hub/models--a--b/blobs/0123",
	};
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		scratch_text(&s, left_out[i], "x");
	assert_int_equal(symlinkat("nowhere", s.fd, ".#lock"), 0);
	assert_int_equal(mkfifoat(s.fd, "pipe", 0600), 0);
	assert_int_equal(mkdirat(s.fd, "hub/models--a--b/snapshots", 0700), 0);
	assert_int_equal(symlinkat("../blobs/0123", s.fd, "hub/models--a--b/snapshots/x.txt"), 0);
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_paths(
		p,
		"code/inference.py hub/models--a--b/snapshots/x.txt model-0000.params model-shapes.json model-symbol.json ");
	expect_note(p, "left out: .git (version control)");
	expect_note(p, "left out: hub/models--a--b/blobs (what snapshots/");
	expect_note(p, "left out: .iris-0007.params.Ab3dE9 (unfinished copy)");
	expect_note(p, "left out: pipe (not a regular file)");

	scratch_text(&s, "iris-0000.params.aria2", "x");
	_cleanup_plan_ struct package_plan *half = model_plan(&s);
	expect_refused(half, ENODATA, "'iris-0000.params.aria2' is of a download");
}

static void links_and_names(void **state)
{
	static const struct {
		const char *to;
		int no;
		const char *says; /* the sentence, or what the archive holds */
	} links[] = {
		{"code/a.py",   0,
		 "code/a.py link model-0000.params model-shapes.json model-symbol.json "     },
		{"code",        0,
		 "code/a.py link/a.py model-0000.params model-shapes.json model-symbol.json "},
		{"/etc/passwd", EINVAL,  "the symbolic link 'link' leaves the model"         },
		{"../x",        EINVAL,  "the symbolic link 'link' leaves the model"         },
		{"link",        EINVAL,  "the symbolic link 'link' leads to itself"          },
		{".",           EINVAL,  "the link 'link' leads back to a directory"         },
		{"nothing",     ENODATA, "what the symbolic link 'link' points to is missing"},
	};
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	scratch_text(&s, "code/a.py", "def model_fn(d): pass");
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		assert_int_equal(symlinkat(links[i].to, s.fd, "link"), 0);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		if (links[i].no)
			expect_refused(p, links[i].no, links[i].says);
		else
			expect_paths(p, links[i].says);
		assert_int_equal(unlinkat(s.fd, "link", 0), 0);
	}
	scratch_text(&s, "a\nb", "x");
	_cleanup_plan_ struct package_plan *name = model_plan(&s);
	expect_refused(name, EINVAL, "control character");
}

/* Two files for one place, and a file where a directory must be. */
static void collisions(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	scratch_text(&s, "model-0000.params/x", "x");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	expect_refused(p, EINVAL, "'model-0000.params' would be a file and a directory");
	assert_int_equal(remove_tree(s.fd, "model-0000.params", NULL), 0);
	scratch_text(&s, "code/x.py", "");
	scratch_text(&s, "x.py", "");
	_cleanup_plan_ struct package_plan *twice = model_plan(&s);
	expect_refused(twice, EINVAL, "would both be 'code/x.py'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),           cmocka_unit_test(empty),
		cmocka_unit_test(unknown),        cmocka_unit_test(file_names),
		cmocka_unit_test(own_image),      cmocka_unit_test(own_image_refusals),
		cmocka_unit_test(two_frameworks), cmocka_unit_test(bad_settings),
		cmocka_unit_test(droppings),      cmocka_unit_test(links_and_names),
		cmocka_unit_test(collisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
