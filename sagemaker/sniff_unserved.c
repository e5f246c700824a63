/*
 * sniff_unserved.c: files that people take for their model, and that no container serves: what each is, and what to save instead.
 * They are looked at only to say so when nothing else is recognised; beside a model they are like any other file.
 */
#include "sagemaker/sniff.h"

#define EXPORT "export a SavedModel where the model's code is: model.export('DIR/1')"
#define SIMPLE_SAVE                                               \
 "load it in a tf.compat.v1.Session and write a SavedModel with " \
 "tf.compat.v1.saved_model.simple_save(session, 'DIR/1', inputs, outputs)"
#define TRAINED                                                   \
 " of TensorFlow, of which no container knows the graph: " EXPORT \
 " of Keras, tf.saved_model.save() of a tf.Module; of TensorFlow 1, " SIMPLE_SAVE
#define DUMP "which XGBoost cannot load: write the model with save_model('model.json')"

/* A file of a name that ends in `end` (NULL: any), with these bytes at `at` (from the end, if negative) and `inside` in its first
 * 4 KiB (NULL: whatever). */
static const struct {
	const char *end;
	int at;
	const char *magic, *inside;
	const char *says;
} rows[] = {
	{".index",      -8,  "\x57\xfb\x80\x8b\x24\x75\x47\xdb", NULL,
	 "is a training checkpoint" TRAINED													  },
	{"checkpoint",  0,   "model_checkpoint_path",            NULL,                             "lists training checkpoints" TRAINED              },
	{".pb",         0,   "\x0a",			     "Placeholder",                    "is a frozen graph of TensorFlow: " SIMPLE_SAVE   },
	{".pbtxt",      0,   "node {",                           NULL,                             "is a graph of TensorFlow as text: " SIMPLE_SAVE  },
	{NULL,          4,   "TFL3",			     NULL,
	 "is for TensorFlow Lite, of which AWS has no container: export the SavedModel that it was "
	 "made from, or name a container of your own as \"image\" in sagemaker.json"                                                                 },
	{".weights.h5", 0,   "\x89HDF",                          NULL,
	 "holds the weights of a Keras model without the model: load_weights() into the model, and "
	 "model.export('DIR/1')"														     },
	{".params",     0,   "\x12\x01",                         NULL,
	 "holds parameters of MXNet without the network: after net.hybridize() and one forward pass, "
	 "net.export('model') writes both"													   },
	{".txt",        0,   "booster[0]:\n",                    NULL,                             "is a dump of the trees for people to read, " DUMP},
	{".json",       0,   "[",				"\"nodeid\"",                     "is a dump of the trees, " DUMP                   },
	{".json",       0,   "{",				"\"learner\":{\"generic_param\"",
	 "is what Booster.save_config() writes, without trees, " DUMP										},
	{".tar",        0,   "PK\3\4",                           "data.pkl",
	 "is what torch.save wrote, under a name that is not looked for: call it *.pth"                                                              },
	{".zip",        0,   "PK\3\4",                           NULL,
	 "is a zip archive, and the containers get a tar.gz of the model's files: unzip it here, and remove it"                                      },
	{".mar",        0,   "PK\3\4",                           NULL,
	 "is TorchServe's archive: unzip it here, remove it, and add code/inference.py with model_fn"                                                },
	{".tar",        257, "ustar",                            NULL,
	 "is a tar archive, and the containers get a tar.gz of the model's files: unpack it here (tar xf), and remove it"                            },
	{NULL,          0,   "CBM1",			     NULL,
	 "is CatBoost's, of which AWS has no container: add code/inference.py with model_fn and "
	 "predict_fn, catboost in code/requirements.txt, and say \"framework\": \"sklearn\" in "
	 "sagemaker.json"															    },
};

#define HEAD ((uint64_t)4096)

static bool holds(struct bytes *b, int at, const char *magic)
{
	size_t n = strlen(magic);
	const uint8_t *p = bytes_at(b, at < 0 ? b->size - (uint64_t)-at : (uint64_t)at, n);

	return p && memcmp(p, magic, n) == 0;
}

bool sniff_unserved(struct bytes *b, const char *name, struct file_facts *out)
{
	if (streq(name, "variables.index") || b->size < 8) /* a SavedModel's own */
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *inside = rows[i].inside;

		if ((rows[i].end && !ends_with(name, rows[i].end)) ||
		    !holds(b, rows[i].at, rows[i].magic) ||
		    (inside &&
		     bytes_find(b, 0, MIN(b->size, HEAD), inside, strlen(inside)) == UINT64_MAX))
			continue;
		out->kind = KIND_UNSERVED;
		out->form = rows[i].says;
		return true;
	}
	return false;
}
