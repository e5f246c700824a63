#include "sagemaker/local/model_data.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/images.h"
#include "sagemaker/local/objects.h"
#include "sagemaker/local/validate.h"
#include "sagemaker/unpack.h"

#define MAX_FILES  100000
#define NAME_BYTES 255

/* What is said -------------------------------------------------------------------------------- */

static const struct {
	const char *type, *compression;
	enum data_kind kind;
} combinations[] = {
	{"S3Object", "Gzip", DATA_ARCHIVE},
	{"S3Object", "None", DATA_OBJECT },
	{"S3Prefix", "None", DATA_PREFIX },
};

static int read_source(const cJSON *source, struct model_data *out, struct err *e)
{
	const char *type = member_string(source, "S3DataType"),
		   *compression = member_string(source, "CompressionType");

	out->url = member_string(source, "S3Uri");
	for (size_t i = 0; i < ARRAY_SIZE(combinations); i++) {
		if (streq(type, combinations[i].type) &&
		    streq(compression, combinations[i].compression))
			out->kind = combinations[i].kind;
	}
	if (!starts_with(out->url, "s3://"))
		return err_set(e, EINVAL, "S3Uri '%.200s' must begin with s3://", out->url);
	if (out->kind == DATA_NONE)
		return err_set(
			e, EINVAL,
			"S3DataType %s does not go with CompressionType %s: a prefix has no archive",
			type, compression);
	if (out->kind == DATA_PREFIX && !ends_with(out->url, "/"))
		return err_set(
			e, EINVAL,
			"S3Uri '%.200s' must end with a slash: it is the prefix of the model's objects",
			out->url);
	return 0;
}

int model_data_read(const cJSON *container, struct model_data *out, struct err *e)
{
	const char *url = member_string(container, "ModelDataUrl");
	const cJSON *source = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(container, "ModelDataSource"), "S3DataSource");

	*out = (struct model_data){*url ? DATA_ARCHIVE : DATA_NONE, url};
	if (*url && source)
		return err_set(e, EINVAL, "ModelDataUrl and ModelDataSource exclude each other");
	if (source)
		return read_source(source, out, e);
	if (*url && !starts_with(url, "s3://"))
		return err_set(
			e, EINVAL,
			"Could not find model data at %s. The local backend takes s3:// URLs.",
			url);
	return 0;
}

void model_data_code(const cJSON *container, struct model_data *out)
{
	const cJSON *env = cJSON_GetObjectItemCaseSensitive(container, "Environment");
	const char *url = member_string(env, "SAGEMAKER_SUBMIT_DIRECTORY");
	struct image image;

	*out = (struct model_data){DATA_NONE, url};
	if (starts_with(url, "s3://") && images_parse(member_string(container, "Image"), &image) &&
	    (streq(image.framework, "sklearn") || streq(image.framework, "xgboost") ||
	     images_wants_sourcedir(image.framework, image.version)))
		out->kind = DATA_ARCHIVE;
}

/* What is there ------------------------------------------------------------------------------- */

/* Called with each key under a prefix, in their order; non-zero ends it. */
typedef int key_fn(void *arg, const char *key, size_t len, struct err *e);

/* What begins with a prefix lies between it and the prefix with its last byte, a slash, made one more. */
static int each_key(struct backend *be, const char *bucket, const char *prefix, key_fn *fn,
		    void *arg, struct err *e)
{
	_cleanup_free_ char *end = strdup(prefix);
	size_t n = strlen(prefix);

	if (!end)
		return err_set(e, ENOMEM, "out of memory");
	end[n - 1] = '/' + 1;
	SCOPED_LOCK(db_lock(be->db));
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(be->db, e,
			   "SELECT key FROM object WHERE bucket=? AND key>? AND key<? ORDER BY key",
			   "sbb", bucket, prefix, n, end, n);
	int more = s ? 0 : -1;
	while (s && (more = db_step(s, e)) > 0) {
		int rc = fn(arg, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0), e);

		if (rc)
			return rc;
	}
	return more;
}

static int any_key(void *arg, const char *key, size_t len, struct err *e)
{
	(void)arg, (void)key, (void)len, (void)e;
	return 1;
}

int model_data_exists(struct backend *be, const struct model_data *d, struct err *e)
{
	char bucket[64];
	const char *key;
	int found = 0;

	if (d->kind == DATA_NONE)
		return 1;
	if (s3_url_split(d->url, bucket, &key))
		found = d->kind == DATA_PREFIX ? each_key(be, bucket, key, any_key, NULL, e)
					       : object_exists(be, bucket, key, strlen(key), e);
	if (!found)
		err_set(e, ENOENT, "Could not find model data at %s.", d->url);
	return found;
}

/* An archive ---------------------------------------------------------------------------------- */

struct feed {
	struct reader *reader;
	struct cancel *cancel;
	int fd;
	int result;
	struct err err;
};

static void *feed(void *arg)
{
	struct feed *f = arg;

	f->result = reader_copy(f->reader, f->fd, f->cancel, &f->err);
	close(f->fd);
	return NULL;
}

/* The archive goes through a pipe, its bytes compared with what was uploaded on the way. */
static int unpack_reader(struct reader *rd, int dirfd, struct cancel *cancel, struct err *e)
{
	struct feed f = {.reader = rd, .cancel = cancel};
	pthread_t thread;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(e, "cannot make a pipe");
	fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
	f.fd = ends[1];
	int no = pthread_create(&thread, NULL, feed, &f);
	if (no) {
		close(ends[0]);
		close(ends[1]);
		errno = no;
		return err_errno(e, "cannot start a thread");
	}
	int r = unpack(ends[0], dirfd, NULL, cancel, e);
	close(ends[0]);
	pthread_join(thread, NULL);
	if (f.result < 0) {
		*e = f.err;
		return -1;
	}
	return r;
}

