/* metric_wire.c: CloudWatch's three protocols: smithy-rpc-v2-cbor, JSON 1.0, query. One request and one answer for all. */
#include "sagemaker/local/calls.h"
#include "sagemaker/local/form.h"
#include "sagemaker/local/json_cbor.h"
#include "sagemaker/local/metric_calls.h"
#include "sagemaker/local/routes.h"
#include "sagemaker/local/validate.h"

#define REPLY_MOST ((size_t)64 << 20)
#define TARGET     "GraniteServiceVersion20100801."

cJSON *metric_request(struct request *r, const char *call)
{
	char target[96];
	struct err e;
	cJSON *j;

	snprintf(target, sizeof target, TARGET "%s", call);
	if (r->protocol == PROTO_JSON)
		return validate(r, NULL);
	if (r->protocol == PROTO_CBOR)
		j = r->body.len ? cbor_to_json(r->body.data, r->body.len, &e)
				: cJSON_CreateObject();
	else
		j = form_to_json(buf_cstr(&r->body), validate_shape(target), &e);
	if (j && cJSON_IsObject(j))
		return validate_as(r, target, j, NULL);
	reply_error(r, 400, "SerializationException", "%s",
		    j ? "the body is not a structure" : e.text);
	cJSON_Delete(j);
	return NULL;
}

static void put_xml(const struct request *r, const char *call, const cJSON *j, struct buf *out)
{
	char result[64];

	snprintf(result, sizeof result, "%sResult", call);
	buf_printf(out, "<%sResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\">",
		   call);
	xml_from_json(result, j, out);
	buf_printf(out,
		   "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>",
		   r->id, call);
}

static void put_json(const cJSON *j, struct buf *out)
{
	char *text = cJSON_PrintUnformatted(j);

	if (text)
		buf_str(out, text);
	else
		out->failed = true;
	cJSON_free(text);
}

void metric_reply(struct request *r, const char *call, cJSON *j)
{
	_cleanup_json_ cJSON *owned = j;
	_cleanup_buf_ struct buf b = BUF_INIT(REPLY_MOST);

	if (r->protocol == PROTO_QUERY)
		put_xml(r, call, owned, &b);
	else if (r->protocol == PROTO_CBOR)
		b.failed = cbor_from_json(owned, &b) < 0;
	else
		put_json(owned, &b);
	if (b.failed) {
		reply_error(r, 500, "InternalFailure", "out of memory");
		return;
	}
	reply_body(r, 200,
		   r->protocol == PROTO_QUERY  ? "text/xml"
		   : r->protocol == PROTO_CBOR ? "application/cbor"
					       : "application/x-amz-json-1.0",
		   &b);
	if (r->protocol == PROTO_CBOR)
		reply_header(r, "smithy-protocol", "rpc-v2-cbor");
}

void metrics_query(struct request *r)
{
	static const struct {
		const char *action;
		void (*handler)(struct request *r);
	} rows[] = {
		{"GetMetricData",       metrics_get_data      },
		{"GetMetricStatistics", metrics_get_statistics},
		{"ListMetrics",         metrics_list          },
	};

	char action[64];

	route_call(r, action);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (streq(rows[i].action, action)) {
			rows[i].handler(r);
			return;
		}
	}
	reply_error(r, 400, "InvalidAction", "Could not find operation %s", action);
}
