/*
 * saved_variables.c: TensorFlow 2 saves one call node per signature, one for saving and one for restoring, and each takes the
 * handles of its variables from the main graph. A handle that only signatures take is never restored.
 */
#include "sagemaker/saved_variables.h"

/* Looks at an input: under a second. A graph that needs more is not looked at. */
#define MAX_STEPS 50000000U

static bool refers(const char *input, const char *name)
{
	size_t n = strlen(name);

	return strncmp(input, name, n) == 0 && (input[n] == '\0' || input[n] == ':');
}

static const Tf__NodeDef *find_node(const Tf__GraphDef *g, const char *input)
{
	for (size_t i = 0; i < g->n_node; i++)
		if (refers(input, g->node[i]->name))
			return g->node[i];
	return NULL;
}

static const Tf__NodeDef *find_call(const Tf__GraphDef *g, const char *name)
{
	const Tf__NodeDef *node = find_node(g, name);

	return node && ends_with(node->op, "PartitionedCall") ? node : NULL;
}

/* Whether the node makes the output of a signature. */
static bool serves(const Tf__MetaGraphDef *g, const Tf__NodeDef *node)
{
	for (size_t i = 0; i < g->n_signature_def; i++) {
		const Tf__SignatureDef *s = g->signature_def[i]->value;

		for (size_t k = 0; k < s->n_outputs; k++)
			if (refers(s->outputs[k]->value->name, node->name))
				return true;
	}
	return false;
}

static bool takes(const Tf__NodeDef *node, const char *name)
{
	for (size_t i = 0; i < node->n_input; i++)
		if (refers(node->input[i], name))
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
static bool is_set(const Tf__MetaGraphDef *g, const Tf__NodeDef *handle)
{
	for (size_t i = 0; i < g->graph_def->n_node; i++) {
		const Tf__NodeDef *node = g->graph_def->node[i];

		if (node == handle)
			continue;
		if (streq(node->op, "VarHandleOp") && same_variable(node, handle))
			return true; /* by another handle, perhaps: not looked into */
		if (!streq(node->op, "ReadVariableOp") && takes(node, handle->name) &&
		    !serves(g, node))
			return true;
	}
	return false;
}

static size_t count_inputs(const Tf__GraphDef *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n_node; i++)
		n += g->node[i]->n_input + 1;
	return n;
}

static const Tf__NodeDef *find_unset(const Tf__MetaGraphDef *g, const Tf__NodeDef *call)
{
	for (size_t i = 0; i < call->n_input; i++) {
		const Tf__NodeDef *node = find_node(g->graph_def, call->input[i]);

		if (node && streq(node->op, "VarHandleOp") && !is_set(g, node))
			return node;
	}
	return NULL;
}

int saved_variables_find(const Tf__MetaGraphDef *g, char **name)
{
	*name = NULL;
	/* A graph of TensorFlow 1 restores by nodes of its own, not by a call. */
	if (!g->graph_def || !g->saver_def ||
	    !find_call(g->graph_def, g->saver_def->restore_op_name))
		return 0;
	size_t all = count_inputs(g->graph_def), steps = MAX_STEPS;
	for (size_t i = 0; i < g->graph_def->n_node; i++) {
		const Tf__NodeDef *call = g->graph_def->node[i], *unset;

		if (!ends_with(call->op, "PartitionedCall") || !serves(g, call))
			continue;
		if ((call->n_input + 1) * all > steps)
			return 0;
		steps -= (call->n_input + 1) * all;
		unset = find_unset(g, call);
		if (unset) {
			*name = strdup(unset->name);
			return *name ? 0 : -1;
		}
	}
	return 0;
}