/* Objects as files ---------------------------------------------------------------------------- */

/* AWS's rules for keys that become files: no empty, "." or ".." parts, no zero bytes, no part above 255 bytes. */
static bool part_ok(const char *s, size_t n)
{
	return n && n <= NAME_BYTES && !memchr(s, '\0', n) && !(n == 1 && s[0] == '.') &&
	       !(n == 2 && s[0] == '.' && s[1] == '.');
}

static int refuse_key(const char *name, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "the key part '%.200s' cannot be a file's name: %s", name, why);
}

/* The directory of name's last part, made on the way; *last: that part. -1: no name for a file. */
static int make_way(int dirfd, const char *name, const char **last, struct err *e)
{
	int at = dup(dirfd);

	for (*last = name; at >= 0;) {
		size_t n = strcspn(*last, "/");
		char part[NAME_BYTES + 1];

		if (!part_ok(*last, n)) {
			close(at);
			return refuse_key(name, "it has an empty, a '.', '..' or too long part", e);
		}
		if (!(*last)[n])
			return at;
		snprintf(part, sizeof part, "%.*s", (int)n, *last);
		if (mkdirat(at, part, 0755) < 0 && errno != EEXIST)
			break;
		int next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(at);
		at = next;
		*last += n + 1;
	}
	if (at >= 0)
		close(at);
	if (errno == ENOTDIR || errno == EEXIST)
		return refuse_key(name, "another object has the name of its directory", e);
	return err_errno(e, "cannot make the directories of '%.200s'", name);
}

/* One object as the file `name` below dirfd. */
static int fetch_object(struct backend *be, const char *bucket, const char *key, const char *name,
			int dirfd, struct cancel *cancel, struct err *e)
{
	struct reader *rd = NULL;
	struct object o;
	const char *last;
	int found = object_open(be, bucket, key, strlen(key), &o, &rd, e);

	if (found <= 0)
		return found < 0 ? -1
				 : err_set(e, ENOENT, "Could not find model data at s3://%s/%s.",
					   bucket, key);
	_cleanup_close_ int dir = make_way(dirfd, name, &last, e);
	_cleanup_close_ int fd =
		dir < 0 ? -1
			: openat(dir, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				 0644);
	int rc = dir < 0 ? -1 : 0;
	if (!rc && fd < 0)
		rc = errno == EEXIST || errno == EISDIR
			     ? refuse_key(name, "another object has it as a directory", e)
			     : err_errno(e, "cannot make the file '%.200s'", name);
	if (!rc)
		rc = reader_copy(rd, fd, cancel, e);
	reader_free(rd);
	return rc;
}

struct keys_found {
	char **keys;
	size_t n, cap;
};

static void keys_release(struct keys_found *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->keys[i]);
	free(k->keys);
}

static int keep_key(void *arg, const char *key, size_t len, struct err *e)
{
	struct keys_found *k = arg;

	if (k->n == MAX_FILES)
		return err_set(e, EFBIG, "the model has more than %d objects", MAX_FILES);
	if (memchr(key, '\0', len))
		return err_set(e, EINVAL, "a key of the model holds a zero byte");
	if (k->n == k->cap) {
		size_t cap = k->cap ? k->cap * 2 : 64;
		char **more = realloc(k->keys, cap * sizeof *more);

		if (!more)
			return err_set(e, ENOMEM, "out of memory");
		k->keys = more;
		k->cap = cap;
	}
	k->keys[k->n] = strndup(key, len);
	return k->keys[k->n++] ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int fetch_prefix(struct backend *be, const char *bucket, const char *prefix, int dirfd,
			struct cancel *cancel, struct err *e)
{
	struct keys_found k _cleanup_(keys_release) = {NULL, 0, 0};
	int rc = each_key(be, bucket, prefix, keep_key, &k, e);

	if (rc == 0 && !k.n)
		rc = err_set(e, ENOENT, "Could not find model data at s3://%s/%s.", bucket, prefix);
	for (size_t i = 0; rc == 0 && i < k.n; i++)
		rc = fetch_object(be, bucket, k.keys[i], k.keys[i] + strlen(prefix), dirfd, cancel,
				  e);
	return rc;
}

static int fetch_archive(struct backend *be, const char *bucket, const char *key, int dirfd,
			 struct cancel *cancel, struct err *e)
{
	struct reader *rd = NULL;
	struct object o;
	int found = object_open(be, bucket, key, strlen(key), &o, &rd, e);

	if (found <= 0)
		return found < 0 ? -1
				 : err_set(e, ENOENT, "Could not find model data at s3://%s/%s.",
					   bucket, key);
	int rc = unpack_reader(rd, dirfd, cancel, e);
	reader_free(rd);
	return rc < 0 ? err_prefix(e,
				   "Failed to extract model data archive from URL \"s3://%s/%s\"",
				   bucket, key)
		      : 0;
}

int model_data_fetch(struct backend *be, const struct model_data *d, int dirfd,
		     struct cancel *cancel, struct err *e)
{
	char bucket[64];
	const char *key;

	if (d->kind == DATA_NONE)
		return 0;
	if (!s3_url_split(d->url, bucket, &key))
		return err_set(e, ENOENT, "Could not find model data at %s.", d->url);
	switch (d->kind) {
	case DATA_OBJECT:
		return fetch_object(be, bucket, key, strrchr(d->url, '/') + 1, dirfd, cancel, e);
	case DATA_PREFIX:
		return fetch_prefix(be, bucket, key, dirfd, cancel, e);
	case DATA_ARCHIVE:
	default:
		return fetch_archive(be, bucket, key, dirfd, cancel, e);
	}
}
