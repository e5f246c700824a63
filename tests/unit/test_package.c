/* package: the archive as other programs see it, the digest, the cache of hashes, the image and the environment. */
#include "model.h"

#include <sys/wait.h>
#include <time.h>

#include "sagemaker/images.h"
#include "sagemaker/old_code.h"

struct sink {
	struct buf b;
	uint64_t progress;
	struct cancel *cancel; /* set at the first byte of the archive, when not NULL */
};

static int collect(void *arg, const void *p, size_t n, struct err *e)
{
	struct sink *s = arg;

	if (s->cancel)
		cancel_set(s->cancel);
	return buf_add(&s->b, p, n) ? err_set(e, ENOSPC, "the sink is full") : 0;
}

static void count(void *arg, uint64_t bytes)
{
	((struct sink *)arg)->progress += bytes;
}

static int write_to(struct package_plan *p, struct sink *s, struct package_output *o,
		    struct cancel *c, struct err *e)
{
	*o = (struct package_output){.sink = collect, .arg = s, .progress = count};
	return package_write(p, o, c, e);
}

static void release_output(struct package_output *o)
{
	free(o->points);
	free(o->member_offsets);
}

/* The archive as a file in s; the model is what the caller made of it. */
static void pack_as(const struct scratch *s, const char *name)
{
	_cleanup_plan_ struct package_plan *p = model_plan(s);
	struct sink sink = {.b = BUF_INIT((size_t)256 << 20)};
	struct package_output o;
	struct err e = {0};

	assert_true(p->whole);
	assert_int_equal(write_to(p, &sink, &o, NULL, &e), 0);
	assert_int_equal(sink.progress, p->bytes);
	scratch_file(s, name, sink.b.data, sink.b.len);
	release_output(&o);
	buf_release(&sink.b);
}

/* What a program prints about the archive. */
static void run(const struct scratch *s, const char *command, struct buf *out)
{
	char line[1024];

	snprintf(line, sizeof(line), "cd %s && export LC_ALL=C.UTF-8 && %s", s->path, command);
	FILE *f = popen(line, "r"); /* NOLINT(cert-env33-c): a test's own command */
	assert_non_null(f);
	assert_int_equal(buf_read_fd(out, fileno(f)), 0);
	assert_int_equal(pclose(f), 0);
}

static void others_read_it(void **state)
{
	static const char list[] =
		"code/inference.py\nd\xc3\xa4t\xc3\xa5/\xe6\xa8\xa1.txt\nmodel-0000.params\nmodel-shapes.json\nmodel-symbol.json\n";
	_cleanup_scratch_ struct scratch s;
	_cleanup_buf_ struct buf tar = BUF_INIT(0), python = BUF_INIT(0), verbose = BUF_INIT(0);

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	scratch_text(&s, "d\xc3\xa4t\xc3\xa5/\xe6\xa8\xa1.txt", "utf-8");
	assert_int_equal(fchmodat(s.fd, "iris-shapes.json", 0700, 0), 0);
	pack_as(&s, "m.tar.gz");
	run(&s, "gzip -t m.tar.gz && tar --quoting-style=literal -tzf m.tar.gz", &tar);
	assert_string_equal(buf_cstr(&tar), list);
	run(&s, "python3 -c 'import tarfile; [print(m.name) for m in tarfile.open(\"m.tar.gz\")]'",
	    &python);
	assert_string_equal(buf_cstr(&python), list);
	run(&s, "tar --numeric-owner --utc -tvzf m.tar.gz | sed 's/  */ /g' | tail -3", &verbose);
	assert_string_equal(buf_cstr(&verbose),
			    "-rw-r--r-- 0/0 784 1970-01-01 00:00 model-0000.params\n"
			    "-rwxr-xr-x 0/0 36 1970-01-01 00:00 model-shapes.json\n"
			    "-rw-r--r-- 0/0 1429 1970-01-01 00:00 model-symbol.json\n");
}

static void same_model_same_archive(void **state)
{
	_cleanup_scratch_ struct scratch a, b;
	_cleanup_buf_ struct buf x = BUF_INIT(0), y = BUF_INIT(0);

	(void)state;
	scratch_make(&a);
	scratch_make(&b);
	model_mxnet(&a, "");
	model_mxnet(&b, "model/");
	pack_as(&a, ".a.tmp");
	pack_as(&b, ".b.tmp");
	assert_int_equal(buf_read_file(&x, a.fd, ".a.tmp"), 0);
	assert_int_equal(buf_read_file(&y, b.fd, ".b.tmp"), 0);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
}

