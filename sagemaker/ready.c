/*
 * ready.c: a model.tar.gz that was made elsewhere, alone in its directory. It is looked into with the rows of every model and
 * goes up byte for byte, so all must stand in it already as the container wants it.
 */
#include "sagemaker/ready.h"

#include <errno.h>
#include <fcntl.h>

#include "sagemaker/plan.h"
#include "sagemaker/unpack.h"

#define KEEP  ((uint64_t)16 << 20) /* of each end of a file: what checks look at */
#define SERVO "export/Servo/"

bool ready_name(const char *name)
{
	return ends_with(name, ".tar.gz") || ends_with(name, ".tgz");
}

const struct source_file *ready_find(const struct source *s)
{
	return s->n == 1 && ready_name(s->files[0].path) ? &s->files[0] : NULL;
}

static void drop_tree(char **path)
{
	if (*path)
		(void)remove_tree(AT_FDCWD, *path, NULL);
	free(*path);
}

/* A private directory that vanishes with its name. */
static char *make_room(struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *path = str_printf("%s/smfs-ready-XXXXXX", tmp && *tmp ? tmp : "/tmp");

	if (!path || !mkdtemp(path)) {
		err_errno(e, "make a directory to look into the archive");
		return NULL;
	}
	return steal(path);
}

/* 0: unpacked; 1: it cannot be, and the plan says why. */
static int open_archive(const struct source *s, const struct source_file *f, struct package_plan *p,
			int room, struct err *e)
{
	_cleanup_close_ int fd = source_open(s->dirfd, f->path);
	const struct unpack_limits limits = {.keep = KEEP};
	struct err why = {0};

	if (fd < 0)
		return err_errno(e, "read '%s'", f->path);
	if (unpack(fd, room, &limits, NULL, &why) == 0)
		return 0;
	if (why.no != EINVAL && why.no != EFBIG) {
		*e = why;
		return err_prefix(e, "look into '%s'", f->path);
	}
	if (f->size == 0)
		plan_fail(p, ENODATA, "incomplete: '%s' is empty (0 bytes)", f->path);
	else if (strstr(why.text, "runcated"))
		plan_fail(p, ENODATA, "incomplete: '%s' is cut short: %s", f->path, why.text);
	else
		plan_fail(p, EINVAL, "'%s' cannot be used: %s", f->path, why.text);
	return 1;
}

/* TensorFlow Serving's container takes N/saved_model.pb at any depth. */
static bool stands_well(const struct package_member *m, const struct package_plan *in)
{
	const char *rest = m->archive + strlen(SERVO);

	if (streq(m->path, m->archive))
		return true;
	if (!streq(in->framework->name, "tensorflow") || !starts_with(m->archive, SERVO) ||
	    !ends_with(m->path, rest))
		return false;
	size_t before = strlen(m->path) - strlen(rest);
	return before == 0 || m->path[before - 1] == '/';
}

static void check_places(const char *path, const struct package_plan *in, struct package_plan *p)
{
	for (size_t i = 0; i < in->n_members; i++) {
		const struct package_member *m = &in->members[i];

		if (!m->path && streq(in->framework->name, "tensorflow"))
			plan_note(p,
				  "warning: no %s is added, as '%s' is uploaded as it is: requests "
				  "must carry tf.Examples",
				  m->archive, path);
		else if (!m->path)
			plan_fail(
				p, EINVAL,
				"'%s' lacks %s, without which its container does not serve it: unpack "
				"it here (tar xzf) and remove it, then the file is added",
				path, m->archive);
		else if (!stands_well(m, in))
			plan_fail(
				p, EINVAL,
				"'%s' holds '%s', which the container looks for as '%s': unpack it "
				"here (tar xzf) and remove it, then it is laid out",
				path, m->path, m->archive);
	}
}

/* What `check` says of the inside; nothing is left out of an archive that goes up as it is. */
static void take_notes(const struct package_plan *in, struct package_plan *p)
{
	const char *line = buf_cstr(&in->notes);

	for (size_t n; *line; line += n + (line[n] == '\n')) {
		n = strcspn(line, "\n");
		if (!starts_with(line, "left out:"))
			plan_note(p, "%.*s", (int)n, line);
	}
}

static int take_inside(const char *path, const struct package_plan *in, struct package_plan *p,
		       struct err *e)
{
	if (package_adopt(p, in, e))
		return -1;
	take_notes(in, p);
	if (in->whole && in->framework)
		check_places(path, in, p);
	else
		plan_fail(p, in->why.no, "in '%s': %s", path, in->why.text);
	return 0;
}

int ready_lay_out(const struct source *s, const char *name, struct package_plan *p, struct err *e)
{
	const struct source_file *f = ready_find(s);
	_cleanup_(drop_tree)
	char *path = make_room(e);
	_cleanup_close_ int room = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	_cleanup_(package_plan_freep)
	struct package_plan *in = NULL;

	if (!path)
		return -1;
	if (room < 0)
		return err_errno(e, "look into '%s'", f->path);
	p->ready = true;
	plan_note(p, "%s: uploaded as it is, byte for byte", f->path);
	if (plan_add(p, f, e, "model.tar.gz"))
		return -1;
	int rc = open_archive(s, f, p, room, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	const struct package_how how = {.overrides = &p->settings};
	struct err why = {0};
	if (package_plan(room, name, &how, &in, &why)) {
		plan_fail(p, why.no, "in '%s': %s", f->path, why.text);
		return 0;
	}
	if (!in->ready)
		return take_inside(f->path, in, p, e);
	plan_fail(p, EINVAL, "'%s' holds nothing but another archive: unpack it here", f->path);
	return 0;
}

/* What one file may be a whole model. Longer endings first. */
static const char *const endings[] = {
	".tar.gz", ".tgz",   ".joblib", ".pkl",   ".pickle",      ".pt",  ".pth",
	".onnx",   ".json",  ".ubj",    ".model", ".bst",         ".xgb", ".txt",
	".lgb",    ".keras", ".h5",     ".hdf5",  ".safetensors",
};

bool package_file_model(const char *file, char *model, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		size_t len = strlen(file) - (ends_with(file, endings[i]) ? strlen(endings[i]) : 0);

		if (len == strlen(file) || len == 0)
			continue;
		len = MIN(len, n - 1);
		memcpy(model, file, len);
		model[len] = '\0';
		return true;
	}
	return false;
}
