"""CloudWatch's metrics of endpoints: what is counted, by which protocols it is asked for, and that it is kept."""
import datetime
import json
import os
import time
import urllib.parse
import xml.etree.ElementTree as ET

from harness import B, await_status, code_of, deploy, error_of, invoke, message_of, send, signed

NS = {"m": "http://monitoring.amazonaws.com/doc/2010-08-01/"}
DIMENSIONS = [{"Name": "EndpointName", "Value": "counted"}, {"Name": "VariantName", "Value": "AllTraffic"}]


def cloudwatch():
    return B.client("cloudwatch")


def span(minutes=10):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"StartTime": now - datetime.timedelta(minutes=minutes), "EndTime": now + datetime.timedelta(minutes=2)}


def statistics(name, namespace="AWS/SageMaker", period=3600, **kw):
    r = cloudwatch().get_metric_statistics(Namespace=namespace, MetricName=name, Dimensions=DIMENSIONS, Period=period,
                                           Statistics=["Sum", "Average", "Minimum", "Maximum", "SampleCount"], **dict(span(), **kw))
    assert r["Label"] == name
    return r["Datapoints"]


def total(name, **kw):
    """One statistic set of all datapoints: the hour may end within the test."""
    points = statistics(name, **kw)
    n = sum(p["SampleCount"] for p in points)
    s = sum(p["Sum"] for p in points)
    return {"n": n, "sum": s, "min": min(p["Minimum"] for p in points), "max": max(p["Maximum"] for p in points),
            "unit": points[0]["Unit"]}


def test_invocations_are_counted():
    deploy("counted")
    for _ in range(5):
        invoke("counted")
    invoke("counted", b'{"sleep": 0.2}')
    assert code_of(invoke, "counted", b'{"status": 400, "text": "no"}') == "ModelError"
    assert code_of(invoke, "counted", b'{"status": 503, "text": "no"}') == "ModelError"
    n = total("Invocations")
    assert n == {"n": 8, "sum": 8, "min": 1, "max": 1, "unit": "Count"}, n
    assert total("Invocation4XXErrors")["sum"] == 1 and total("Invocation4XXErrors")["n"] == 8
    assert total("Invocation5XXErrors")["sum"] == 1
    assert total("InvocationModelErrors")["sum"] == 2
    assert total("InvocationsPerInstance")["sum"] == 8
    latency = total("ModelLatency")
    assert latency["unit"] == "Microseconds" and latency["n"] == 8
    assert 0 < latency["min"] < latency["max"] and latency["max"] >= 200000, latency
    assert total("OverheadLatency")["min"] > 0


def test_streams_are_counted():
    b = B.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="counted", Body=b'{"stream": ["a", "b"]}', ContentType="application/json")["Body"]
    assert b"".join(e["PayloadPart"]["Bytes"] for e in b) == b"ab"
    assert total("Invocations")["sum"] == 9


def data(queries, **kw):
    return cloudwatch().get_metric_data(MetricDataQueries=queries, **dict(span(), **kw))


def query(id, name, stat, period=60, namespace="AWS/SageMaker"):
    return {"Id": id, "MetricStat": {"Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": DIMENSIONS},
                                     "Period": period, "Stat": stat}}


def test_get_metric_data():
    r = data([query("a", "Invocations", "Sum"), query("b", "Invocations", "Average"), query("c", "Nothing", "Sum")])
    a, b, c = r["MetricDataResults"]
    assert (a["Id"], a["Label"], a["StatusCode"]) == ("a", "Invocations", "Complete")
    assert sum(a["Values"]) == 9 and set(b["Values"]) == {1.0} and len(a["Timestamps"]) == len(a["Values"])
    assert c["Values"] == [] and r["Messages"] == []
    assert all(t.second == 0 and t.tzinfo for t in a["Timestamps"])
    assert a["Timestamps"] == sorted(a["Timestamps"], reverse=True)
    up = data([query("a", "Invocations", "Sum")], ScanBy="TimestampAscending")["MetricDataResults"][0]
    assert up["Timestamps"] == sorted(a["Timestamps"])


