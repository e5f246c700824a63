#include "fs/command.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "sagemaker/buf.h"

bool command_find(const char *name)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *all = str_printf("%s:/usr/local/bin:/usr/bin:/bin", path ? path : "");
	char *save = NULL, file[4096];

	for (char *dir = all ? strtok_r(all, ":", &save) : NULL; dir;
	     dir = strtok_r(NULL, ":", &save)) {
		snprintf(file, sizeof file, "%s/%s", dir, name);
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

int null_fd(int mode)
{
	int ends[2], fd = open("/dev/null", mode | O_CLOEXEC);

	if (fd >= 0 || pipe2(ends, O_CLOEXEC) < 0)
		return fd;
	bool reads = mode == O_RDONLY;
	close(ends[reads]);
	return ends[!reads];
}

int command_run(const char *const argv[])
{
	posix_spawn_file_actions_t to_null;
	int status = 0;
	pid_t pid;

	_cleanup_close_ int null = null_fd(O_WRONLY);
	posix_spawn_file_actions_init(&to_null);
	posix_spawn_file_actions_adddup2(&to_null, null, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&to_null, null, STDERR_FILENO);

	/* posix_spawn's declaration predates const; it changes nothing. */
	union {
		const char *const *in;
		char *const *out;
	} args = {argv};

	int no = posix_spawnp(&pid, argv[0], &to_null, NULL, args.out, environ);
	posix_spawn_file_actions_destroy(&to_null);
	if (no)
		return -1;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
