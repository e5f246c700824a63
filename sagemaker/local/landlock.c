/* landlock.c: file, network and signal rights taken away by Landlock, where namespaces are refused. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sagemaker/local/sandbox.h"

/* Of linux/landlock.h (Linux 6.12); the header of the system that we are built on may be older. */
#define FS_EXECUTE        (1ULL << 0)
#define FS_WRITE_FILE     (1ULL << 1)
#define FS_READ_FILE      (1ULL << 2)
#define FS_READ_DIR       (1ULL << 3)
#define FS_ALL_1          ((1ULL << 13) - 1)
#define FS_REFER          (1ULL << 13) /* version 2 */
#define FS_TRUNCATE       (1ULL << 14) /* version 3 */
#define NET_TCP           3ULL         /* bind, connect: version 4 */
#define SCOPE_ALL         3ULL         /* abstract Unix sockets, signals: version 6 */
#define VERSION_FLAG      1U
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT     2
#define READ              (FS_EXECUTE | FS_READ_FILE | FS_READ_DIR)
#define FILE_RIGHTS       (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE)
#define PATH_SIZE         4096

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct __attribute__((packed)) path_rule {
	uint64_t access;
	int32_t parent_fd;
};

struct port_rule {
	uint64_t access, port;
};

int landlock_version(void)
{
	long n = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, VERSION_FLAG);

	return n > 0 ? (int)n : 0;
}

static int allow(int set, const char *path, uint64_t access)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	struct path_rule r = {S_ISDIR(st.st_mode) ? access : access & FILE_RIGHTS, fd};
	return (int)syscall(SYS_landlock_add_rule, set, RULE_PATH_BENEATH, &r, 0);
}

/* path without its last n names. */
static int allow_above(int set, const char *path, int n)
{
	char dir[PATH_SIZE];

	snprintf(dir, sizeof dir, "%s", path);
	while (n-- > 0) {
		char *slash = strrchr(dir, '/');
		if (slash)
			*slash = '\0';
	}
	return allow(set, *dir ? dir : "/", READ);
}

static int allow_files(int set, const struct sandbox *s, uint64_t all)
{
	static const char *const system[] = {"/usr",   "/bin",    "/sbin", "/lib", "/lib32",
					     "/lib64", "/libx32", "/etc",  "/nix", "/gnu",
					     "/sys",   "/proc",   "/opt",  "/dev"};
	static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/shm"};
	char path[PATH_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(system); i++)
		(void)allow(set, system[i], READ); /* what is not there needs no rule */
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		(void)allow(set, devices[i], all);
	sandbox_prefix(s->python, path, sizeof path);
	if (*path)
		(void)allow(set, path, READ);
	snprintf(path, sizeof path, "%s/code", s->base);
	(void)allow(set, path, READ);
	snprintf(path, sizeof path, "%s/model", s->base);
	if (allow_above(set, s->python, 2) < 0 || allow_above(set, s->script, 1) < 0 ||
	    allow(set, path, READ) < 0 || allow(set, s->scratch, all) < 0)
		return -1;
	return 0;
}

/* What is handled is refused but for the rules. */
static struct ruleset_attr handled(const struct sandbox *s, bool own_network)
{
	struct ruleset_attr a = {.fs = s->root ? 0 : FS_ALL_1};

	if (a.fs && s->landlock >= 2)
		a.fs |= FS_REFER;
	if (a.fs && s->landlock >= 3)
		a.fs |= FS_TRUNCATE;
	if (s->landlock >= 4 && !own_network && !s->network)
		a.net = NET_TCP;
	if (s->landlock >= 6)
		a.scoped = SCOPE_ALL;
	return a;
}

int landlock_enter(const struct sandbox *s, bool own_network)
{
	const struct ruleset_attr a = handled(s, own_network);
	const struct port_rule port = {NET_TCP, s->port};

	_cleanup_close_ int set = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof a, 0);
	if (set < 0 || (a.fs && allow_files(set, s, a.fs) < 0))
		return -1;
	if (a.net && s->port && syscall(SYS_landlock_add_rule, set, RULE_NET_PORT, &port, 0) < 0)
		return -1;
	return (int)syscall(SYS_landlock_restrict_self, set, 0);
}
