/* catalog_manifest.c: the text of manifest.json, read as hostile and written. Pure. */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/catalog.h"
#include "sagemaker/framework.h"
#include "sagemaker/settings.h"

#define VERSIONS_MAX 100000
#define MEMBERS_MAX  1000000

static int bad(struct err *e, const char *what)
{
	return err_set(e, EBADMSG, "the manifest is damaged: %s", what);
}

const char *manifest_text(const cJSON *record, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(record, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

static double number(const cJSON *record, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(record, key);

	return cJSON_IsNumber(v) ? v->valuedouble : -1;
}

bool manifest_path_ok(const char *path)
{
	if (!*path || strlen(path) >= PATH_MAX)
		return false;
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || n > NAME_MAX || (n == 1 && p[0] == '.') ||
		    (n == 2 && memcmp(p, "..", 2) == 0))
			return false;
		p += n;
		if (!*p)
			return true;
	}
}

static bool version_ok(const char *v)
{
	size_t n = strlen(v);

	return n && n < sizeof((struct manifest *)0)->version && v[0] != '.' &&
	       strspn(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static bool whole_number(double v, double max)
{
	return v >= 0 && v <= max && v == (double)(uint64_t)v;
}

static int read_member(const cJSON *j, struct manifest_member *out, struct err *e)
{
	double size = number(j, "size"), mode = number(j, "mode"), mtime = number(j, "mtime"),
	       offset = number(j, "offset");

	*out = (struct manifest_member){.path = manifest_text(j, "path"),
					.archive = manifest_text(j, "archive"),
					.json = j};
	if (!manifest_path_ok(out->path) || !manifest_path_ok(out->archive))
		return bad(e, "a member's path leaves the model");
	if (!whole_number(size, 1e15) || !whole_number(mode, 07777))
		return bad(e, "a member without a size or mode");
	out->size = (uint64_t)size;
	out->offset = whole_number(offset, 1e15) ? (uint64_t)offset : OFFSET_UNKNOWN;
	out->mode = (mode_t)mode & 0777;
	out->mtime = mtime >= 0 && mtime < 1e12 ? (int64_t)mtime : 0;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct manifest_member *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* Two files of one name, or a file where another needs a directory, cannot both be shown. */
static int check_tree(const struct manifest *m, struct err *e)
{
	for (size_t i = 0; i < m->n; i++) {
		_cleanup_free_ char *dir = strdup(m->members[i].path);

		if (!dir)
			return err_set(e, ENOMEM, "out of memory");
		if (i && streq(dir, m->members[i - 1].path))
			return bad(e, "two members of one path");
		char *p;
		while ((p = strrchr(dir, '/'))) {
			*p = 0;
			if (bsearch(&(struct manifest_member){.path = dir}, m->members, m->n,
				    sizeof *m->members, by_path))
				return bad(e, "a member is a file and a directory");
		}
	}
	return 0;
}

/* sagemaker.json is not packed; the record has its text. */
static void add_settings(struct manifest *m)
{
	const char *text = manifest_text(m->current, "settings");

	for (size_t i = 0; i < m->n; i++) {
		if (streq(manifest_text(m->members[i].json, "path"), SETTINGS_FILE))
			return;
	}
	if (*text)
		m->members[m->n++] = (struct manifest_member){.path = SETTINGS_FILE,
							      .archive = "",
							      .content = text,
							      .size = strlen(text),
							      .offset = OFFSET_UNKNOWN,
							      .mode = 0644,
							      .mtime = (int64_t)m->created};
}

static int read_members(struct manifest *m, struct err *e)
{
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(m->current, "members"), *j;
	int n = cJSON_GetArraySize(all);

	if (!cJSON_IsArray(all) || n > MEMBERS_MAX)
		return bad(e, "a version without members");
	m->members = calloc((size_t)n + 2, sizeof *m->members);
	if (!m->members)
		return err_set(e, ENOMEM, "out of memory");
	cJSON_ArrayForEach(j, all) {
		if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(j, "generated")))
			continue;
		if (read_member(j, &m->members[m->n], e) < 0)
			return -1;
		m->n++;
	}
	add_settings(m);
	qsort(m->members, m->n, sizeof *m->members, by_path);
	return check_tree(m, e);
}

static const cJSON *versions(const struct manifest *m)
{
	return cJSON_GetObjectItemCaseSensitive(m->json, "versions");
}

bool record_is_files(const cJSON *record)
{
	return streq(manifest_text(record, "packaging"), "none");
}

/* The archive's key, or the prefix of the files: below the model's own. */
static bool key_ok(const cJSON *v, const char *key_prefix)
{
	_cleanup_free_ char *key = strdup(manifest_text(v, "key"));
	size_t n = key ? strlen(key) : 0;
	bool slash = n && key[n - 1] == '/';

	if (!key || n >= 1024 || !starts_with(key, key_prefix) || slash != record_is_files(v))
		return false;
	if (slash)
		key[n - 1] = 0;
	return strlen(key) > strlen(key_prefix) && manifest_path_ok(key + strlen(key_prefix));
}

/* The archive is this model's own, or somebody else's, which is only read. */
static bool place_ok(const cJSON *v, const char *key_prefix)
{
	const char *key = manifest_text(v, "key"), *uri = manifest_text(v, "uri");

	if (*uri)
		return starts_with(uri, "s3://") && strlen(uri) < 1100 && !*key &&
		       manifest_path_ok(uri + strlen("s3://")) &&
		       cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(v, "elsewhere"));
	return key_ok(v, key_prefix);
}

