/* The wires of CloudWatch's metrics: CBOR and forms to JSON and back; and what is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/local/form.h"
#include "sagemaker/local/json_cbor.h"
#include "sagemaker/local/metrics.h"
#include "sagemaker/local/validate.h"

#define BYTES(s) (s), sizeof(s) - 1

static void reads(const char *bytes, size_t n, const char *json)
{
	struct err e;
	_cleanup_json_ cJSON *j = cbor_to_json(bytes, n, &e);
	char *text = j ? cJSON_PrintUnformatted(j) : NULL;

	if (json)
		assert_string_equal(text ? text : e.text, json);
	else
		assert_null(j);
	cJSON_free(text);
}

/* RFC 8949, appendix A, and how the SDKs write: maps with and without a count. */
static void cbor_is_read(void **state)
{
	(void)state;
	reads(BYTES("\xa0"), "{}");
	reads(BYTES("\xa2\x61\x61\x01\x61\x62\x82\x02\x03"), "{\"a\":1,\"b\":[2,3]}");
	reads(BYTES("\xbf\x61\x61\x01\x61\x62\x9f\x02\x03\xff\xff"), "{\"a\":1,\"b\":[2,3]}");
	reads(BYTES("\xa1\x61t\xc1\x1a\x51\x4b\x67\xb0"), "{\"t\":1363896240}");
	reads(BYTES("\xa1\x61t\xc1\xfb\x41\xd4\x52\xd9\xec\x20\x00\x00"), "{\"t\":1363896240.5}");
	reads(BYTES("\x84\x20\x38\x63\xf9\x3c\x00\xfa\x47\xc3\x50\x00"), "[-1,-100,1,100000]");
	reads(BYTES("\x83\xf4\xf5\xf6"), "[false,true,null]");
	reads(BYTES("\x62\xc3\xbc"), "\"\xc3\xbc\"");
	reads(BYTES("\x82\xa0\x80"), "[{},[]]");
}

static void other_cbor_is_refused(void **state)
{
	char deep[64];

	(void)state;
	reads(BYTES(""), NULL);
	reads(BYTES("\xff"), NULL);
	reads(BYTES("\xbf"), NULL);
	reads(BYTES("\xbf\x61\x61\xff"), NULL);     /* a key without its value */
	reads(BYTES("\xa1\x01\x02"), NULL);         /* a key that is no text */
	reads(BYTES("\xa1\x61\x61\x41\x62"), NULL); /* bytes */
	reads(BYTES("\x7f\x61\x61\xff"), NULL);     /* a text in pieces */
	reads(BYTES("\x61\x00"), NULL);
	reads(BYTES("\x01\x02"), NULL);
	reads(BYTES("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), NULL);
	reads(BYTES("\xbb\x80\x00\x00\x00\x00\x00\x00\x00"), NULL);
	memset(deep, '\x81', sizeof deep);
	reads(deep, sizeof deep, NULL);
}

static void cbor_is_written(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1024);
	_cleanup_json_ cJSON *j = cJSON_Parse(
		"{\"Timestamps\":[60],\"Values\":[1.5],\"Label\":\"\xc3\xbc\",\"b\":true,\"n\":null}");
	static const char want[] =
		"\xa5\x6aTimestamps\x81\xc1\xfb\x40\x4e\x00\x00\x00\x00\x00\x00\x66Values\x81\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00"
		"\x65Label\x62\xc3\xbc\x61"
		"b\xf5\x61n\xf6";

	(void)state;
	assert_int_equal(cbor_from_json(j, &b), 0);
	assert_int_equal(b.len, sizeof want - 1);
	assert_memory_equal(b.data, want, b.len);
}

static void forms_are_read(void **state)
{
	const struct api_shape *shape =
		validate_shape("GraniteServiceVersion20100801.GetMetricData");
	struct err e;
	_cleanup_json_ cJSON *j = form_to_json(
		"Action=GetMetricData&MetricDataQueries.member.2.Id=b&MetricDataQueries.member.1.Id=a%20c&"
		"MetricDataQueries.member.1.ReturnData=false&MetricDataQueries.member.1.MetricStat.Period=60&"
		"StartTime=1970-01-01T00:01:00.5Z&EndTime=1970-01-01T01:00:00%2B01:00&MaxDatapoints=x",
		shape, &e);
	char *text = cJSON_PrintUnformatted(j);

	(void)state;
	assert_string_equal(
		text,
		"{\"MetricDataQueries\":[{\"Id\":\"a c\",\"MetricStat\":{\"Period\":60},\"ReturnData\":false},{\"Id\":\"b\"}],"
		"\"StartTime\":60.5,\"EndTime\":0,\"MaxDatapoints\":\"x\"}");
	cJSON_free(text);
	assert_null(form_to_json("a.b=1&a=2", shape, &e));
	assert_null(form_to_json("a=1&a.b=2", shape, &e));
	assert_null(form_to_json("a=%zz", shape, &e));
	assert_null(form_to_json("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r=1", shape, &e));
}

static void xml_is_written(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1024);
	_cleanup_json_ cJSON *j =
		cJSON_Parse("{\"Timestamps\":[60],\"Values\":[0.25,2],\"Label\":\"a<b\"}");

	(void)state;
	xml_from_json("R", j, &b);
	assert_string_equal(
		buf_cstr(&b),
		"<R><Timestamps><member>1970-01-01T00:01:00.000Z</member></Timestamps>"
		"<Values><member>0.25</member><member>2</member></Values><Label>a&lt;b</Label></R>");
}

static void statistics_add_up(void **state)
{
	const struct bucket a = {2, 5, 1, 4}, b = {1, 9, 9, 9}, none = {0};
	struct bucket sum = {0};

	(void)state;
	bucket_merge(&sum, &none);
	assert_true(sum.n == 0);
	bucket_merge(&sum, &a);
	bucket_merge(&sum, &b);
	bucket_merge(&sum, &none);
	assert_true(sum.n == 3 && sum.sum == 14 && sum.low == 1 && sum.high == 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cbor_is_read),    cmocka_unit_test(other_cbor_is_refused),
		cmocka_unit_test(cbor_is_written), cmocka_unit_test(forms_are_read),
		cmocka_unit_test(xml_is_written),  cmocka_unit_test(statistics_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
