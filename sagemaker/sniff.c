/* sniff.c: which parser looks at a file. */
#include "sagemaker/sniff.h"

#include <errno.h>
#include <fcntl.h>

#include "sagemaker/plan.h"

/* Endings that frameworks and their users give to models, and what a file of no bytes was to become. */
static const struct {
	const char *end;
	enum file_kind kind;
} endings[] = {
	{".pt",           KIND_TORCH_SAVE  },
        {".pth",          KIND_TORCH_SAVE  },
	{".pt2",          KIND_TORCH_EXPORT},
        {".ckpt",         KIND_NONE        },
	{".bin",          KIND_NONE        },
        {".joblib",       KIND_PICKLE      },
	{".pkl",          KIND_PICKLE      },
        {".pickle",       KIND_PICKLE      },
	{".sav",          KIND_PICKLE      },
        {".json",         KIND_NONE        },
	{".ubj",          KIND_XGBOOST     },
        {".model",        KIND_NONE        },
	{".bst",          KIND_XGBOOST     },
        {".xgb",          KIND_XGBOOST     },
	{".txt",          KIND_NONE        },
        {".lgb",          KIND_LIGHTGBM    },
	{".onnx",         KIND_ONNX        },
        {".safetensors",  KIND_SAFETENSORS },
	{".keras",        KIND_KERAS       },
        {".h5",           KIND_HDF5        },
	{".hdf5",         KIND_HDF5        },
        {".gguf",         KIND_GGUF        },
	{".index",        KIND_NONE        },
        {".pb",           KIND_NONE        },
	{".pbtxt",        KIND_NONE        },
        {".tflite",       KIND_NONE        },
	{".params",       KIND_NONE        },
        {".tar",          KIND_NONE        },
	{".cbm",          KIND_NONE        },
        {".zip",          KIND_NONE        },
	{".mar",          KIND_NONE        },
        {"xgboost-model", KIND_XGBOOST     },
};

static int ending_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		if (ends_with(name, endings[i].end))
			return (int)i;
	return -1;
}

bool sniff_wanted(const char *name)
{
	return ending_of(name) >= 0 || !strchr(name, '.');
}

bool sniff_broken(struct file_facts *out, int no, const char *why)
{
	out->no = no;
	snprintf(out->why, sizeof(out->why), "%s", why);
	return true;
}

static bool begins(struct bytes *b, const char *magic, size_t n)
{
	const uint8_t *p = bytes_at(b, 0, n);

	return p && memcmp(p, magic, n) == 0;
}

/* What has a name of a model's and no content yet. */
static void sniff_empty(const char *name, struct file_facts *out)
{
	int i = ending_of(name);

	out->kind = i >= 0 ? endings[i].kind : KIND_NONE;
	(void)sniff_broken(out, ENODATA, "it is empty (0 bytes)");
}

void sniff_bytes(struct bytes *b, const char *name, struct file_facts *out)
{
	memset(out, 0, sizeof(*out));
	out->form = "";
	if (b->size == 0) {
		sniff_empty(name, out);
		return;
	}
	if (sniff_unserved(b, name, out))
		return;
	if (begins(b, "\x89HDF\r\n\x1a\n", 8))
		out->kind = KIND_HDF5;
	else if (begins(b, "GGUF", 4))
		out->kind = KIND_GGUF;
	else
		(void)(sniff_zip(b, out) || sniff_safetensors(b, name, out) ||
		       sniff_pickle(b, out) || sniff_packed_pickle(b, name, out) ||
		       sniff_xgboost(b, out) || sniff_lightgbm(b, out) || sniff_onnx(b, out));
}

/* Named as a model's file, and nothing in it is known: cut short in its first bytes, or another format. */
static void name_unknown(const char *name, struct file_facts *out)
{
	static const enum file_kind sure[] = {KIND_TORCH_SAVE, KIND_ONNX, KIND_SAFETENSORS,
					      KIND_KERAS, KIND_HDF5};

	int i = ending_of(name);

	for (size_t k = 0; i >= 0 && k < ARRAY_SIZE(sure); k++)
		if (endings[i].kind == sure[k]) {
			out->kind = sure[k];
			(void)sniff_broken(out, EINVAL, "its content is not of that format");
		}
}

int sniff_file(int dirfd, const char *path, struct file_facts *out, struct err *e)
{
	const char *name = source_base_name(path);
	_cleanup_close_ int fd = source_open(dirfd, path);
	_cleanup_bytes_ struct bytes b = {.fd = -1};

	memset(out, 0, sizeof(*out));
	out->form = "";
	if (fd < 0 || bytes_of_fd(&b, fd))
		return errno == ENOENT ? 0 : err_errno(e, "read '%s'", path);
	sniff_bytes(&b, name, out);
	if (b.failed) {
		errno = b.no;
		return err_errno(e, "read '%s'", path);
	}
	if (out->kind == KIND_NONE)
		name_unknown(name, out);
	return 0;
}

void sniff_release(struct file_facts *f)
{
	free(f->beside);
	f->beside = NULL;
	f->n_beside = 0;
}
