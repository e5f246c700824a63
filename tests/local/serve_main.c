/* The local backend alone, for tests: local-serve --store DIR [options of serve]; prints its ready line on stdout. */
#include <stdio.h>

#include "sagemaker/local/local.h"

int main(int argc, char **argv)
{
	struct local_options o;
	struct err e;

	if (local_options_parse(&o, argc, argv, &e) == 0 && o.store) {
		o.ready_fd = dup(1);
		if (local_serve(&o, &e) == 0)
			return 0;
	}
	fprintf(stderr, "local-serve: %s\n", o.store ? e.text : "--store DIR is needed");
	return 1;
}
