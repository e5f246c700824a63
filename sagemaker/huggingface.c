/*
 * huggingface.c: what save_pretrained writes: config.json, weights as safetensors or pytorch_model.bin, in several shards that
 * an index names, and the tokenizer. The container makes a pipeline of it, for HF_TASK or what it tells by `architectures`.
 */
#include "sagemaker/huggingface.h"

#include <ctype.h>
#include <errno.h>

#include "sagemaker/json.h"
#include "sagemaker/plan.h"
#include "sagemaker/sniff.h"

#define JSON_MAX ((size_t)16 << 20)
#define CONFIG   "config.json"
#define ADAPTER  "adapter_config.json"
#define PIPELINE "model_index.json"

struct pretrained {
	const struct source *s;
	struct package_plan *plan;
	const struct source_file *config; /* NULL: only weights are there */
	const char *at;                   /* a path that begins with the model's directory */
	size_t dir;                       /* bytes of it, with its last '/' */
	bool weights;
	cJSON *json; /* of config, owned */
};

static const char *const weight_files[] = {
	"model.safetensors",
	"model.safetensors.index.json",
	"pytorch_model.bin",
	"pytorch_model.bin.index.json",
};
static const char *const other_weights[] = {"tf_model.h5", "flax_model.msgpack", "model.onnx"};
static const char *const tokenizers[] = {
	"tokenizer.json",
	"tokenizer_config.json",
	"vocab.txt",
	"vocab.json",
	"spiece.model",
	"tokenizer.model",
	"preprocessor_config.json",
	"feature_extractor_config.json",
};

static bool is_named(const struct source_file *f, const char *name)
{
	return streq(source_base_name(f->path), name) && !starts_with(f->path, "code/") &&
	       !strstr(f->path, "/code/");
}

static cJSON *read_json(const struct source *s, const struct source_file *f)
{
	_cleanup_buf_ struct buf b = BUF_INIT(JSON_MAX);

	return buf_read_file(&b, s->dirfd, f->path) ? NULL
						    : cJSON_ParseWithLength(buf_cstr(&b), b.len);
}

/* Other programs have a config.json, too: transformers' says what the model is. */
static bool is_config(const cJSON *j)
{
	return json_text(j, "model_type") || json_text(j, "transformers_version") ||
	       cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(j, "architectures"));
}

static const struct source_file *beside(const struct pretrained *t, const char *name)
{
	_cleanup_free_ char *path = str_printf("%.*s%s", (int)t->dir, t->at, name);

	return path ? source_find(t->s, path) : NULL;
}

static bool any_of(const struct pretrained *t, const char *const names[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (beside(t, names[i]))
			return true;
	return false;
}

static void set_directory(struct pretrained *t, const char *path)
{
	t->at = path;
	t->dir = (size_t)(source_base_name(path) - path);
	t->weights = any_of(t, weight_files, ARRAY_SIZE(weight_files)) ||
		     any_of(t, other_weights, ARRAY_SIZE(other_weights));
}

/* The shallowest config.json that is transformers'. */
static bool find_config(struct pretrained *t)
{
	for (size_t i = 0; i < t->s->n; i++) {
		const struct source_file *f = &t->s->files[i];

		if (!is_named(f, CONFIG) ||
		    (t->config && strlen(f->path) >= strlen(t->config->path)))
			continue;
		_cleanup_json_ cJSON *j = read_json(t->s, f);
		if (j && !is_config(j))
			continue;
		set_directory(t, f->path);
		if (!j && !t->weights)
			continue;
		t->config = f;
		cJSON_Delete(t->json);
		t->json = steal(j);
	}
	return t->config != NULL;
}

/* A pipeline of diffusers: its models are in directories, each with a config.json of its own. */
static const struct source_file *find_pipeline(const struct source *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct source_file *f = &s->files[i];
		_cleanup_json_ cJSON *j = is_named(f, PIPELINE) ? read_json(s, f) : NULL;

		if (j && json_text(j, "_diffusers_version"))
			return f;
	}
	return NULL;
}

