/*
 * elsewhere.c: archives that nobody published with a manifest: others put them under PREFIX, PREFIX/NAME.tar.gz or
 * PREFIX/NAME/.../model.tar.gz (a training job's output, the newest one). Each is shown as a model, read-only. What stands in for its manifest
 * has no members until somebody looks inside: then the archive is read once.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"
#include "sagemaker/framework.h"

#define LOOK_MAX  1000                /* keys under one name */
#define COPY_ALL  ((uint64_t)1 << 20) /* of a file that checks may look into anywhere */
#define COPY_MAX  ((uint64_t)256 << 20)
#define TAR_GZ    ".tar.gz"
#define MODEL_TGZ "/model.tar.gz"

/* yyyymmddThhmmssZ-xxxxxx/model.tar.gz: an upload of ours that no manifest names (yet, or any more). */
static bool is_version(const char *rest)
{
	size_t digits = strspn(rest, "0123456789");

	return digits == 8 && rest[8] == 'T' && strspn(rest + 9, "0123456789") == 6 &&
	       starts_with(rest + 15, "Z-");
}

bool elsewhere_key(const char *rest, char name[64])
{
	const char *slash = strchr(rest, '/');
	size_t n = slash ? (size_t)(slash - rest) : strlen(rest);

	if (slash ? !ends_with(slash, MODEL_TGZ) || is_version(slash + 1)
		  : !ends_with(rest, TAR_GZ))
		return false;
	if (!slash)
		n -= strlen(TAR_GZ);
	if (!n || n >= 64)
		return false;
	memcpy(name, rest, n);
	name[n] = 0;
	return model_name_ok(name);
}

/* A name for what the object is now: another ETag is another version. */
static void version_for(const char *key, const char *etag, char out[48])
{
	_cleanup_free_ char *text = str_printf("%s\n%s", key, etag);
	unsigned char digest[SHA256_LEN];
	char digits[SHA256_HEX];

	sha256(text ? text : "", text ? strlen(text) : 0, digest);
	hex(digest, sizeof digest, digits);
	snprintf(out, 48, "elsewhere-%.16s", digits);
}

static struct manifest *manifest_of(struct models *s, const char *name, cJSON *record,
				    struct err *e)
{
	_cleanup_free_ char *text =
		record ? manifest_with(NULL, name, record, manifest_text(record, "version")) : NULL;
	_cleanup_free_ char *prefix =
		str_printf("%s/", s->m->config.prefix ? s->m->config.prefix : "model");

	if (!text || !prefix) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	return manifest_read(text, strlen(text), prefix, e);
}

/* Where it is and what it is called, of something that was found. */
static int place(cJSON *j, const char *key, uint64_t size, const char *etag, double modified)
{
	char version[48], created[32];
	time_t when = (time_t)modified;
	struct tm tm;

	version_for(key, etag, version);
	gmtime_r(&when, &tm);
	strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &tm);
	cJSON_AddTrueToObject(j, "elsewhere");
	cJSON_AddStringToObject(j, "version", version);
	cJSON_AddStringToObject(j, "created", created);
	cJSON_AddStringToObject(j, "key", key);
	cJSON_AddStringToObject(j, "etag", etag);
	return cJSON_AddNumberToObject(j, "size", (double)size) ? 0 : -1;
}

struct seeking {
	size_t prefix; /* length of "PREFIX/" */
	const char *name;
	size_t looked;
	char key[1100], etag[128];
	uint64_t size;
	double modified;
};

static int seek_one(void *arg, const struct s3_item *item)
{
	struct seeking *k = arg;
	char name[64];

	if (++k->looked > LOOK_MAX)
		return 1;
	if (!elsewhere_key(item->key + k->prefix, name) || !streq(name, k->name) ||
	    strlen(item->key) >= sizeof k->key || !item->etag ||
	    (k->key[0] && item->modified < k->modified))
		return 0;
	snprintf(k->key, sizeof k->key, "%s", item->key);
	snprintf(k->etag, sizeof k->etag, "%s", item->etag);
	k->size = item->size;
	k->modified = item->modified;
	return 0;
}

static struct manifest *stand_in(struct models *s, const struct seeking *k, struct err *e)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	char zeros[SHA256_HEX];

	memset(zeros, '0', sizeof zeros - 1);
	zeros[sizeof zeros - 1] = 0;
	cJSON_AddTrueToObject(j, "unread");
	cJSON_AddStringToObject(j, "digest", zeros);
	cJSON_AddArrayToObject(j, "members");
	if (place(j, k->key, k->size, k->etag, k->modified) < 0) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	return manifest_of(s, k->name, j, e);
}

int elsewhere_find(struct model *md, struct manifest **out, struct cancel *c, struct err *e)
{
	struct models *s = md->s;
	const char *prefix = s->m->config.prefix ? s->m->config.prefix : "model";
	struct seeking k = {.prefix = strlen(prefix) + 1, .name = md->name};
	_cleanup_free_ char *under = str_printf("%s/%s", prefix, md->name);
	struct s3_bucket bucket;

	*out = NULL;
	if (!under)
		return err_set(e, ENOMEM, "out of memory");
	if (mount_bucket(s->m, &bucket, c, e) < 0)
		return -1;
	/* whoever may not list sees only what has a manifest */
	if (s3_list(s->m->aws, &bucket, under, NULL, seek_one, &k, c, e) < 0)
		return e->http == 403 || e->http == 404 ? 0 : -1;
	if (!k.key[0])
		return 0;
	*out = stand_in(s, &k, e);
	return *out ? 0 : -1;
}

