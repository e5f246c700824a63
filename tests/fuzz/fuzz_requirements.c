/* A requirements.txt of the user's beside a model: the plan with its sentences. */
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/package.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void put(int dir, const char *path, const uint8_t *p, size_t n)
{
	_cleanup_close_ int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, p, n) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint8_t model[] = {0x80, 2,   'c', 's',  'k', 'l',  'e',
					'a',  'r', 'n', '\n', 'x', '\n', '.'};
	char path[] = "/tmp/smfs-fuzz-requirements-XXXXXX";
	_cleanup_(package_plan_freep)
	struct package_plan *plan = NULL;
	struct err e;

	if (!mkdtemp(path))
		abort();
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY);
	mkdirat(dir, "code", 0755);
	put(dir, "m.pkl", model, sizeof(model));
	put(dir, "code/requirements.txt", p, n);
	(void)!package_plan(dir, "m", NULL, &plan, &e);
	unlinkat(dir, "code/requirements.txt", 0);
	unlinkat(dir, "m.pkl", 0);
	unlinkat(dir, "code", AT_REMOVEDIR);
	rmdir(path);
	return 0;
}
