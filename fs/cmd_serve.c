#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fs/commands.h"
#include "fs/local_start.h"
#include "sagemaker/local/local.h"

static void print_ready(const char *store, int fd)
{
	_cleanup_(local_run_release)
	struct local_run run = {0};
	_cleanup_buf_ struct buf said = BUF_INIT(8192);

	if (buf_read_fd(&said, fd) < 0 || !starts_with(buf_cstr(&said), "ready ") ||
	    local_read(store, &run, NULL) < 0)
		return; /* why not is what local_serve says */
	printf("# %s serves '%s'\n", run.url, store);
	local_env(store, &run, stdout);
	fflush(stdout);
}

/* A process beside the server says where it is, once it is: the server itself may have no other thread. Its parent is gone at
 * once, so that the server has no child that it does not know. */
static int start_printer(const char *store, int *ready_fd, struct err *e)
{
	int ends[2];

	if (pipe(ends) < 0)
		return err_errno(e, "cannot start");
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(e, "cannot start");
	if (pid == 0) {
		close(ends[1]);
		if (fork() == 0)
			print_ready(store, ends[0]);
		_exit(0);
	}
	close(ends[0]);
	waitpid(pid, NULL, 0);
	*ready_fd = ends[1];
	return 0;
}

int cmd_serve(int argc, char **argv, _unused_ int *status, struct err *e)
{
	struct local_options o;
	struct rlimit none = {0, 0};

	if (local_options_parse(&o, argc, argv, e) < 0)
		return -1;
	_cleanup_free_ char *own = o.store ? NULL : local_store("local", e);
	if (own)
		o.store = own;
	if (!o.store)
		return -1;
	setrlimit(RLIMIT_CORE, &none); /* keys */
	umask(077);
	if (o.ready_fd < 0 && start_printer(o.store, &o.ready_fd, e) < 0)
		return -1;
	return local_serve(&o, e);
}