/* Whether checks look into the whole of it. */
static bool wanted_whole(const struct extent *x)
{
	static const char *const ends[] = {".pb", ".json", ".index", ".params", ".py", ".txt"};

	if (x->size <= COPY_ALL)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		if (ends_with(x->path, ends[i]))
			return x->size <= COPY_MAX;
	}
	return false;
}

/* The members as files; large ones as holes. */
static int lay_out(struct model *md, struct archive *a, int top, struct cancel *c, struct err *e)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct extent *x = &a->members[i];
		_cleanup_close_ int fd = staging_make_file(top, x->path);

		if (fd < 0 && errno == EEXIST)
			continue; /* of two of one name, either will do for a look */
		if (fd < 0 || ftruncate(fd, (off_t)x->size) < 0)
			return err_errno(e, "cannot look into the archive: '%s'", x->path);
		if (wanted_whole(x) && reads_copy(md, a, x, staging_put, &fd, c, e) < 0)
			return -1;
	}
	return 0;
}

/* What a framework's rows make of it: NULL: nothing, which is no failure. */
static struct package_plan *recognised(struct model *md, struct archive *a, struct cancel *c)
{
	int staging = md->s->m->staging_fd;
	struct package_plan *plan = NULL;
	char random[9], temp[32];
	struct err e = {0}, dropped;

	random_text(random, sizeof random);
	snprintf(temp, sizeof temp, ".look-%s", random);
	if (mkdirat(staging, temp, 0700) < 0)
		return NULL;
	_cleanup_close_ int top = walk(staging, temp);
	if (top < 0 || lay_out(md, a, top, c, &e) < 0 ||
	    package_plan(top, md->name, NULL, &plan, &e) < 0)
		log_line(md->s->m->log, LOG_LEVEL_WARNING, "models", "model '%s': %s", md->name,
			 e.text);
	(void)!remove_tree(staging, temp, &dropped);
	return plan;
}

/* The archive's own members: of two of one name, the later one. */
static struct package_plan *inside(const struct archive *a)
{
	struct package_plan *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->dirfd = -1;
	p->members = calloc(a->n + 1, sizeof *p->members);
	for (size_t i = 0; p->members && i < a->n; i++) {
		const struct extent *x = &a->members[i];
		struct package_member *m = &p->members[p->n_members++];

		*m = (struct package_member){.path = strdup(x->path),
					     .archive = strdup(x->path),
					     .size = x->size,
					     .mode = x->mode,
					     .mtime = x->mtime,
					     .hashed = true};
		memcpy(m->sha256, x->sha256, sizeof m->sha256);
	}
	package_sort_last(p);
	return p;
}

/* A record of what is in the archive and what it was recognised as. */
static cJSON *record_of(struct model *md, struct archive *a, struct cancel *c)
{
	_cleanup_(package_plan_freep)
	struct package_plan *p = inside(a);
	_cleanup_(package_plan_freep)
	struct package_plan *seen = recognised(md, a, c);

	if (!p || !p->members || package_digest_known(p) < 0)
		return NULL;
	return seen && package_adopt(p, seen, NULL) < 0 ? NULL : record_new(p);
}

static int offsets(cJSON *record, const struct archive *a)
{
	cJSON *m;

	cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(record, "members")) {
		for (size_t i = a->n; i-- > 0;) {
			if (!streq(a->members[i].path, manifest_text(m, "archive")))
				continue;
			cJSON_AddNumberToObject(m, "offset", (double)a->members[i].from);
			break;
		}
	}
	return 0;
}

struct cJSON *elsewhere_record(struct model *md, struct archive *a, struct cancel *c)
{
	cJSON *j = record_of(md, a, c);

	if (j)
		offsets(j, a);
	return j;
}

static struct manifest *read_inside(struct model *md, const struct manifest *man, struct cancel *c,
				    struct err *e)
{
	_cleanup_(archive_unrefp)
	struct archive *a = archive_learn(md, man, NULL, c, e);
	_cleanup_json_ cJSON *j = a ? elsewhere_record(md, a, c) : NULL;

	if (!a)
		return NULL;
	if (!j || place(j, a->key, a->index.size, a->etag, man->created) < 0) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	return manifest_of(md->s, md->name, j, e);
}

int elsewhere_read(struct model *md, struct cancel *c, struct err *e)
{
	_cleanup_(manifest_unrefp)

	struct manifest *man = NULL, *full = NULL;

	{
		SCOPED_LOCK(&md->s->mu);
		man = md->staged ? NULL : manifest_ref(md->man);
	}

	if (!man || !man->unread)
		return 0;
	full = read_inside(md, man, c, e);
	if (!full)
		return err_prefix(e, "model '%s' cannot be shown", md->name);
	SCOPED_LOCK(&md->s->mu);
	if (!md->man || !streq(md->man->version, full->version) || !md->man->unread)
		return 0;
	manifest_unref(md->man);
	md->man = steal(full);
	md->epoch++;
	return 0;
}

bool elsewhere_unread(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return !md->staged && md->man && md->man->unread;
}

int elsewhere_refuse_locked(const struct model *md, struct err *e)
{
	if (md->staged || !md->man || !md->man->elsewhere)
		return 0;
	return err_set(
		e, EROFS,
		"model '%s' is an archive that was put into S3 by others ('%s'): it is only read here; cp -r models/%s models/OTHER makes one of your own",
		md->name,
		*manifest_text(md->man->current, "uri") ? manifest_text(md->man->current, "uri")
							: manifest_text(md->man->current, "key"),
		md->name);
}

int elsewhere_keep_locked(const struct model *md, struct err *e)
{
	if (md->s->m->opt->delete_what == DELETE_ANY || elsewhere_refuse_locked(md, e) == 0)
		return 0;
	err_append(e, "-o delete=any removes it");
	e->no = EPERM;
	return -1;
}
