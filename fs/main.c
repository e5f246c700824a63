#include <errno.h>
#include <fcntl.h>

#include "build_config.h"
#include "fs/commands.h"
#include "fs/daemon.h"

const struct command commands[] = {
	{"serve",   "serve [--store DIR] [--listen ADDRESS:PORT] [--profile aws] [--OPTION VALUE...]",
	 "the local backend alone, in the foreground; prints how to reach it (options: sagemakerfs(1))",
	 cmd_serve																							   },
	{"pack",    "pack DIR [-o FILE]",
	 "what would be uploaded for this model, and why; -o writes the archive",														 cmd_pack   },
	{"status",  "status [MOUNT]",								  "where mounts are, uploads, endpoints, deletions still billed",
	 cmd_status																							  },
	{"unmount", "unmount MOUNT",
	 "finish uploads, unmount, wait until the mount's process has left",														      cmd_unmount},
	{"error",   "error [PATH]",								    "the last failure there: the nearest error file",                                          cmd_error  },
	{"env",     "env [MOUNT | --store DIR]",
	 "exports that point boto3 and the AWS CLI at a local mount or store: eval \"$(sagemakerfs env)\"",
	 cmd_env																							     },
	{"doctor",
	 "doctor [SOURCE] [-o OPTIONS] [--policy read|invoke|deploy [--for user|role|trust]]",	 "check what mounts (of SOURCE) need, each with its fix; --policy prints the IAM policies",
	 cmd_doctor																							  },
	{NULL,      NULL,									      NULL,										      NULL       },
};

static void help(FILE *to)
{
	fputs("usage: sagemakerfs [SOURCE] MOUNTPOINT [-o OPTION[,OPTION...]] [-f] [-d]\n"
	      "       sagemakerfs COMMAND ...\n\n"
	      "Amazon SageMaker hosting as a file system. SOURCE is local[:DIR] (default: no account, no\n"
	      "cost; models run on this machine) or aws[:REGION]. -f stays in the foreground, -d also logs\n"
	      "everything.\n\ncommands:\n",
	      to);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  %-45s %s\n", c->usage, c->help);
	fputs("\noptions:\n", to);
	options_help(to);
}

int usage_error(const char *name, struct err *e)
{
	for (const struct command *c = commands; c->name; c++) {
		if (streq(c->name, name))
			return err_set(e, EINVAL, "usage: sagemakerfs %s", c->usage);
	}
	return err_set(e, EINVAL, "usage: sagemakerfs %s", name);
}

int own_file(const char *mountpoint, const char *name, struct buf *out, struct err *e)
{
	_cleanup_free_ char *path = str_printf("%s/.sagemakerfs/%s", mountpoint, name);

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	return buf_read_file(out, AT_FDCWD, path) < 0 ? err_errno(e, "cannot read '%s'", path) : 0;
}

static int mount_command(int argc, char **argv, struct err *e)
{
	struct options o;
	int rc = options_parse(argc, argv, &o, e);

	if (rc == 0)
		rc = daemon_mount(&o, e);
	options_release(&o);
	return rc;
}

static const struct command *find(const char *name)
{
	for (const struct command *c = commands; c->name; c++) {
		if (streq(c->name, name))
			return c;
	}
	return NULL;
}

static bool is_one_of(const char *arg, const char *a, const char *b)
{
	return streq(arg, a) || streq(arg, b);
}

/* The questions about the program itself: -1 when it is none of them, else the exit status. */
static int about(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return 1;
	}
	if (is_one_of(argv[1], "--help", "-h")) {
		help(stdout);
		return 0;
	}
	if (is_one_of(argv[1], "--version", "-V")) {
		puts("sagemakerfs " SMFS_VERSION);
		return 0;
	}
	const struct command *c = find(argv[1]);
	if (!c || argc < 3 || !is_one_of(argv[2], "--help", "-h"))
		return -1;
	printf("usage: sagemakerfs %s\n\n%s\n", c->usage, c->help);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_buf_ struct buf text = {0};
	struct err e = {0};
	int status = about(argc, argv);

	if (status >= 0)
		return status;
	status = 0;
	const struct command *c = find(argv[1]);
	int rc = c ? c->run(argc - 1, argv + 1, &status, &e) : mount_command(argc, argv, &e);
	if (rc == 0)
		return status;
	err_show(&e, &text);
	fprintf(stderr, "sagemakerfs: %s", buf_cstr(&text));
	return status ? status : 1;
}