/* Unpacking what was packed gives the files back; offsets say where each stands in the tar stream. */
static void round_trip(void **state)
{
	_cleanup_scratch_ struct scratch s;
	_cleanup_plan_ struct package_plan *p = NULL;
	_cleanup_buf_ struct buf tar = BUF_INIT((size_t)64 << 20);
	struct sink sink = {.b = BUF_INIT((size_t)64 << 20)};
	struct package_output o;
	struct err e = {0};
	size_t n = (size_t)20 << 20;
	char *big = malloc(n);

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	for (size_t i = 0; i < n; i++)
		big[i] = (char)((i * 2654435761U) >> 13);
	scratch_file(&s, "big.bin", big, n);
	free(big);
	p = model_plan(&s);
	assert_int_equal(write_to(p, &sink, &o, NULL, &e), 0);
	assert_int_equal(o.n_points, 6); /* one for each chunk of 4 MiB */
	scratch_file(&s, ".m.tmp", sink.b.data, sink.b.len);
	buf_release(&sink.b);
	_cleanup_close_ int in = openat(s.fd, ".m.tmp", O_RDONLY);
	assert_int_equal(mkdirat(s.fd, "out", 0755), 0);
	_cleanup_close_ int out = openat(s.fd, "out", O_RDONLY | O_DIRECTORY);
	assert_int_equal(unpack(in, out, NULL, NULL, &e), 0);
	run(&s,
	    "cmp big.bin out/big.bin && cmp iris-0007.params out/model-0000.params && gzip -dc .m.tmp",
	    &tar);
	for (size_t i = 0; i < p->n_members; i++) {
		const struct package_member *m = &p->members[i];
		_cleanup_buf_ struct buf b = BUF_INIT((size_t)32 << 20);

		if (!m->path)
			continue;
		assert_int_equal(buf_read_file(&b, s.fd, m->path), 0);
		assert_true(o.member_offsets[i] + m->size <= tar.len);
		assert_memory_equal(tar.data + o.member_offsets[i], b.data, m->size);
	}
	release_output(&o);
}

static void changes_meanwhile(void **state)
{
	static const struct {
		const char *command;
		int no;
	} rows[] = {
		{"true",							   0    },
		{"rm iris-0007.params",					    EBUSY},
		{"echo x >>iris-0007.params",                                      EBUSY},
		{"truncate -s 10 iris-0007.params",                                EBUSY},
		{"touch -d 2001-01-01 iris-0007.params",                           EBUSY},
		{"rm iris-0007.params && mkdir iris-0007.params",                  EBUSY},
		{"rm iris-0007.params && ln -s iris-symbol.json iris-0007.params", EBUSY},
		{"rm iris-0007.params && ln -s /etc/passwd iris-0007.params",      EBUSY},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;
		_cleanup_buf_ struct buf out = BUF_INIT(0);
		struct sink sink = {.b = BUF_INIT(0)};
		struct package_output o;
		struct err e = {0};

		scratch_make(&s);
		model_mxnet(&s, "");
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		run(&s, rows[i].command, &out);
		assert_int_equal(write_to(p, &sink, &o, NULL, &e), rows[i].no ? -1 : 0);
		assert_int_equal(e.no, rows[i].no);
		buf_release(&sink.b);
		release_output(&o);
	}
}

static void failing_sink(void **state)
{
	_cleanup_scratch_ struct scratch s;
	struct sink full = {.b = BUF_INIT(100)}, stopped = {.b = BUF_INIT((size_t)32 << 20)};
	_cleanup_(cancel_unrefp)
	struct cancel *c = cancel_new();
	struct package_output o;
	struct err e = {0};

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	assert_int_equal(write_to(p, &full, &o, NULL, &e), -1);
	assert_int_equal(e.no, ENOSPC);
	assert_string_equal(e.text, "the sink is full");
	assert_null(o.member_offsets);
	/* more than one piece, with room for the first */
	scratch_text(&s, "big.bin", "");
	int fd = openat(s.fd, "big.bin", O_WRONLY);
	for (uint64_t i = 0, x = 1; i < (20 << 20) / sizeof x; i++) {
		x = x * 6364136223846793005U + 1442695040888963407U;
		assert_int_equal(write(fd, &x, sizeof x), sizeof x);
	}
	close(fd);
	_cleanup_plan_ struct package_plan *big = model_plan(&s);
	stopped.cancel = c;
	assert_int_equal(write_to(big, &stopped, &o, c, &e), -1);
	assert_int_equal(e.no, ECANCELED);
	buf_release(&full.b);
	buf_release(&stopped.b);
}