/* Weights that came before their config.json. */
static bool find_weights(struct pretrained *t)
{
	for (size_t i = 0; i < t->s->n; i++) {
		const struct source_file *f = &t->s->files[i];

		if ((f->facts && f->facts->kind == KIND_SAFETENSORS) || is_named(f, ADAPTER) ||
		    ends_with(f->path, "model.safetensors.index.json")) {
			set_directory(t, f->path);
			return true;
		}
	}
	return false;
}

int huggingface_detect(const struct source *s, struct buf *evidence)
{
	struct pretrained t = {.s = s};
	const struct source_file *pipeline = find_pipeline(s);

	if (pipeline) {
		buf_str(evidence, pipeline->path);
		return 95;
	}
	bool config = find_config(&t), weights = !config && find_weights(&t);

	if (config || weights)
		buf_str(evidence, t.config ? t.config->path : t.at);
	cJSON_Delete(t.json);
	if (config)
		return t.weights ? 95 : 60;
	return weights ? 40 : 0;
}

/* What the container infers by itself, from the end of the architecture's name. */
static const char *const inferred[] = {
	"ForQuestionAnswering",
	"ForTokenClassification",
	"ForSequenceClassification",
	"ForMultipleChoice",
	"ForMaskedLM",
	"ForCausalLM",
	"ForConditionalGeneration",
	"MTModel",
	"EncoderDecoderModel",
	"GPT2LMHeadModel",
	"T5WithLMHeadModel",
};

/* What it does not, and there is only one task for. */
static const struct {
	const char *end, *task;
} tasks[] = {
	{"ForImageClassification",         "image-classification"          },
	{"ForObjectDetection",             "object-detection"              },
	{"ForImageSegmentation",           "image-segmentation"            },
	{"ForSemanticSegmentation",        "image-segmentation"            },
	{"ForAudioClassification",         "audio-classification"          },
	{"ForCTC",			 "automatic-speech-recognition"  },
	{"ForSpeechSeq2Seq",               "automatic-speech-recognition"  },
	{"ForZeroShotImageClassification", "zero-shot-image-classification"},
	{"Model",			  "feature-extraction"            },
};

static int choose_task(struct pretrained *t, struct err *e)
{
	const cJSON *first =
		cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(t->json, "architectures"), 0);
	const char *name = cJSON_IsString(first) ? first->valuestring : "";
	const char *said = json_text(t->plan->settings.env, "HF_TASK");

	if (said) {
		plan_note(t->plan, "task: %s, as sagemaker.json says (HF_TASK)", said);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(inferred); i++)
		if (ends_with(name, inferred[i])) {
			plan_note(t->plan, "task: the container tells it by %s", name);
			return 0;
		}
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		if (ends_with(name, tasks[i].end)) {
			plan_note(t->plan, "task: %s, by %s; HF_TASK in \"env\" changes it",
				  tasks[i].task, name);
			return plan_env(t->plan, "HF_TASK", tasks[i].task, e);
		}
	plan_fail(
		t->plan, EINVAL,
		"which task the model is for cannot be told from '%s' ('architectures' %s%s): say "
		"{\"env\": {\"HF_TASK\": \"text-classification\"}} or another in sagemaker.json, or add "
		"code/inference.py with model_fn and predict_fn",
		t->config->path, *name ? "is " : "is missing", name);
	return 0;
}

