#include "fs/mount_linger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>

#include "fs/endpoints.h"

#define DEFAULT_S    7200
#define LOOK_MS      200  /* how often it is looked whether somebody wants the state */
#define HAND_OVER_MS 8000 /* jobs in hand end first */

long mount_linger_ms(const struct mount *m)
{
	long seconds = m->opt->linger;

	if (seconds < 0)
		seconds = starts_with(m->source, "aws") ? DEFAULT_S : 0;
	return MIN(seconds, LONG_MAX / 1000) * 1000;
}

/* SIGTERM and its like are blocked in every thread: whether one is waiting, taken. */
static bool told_to_end(void)
{
	static const struct timespec now = {0};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	return sigtimedwait(&signals, NULL, &now) > 0;
}

static bool wanted(const struct mount *m)
{
	return faccessat(m->state_fd, WANTED, F_OK, 0) == 0;
}

static int say(const struct mount *m)
{
	_cleanup_close_ int fd =
		openat(m->state_fd, LINGERING,
		       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0 ? -1 : 0;
}

void mount_linger(struct mount *m)
{
	const int64_t until = now_ms() + mount_linger_ms(m);
	size_t left = endpoints_unfinished(m->endpoints);

	if (!left || now_ms() >= until || say(m) < 0)
		return;
	while (told_to_end())
		; /* what ended the mount does not end this */
	log_line(m->log, LOG_LEVEL_INFO, "mount", "unmounted; %zu deletions go on", left);
	while ((left = endpoints_unfinished(m->endpoints)) && now_ms() < until && !told_to_end() &&
	       !wanted(m))
		endpoints_await(m->endpoints, LOOK_MS);
	if (left)
		log_line(m->log, LOG_LEVEL_INFO, "mount",
			 "%zu deletions are left to the next mount", left);
	unlinkat(m->state_fd, LINGERING, 0);
}

int linger_take_over(int dir, int lock)
{
	const int64_t until = now_ms() + HAND_OVER_MS;
	_cleanup_close_ int ask = -1;
	int rc = -1;

	if (faccessat(dir, LINGERING, F_OK, 0) < 0)
		return -1;
	ask = openat(dir, WANTED, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	while (ask >= 0 && (rc = flock(lock, LOCK_EX | LOCK_NB)) < 0 && now_ms() < until)
		poll(NULL, 0, 20);
	unlinkat(dir, WANTED, 0);
	return rc;
}
