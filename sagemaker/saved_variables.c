/*
 * saved_variables.c: TensorFlow 2 saves one call node per signature, one for saving and one for restoring, and each takes the
 * handles of its variables from the main graph. A handle that only signatures take is never restored.
 */
#include "sagemaker/saved_variables.h"

/* Looks at a name: well under a second. When they are used up, nothing more is found. */
#define MAX_STEPS 20000000U

struct search {
	const Tf__MetaGraphDef *g;
	size_t steps;
	const char **set; /* what nodes other than readers and signatures take, sorted */
	size_t n_set;
};

static const Tf__NodeDef *find_node(struct search *s, const char *name)
{
	const Tf__GraphDef *g = s->g->graph_def;

	for (size_t i = 0; i < g->n_node && s->steps; i++, s->steps--)
		if (streq(g->node[i]->name, name))
			return g->node[i];
	return NULL;
}

static bool is_call(const Tf__NodeDef *node)
{
	return ends_with(node->op, "PartitionedCall");
}

/* Whether the node is a call that makes the output of a signature ("name:0"). */
static bool serves(struct search *s, const Tf__NodeDef *node)
{
	size_t n = strlen(node->name);

	for (size_t i = 0; is_call(node) && i < s->g->n_signature_def; i++) {
		const Tf__SignatureDef *d = s->g->signature_def[i]->value;

		for (size_t k = 0; k < d->n_outputs && s->steps; k++, s->steps--) {
			const char *output = d->outputs[k]->value->name;

			if (strncmp(output, node->name, n) == 0 &&
			    (output[n] == ':' || output[n] == '\0'))
				return true;
		}
	}
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whatever takes a handle may set it, but reading and signatures: restoring does, an initializer may. */
static int collect_set(struct search *s)
{
	const Tf__GraphDef *g = s->g->graph_def;
	size_t n = 1;

	for (size_t i = 0; i < g->n_node; i++)
		n += g->node[i]->n_input;
	s->set = calloc(n, sizeof(*s->set));
	if (!s->set)
		return -1;
	for (size_t i = 0; i < g->n_node; i++) {
		const Tf__NodeDef *node = g->node[i];

		if (streq(node->op, "ReadVariableOp") || serves(s, node))
			continue;
		for (size_t k = 0; k < node->n_input; k++)
			s->set[s->n_set++] = node->input[k];
	}
	qsort(s->set, s->n_set, sizeof(*s->set), by_text);
	return 0;
}

/* The name that handles of the same variable share. */
static ProtobufCBinaryData shared_name(const Tf__NodeDef *handle)
{
	for (size_t i = 0; i < handle->n_attr; i++)
		if (streq(handle->attr[i]->key, "shared_name") && handle->attr[i]->value)
			return handle->attr[i]->value->s;
	return (ProtobufCBinaryData){0, NULL};
}

static bool same_variable(const Tf__NodeDef *a, const Tf__NodeDef *b)
{
	ProtobufCBinaryData x = shared_name(a), y = shared_name(b);

	return x.len && x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

/* Whether another handle stands for the same variable: perhaps it is set by that, which is not looked into. */
static bool has_twin(struct search *s, const Tf__NodeDef *handle)
{
	const Tf__GraphDef *g = s->g->graph_def;

	for (size_t i = 0; i < g->n_node && s->steps; i++, s->steps--)
		if (g->node[i] != handle && streq(g->node[i]->op, "VarHandleOp") &&
		    same_variable(g->node[i], handle))
			return true;
	return !s->steps;
}

static const Tf__NodeDef *find_unset(struct search *s, const Tf__NodeDef *call)
{
	for (size_t i = 0; i < call->n_input && s->steps; i++) {
		const char *name = call->input[i];

		if (bsearch(&name, s->set, s->n_set, sizeof(*s->set), by_text))
			continue;
		const Tf__NodeDef *node = find_node(s, name);
		if (node && streq(node->op, "VarHandleOp") && !has_twin(s, node))
			return node;
	}
	return NULL;
}

static const Tf__NodeDef *find_in_signatures(struct search *s)
{
	const Tf__GraphDef *g = s->g->graph_def;
	const Tf__NodeDef *unset = NULL;

	for (size_t i = 0; i < g->n_node && s->steps && !unset; i++)
		if (serves(s, g->node[i]))
			unset = find_unset(s, g->node[i]);
	return unset;
}

int saved_variables_find(const Tf__MetaGraphDef *g, char **name)
{
	struct search s = {g, MAX_STEPS, NULL, 0};
	const Tf__NodeDef *restore, *unset;

	*name = NULL;
	if (!g->graph_def || !g->saver_def)
		return 0;
	restore = find_node(&s, g->saver_def->restore_op_name);
	if (!restore || !is_call(restore)) /* TensorFlow 1 restores by nodes of the main graph */
		return 0;
	if (collect_set(&s))
		return -1;
	unset = find_in_signatures(&s);
	free(s.set);
	if (unset)
		*name = strdup(unset->name);
	return unset && !*name ? -1 : 0;
}
