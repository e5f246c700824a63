/* Manifests as written and as hostile input, the tree they make, and the names of models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "fs/models_room.h"
#include "sagemaker/files.h"
#include "sagemaker/framework.h"

#define PREFIX "model/iris/"
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct framework tensorflow = {.name = "tensorflow",
					    .content_type = "application/json"};

static struct package_plan *sample(void)
{
	static struct package_member members[] = {
		{.archive = (char *)(uintptr_t) "code/inference.py",
		 .size = 3,
		 .mode = 0644,
		 .content = (char *)(uintptr_t) "abc"                        },
		{.path = (char *)(uintptr_t) "1/saved_model.pb",
		 .archive = (char *)(uintptr_t) "export/Servo/1/saved_model.pb",
		 .size = 10,
		 .mode = 0640,
		 .mtime = 1700000000},
		{.path = (char *)(uintptr_t) "1/variables/a",
		 .archive = (char *)(uintptr_t) "export/Servo/1/variables/a",
		 .size = 20,
		 .mode = 0755,
		 .hashed = true,
		 .sha256 = {0xab, 0xcd}},
		{.path = (char *)(uintptr_t) "1-old",
		 .archive = (char *)(uintptr_t) "export/Servo/1/z",
		 .size = 0,
		 .mode = 0600},
	};
	static struct package_plan plan;

	plan = (struct package_plan){.framework = &tensorflow,
				     .members = members,
				     .n_members = 4,
				     .made_with = "2.15.0",
				     .digest = DIGEST};
	return &plan;
}

static cJSON *stored_record(const char *version)
{
	cJSON *r = record_new(sample());
	char key[128];

	assert_non_null(r);
	snprintf(key, sizeof key, PREFIX "%s/model.tar.gz", version);
	assert_int_equal(record_stored(r, key, 1234, "AAAAAA=="), 0);
	assert_int_equal(record_named(r, version), 0);
	return r;
}

static struct manifest *read_text(const char *text, struct err *e)
{
	return manifest_read(text, strlen(text), PREFIX, e);
}

static void round_trip(void **state)
{
	_cleanup_json_ cJSON *r = stored_record("v1"), *second = stored_record("v2");
	const uint64_t offsets[] = {512, 1536, 2560, 3584};
	const struct gzip_point points[] = {
		{0,        10,   1         },
                {16777216, 1000, 0xfffffff0}
        };
	struct err e = {0};

	(void)state;
	assert_int_equal(record_offsets(r, offsets, points, 2), 0);
	_cleanup_free_ char *json = cJSON_PrintUnformatted(r);
	assert_non_null(strstr(json, "\"points\":[[0,10,1],[16777216,1000,4294967280]]"));
	assert_non_null(strstr(json, "\"sha256\":\"abcd0000"));
	_cleanup_free_ char *text = manifest_with(NULL, "iris", r, manifest_text(r, "version"));
	_cleanup_(manifest_unrefp)
	struct manifest *m = read_text(text, &e);
	assert_non_null(m);
	assert_string_equal(m->version, "v1");
	assert_true(m->created > 1.7e9);
	assert_int_equal(m->n, 3); /* the generated file is not shown */
	assert_string_equal(m->members[0].path, "1-old");
	assert_string_equal(m->members[1].path, "1/saved_model.pb");
	assert_int_equal(m->members[1].mode, 0640);
	assert_int_equal(m->members[1].mtime, 1700000000);
	assert_true(manifest_names_key(m, PREFIX "v1/model.tar.gz"));
	assert_false(manifest_names_key(m, PREFIX "v2/model.tar.gz"));

	assert_int_equal(record_stored_as(second, m->current), 0);
	assert_string_equal(manifest_text(second, "key"), PREFIX "v1/model.tar.gz");
	_cleanup_free_ char *text2 = manifest_with(m, "iris", second, "v2");
	_cleanup_(manifest_unrefp)
	struct manifest *m2 = read_text(text2, &e);
	assert_non_null(m2);
	assert_string_equal(m2->version, "v2");
	assert_non_null(manifest_find_version(m2, "v1"));
	assert_ptr_equal(manifest_find_digest(m2, r), m2->current);
	assert_true(manifest_same(m2->current, manifest_find_version(m2, "v1")));
	assert_string_equal(manifest_text(m2->current, "superseded"), "");
	assert_true(record_when(manifest_text(manifest_find_version(m2, "v1"), "superseded")) >=
		    m->created);
}

/* v1 .. vN, the last current; v3 shares the archive of v2. */
static struct manifest *many_versions(int n)
{
	struct manifest *m = NULL;
	struct err e;

