/*
 * sniff.h: what a file of a model is, by its content. Nothing is unpickled or executed: headers, directories and lengths are
 * walked, names of classes are read from a pickle's opcodes.
 */
#ifndef SAGEMAKER_SNIFF_H
#define SAGEMAKER_SNIFF_H

#include "sagemaker/bytes.h"
#include "sagemaker/err.h"

enum file_kind {
	KIND_NONE,
	KIND_TORCHSCRIPT,  /* torch.jit.save */
	KIND_TORCH_SAVE,   /* torch.save: a state_dict or a pickled module, zip or the older form */
	KIND_TORCH_EXPORT, /* torch.export.save */
	KIND_PICKLE,       /* pickle or joblib */
	KIND_XGBOOST,      /* JSON, UBJ or the older binary form */
	KIND_LIGHTGBM,     /* its text form */
	KIND_ONNX,
	KIND_SAFETENSORS,
	KIND_KERAS,
	KIND_HDF5,
	KIND_GGUF,
	KIND_UNSERVED, /* what nothing serves: form says what it is and what to save instead */
};

/* Another file that an ONNX model reads weights from. */
struct file_beside {
	char path[256]; /* relative to the model's directory */
	uint64_t size;  /* bytes that it must at least have */
};

struct file_facts {
	enum file_kind kind;
	const char
		*form; /* "JSON", "UBJ", "state_dict" ...: a constant for sentences, never NULL */
	char version[16];  /* of what wrote it, where the file says so, else "" */
	char owner[96];    /* a pickle's first class, "sklearn.pipeline.Pipeline", else "" */
	char modules[256]; /* a pickle's top-level modules, a blank after each */
	const char *
		plain; /* a pickle's: "dict", "list" when it holds one of Python's own, else NULL */
	int opset, ir; /* ONNX */
	int no;        /* 0: whole as far as can be seen; ENODATA cut short, EINVAL damaged */
	char why[128]; /* with no: "it is cut short ..." */
	struct file_beside *beside;
	size_t n_beside;
};

/* sniff_wanted: whether a name (without directory) may be a model's file, so that its content is worth a look. */
bool sniff_wanted(const char *name);
/* sniff_file: PATH beneath dirfd; -1 only when it cannot be read. To be released with sniff_release. */
int sniff_file(int dirfd, const char *path, struct file_facts *out, struct err *e) _must_check_;
/* sniff_bytes: the same of bytes; name: the last component, for what the content leaves open. */
void sniff_bytes(struct bytes *b, const char *name, struct file_facts *out);
void sniff_release(struct file_facts *f);

/* ---- the parsers; each returns whether it is that kind, with the rest of *out filled ---- */
bool sniff_zip(struct bytes *b, struct file_facts *out);
bool sniff_pickle(struct bytes *b, struct file_facts *out);

/* sniff_pickle_names: classes and modules of the pickle that begins at `at`. */
enum pickle_end {
	PICKLE_ENDED, /* by its last opcode */
	PICKLE_BROKE, /* by the end of the bytes, or what is no opcode */
	PICKLE_LEFT,  /* not walked to its end: raw arrays, or too many opcodes */
} sniff_pickle_names(struct bytes *b, uint64_t at, struct file_facts *out);

/* sniff_packed_pickle: joblib's compressed form. */
bool sniff_packed_pickle(struct bytes *b, const char *name, struct file_facts *out);
bool sniff_xgboost(struct bytes *b, struct file_facts *out);
bool sniff_lightgbm(struct bytes *b, struct file_facts *out);
bool sniff_onnx(struct bytes *b, struct file_facts *out);
bool sniff_unserved(struct bytes *b, const char *name, struct file_facts *out);
bool sniff_safetensors(struct bytes *b, const char *name, struct file_facts *out);

/* sniff_broken: what is wrong with it. Returns true, for the parsers' last line. */
bool sniff_broken(struct file_facts *out, int no, const char *why);

#endif
