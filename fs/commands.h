/* commands.h: the subcommands, rows of one table. */
#ifndef FS_COMMANDS_H
#define FS_COMMANDS_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

/* argv[0] is the subcommand. 0, or -1 with why; *status may be set to another exit status than 0 or 1. */
typedef int command_fn(int argc, char **argv, int *status, struct err *e);

struct command {
	const char *name, *usage, *help;
	command_fn *run;
};

extern const struct command commands[]; /* ends with a row without a name */

command_fn cmd_serve, cmd_pack, cmd_status, cmd_unmount, cmd_error, cmd_env, cmd_doctor;

/* policy_command: `doctor --policy LEVEL [--for user|role|trust] [SOURCE] [-o ...]`: prints IAM's JSON, and on standard error
 * what is left to fill in. */
int policy_command(int argc, char **argv, struct err *e) _must_check_;

/* own_file: read MOUNT/.sagemakerfs/NAME. */
int own_file(const char *mountpoint, const char *name, struct buf *out, struct err *e) _must_check_;
/* usage_error: EINVAL: how the command is called. */
int usage_error(const char *name, struct err *e);

#endif