static void digest_of(const struct scratch *s, struct hash_cache *c, char out[SHA256_HEX])
{
	_cleanup_plan_ struct package_plan *p = model_plan(s);
	struct err e = {0};

	assert_int_equal(package_digest(p, c, NULL, &e), 0);
	snprintf(out, SHA256_HEX, "%s", p->digest);
}

static void digests(void **state)
{
	_cleanup_scratch_ struct scratch s, other;
	struct hash_cache *c = hash_cache_new(1);
	char first[SHA256_HEX], next[SHA256_HEX];

	(void)state;
	scratch_make(&s);
	scratch_make(&other);
	model_mxnet(&s, "");
	model_mxnet(&other, "sub/");
	digest_of(&s, c, first);
	digest_of(&other, NULL, next); /* where the user had the files is no part of it */
	assert_string_equal(first, next);
	assert_int_equal(fchmodat(s.fd, "iris-shapes.json", 0600, 0), 0);
	digest_of(&s, c, next);
	assert_string_equal(first, next);
	assert_int_equal(fchmodat(s.fd, "iris-shapes.json", 0755, 0), 0);
	digest_of(&s, c, next);
	assert_string_not_equal(first, next);
	assert_int_equal(fchmodat(s.fd, "iris-shapes.json", 0644, 0), 0);
	digest_of(&s, c, next);
	assert_string_equal(first, next);
	scratch_text(&s, "note.txt", "a");
	digest_of(&s, c, next);
	assert_string_not_equal(first, next);
	hash_cache_free(c);
}

/* The digest is defined by bytes: check it against sha256sum. */
static void digest_definition(void **state)
{
	_cleanup_scratch_ struct scratch s;
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	char digest[SHA256_HEX];

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	digest_of(&s, NULL, digest);
	run(&s,
	    "{ echo 1; : >.empty.tmp; for row in code/inference.py:.empty.tmp model-0000.params:iris-0007.params "
	    "model-shapes.json:iris-shapes.json model-symbol.json:iris-symbol.json; do f=${row#*:}; "
	    "printf '%s\\0000\\0%s\\0%s\\n' ${row%:*} $(wc -c <$f) $(sha256sum <$f | cut -d' ' -f1); done; } | sha256sum | cut -c1-64",
	    &b);
	b.data[64] = '\0';
	assert_string_equal(digest, buf_cstr(&b));
}

static void cached(void **state)
{
	_cleanup_scratch_ struct scratch s;
	struct hash_cache *c = hash_cache_new(64);
	unsigned char want[SHA256_LEN], got[SHA256_LEN];
	struct err e = {0};
	const struct timespec tick = {0, 80000000};

	(void)state;
	scratch_make(&s);
	for (int i = 0; i < 3;
	     i++) { /* rewritten in place, at once and after a pause: never the old hash */
		char text[2] = {(char)('a' + i), 0};

		scratch_text(&s, "f", text);
		sha256(text, 1, want);
		for (int k = 0; k < 3; k++) {
			_cleanup_close_ int fd = openat(s.fd, "f", O_RDONLY);

			assert_int_equal(hash_cache_file(c, fd, NULL, got, &e), 0);
			assert_memory_equal(got, want, SHA256_LEN);
			if (i)
				nanosleep(&tick, NULL);
		}
	}
	hash_cache_free(c);
}