	for (int i = 1; i <= n; i++) {
		char name[8];
		snprintf(name, sizeof name, "v%d", i);
		_cleanup_json_ cJSON *r = stored_record(name);
		if (i == 3)
			assert_int_equal(record_stored_as(r, m->current), 0);
		_cleanup_free_ char *text = manifest_with(m, "iris", r, name);
		manifest_unref(m);
		m = read_text(text, &e);
		assert_non_null(m);
	}
	return m;
}

static int add_key(void *arg, const char *key)
{
	buf_printf(arg, "%s ", key);
	return 0;
}

/* A version whose files are objects: its key, what it keeps in S3, and what a hostile one may not lead to. */
static void files_without_archive(void **state)
{
	struct files_object objects[4] = {{.crc32c = "AAAAAA=="}};
	_cleanup_json_ cJSON *r = record_new(sample()), *archive = stored_record("v2");
	_cleanup_buf_ struct buf keys = BUF_INIT(0);
	struct err e = {0};

	(void)state;
	assert_int_equal(record_as_files(r), 0);
	assert_int_equal(record_files_stored(r, PREFIX "v1/", objects), 0);
	assert_int_equal(record_named(r, "v1"), 0);
	_cleanup_free_ char *text = manifest_with(NULL, "iris", r, "v1");
	_cleanup_(manifest_unrefp)
	struct manifest *m = read_text(text, &e);
	assert_non_null(m);
	assert_null(manifest_find_digest(m, archive)); /* the same files, but no archive of them */
	assert_ptr_equal(manifest_find_digest(m, r), m->current);

	_cleanup_json_ cJSON *data = record_data(m->current);
	assert_string_equal(data_key(data), PREFIX "v1/");
	cJSON_AddItemToArray(cJSON_GetObjectItem(data, "files"), cJSON_CreateString("../../other"));
	assert_int_equal(data_each(data, add_key, &keys), 0);
	assert_string_equal(buf_cstr(&keys),
			    PREFIX "v1/code/inference.py " PREFIX
				   "v1/export/Servo/1/saved_model.pb " PREFIX
				   "v1/export/Servo/1/variables/a " PREFIX "v1/export/Servo/1/z ");

	static const char *const bad[] = {PREFIX, PREFIX "/", PREFIX "../", PREFIX "v1",
					  "model/rose/v1/"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cJSON_ReplaceItemInObject(r, "key", cJSON_CreateString(bad[i]));
		_cleanup_free_ char *other = manifest_with(NULL, "iris", r, "v1");
		assert_null(read_text(other, &e));
	}
}

/* sagemaker.json is in no archive, and is shown. */
static void settings_are_a_file(void **state)
{
	_cleanup_json_ cJSON *r = stored_record("v1");
	struct err e = {0};

	(void)state;
	cJSON_ReplaceItemInObject(r, "settings", cJSON_CreateString("{}"));
	_cleanup_free_ char *text = manifest_with(NULL, "iris", r, "v1");
	_cleanup_(manifest_unrefp)
	struct manifest *m = read_text(text, &e);
	assert_non_null(m);
	assert_int_equal(m->n, 4);
	assert_string_equal(m->members[3].path, "sagemaker.json");
	assert_string_equal(m->members[3].content, "{}");
	assert_int_equal(m->members[3].size, 2);
}

/* What a rollback writes, and a conflict. */
static void chosen_and_kept(void **state)
{
	_cleanup_(manifest_unrefp)
	struct manifest *m = many_versions(3);
	_cleanup_json_ cJSON *r = stored_record("v4");
	struct err e;

	(void)state;
	_cleanup_free_ char *text = manifest_with(m, "iris", NULL, "v1");
	_cleanup_(manifest_unrefp)
	struct manifest *back = read_text(text, &e);
	assert_non_null(back);
	assert_string_equal(back->version, "v1");
	assert_string_equal(manifest_text(back->current, "superseded"), "");
	assert_string_not_equal(manifest_text(manifest_find_version(back, "v3"), "superseded"), "");
	assert_null(back->current->next); /* the order is that of being current */

	_cleanup_free_ char *kept = manifest_with(back, "iris", r, "v1");
	_cleanup_(manifest_unrefp)
	struct manifest *both = read_text(kept, &e);
	assert_non_null(both);
	assert_string_equal(both->version, "v1");
	assert_string_not_equal(manifest_text(manifest_find_version(both, "v4"), "superseded"), "");
	assert_string_equal(manifest_text(manifest_find_same(both, r), "version"), "v1");
	assert_null(manifest_with(m, "iris", NULL, "v9"));
}