static int check_version(const cJSON *v, const char *key_prefix, struct err *e)
{
	const char *digest = manifest_text(v, "digest");

	if (!version_ok(manifest_text(v, "version")))
		return bad(e, "a version without a name");
	if (!place_ok(v, key_prefix))
		return bad(e, "a version whose archive is not this model's");
	if (strlen(digest) != SHA256_HEX - 1 ||
	    strspn(digest, "0123456789abcdef") != SHA256_HEX - 1)
		return bad(e, "a version without a digest");
	if (!whole_number(number(v, "size"), 1e15))
		return bad(e, "a version without a size");
	return 0;
}

double record_when(const char *text)
{
	struct tm tm = {0};

	return strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) ? (double)timegm(&tm) : 0;
}

static int read_current(struct manifest *m, struct err *e)
{
	snprintf(m->version, sizeof m->version, "%s", manifest_text(m->current, "version"));
	m->created = record_when(manifest_text(m->current, "created"));
	m->unread = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->current, "unread"));
	m->elsewhere = m->unread ||
		       cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->current, "elsewhere"));
	return read_members(m, e);
}

static int read_versions(struct manifest *m, const char *key_prefix, struct err *e)
{
	const cJSON *all = versions(m), *v;

	if (number(m->json, "format") != MANIFEST_FORMAT)
		return err_set(
			e, EBADMSG,
			"the manifest has a format that this version of sagemakerfs does not know; "
			"a newer one wrote it");
	if (!cJSON_IsArray(all) || cJSON_GetArraySize(all) > VERSIONS_MAX)
		return bad(e, "it has no versions");
	cJSON_ArrayForEach(v, all) {
		if (check_version(v, key_prefix, e) < 0)
			return -1;
	}
	m->current = manifest_find_version(m, manifest_text(m->json, "current"));
	if (!m->current)
		return bad(e, "it has no current version");
	return read_current(m, e);
}

struct manifest *manifest_at(struct manifest *m, const char *version, struct err *e)
{
	_cleanup_(manifest_unrefp)
	struct manifest *at = calloc(1, sizeof *at);

	if (!at) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	*at = (struct manifest){.refs = 1, .json = m->json, .of = manifest_ref(m)};
	at->current = manifest_find_version(m, version);
	if (!at->current) {
		err_set(e, ENOENT, "no version '%s'", version);
		return NULL;
	}
	return read_current(at, e) < 0 ? NULL : steal(at);
}

struct manifest *manifest_read(const char *text, size_t n, const char *key_prefix, struct err *e)
{
	_cleanup_(manifest_unrefp)
	struct manifest *m = calloc(1, sizeof *m);

	if (!m) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	m->refs = 1;
	m->json = cJSON_ParseWithLength(text, n);
	if (!cJSON_IsObject(m->json)) {
		bad(e, "it is not JSON");
		return NULL;
	}
	return read_versions(m, key_prefix, e) < 0 ? NULL : steal(m);
}

struct manifest *manifest_ref(struct manifest *m)
{
	if (m)
		__atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
	return m;
}

void manifest_unref(struct manifest *m)
{
	if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (m->of)
		manifest_unref(m->of);
	else
		cJSON_Delete(m->json);
	free(m->members);
	free(m);
}

void manifest_unrefp(struct manifest **m)
{
	manifest_unref(*m);
}

