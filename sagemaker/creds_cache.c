#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/creds_internal.h"
#include "sagemaker/json.h"

#define MAX_FILE ((size_t)1 << 20)

cJSON *cache_read(const char *directory, const char *key)
{
	_cleanup_free_ char *path = str_printf("%s/%s.json", directory, key);
	struct buf text = BUF_INIT(MAX_FILE);
	cJSON *o = NULL;

	if (path && buf_read_file(&text, AT_FDCWD, path) == 0)
		o = json_parse(text.data, text.len, NULL);
	if (text.data)
		explicit_bzero(text.data, text.cap);
	buf_release(&text);
	return o;
}

static int write_all(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n) {
		ssize_t done = write(fd, text, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		text += done;
		n -= (size_t)done;
	}
	return fsync(fd);
}

static int replace(const char *directory, const char *path, const char *text)
{
	_cleanup_free_ char *temporary = str_printf("%s/.tmp-XXXXXX", directory);
	int fd;

	if (!temporary) {
		errno = ENOMEM;
		return -1;
	}
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return -1;
	int failed = write_all(fd, text);
	failed = close(fd) || failed || rename(temporary, path) ? -1 : 0;
	if (failed) {
		int why = errno;

		unlink(temporary);
		errno = why;
	}
	return failed;
}

int cache_write(const char *directory, const char *key, const cJSON *o, struct err *e)
{
	_cleanup_free_ char *path = str_printf("%s/%s.json", directory, key);
	char *text = cJSON_PrintUnformatted(o);
	int failed = -1;

	errno = ENOMEM;
	if (path && text)
		failed = replace(directory, path, text);
	if (failed)
		err_errno(e, "could not keep the new token in '%s'", path ? path : directory);
	if (text) {
		explicit_bzero(text, strlen(text));
		free(text);
	}
	return failed;
}
