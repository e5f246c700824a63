/* ~/.aws/config and ~/.aws/credentials: the first byte says which of the two it is, and what kind of section is read. */
#include <fcntl.h>
#include <sys/mman.h>

#include "sagemaker/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void setting(void *arg, const char *key, const char *value)
{
	size_t *settings = arg;

	*settings += strlen(key) + strlen(value) < SIZE_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const names[] = {NULL, "dev", "a b"};
	_cleanup_close_ int fd = memfd_create("profile", MFD_CLOEXEC);
	char path[32];
	struct err e;

	if (!n || fd < 0 || write(fd, p + 1, n - 1) != (ssize_t)n - 1)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	setenv("AWS_CONFIG_FILE", path, 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t settings = 0;
		bool found = false;

		if (profile_section_read(p[0] & 1 ? PROFILE_CONFIG : PROFILE_CREDENTIALS,
					 p[0] / 2 % 3, names[i], &found, setting, &settings,
					 &e) == 0 &&
		    (settings > n || (settings && !found)))
			abort();
	}
	return 0;
}
