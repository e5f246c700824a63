/*
 * mxnet_params.c: walk a .params file by its own lengths, so that one cut short anywhere is found without reading the
 * weights. Little-endian:
 *
 *   u64 0x112, u64 0, u64 n, n arrays, u64 n names (0: none), each u64 length and bytes
 *   array V2, V3: u32 magic, i32 storage, shape, i32 device, i32 device number, i32 type, values
 *   array V1: the same without storage; older: no magic, u32 dimensions
 *   shape: i32 n, n times i64 (older: u32)
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sagemaker/buf.h"
#include "sagemaker/mxnet.h"
#include "sagemaker/plan.h"

#define LIST_MAGIC 0x112
#define V1         0xf993fac8U
#define V2         0xf993fac9U
#define V3         0xf993facaU /* a shape of -1 dimensions, not 0, is the empty array */
#define DIMS_MAX   32
#define NAME_BYTES 255

/* Bytes of a value, by MXNet's type number. */
static const unsigned char value_size[] = {4, 8, 2, 1, 4, 1, 8, 1, 2, 2, 4, 8, 2};

struct file {
	FILE *f;
	uint64_t at, size;
	bool sparse; /* an array whose length is not told here: the rest cannot be walked */
};

static int cut_short(struct err *e)
{
	return err_set(e, ENODATA, "it is cut short");
}

static int get(struct file *f, void *to, size_t n, struct err *e)
{
	if (n > f->size - f->at || fread(to, 1, n, f->f) != n)
		return cut_short(e);
	f->at += n;
	return 0;
}

static int skip(struct file *f, uint64_t n, struct err *e)
{
	if (n > f->size - f->at)
		return cut_short(e);
	f->at += n;
	return fseeko(f->f, (off_t)f->at, SEEK_SET) ? err_errno(e, "seek") : 0;
}

static int damaged(struct err *e)
{
	return err_set(e, EINVAL, "it is damaged");
}

/* The number of values of a shape of n dimensions, each `width` bytes. */
static int get_shape(struct file *f, int32_t n, size_t width, uint64_t *values, struct err *e)
{
	*values = 1;
	if (n < 0 || n > DIMS_MAX)
		return damaged(e);
	for (int32_t i = 0; i < n; i++) {
		uint64_t dim = 0;

		if (get(f, &dim, width, e))
			return -1;
		if (dim > f->size || (dim && *values > f->size / dim))
			return cut_short(e); /* more values than the file has bytes */
		*values *= dim;
	}
	return 0;
}

/* Device, type and values, after the shape. */
static int skip_values(struct file *f, uint64_t values, struct err *e)
{
	int32_t head[3] = {0};

	if (get(f, head, sizeof(head), e))
		return -1;
	if (head[2] < 0 || (size_t)head[2] >= sizeof(value_size))
		return damaged(e);
	return skip(f, values * value_size[head[2]], e);
}

/* The shape of so many dimensions of `width` bytes each, then the values. */
static int skip_dense(struct file *f, int32_t dims, size_t width, struct err *e)
{
	uint64_t values = 0;

	return get_shape(f, dims, width, &values, e) ? -1 : skip_values(f, values, e);
}

static int skip_array(struct file *f, struct err *e)
{
	int32_t storage = 0, dims = 0;
	uint32_t magic = 0;

	if (get(f, &magic, sizeof(magic), e))
		return -1;
	if (magic == 0)
		return 0;
	if (magic <= DIMS_MAX) /* the oldest form begins with its dimensions */
		return skip_dense(f, (int32_t)magic, 4, e);
	if (magic < V1 || magic > V3)
		return damaged(e);
	if (magic != V1 && get(f, &storage, sizeof(storage), e))
		return -1;
	f->sparse = storage != 0;
	if (f->sparse)
		return 0;
	if (get(f, &dims, sizeof(dims), e))
		return -1;
	return dims == (magic == V3 ? -1 : 0) ? 0 : skip_dense(f, dims, 8, e);
}

/* A name, n bytes; only short ones are kept. */
static int take_name(struct file *f, uint64_t n, struct buf *names, struct err *e)
{
	char name[NAME_BYTES + 1] = "";

	if (n > NAME_BYTES)
		return skip(f, n, e);
	if (get(f, name, (size_t)n, e))
		return -1;
	bool prefixed = starts_with(name, "arg:") || starts_with(name, "aux:");
	if (names && n)
		buf_printf(names, "%s%s\n", names->len ? "" : "\n", name + (prefixed ? 4 : 0));
	return 0;
}

static int take_names(struct file *f, uint64_t arrays, struct buf *names, struct err *e)
{
	uint64_t n = 0, len = 0;

	if (get(f, &n, sizeof(n), e))
		return -1;
	if (n != 0 && n != arrays)
		return damaged(e);
	for (uint64_t i = 0; i < n; i++)
		if (get(f, &len, sizeof(len), e) || take_name(f, len, names, e))
			return -1;
	return f->at == f->size ? 0 : err_set(e, EINVAL, "it goes on after its end");
}

static int walk(struct file *f, struct buf *names, struct err *e)
{
	uint64_t head[3] = {0};

	if (get(f, head, sizeof(head), e))
		return -1;
	if (head[0] != LIST_MAGIC)
		return err_set(e, EINVAL, "it is no list of MXNet arrays");
	if (head[2] > f->size)
		return damaged(e);
	for (uint64_t i = 0; i < head[2] && !f->sparse; i++)
		if (skip_array(f, e))
			return -1;
	return f->sparse ? 0 : take_names(f, head[2], names, e);
}

int mxnet_params_check(int dirfd, const char *path, struct buf *names, struct err *e)
{
	int fd = source_open(dirfd, path);
	_cleanup_fclose_ FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
	struct stat st;

	if (!in || fstat(fd, &st)) {
		err_errno(e, "read '%s'", path);
		if (!in)
			closep(&fd);
		return -1;
	}
	struct file f = {in, 0, (uint64_t)st.st_size, false};
	return walk(&f, names, e) ? err_prefix(e, "'%s' cannot be used", path) : 0;
}