static const char *pruned(const struct manifest *m, double later, const char *used, char *out)
{
	_cleanup_free_ struct prune *rows = NULL;
	_cleanup_json_ cJSON *keys = NULL;
	struct err e;
	size_t n;
	const cJSON *v;

	assert_int_equal(prune_list(m, m->created + later, 100, &rows, &n), 0);
	for (size_t i = 0; i < n; i++)
		rows[i].used = strstr(used, manifest_text(rows[i].record, "version"));
	size_t going = prune_choose(rows, n);
	keys = prune_keys(m, rows, n);
	_cleanup_free_ char *text = prune_text(m, rows, n);
	_cleanup_(manifest_unrefp)
	struct manifest *left = read_text(text, &e);
	assert_non_null(left);
	assert_string_equal(left->version, m->version);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(left->json, "versions")),
			 n + 1 - going);
	out[0] = 0;
	cJSON_ArrayForEach(v, keys) {
		assert_false(manifest_names_key(left, v->valuestring));
		strncat(out, v->valuestring + strlen(PREFIX),
			strcspn(v->valuestring + strlen(PREFIX), "/"));
		strcat(out, " ");
	}
	return out;
}

static void old_versions_that_nothing_uses_go(void **state)
{
	_cleanup_(manifest_unrefp)
	struct manifest *few = many_versions(6), *m = many_versions(9);
	char out[128];

	(void)state;
	assert_string_equal(pruned(few, 1000, "", out), ""); /* five and the current one */
	assert_string_equal(pruned(m, 1000, "", out),
			    "v2 v1 ");                   /* v3 goes, too, with v2's archive */
	assert_string_equal(pruned(m, 10, "", out), ""); /* superseded a moment ago */
	assert_string_equal(pruned(m, 1000, "v1 v3", out), ""); /* v2 goes, its archive is v3's */
	assert_string_equal(pruned(m, 1000, "v8 v7", out), "v1 ");
}

static void versions_of_unknown_age_stay(void **state)
{
	_cleanup_(manifest_unrefp)
	struct manifest *m = many_versions(9);
	_cleanup_free_ struct prune *rows = NULL;
	cJSON *v;
	size_t n;

	(void)state;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(m->json, "versions"))
		cJSON_DeleteItemFromObject(v, "superseded");
	assert_int_equal(prune_list(m, m->created + 1e9, 100, &rows, &n), 0);
	assert_int_equal(n, 8);
	assert_int_equal(prune_choose(rows, n), 0);
}

static void differences(void **state)
{
	_cleanup_json_ cJSON *a = stored_record("v1"), *b = stored_record("v2");

	(void)state;
	assert_true(manifest_same(a, b));
	cJSON_ReplaceItemInObject(b, "framework_version", cJSON_CreateString("2.19"));
	assert_false(manifest_same(a, b));
	cJSON_ReplaceItemInObject(b, "framework_version", cJSON_CreateString(""));
	assert_true(manifest_same(a, b));
	cJSON *member = cJSON_GetArrayItem(cJSON_GetObjectItem(b, "members"), 1);
	cJSON_ReplaceItemInObject(member, "mtime",
				  cJSON_CreateNumber(5)); /* a touched file is the same version */
	assert_true(manifest_same(a, b));
	cJSON_ReplaceItemInObject(member, "path", cJSON_CreateString("2/saved_model.pb"));
	assert_false(manifest_same(a, b));
}

/* One hostile manifest: a member's path or the key replaced. */
static void refused(const char *path, const char *key, const char *version)
{
	_cleanup_json_ cJSON *r = stored_record("v1");
	cJSON *member = cJSON_GetArrayItem(cJSON_GetObjectItem(r, "members"), 1);
	struct err e = {0};

	if (path)
		cJSON_ReplaceItemInObject(member, "path", cJSON_CreateString(path));
	if (key)
		cJSON_ReplaceItemInObject(r, "key", cJSON_CreateString(key));
	if (version)
		cJSON_ReplaceItemInObject(r, "version", cJSON_CreateString(version));
	_cleanup_free_ char *text = manifest_with(NULL, "iris", r, manifest_text(r, "version"));
	assert_null(read_text(text, &e));
	assert_int_equal(e.no, EBADMSG);
	assert_true(starts_with(e.text, "the manifest is damaged: "));
}