def test_get_metric_data_pages():
    queries = [query("q%d" % i, n, "Sum") for i, n in enumerate(("Invocations", "ModelLatency", "OverheadLatency"))]
    whole = data(queries)["MetricDataResults"]
    when = span()
    pages = list(cloudwatch().get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, PaginationConfig={"PageSize": 1}, **when))
    assert all(sum(len(r["Values"]) for r in p["MetricDataResults"]) <= 1 for p in pages)
    for i, r in enumerate(whole):
        assert [v for p in pages for v in p["MetricDataResults"][i]["Values"]] == r["Values"]


def test_list_metrics():
    rows = [m for p in cloudwatch().get_paginator("list_metrics").paginate(Namespace="AWS/SageMaker") for m in p["Metrics"]]
    ours = [m["MetricName"] for m in rows if m["Dimensions"] == DIMENSIONS]
    assert sorted(ours) == sorted(["Invocations", "InvocationsPerInstance", "Invocation4XXErrors", "Invocation5XXErrors",
                                   "InvocationModelErrors", "ModelLatency", "OverheadLatency"]), ours
    one = cloudwatch().list_metrics(MetricName="ModelLatency", Dimensions=[DIMENSIONS[0]], RecentlyActive="PT3H")["Metrics"]
    assert len(one) == 1 and one[0]["Dimensions"] == DIMENSIONS
    assert cloudwatch().list_metrics(Dimensions=[{"Name": "Other"}])["Metrics"] == []


def test_instances_are_measured():
    end = time.time() + 30
    while not statistics("CPUUtilization", namespace="/aws/sagemaker/Endpoints"):
        assert time.time() < end, "two samples of the processor come within 10 s"
        time.sleep(0.2)
    memory = total("MemoryUtilization", namespace="/aws/sagemaker/Endpoints")
    assert 0 < memory["min"] <= memory["max"] < 100 and memory["unit"] == "Percent"
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    assert memory["max"] / 100 * machine > 8 << 20, "the interpreter itself, not only what starts it"
    assert 0 < total("DiskUtilization", namespace="/aws/sagemaker/Endpoints")["min"] <= 100
    assert total("CPUUtilization", namespace="/aws/sagemaker/Endpoints")["min"] >= 0


def test_query_protocol():
    """As SDKs before CBOR ask: a form, XML back."""
    when = span()
    form = urllib.parse.urlencode([
        ("Action", "GetMetricStatistics"), ("Version", "2010-08-01"), ("Namespace", "AWS/SageMaker"), ("MetricName", "Invocations"),
        ("Dimensions.member.1.Name", "EndpointName"), ("Dimensions.member.1.Value", "counted"),
        ("Dimensions.member.2.Name", "VariantName"), ("Dimensions.member.2.Value", "AllTraffic"),
        ("StartTime", when["StartTime"].strftime("%Y-%m-%dT%H:%M:%SZ")), ("EndTime", when["EndTime"].isoformat()),
        ("Period", "3600"), ("Statistics.member.1", "Sum"), ("Statistics.member.2", "Maximum")])
    status, headers, body = send(signed("POST", "/", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"},
                                        service="monitoring"))
    assert status == 200 and headers["Content-Type"] == "text/xml", body
    root = ET.fromstring(body)
    points = root.findall("m:GetMetricStatisticsResult/m:Datapoints/m:member", NS)
    assert sum(float(p.find("m:Sum", NS).text) for p in points) == 9
    assert points[0].find("m:Timestamp", NS).text.endswith("Z") and points[0].find("m:Average", NS) is None
    assert root.find("m:ResponseMetadata/m:RequestId", NS).text
    form = form.replace("Period=3600", "Period=61")
    status, _, body = send(signed("POST", "/", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"},
                                  service="monitoring"))
    assert status == 400 and b"<Code>InvalidParameterValue</Code>" in body


def test_query_protocol_of_data_and_list():
    for action in ("GetMetricData&MetricDataQueries.member.1.Id=a&MetricDataQueries.member.1.MetricStat.Period=60&"
                   "MetricDataQueries.member.1.MetricStat.Stat=Sum&MetricDataQueries.member.1.MetricStat.Metric.Namespace=AWS/SageMaker&"
                   "StartTime=2026-01-01T00:00:00Z&EndTime=2026-01-01T01:00:00.5Z", "ListMetrics&Namespace=AWS/SageMaker"):
        status, _, body = send(signed("POST", "/", ("Version=2010-08-01&Action=" + action).encode(),
                                      {"Content-Type": "application/x-www-form-urlencoded"}, service="monitoring"))
        assert status == 200, body
        ET.fromstring(body)
    for bad, code in (("Action=PutMetricData", b"InvalidAction"), ("Action=ListMetrics&a.b=1&a=2", b"SerializationException"),
                      ("Action=ListMetrics&Namespace=:x", b"ValidationError")):
        status, _, body = send(signed("POST", "/", bad.encode(), {"Content-Type": "application/x-www-form-urlencoded"},
                                      service="monitoring"))
        assert status == 400 and b"<Code>" + code + b"</Code>" in body, (bad, body)


