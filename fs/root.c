#include <errno.h>

#include "fs/endpoints.h"
#include "fs/models.h"
#include "fs/rooms.h"
#include "fs/vfile.h"

static int show_error(struct node *dir, struct buf *out, struct err *e)
{
	(void)e;
	return mount_show_error(node_mount(dir), ROOM_ROOT, out);
}

static int show_readme(struct node *dir, struct buf *out, struct err *e)
{
	struct mount *m = node_mount(dir);

	(void)e;
	buf_str(out, "Amazon SageMaker hosting as files. You are here:\n\n");
	mount_where(m, out);
	buf_str(out,
		"\nSomething failed? The sentence is in the nearest error file: endpoints/NAME/error,\n"
		"models/NAME/.sagemaker/error, or .error in models/, endpoints/, invoke/ and here\n"
		"(`ls -a` shows it; `sagemakerfs error PATH` prints the nearest).\n"
		"\n"
		"  cp -rT export models/iris                   the model, as its framework saved it\n"
		"  sync models/iris                            packs and uploads it now (else it happens by itself)\n"
		"  cat models/iris/.sagemaker/check            what would be uploaded, and why\n"
		"  mkdir endpoints/iris                        deploys models/iris\n"
		"  cat endpoints/iris/wait                     returns when it serves, fails when it failed\n"
		"  echo '[6.4,3.2,4.5,1.5]' > invoke/iris      sends a request\n"
		"  cat invoke/iris                             the answer to yours\n"
		"  rmdir endpoints/iris                        deletes the endpoint and stops the bill\n"
		"  rm -r models/iris                           deletes the model and its archives\n"
		"\n"
		"models/NAME/.sagemaker/   status progress check error framework framework_version image uri digest\n"
		"                          resolve; wait and events block; versions/table, versions/current (write to go back)\n"
		"endpoints/NAME/           status error model instance_type instance_count config arn; wait and events block\n"
		"endpoints/.defaults/      what mkdir uses: instance_type instance_count (write to change)\n"
		"endpoints/.deleting/      deletions still running\n"
		"endpoints/.orphans/       what no endpoint uses any more; rmdir removes it\n"
		"invoke/NAME               NAME.json, NAME.csv, ... choose another content type\n"
		"\n"
		"`sagemakerfs status` shows uploads and endpoints, `sagemakerfs unmount MOUNT` ends the mount.\n");
	return 0;
}

const struct vfile root_rows[] = {
	{.name = "README",     .mode = 0444, .show = show_readme},
	{.name = ".error", .mode = 0444, .flags = VF_LISTED_ALL, .show = show_error},
	{.name = NULL    },
};

/* ------------------------------------------------------------------ .sagemakerfs/, not listed */

int mount_status(struct mount *m, struct buf *out)
{
	buf_printf(out, "mount      %s\n", m->mountpoint);
	mount_where(m, out);
	buf_printf(out, "state      %s\n\nmodels\n", m->state_path);
	models_status(m->models, out);
	buf_str(out, "\nendpoints\n");
	endpoints_status(m->endpoints, out);
	return 0;
}

static int fetch_status(struct node *dir, struct buf *out, struct err *e)
{
	(void)e;
	return mount_status(node_mount(dir), out);
}

static int show_config(struct node *dir, struct buf *out, struct err *e)
{
	struct mount *m = node_mount(dir);
	const struct options *o = m->opt;
	static const char *const deletes[] = {"own", "any", "none"};

	(void)e;
	mount_where(m, out);
	mount_settings(m, out);
	buf_printf(out, "state      %s\n", m->state_path);
	buf_printf(out, "commit     %s\n", o->commit_explicit ? "explicit" : "auto");
	buf_printf(out, "delete     %s\n", deletes[o->delete_what]);
	buf_printf(out, "wait       %ld\n", o->wait);
	return 0;
}

static int show_pid(struct node *dir, struct buf *out, struct err *e)
{
	(void)dir;
	(void)e;
	return buf_printf(out, "%ld\n", (long)getpid());
}

static int show_state(struct node *dir, struct buf *out, struct err *e)
{
	(void)e;
	return buf_printf(out, "%s\n", node_mount(dir)->state_path);
}

static const struct vfile own_rows[] = {
	{.name = "status",       .mode = 0444, .fetch = fetch_status},
	{.name = "config", .mode = 0444, .show = show_config},
	{.name = "pid",       .mode = 0444, .show = show_pid},
	{.name = "state",   .mode = 0444, .show = show_state},
	{.name = NULL         },
};

/* ------------------------------------------------------------------ the root itself */

static void root_lookup(struct req *r, struct node *dir, const char *name)
{
	struct node_make how = {.ops = &vdir_ops, .rows = own_rows, .type = S_IFDIR};

	if (streq(name, ".sagemakerfs")) {
		vdir_reply(r, dir, name, &how, NULL);
		return;
	}
	for (const struct room_row *room = rooms; room->name; room++) {
		if (!streq(room->name, name))
			continue;
		room->entry(req_mount(r), &how);
		vdir_reply(r, dir, name, &how, NULL);
		return;
	}
	vdir_lookup(r, dir, name);
}

static void root_list(struct req *r, struct node *dir, struct dirfill *f)
{
	int rc = vdir_fill(dir, f);

	for (const struct room_row *room = rooms; room->name && rc == 0; room++)
		rc = dirfill_add(f, room->name, 0, S_IFDIR);
	if (rc < 0)
		reply_err(r, ENOMEM);
	else
		reply_dir(r, f);
}

const struct node_ops root_ops = {
	.lookup = root_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = root_list,
	.unlink = vdir_unlink,
};