static void hostile(void **state)
{
	static const char *const paths[] = {"",   "/etc/passwd", "../x", "a/../b", "a//b",
					    "a/", ".",           "a/.",  "1-old",  "1-old/x"};
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{}",
		"null",
		"{\"format\":1}",
		"{\"format\":2,\"current\":\"v\",\"versions\":[]}",
		"{\"format\":1,\"current\":\"v1\",\"versions\":[{\"version\":\"v1\"}]}",
		"{\"format\":1,\"current\":\"v1\",\"versions\":[]}",
		"{\"format\":1,\"current\":7,\"versions\":{}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		refused(paths[i], NULL, NULL);
	refused(NULL, "model/other/v1/model.tar.gz", NULL);
	refused(NULL, PREFIX "../other/v1/model.tar.gz", NULL);
	refused(NULL, PREFIX, NULL);
	refused(NULL, NULL, "../v");
	refused(NULL, NULL, "");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct err e = {0};

		assert_null(read_text(texts[i], &e));
		assert_int_equal(e.no, EBADMSG);
	}
}

static int collect(void *arg, const char *name, mode_t type)
{
	return buf_printf(arg, "%s%s ", name, S_ISDIR(type) ? "/" : "");
}

static void tree(void **state)
{
	_cleanup_json_ cJSON *r = stored_record("v1");
	_cleanup_free_ char *text = manifest_with(NULL, "iris", r, manifest_text(r, "version"));
	struct err e;
	_cleanup_(manifest_unrefp)
	struct manifest *m = read_text(text, &e);
	struct names gone = {0};
	const struct manifest_member *f = NULL;
	_cleanup_buf_ struct buf out = BUF_INIT(0);

	(void)state;
	assert_int_equal(catalog_find(m, &gone, "", &f), S_IFDIR);
	assert_int_equal(catalog_find(m, &gone, "1", &f), S_IFDIR);
	assert_int_equal(catalog_find(m, &gone, "1/variables", &f), S_IFDIR);
	assert_int_equal(catalog_find(m, &gone, "1/variables/a", &f), S_IFREG);
	assert_int_equal(f->size, 20);
	assert_int_equal(catalog_find(m, &gone, "1/var", &f), 0);
	assert_int_equal(catalog_find(m, &gone, "code", &f), 0);
	assert_int_equal(catalog_list(m, &gone, "", collect, &out), 0);
	assert_string_equal(buf_cstr(&out), "1-old 1/ ");
	buf_reset(&out);
	assert_int_equal(catalog_list(m, &gone, "1", collect, &out), 0);
	assert_string_equal(buf_cstr(&out), "saved_model.pb variables/ ");

	assert_int_equal(names_add(&gone, "1/variables/a"), 0);
	assert_int_equal(names_add(&gone, "1-old"), 0);
	buf_reset(&out);
	assert_int_equal(catalog_list(m, &gone, "", collect, &out), 0);
	assert_string_equal(buf_cstr(&out), "1/ ");
	assert_int_equal(catalog_find(m, &gone, "1/variables/a", &f), 0);
	assert_int_equal(catalog_find(m, &gone, "1/variables", &f),
			 S_IFDIR); /* until its own rmdir */
	assert_int_equal(names_add(&gone, "1/variables"), 0);
	assert_int_equal(names_add(&gone, "1/variables"), 0);
	assert_int_equal(gone.n, 3);
	assert_int_equal(catalog_find(m, &gone, "1/variables", &f), 0);
	names_clear(&gone);
}

static void names(void **state)
{
	static const char *const good[] = {
		"iris", "A", "0", "a.b_c-d",
		"a23456789012345678901234567890123456789012345678901234567890123"};
	static const char *const bad[] = {
		"",
		".",
		"..",
		".hidden",
		"-a",
		"_a",
		"a b",
		"a/b",
		"ä",
		"a\n",
		"a234567890123456789012345678901234567890123456789012345678901234"};

	static const struct {
		const char *model, *endpoint;
	} rows[] = {
		{"iris",     "iris"    },
		{"my.model", "my-model"},
		{"a._.b",    "a-b"     },
		{"a_b_c",    "a-b-c"   },
		{"a-b",      "a-b"     }
        };

	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(model_name_ok(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(model_name_ok(bad[i]));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		models_canonical(rows[i].model, out);
		assert_string_equal(out, rows[i].endpoint);
	}
}

static void version_names(void **state)
{
	char a[48], b[48];

	(void)state;
	version_name(a);
	version_name(b);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), strlen("20260101T000000Z-12345678"));
	assert_int_equal(a[8], 'T');
	assert_int_equal(a[15], 'Z');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(chosen_and_kept),
		cmocka_unit_test(files_without_archive),
		cmocka_unit_test(settings_are_a_file),
		cmocka_unit_test(old_versions_that_nothing_uses_go),
		cmocka_unit_test(versions_of_unknown_age_stay),
		cmocka_unit_test(differences),
		cmocka_unit_test(hostile),
		cmocka_unit_test(tree),
		cmocka_unit_test(names),
		cmocka_unit_test(version_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
