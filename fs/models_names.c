/* models_names.c: the rule of models' names and what endpoints make of them. Pure. */
#include "fs/models_room.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

bool model_name_ok(const char *name)
{
	size_t n = strlen(name);

	return n && n < sizeof((struct model *)0)->name && strchr(LETTERS, name[0]) &&
	       strspn(name, LETTERS "._-") == n;
}

/* The endpoint's name that a model's gives: [._]+ -> '-'. */
void models_canonical(const char *model, char out[64])
{
	size_t n = 0;

	for (const char *p = model; *p && n < 63; p++) {
		bool dot = *p == '.' || *p == '_';

		if (!dot)
			out[n++] = *p;
		else if (p == model || (p[-1] != '.' && p[-1] != '_'))
			out[n++] = '-';
	}
	out[n] = 0;
}
