/* A request's head as any client may send it: "METHOD URI", lines "Name: value". Whatever it is, it is refused with an answer, or it is
 * signed by our key; and none of it is, unless it was signed. libmicrohttpd, which gives the headers, stays out: the two functions of it
 * that are called are here. */
#include <microhttpd.h>
#include <strings.h>

#include "sagemaker/local/auth.h"
#include "sagemaker/local/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct {
	char *name, *value;
} headers[32];

static size_t n_headers;

const char *MHD_lookup_connection_value(struct MHD_Connection *c, enum MHD_ValueKind kind,
					const char *name)
{
	(void)c, (void)kind;
	for (size_t i = 0; i < n_headers; i++) {
		if (strcasecmp(headers[i].name, name) == 0)
			return headers[i].value;
	}
	return NULL;
}

int MHD_get_connection_values(struct MHD_Connection *c, enum MHD_ValueKind kind,
			      MHD_KeyValueIterator fn, void *arg)
{
	(void)c;
	for (size_t i = 0; i < n_headers; i++)
		if (fn(arg, kind, headers[i].name, headers[i].value) == MHD_NO)
			break;
	return (int)n_headers;
}

/* The lines after the first. */
static void read_headers(char *text)
{
	char *save = NULL;

	n_headers = 0;
	for (char *line = strtok_r(text, "\n", &save); line && n_headers < ARRAY_SIZE(headers);
	     line = strtok_r(NULL, "\n", &save)) {
		char *colon = strstr(line, ": ");
		if (!colon)
			continue;
		*colon = '\0';
		headers[n_headers].name = line;
		headers[n_headers++].value = colon + 2;
	}
}

static void check(struct request *r)
{
	bool parsed = request_parse_args(r, r->query, true) == 0, readable = auth_read(r);

	r->protocol = route_protocol(r);
	if (!parsed)
		return;
	if (!readable) {
		if (!r->reply.status)
			auth_refuse_malformed(r);
	} else if (auth_headers(r) && auth_signature(r, r->auth.payload)) {
		abort(); /* nobody knows the key */
	}
	if (r->reply.status < 400)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct backend be = {.region = "us-east-1", .access_key = "AKIDLOCAL", .host_id = "host"};
	_cleanup_free_ char *text = strndup((const char *)p, n);
	char *save = NULL, *head = text ? strtok_r(text, "\n", &save) : NULL;
	char *uri = head ? strchr(head, ' ') : NULL;

	if (!uri)
		return 0;
	*uri++ = '\0';
	memset(be.secret_key, 'k', sizeof be.secret_key - 1);
	struct request *r = request_new(&be, uri);
	if (!r)
		return 0;
	snprintf(r->method, sizeof r->method, "%s", head);
	read_headers(save);
	check(r);
	request_free(r);
	return 0;
}