static void looked_into_once(void **state)
{
	_cleanup_scratch_ struct scratch s;
	struct hash_cache *c = hash_cache_new(64);
	const struct timespec old = {1500000000, 0}, times[2] = {old, old}, tick = {0, 80000000};
	struct file_key k, other;
	struct stat st;

	(void)state;
	scratch_make(&s);
	scratch_text(&s, "f", "text");
	assert_int_equal(fstatat(s.fd, "f", &st, 0), 0);
	file_key_of(&st, &k);
	hash_cache_plain_keep(c, &k, "f");
	assert_false(hash_cache_plain(c, &k, "f")); /* it may change with the same times */
	nanosleep(&tick, NULL);
	hash_cache_plain_keep(c, &k, "f");
	assert_true(hash_cache_plain(c, &k, "f"));
	assert_false(hash_cache_plain(c, &k, "f.onnx")); /* names decide, too */
	assert_int_equal(utimensat(s.fd, "f", times, 0), 0);
	assert_int_equal(fstatat(s.fd, "f", &st, 0), 0);
	file_key_of(&st, &other);
	assert_false(hash_cache_plain(c, &other, "f"));
	hash_cache_free(c);
}

/* The plan of a copy under way, with what is known of its files from the look before. */
static void sketch_is(const struct scratch *s, struct hash_cache *c, const char *want, bool known)
{
	const struct package_how how = {.known = c, .sketch = true};
	_cleanup_buf_ struct buf paths = BUF_INIT(0);
	_cleanup_plan_ struct package_plan *p = NULL;
	struct err e = {0};

	assert_int_equal(package_plan(s->fd, "iris", &how, &p, &e), 0);
	model_paths(p, &paths);
	assert_string_equal(buf_cstr(&paths), want);
	assert_int_equal(p->framework != NULL, known);
}

static void sketches(void **state)
{
	_cleanup_scratch_ struct scratch s, other;
	struct hash_cache *c = hash_cache_new(64);
	const struct timespec tick = {0, 80000000};

	(void)state;
	scratch_make(&s);
	scratch_make(&other);
	scratch_text(&other, "deep/x.bin", "x");
	sketch_is(&other, c, "deep/x.bin ", false);
	scratch_text(&s, "7/assets/x", "x");
	nanosleep(&tick, NULL);
	for (int i = 0; i < 2; i++)
		sketch_is(&s, c, "export/Servo/7/assets/x ", false);
	model_keras(&s, "7/");
	sketch_is(&s, c,
		  "export/Servo/7/assets/x export/Servo/7/saved_model.pb "
		  "export/Servo/7/variables/variables.data-00000-of-00001 "
		  "export/Servo/7/variables/variables.index ",
		  true);
	hash_cache_free(c);
}

