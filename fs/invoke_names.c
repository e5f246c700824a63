#include "fs/invoke_names.h"

#include <ctype.h>
#include <strings.h>

struct extension {
	const char *name, *type;
};

static const struct extension extensions[] = {
	{"json",     "application/json"               },
	{"jsonl",    "application/jsonlines"          },
	{"csv",      "text/csv"                       },
	{"txt",      "text/plain"                     },
	{"libsvm",   "text/libsvm"                    },
	{"npy",      "application/x-npy"              },
	{"npz",      "application/x-npz"              },
	{"parquet",  "application/x-parquet"          },
	{"recordio", "application/x-recordio-protobuf"},
	{"bin",      "application/octet-stream"       },
	{"jpg",      "image/jpeg"                     },
	{"png",      "image/png"                      },
};

/* SageMaker's rule: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}. */
static bool endpoint_name(const char *s, size_t n)
{
	if (n == 0 || n > ENDPOINT_NAME_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-')
			return false;
	return true;
}

static const char *type_of(const char *extension)
{
	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
		if (streq(extensions[i].name, extension))
			return extensions[i].type;
	return NULL;
}

int invoke_name(const char *name, char endpoint[ENDPOINT_NAME_MAX + 1], const char **type)
{
	const char *dot = strchr(name, '.');
	size_t n = dot ? (size_t)(dot - name) : strlen(name);

	*type = dot ? type_of(dot + 1) : NULL;
	if (!endpoint_name(name, n) || (dot && !*type))
		return -1;
	memcpy(endpoint, name, n);
	endpoint[n] = '\0';
	return 0;
}

bool invoke_is_json(const char *type)
{
	static const char *const plain[] = {"application/json", "application/jsonlines",
					    "application/jsons", "application/x-ndjson",
					    "text/json"};
	size_t n = strcspn(type, "; ");

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (n == strlen(plain[i]) && strncasecmp(type, plain[i], n) == 0)
			return true;
	return n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0;
}
