/* The local backend alone, for tests: local-serve DIR [--listen A:P] [--region R] [--until-unused] [--strict-runtimes]
 * [--faults JSON|@FILE]; prints its ready line on stdout. */
#include <stdio.h>

#include "sagemaker/local/local.h"

static bool take(int argc, char **argv, int *i, const char *name, const char **value)
{
	if (!streq(argv[*i], name) || *i + 1 >= argc)
		return false;
	*value = argv[++*i];
	return true;
}

int main(int argc, char **argv)
{
	struct local_options o = {.ready_fd = dup(1)};
	struct err e;

	for (int i = 1; i < argc; i++) {
		if (streq(argv[i], "--until-unused"))
			o.until_unused = true;
		else if (streq(argv[i], "--strict-runtimes"))
			o.strict_runtimes = true;
		else if (!take(argc, argv, &i, "--listen", &o.listen) &&
			 !take(argc, argv, &i, "--region", &o.region) &&
			 !take(argc, argv, &i, "--faults", &o.faults))
			o.store = argv[i];
	}
	if (!o.store) {
		fprintf(stderr, "usage: local-serve DIR [options]\n");
		return 2;
	}
	if (local_serve(&o, &e) == 0)
		return 0;
	fprintf(stderr, "local-serve: %s\n", e.text);
	return 1;
}
