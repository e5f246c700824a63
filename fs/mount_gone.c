#include "fs/mount_gone.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "fs/mountinfo.h"
#include "fs/thread.h"

struct mount_gone {
	pthread_t thread;
	int stop_fd, table_fd;
	char *device; /* "0:45": names our file system in the table, whatever else is mounted there later */
};

/* -1: the table could not be read, which says nothing. */
static int is_there(const struct mount_gone *g)
{
	struct mount_lines l;
	int found = 0;

	if (mountinfo_read(&l, NULL) < 0) {
		mountinfo_release(&l);
		return -1;
	}
	for (size_t i = 0; i < l.n; i++)
		found |= streq(l.rows[i].device, g->device);
	mountinfo_release(&l);
	return found;
}

/* The kernel flags every change of the table as an exceptional condition of the open file. */
static void *watch_table(void *arg)
{
	struct mount_gone *g = arg;
	struct pollfd fds[] = {
		{.fd = g->stop_fd,  .events = POLLIN },
                {.fd = g->table_fd, .events = POLLPRI}
        };

	for (;;) {
		if (is_there(g) == 0) {
			kill(getpid(), SIGTERM);
			return NULL;
		}
		while (poll(fds, 2, -1) < 0 && errno == EINTR)
			;
		if (fds[0].revents)
			return NULL;
	}
}

static char *device_of(const char *mountpoint)
{
	struct mount_lines l;
	char *device = NULL;

	if (mountinfo_read(&l, NULL) == 0) {
		const struct mount_line *m = mountinfo_find(&l, mountpoint);
		device = m ? strdup(m->device) : NULL;
	}
	mountinfo_release(&l);
	return device;
}

static void gone_free(struct mount_gone *g)
{
	closep(&g->stop_fd);
	closep(&g->table_fd);
	free(g->device);
	free(g);
}

struct mount_gone *mount_gone_start(const char *mountpoint, struct err *e)
{
	struct mount_gone *g = calloc(1, sizeof *g);

	if (!g) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	g->stop_fd = eventfd(0, EFD_CLOEXEC);
	g->table_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	g->device = device_of(mountpoint);
	errno = g->stop_fd < 0 || g->table_fd < 0 || !g->device
			? ENOENT
			: thread_start(&g->thread, watch_table, g);
	if (errno) {
		err_errno(e, "cannot watch '/proc/self/mountinfo' for '%s'", mountpoint);
		gone_free(g);
		return NULL;
	}
	return g;
}

void mount_gone_stop(struct mount_gone *g)
{
	const uint64_t one = 1;

	if (!g)
		return;
	while (write(g->stop_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
	pthread_join(g->thread, NULL);
	gone_free(g);
}