static void images(void **state)
{
	static const struct {
		const char *settings, *region, *instance, *uri; /* NULL: refused */
	} rows[] = {
		{"{}",							"eu-west-1", "ml.m5.large",
		 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-inference:2.16.1-cpu"                                                        },
		{"{\"framework_version\": \"2.19\"}",                         "eu-west-1", "ml.g4dn.xlarge",
		 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-inference:2.19-gpu"                                                          },
		{"{\"framework_version\": \"2.17\"}",                         "eu-west-1", "ml.m5.large",    NULL                                      },
		{"{\"image\": \"1.dkr.ecr.eu-west-1.amazonaws.com/mine:1\"}", "eu-west-1",
		 "ml.m5.large",									      "1.dkr.ecr.eu-west-1.amazonaws.com/mine:1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;
		struct err e = {0};
		struct image im;

		scratch_make(&s);
		model_keras(&s, "1/");
		scratch_text(&s, "sagemaker.json", rows[i].settings);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		assert_int_equal(package_image(p, rows[i].region, rows[i].instance, &im, &e),
				 rows[i].uri ? 0 : -1);
		if (rows[i].uri)
			assert_string_equal(im.uri, rows[i].uri);
		else
			assert_non_null(strstr(e.text, "there is 2.20.0 2.19.0"));
		assert_string_equal(rows[i].uri ? im.framework : "tensorflow", "tensorflow");
	}
}

/* MXNet 1.9.1 wrote it, the newest image is 1.9.0: that one is taken. */
static void newer_than_images(void **state)
{
	_cleanup_scratch_ struct scratch s;
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	struct err e = {0};
	struct image im;

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	assert_int_equal(package_image(p, "eu-west-1", "ml.m5.large", &im, &e), 0);
	assert_string_equal(im.version, "1.9.0");
	assert_int_equal(e.no, 0);
	package_describe(p, &b);
	assert_non_null(strstr(buf_cstr(&b), "complete: yes\n"));
	assert_non_null(strstr(
		buf_cstr(&b), "image: mxnet 1.9.0 for ml.m5.large; the model was made with 1.9.1"));
	assert_non_null(strstr(buf_cstr(&b), "code/inference.py  (generated)\n"));
}

static void environment(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_mxnet(&s, "");
	scratch_text(&s, "code/serve.py", "");
	scratch_text(&s, "sagemaker.json", "{\"env\": {\"A\": \"1\"}}");
	_cleanup_plan_ struct package_plan *p = model_plan(&s);
	_cleanup_json_ cJSON *env = package_environment(p);
	assert_string_equal(cJSON_GetObjectItem(env, "A")->valuestring, "1");
	assert_string_equal(cJSON_GetObjectItem(env, "SAGEMAKER_PROGRAM")->valuestring, "serve.py");
}

/* Containers that take code from S3: it is at the archive's top, too, and the environment names the archive. */
static void old_containers(void **state)
{
	static const struct {
		const char *settings, *program;
		bool old;
	} rows[] = {
		{"{\"framework_version\": \"1.2\"}",   "serve.py", true },
		{"{\"framework_version\": \"1.9\"}",   "serve.py", false},
		{"{\"framework_version\": \"1.3.0\"}", "serve.py", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;
		struct err e = {0};
		struct image im;

		scratch_make(&s);
		model_mxnet(&s, "");
		scratch_text(&s, "code/serve.py", "x = 1\n");
		scratch_text(&s, "code/lib/more.py", "");
		scratch_text(&s, "sagemaker.json", rows[i].settings);
		_cleanup_plan_ struct package_plan *p = model_plan(&s);
		expect_paths(p, rows[i].old ? "code/lib/more.py code/serve.py lib/more.py "
					      "model-0000.params model-shapes.json "
					      "model-symbol.json serve.py "
					    : "code/lib/more.py code/serve.py model-0000.params "
					      "model-shapes.json model-symbol.json ");
		assert_string_equal(p->program, rows[i].program);
		assert_int_equal(package_image(p, "eu-west-1", "ml.m5.large", &im, &e), 0);
		assert_int_equal(starts_with(im.uri, "520713654638"), rows[i].old);
		_cleanup_json_ cJSON *env = package_environment(p);
		_cleanup_json_ cJSON *all =
			old_code_environment(env, im.uri, "eu-west-1", "s3://a/b");
		assert_int_equal(cJSON_GetArraySize(all), rows[i].old ? 4 : 1);
		if (rows[i].old)
			assert_string_equal(
				cJSON_GetObjectItem(all, "SAGEMAKER_SUBMIT_DIRECTORY")->valuestring,
				"s3://a/b");
	}
}

/* TensorFlow to 1.10 needs no script, and any module may be one. */
static void old_tensorflow(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	model_keras(&s, "1/");
	scratch_text(&s, "sagemaker.json", "{\"framework_version\": \"1.10\"}");
	_cleanup_plan_ struct package_plan *none = model_plan(&s);
	assert_string_equal(none->program, "");
	scratch_text(&s, "iris.py", "def estimator_fn():\n    pass\n");
	_cleanup_plan_ struct package_plan *unused = model_plan(&s);
	assert_string_equal(unused->program, "");
	expect_note(unused,
		    "not used: the TensorFlow container takes a script that defines input_fn");
	scratch_text(&s, "sagemaker.json",
		     "{\"framework_version\": \"1.10\", \"entry_point\": \"iris.py\"}");
	_cleanup_plan_ struct package_plan *named = model_plan(&s);
	assert_string_equal(named->program, "iris.py");
	expect_note(named, "at the archive's top");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_containers),
		cmocka_unit_test(old_tensorflow),
		cmocka_unit_test(others_read_it),
		cmocka_unit_test(same_model_same_archive),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(changes_meanwhile),
		cmocka_unit_test(failing_sink),
		cmocka_unit_test(digests),
		cmocka_unit_test(digest_definition),
		cmocka_unit_test(cached),
		cmocka_unit_test(looked_into_once),
		cmocka_unit_test(sketches),
		cmocka_unit_test(images),
		cmocka_unit_test(newer_than_images),
		cmocka_unit_test(environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