const cJSON *manifest_find_version(const struct manifest *m, const char *version)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, versions(m)) {
		if (streq(manifest_text(v, "version"), version))
			return v;
	}
	return NULL;
}

const cJSON *manifest_find_digest(const struct manifest *m, const cJSON *record)
{
	const char *digest = manifest_text(record, "digest");
	const char *packaging = manifest_text(record, "packaging");
	const cJSON *v, *found = NULL;

	cJSON_ArrayForEach(v, versions(m)) {
		if (streq(manifest_text(v, "digest"), digest) &&
		    streq(manifest_text(v, "packaging"), packaging))
			found = v;
	}
	return found;
}

bool manifest_names_key(const struct manifest *m, const char *key)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, versions(m)) {
		if (streq(manifest_text(v, "key"), key))
			return true;
	}
	return false;
}

static bool same_members(const cJSON *a, const cJSON *b)
{
	const cJSON *x = cJSON_GetObjectItemCaseSensitive(a, "members");
	const cJSON *y = cJSON_GetObjectItemCaseSensitive(b, "members");

	for (x = x ? x->child : NULL, y = y ? y->child : NULL; x && y; x = x->next, y = y->next) {
		if (!streq(manifest_text(x, "path"), manifest_text(y, "path")) ||
		    !streq(manifest_text(x, "archive"), manifest_text(y, "archive")))
			return false;
	}
	return !x && !y;
}

bool manifest_same(const cJSON *a, const cJSON *b)
{
	static const char *const keys[] = {
		"digest",      "framework", "framework_version", "made_with",    "py_version",
		"image",       "role",      "entry_point",       "content_type", "instance_type",
		"environment", "settings",  "packaging",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const cJSON *x = cJSON_GetObjectItemCaseSensitive(a, keys[i]);
		const cJSON *y = cJSON_GetObjectItemCaseSensitive(b, keys[i]);

		if ((x || y) && !cJSON_Compare(x, y, true))
			return false;
	}
	return same_members(a, b);
}

const cJSON *manifest_find_same(const struct manifest *m, const cJSON *record)
{
	const cJSON *v, *found = NULL;

	cJSON_ArrayForEach(v, versions(m)) {
		if (manifest_same(v, record))
			found = v;
	}
	return found;
}

/* The frame of a manifest: its array of versions is still empty. */
static cJSON *manifest_frame(const char *name, const char *current)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddNumberToObject(j, "format", MANIFEST_FORMAT);
	cJSON_AddStringToObject(j, "name", name);
	cJSON_AddStringToObject(j, "current", current);
	cJSON_AddArrayToObject(j, "versions");
	return j;
}

static int add_version(cJSON *manifest, const cJSON *record, const char *superseded)
{
	cJSON *v = cJSON_Duplicate(record, true);

	if (v && !superseded)
		cJSON_DeleteItemFromObjectCaseSensitive(v, "superseded");
	else if (v && *superseded && !cJSON_GetObjectItemCaseSensitive(v, "superseded"))
		cJSON_AddStringToObject(v, "superseded", superseded);
	return cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(manifest, "versions"), v) ? 0
											       : -1;
}

char *manifest_with(const struct manifest *old, const char *name, const cJSON *record,
		    const char *current)
{
	const char *version = record ? manifest_text(record, "version") : "";
	const cJSON *v, *before = old ? versions(old) : NULL;
	const cJSON *last = streq(version, current) ? record
			    : old                   ? manifest_find_version(old, current)
						    : NULL;
	_cleanup_json_ cJSON *j = manifest_frame(name, current);
	char now[32];

	record_time(now);
	cJSON_ArrayForEach(v, before) {
		if (v != last && !streq(manifest_text(v, "version"), version) &&
		    add_version(j, v, now) < 0)
			return NULL;
	}
	if (record && record != last && add_version(j, record, now) < 0)
		return NULL;
	return add_version(j, last, NULL) < 0 ? NULL : cJSON_PrintUnformatted(j);
}

char *manifest_dropped(const struct manifest *old, bool (*gone)(void *arg, const cJSON *record),
		       void *arg)
{
	_cleanup_json_ cJSON *j = manifest_frame(manifest_text(old->json, "name"), old->version);
	const cJSON *v;

	cJSON_ArrayForEach(v, versions(old)) {
		if ((v == old->current || !gone(arg, v)) && add_version(j, v, "") < 0)
			return NULL;
	}
	return cJSON_PrintUnformatted(j);
}
