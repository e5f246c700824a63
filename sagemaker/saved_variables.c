/*
 * saved_variables.c: TensorFlow 2 saves one call node per signature, one for saving and one for restoring, and each takes the
 * handles of its variables from the main graph. A handle that only signatures take is never restored.
 */
#include "sagemaker/saved_variables.h"

/* Looks at a name: under a second. When they are used up, nothing more is found. */
#define MAX_STEPS 50000000U

struct search {
	const Tf__MetaGraphDef *g;
	size_t steps;
};

static bool refers(struct search *s, const char *input, const char *name)
{
	size_t n = strlen(name);

	if (!s->steps)
		return false;
	s->steps--;
	return strncmp(input, name, n) == 0 && (input[n] == '\0' || input[n] == ':');
}

static const Tf__NodeDef *find_node(struct search *s, const char *input)
{
	const Tf__GraphDef *g = s->g->graph_def;

	for (size_t i = 0; i < g->n_node && s->steps; i++)
		if (refers(s, input, g->node[i]->name))
			return g->node[i];
	return NULL;
}

static bool is_call(const Tf__NodeDef *node)
{
	return ends_with(node->op, "PartitionedCall");
}

/* Whether the node makes the output of a signature. */
static bool serves(struct search *s, const Tf__NodeDef *node)
{
	for (size_t i = 0; i < s->g->n_signature_def; i++) {
		const Tf__SignatureDef *d = s->g->signature_def[i]->value;

		for (size_t k = 0; k < d->n_outputs; k++)
			if (refers(s, d->outputs[k]->value->name, node->name))
				return true;
	}
	return false;
}

static bool takes(struct search *s, const Tf__NodeDef *node, const char *name)
{
	for (size_t i = 0; i < node->n_input; i++)
		if (refers(s, node->input[i], name))
			return true;
	return false;
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

/* Whether anything but reading and signatures takes the variable: restoring it does, an initializer may. */
static bool is_set(struct search *s, const Tf__NodeDef *handle)
{
	const Tf__GraphDef *g = s->g->graph_def;

	for (size_t i = 0; i < g->n_node && s->steps; i++) {
		const Tf__NodeDef *node = g->node[i];

		if (node == handle)
			continue;
		if (streq(node->op, "VarHandleOp") && same_variable(node, handle))
			return true; /* by another handle, perhaps: not looked into */
		if (!streq(node->op, "ReadVariableOp") && takes(s, node, handle->name) &&
		    !serves(s, node))
			return true;
	}
	return !s->steps;
}

static const Tf__NodeDef *find_unset(struct search *s, const Tf__NodeDef *call)
{
	for (size_t i = 0; i < call->n_input && s->steps; i++) {
		const Tf__NodeDef *node = find_node(s, call->input[i]);

		if (node && streq(node->op, "VarHandleOp") && !is_set(s, node))
			return node;
	}
	return NULL;
}

int saved_variables_find(const Tf__MetaGraphDef *g, char **name)
{
	struct search s = {g, MAX_STEPS};
	const Tf__NodeDef *restore;

	*name = NULL;
	if (!g->graph_def || !g->saver_def)
		return 0;
	restore = find_node(&s, g->saver_def->restore_op_name);
	if (!restore || !is_call(restore)) /* TensorFlow 1 restores by nodes of the main graph */
		return 0;
	for (size_t i = 0; i < g->graph_def->n_node && s.steps; i++) {
		const Tf__NodeDef *call = g->graph_def->node[i];
		const Tf__NodeDef *unset =
			is_call(call) && serves(&s, call) ? find_unset(&s, call) : NULL;

		if (unset) {
			*name = strdup(unset->name);
			return *name ? 0 : -1;
		}
	}
	return 0;
}