/* Every shard that an index names. */
static void check_index(struct pretrained *t, const char *name)
{
	const struct source_file *f = beside(t, name);
	_cleanup_json_ cJSON *j = f ? read_json(t->s, f) : NULL;
	const cJSON *map = cJSON_GetObjectItemCaseSensitive(j, "weight_map"), *item;

	if (!f)
		return;
	if (!cJSON_IsObject(map))
		plan_fail(t->plan, ENODATA, "incomplete: '%s' is cut short or no index of weights",
			  f->path);
	cJSON_ArrayForEach(item, map) {
		if (cJSON_IsString(item) && !beside(t, item->valuestring))
			plan_fail(t->plan, ENODATA,
				  "incomplete: '%.*s%s', which '%s' names, is missing", (int)t->dir,
				  t->at, item->valuestring, f->path);
	}
}

static void check_files(struct pretrained *t)
{
	for (size_t i = 0; i < t->s->n; i++) {
		const struct source_file *f = &t->s->files[i];
		bool weights = f->facts && (f->facts->kind == KIND_SAFETENSORS ||
					    f->facts->kind == KIND_TORCH_SAVE);

		if (weights && f->facts->no)
			plan_fail(t->plan, f->facts->no, "%s'%s' cannot be used: %s",
				  f->facts->no == ENODATA ? "incomplete: " : "", f->path,
				  f->facts->why);
		else if (f->size == 0 && (ends_with(f->path, ".bin") || ends_with(f->path, ".h5")))
			plan_fail(t->plan, ENODATA, "incomplete: '%s' is empty (0 bytes)", f->path);
	}
}

static void check_weights(struct pretrained *t)
{
	check_files(t);
	check_index(t, "model.safetensors.index.json");
	check_index(t, "pytorch_model.bin.index.json");
	if (!t->weights)
		plan_fail(
			t->plan, ENODATA,
			"incomplete: '%.*smodel.safetensors' is missing (or pytorch_model.bin, or the shards and "
			"their index)",
			(int)t->dir, t->at);
	if (!any_of(t, weight_files, ARRAY_SIZE(weight_files)) && t->weights)
		plan_note(
			t->plan,
			"warning: there are no weights for PyTorch: say a \"framework_version\" of the "
			"TensorFlow base in sagemaker.json, as \"4.26-tensorflow\"");
	if (!any_of(t, tokenizers, ARRAY_SIZE(tokenizers)))
		plan_note(
			t->plan,
			"warning: there is no tokenizer (tokenizer.json) beside %s: the container's pipeline "
			"needs one; save it there with tokenizer.save_pretrained()",
			t->config->path);
}

static void take_version(struct pretrained *t)
{
	const char *v = json_text(t->json, "transformers_version");
	size_t n = v ? strspn(v, "0123456789.") : 0;

	if (n && n < sizeof(t->plan->made_with) && v[n - 1] != '.')
		snprintf(t->plan->made_with, sizeof(t->plan->made_with), "%.*s", (int)n, v);
	else if (n > 1 && n < sizeof(t->plan->made_with))
		snprintf(t->plan->made_with, sizeof(t->plan->made_with), "%.*s", (int)n - 1, v);
}

static int place_all(struct pretrained *t, struct err *e)
{
	/* classes of the model's own, which transformers imports from where config.json is */
	bool remote = cJSON_HasObjectItem(t->json, "auto_map");

	for (size_t i = 0; i < t->s->n; i++) {
		const struct source_file *f = &t->s->files[i];
		const char *rest = f->path + t->dir;
		bool inside = strncmp(f->path, t->at, t->dir) == 0 && !starts_with(rest, "code/") &&
			      (remote || !ends_with(rest, ".py") || strchr(rest, '/'));

		if (inside ? plan_add(t->plan, f, e, "%s", rest)
			   : code_place(t->plan, f, t->at, t->dir ? t->dir - 1 : 0, e))
			return -1;
	}
	return 0;
}

static const struct code_rule code = {
	"Hugging Face container", code_functions,
	"a script that defines model_fn, transform_fn, input_fn, predict_fn or output_fn, or that "
	"entry_point in sagemaker.json names",
	false};