def test_json_protocol():
    when = span()
    ask = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": DIMENSIONS, "Period": 3600, "Statistics": ["Sum"],
           "StartTime": when["StartTime"].timestamp(), "EndTime": when["EndTime"].timestamp()}

    def post(ask):
        return send(signed("POST", "/", json.dumps(ask).encode(), {
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "GraniteServiceVersion20100801.GetMetricStatistics"},
            service="monitoring"))
    status, headers, body = post(ask)
    assert status == 200 and headers["Content-Type"] == "application/x-amz-json-1.0", body
    assert sum(p["Sum"] for p in json.loads(body)["Datapoints"]) == 9
    # The exception's own name in the body, which Go looks for, and the query protocol's in the header, which boto3 looks for.
    status, headers, body = post(dict(ask, Period=90))
    assert status == 400 and json.loads(body)["__type"] == "InvalidParameterValueException", body
    assert headers["x-amzn-query-error"] == "InvalidParameterValue;Sender"


def test_cbor_names_its_exceptions():
    bad_token = b"\xa1\x69NextToken\x61x"
    status, headers, body = send(signed("POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics", bad_token,
                                        {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, service="monitoring"))
    assert status == 400 and b"InvalidParameterValueException" in body, body
    assert headers["x-amzn-query-error"] == "InvalidParameterValue;Sender"


def test_cbor_that_is_none():
    for body in (b"\xff", b"\x81" * 5000, b"\xbf", b"\x9f\xff", b"\xa1\x01\x02", b"\x5b" + b"\xff" * 8, b"\xa1\x61a\x41b"):
        status, headers, answer = send(signed("POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics", body,
                                              {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"},
                                              service="monitoring"))
        assert status == 400 and b"SerializationException" in answer, (body[:20], answer)
        assert headers["smithy-protocol"] == "rpc-v2-cbor"


def test_what_is_refused():
    assert code_of(statistics, "Invocations", period=90) == "InvalidParameterValue"
    when = span()
    assert code_of(statistics, "Invocations", StartTime=when["EndTime"], EndTime=when["StartTime"]) == "InvalidParameterValue"
    assert "1,440" in message_of(statistics, "Invocations", period=60, **span(100000)) or \
        "exceeds the limit of 1440" in message_of(statistics, "Invocations", period=60, **span(100000))
    assert "no percentiles" in message_of(cloudwatch().get_metric_statistics, Namespace="AWS/SageMaker", MetricName="ModelLatency",
                                          Period=60, ExtendedStatistics=["p99"], **span())
    assert "not 'p99'" in message_of(data, [query("a", "ModelLatency", "p99")])
    assert "no expressions" in message_of(data, [{"Id": "a", "Expression": "SUM(METRICS())"}])
    assert code_of(data, [query("a", "Invocations", "Sum")], NextToken="x") in ("InvalidNextToken", "InvalidNextTokenException")


def test_metrics_survive_a_kill_but_for_the_last_minute():
    """A minute's end is waited for: what was counted before it is on disk, whatever happens then."""
    before = total("Invocations")["sum"]
    start = time.time()
    time.sleep(61 - start % 60 + 2)
    B.kill()
    B.start()
    await_status("counted", "InService")
    assert total("Invocations")["sum"] == before
    invoke("counted")
    assert total("Invocations")["sum"] == before + 1
    assert B.stop() < 10
    B.start()
    await_status("counted", "InService")
    assert total("Invocations")["sum"] == before + 1, "an orderly end loses nothing"
    B.client("sagemaker").delete_endpoint(EndpointName="counted")
    await_status("counted", "gone")
    assert total("Invocations")["sum"] == before + 1
