/* Whole models as anyone may hand them in: the first byte says which files they are, a line "----" ends each but the last. */
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/package.h"

#define FILES 3

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *const models[][FILES] = {
	{"m-symbol.json",    "m-0003.params",                "m-shapes.json"        },
	{"config.json",      "model.safetensors.index.json", "model.safetensors"    },
	{"model.pth",        "code/inference.py",            "sagemaker.json"       },
	{"1/saved_model.pb", "code/inference.py",            "1/requirements.txt"   },
	{"xgboost-model",    "train.py",                     "sagemaker.json"       },
	{"model.onnx",       "model.onnx.data",              "code/requirements.txt"},
	{"model.joblib",     "inference.py",                 "setup.py"             },
	{"m-symbol.json",    "m-0000.params",                "code/inference.py"    },
};

static void put(int dir, const char *path, const uint8_t *p, size_t n)
{
	_cleanup_close_ int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, p, n) < 0)
		abort();
}

/* The length of the next file at p. */
static size_t next_file(const uint8_t *p, size_t n)
{
	const uint8_t *end = n ? memmem(p, n, "\n----\n", 6) : NULL;

	return end ? (size_t)(end - p) : n;
}

/* A script is checked by Python, which takes its time to start: not here. */
static bool has_script(const char *const *names)
{
	for (size_t i = 0; i < FILES; i++) {
		if (ends_with(names[i], ".py"))
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char path[] = "/tmp/smfs-fuzz-plan-XXXXXX";
	_cleanup_(package_plan_freep)
	struct package_plan *plan = NULL;
	struct err e;

	if (!n)
		return 0;
	const char *const *names = models[p[0] % ARRAY_SIZE(models)];
	if (!mkdtemp(path))
		abort();
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY);
	mkdirat(dir, "code", 0755);
	mkdirat(dir, "1", 0755);
	for (size_t i = 0, at = 1; i < FILES; i++) {
		size_t length = i + 1 < FILES ? next_file(p + at, n - at) : n - at;
		put(dir, names[i], p + at, length);
		at = MIN(n, at + length + 6);
	}
	const struct package_how how = {.sketch = has_script(names)};
	(void)!package_plan(dir, "m", &how, &plan, &e);
	for (size_t i = 0; i < FILES; i++)
		unlinkat(dir, names[i], 0);
	unlinkat(dir, "code", AT_REMOVEDIR);
	unlinkat(dir, "1", AT_REMOVEDIR);
	rmdir(path);
	return 0;
}