static size_t depth(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* Checkpoints side by side, as a Trainer leaves them: none of them is the model more than another. */
static void check_others(const struct pretrained *t)
{
	for (size_t i = 0; i < t->s->n; i++) {
		const struct source_file *f = &t->s->files[i];
		struct pretrained other = {.s = t->s};

		if (f == t->config || !is_named(f, CONFIG) ||
		    depth(f->path) != depth(t->config->path))
			continue;
		set_directory(&other, f->path);
		if (other.weights)
			plan_fail(t->plan, EINVAL,
				  "there are two models, '%.*s' and '%.*s': keep one, or add "
				  "code/inference.py whose model_fn loads what it needs",
				  (int)t->dir - 1, t->at, (int)other.dir - 1, other.at);
	}
}

static void check_mark(const struct pretrained *t)
{
	_cleanup_buf_ struct buf b = BUF_INIT(JSON_MAX);

	if (!buf_read_file(&b, t->s->dirfd, t->config->path))
		plan_refuse_mark(t->plan, t->config->path, buf_cstr(&b));
}

static int lay_out(struct pretrained *t, struct err *e)
{
	bool entry = false, loads = false;

	check_mark(t);
	if (!t->json)
		plan_fail(t->plan, ENODATA, "incomplete: '%s' is cut short or no JSON",
			  t->config->path);
	take_version(t);
	if (place_all(t, e) || code_settle(t->plan, &code, &entry, e) ||
	    (entry && code_has(t->plan, "model_fn", &loads, e)))
		return -1;
	if (!loads)
		check_others(t);
	check_weights(t);
	return loads || !t->json ? 0 : choose_task(t, e);
}

/* Every model that the index names has its directory; the container makes the pipeline for text-to-image. */
static int lay_out_pipeline(struct pretrained *t, const struct source_file *index, struct err *e)
{
	_cleanup_json_ cJSON *j = read_json(t->s, index);
	const cJSON *part;
	bool entry = false;

	set_directory(t, index->path);
	if (place_all(t, e) || code_settle(t->plan, &code, &entry, e))
		return -1;
	check_files(t);
	cJSON_ArrayForEach(part, j) {
		const cJSON *kind = cJSON_GetArrayItem(part, 1);
		bool there = !cJSON_IsArray(part) || !cJSON_IsString(kind);

		for (size_t i = 0; i < t->s->n && !there; i++) {
			const char *rest =
				t->s->files[i].path + MIN(t->dir, strlen(t->s->files[i].path));

			there = starts_with(rest, part->string) &&
				rest[strlen(part->string)] == '/';
		}
		if (!there)
			plan_fail(t->plan, ENODATA,
				  "incomplete: '%.*s%s/', which '%s' names, is missing",
				  (int)t->dir, t->at, part->string, index->path);
	}
	if (entry || json_text(t->plan->settings.env, "HF_TASK"))
		return 0;
	return plan_env(t->plan, "HF_TASK", "text-to-image", e);
}

int huggingface_lay_out(const struct source *s, struct package_plan *plan, struct err *e)
{
	struct pretrained t = {.s = s, .plan = plan};
	const struct source_file *pipeline = find_pipeline(s);
	int rc = 0;

	if (pipeline)
		rc = lay_out_pipeline(&t, pipeline, e);
	else if (find_config(&t))
		rc = lay_out(&t, e);
	else if (!find_weights(&t))
		plan_fail(plan, EINVAL,
			  "there is no " CONFIG
			  " of transformers in it, which a Hugging Face model needs");
	else if (beside(&t, ADAPTER))
		plan_fail(plan, EINVAL,
			  "'%.*s" ADAPTER "' is an adapter without its base model: merge it "
			  "(model.merge_and_unload()), and save_pretrained() the whole",
			  (int)t.dir, t.at);
	else
		plan_fail(plan, ENODATA,
			  "incomplete: '%.*s" CONFIG
			  "' is missing, which a Hugging Face model needs",
			  (int)t.dir, t.at);
	cJSON_Delete(t.json);
	return rc;
}
