/* framework.c: the table. A new framework is one row here and one file beside tensorflow.c. */
#include "sagemaker/framework.h"

#include "sagemaker/mxnet.h"
#include "sagemaker/tensorflow.h"

const struct framework framework_all[] = {
	{"tensorflow", "application/json", tensorflow_detect, tensorflow_lay_out},
	{"mxnet",      "application/json", mxnet_detect,      mxnet_lay_out     },
	{NULL,         NULL,               NULL,              NULL              },
};

const struct framework *framework_find(const char *name)
{
	for (const struct framework *f = framework_all; f->name; f++)
		if (streq(f->name, name))
			return f;
	return NULL;
}
