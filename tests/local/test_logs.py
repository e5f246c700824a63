"""CloudWatch Logs: what the model servers print, by stream, by time, by pattern; also of endpoints that are no more."""
import json
import time

from harness import B, archive, await_status, code_of, deploy, invoke, message_of

GROUP = "/aws/sagemaker/Endpoints/"
CRASHES = (("export/Servo/1/saved_model.pb", b"x"), ("crash-at-start", b""))


def say(endpoint, *lines):
    """The model server prints these lines."""
    invoke(endpoint, json.dumps({"print": list(lines)}).encode())


def logs():
    return B.client("logs")


def stream_of(endpoint):
    streams = logs().describe_log_streams(logGroupName=GROUP + endpoint)["logStreams"]
    assert len(streams) == 1, streams
    return streams[0]


def pages_of(endpoint, **kw):
    """Every page from the head, as boto3's own paginator does not exist for GetLogEvents: until the token stays."""
    kw.update(logGroupName=GROUP + endpoint, logStreamName=stream_of(endpoint)["logStreamName"], startFromHead=True)
    pages = []
    while True:
        page = logs().get_log_events(**kw)
        if page["nextForwardToken"] == kw.get("nextToken"):
            assert not page["events"]
            return pages
        pages.append(messages(page["events"]))
        kw["nextToken"] = page["nextForwardToken"]


def messages(events):
    return [e["message"] for e in events if not e["message"].startswith("POST /invocations")]


def test_group_and_stream():
    deploy("talks")
    before = time.time() * 1000  # files' times come from a clock of 4 ms
    say("talks", "hello", "", "w\u00f6rld \u2603", "third ERROR here")
    group = logs().describe_log_groups(logGroupNamePrefix=GROUP + "talks")["logGroups"]
    assert [g["logGroupName"] for g in group] == [GROUP + "talks"], group
    assert group[0]["arn"] == "arn:aws:logs:us-east-1:123456789012:log-group:%stalks:*" % GROUP
    assert group[0]["storedBytes"] > 0
    s = stream_of("talks")
    variant, instance = s["logStreamName"].split("/")
    assert variant == "AllTraffic" and instance.startswith("i-") and len(instance) == 19
    assert before - 60000 < s["creationTime"] <= s["firstEventTimestamp"] <= s["lastEventTimestamp"] <= time.time() * 1000 + 1
    events = logs().get_log_events(logGroupName=GROUP + "talks", logStreamName=s["logStreamName"])["events"]
    assert "served by tensorflow 9.9.9" in events[0]["message"]
    assert messages(events)[-3:] == ["hello", "w\u00f6rld \u2603", "third ERROR here"], events
    assert all(before - 20 <= e["timestamp"] <= time.time() * 1000 + 1 for e in events[-3:]), events
    by_arn = logs().get_log_events(logGroupIdentifier=group[0]["logGroupArn"], logStreamName=s["logStreamName"])["events"]
    assert by_arn == events


def test_pages_forward_end():
    say("talks", *["line %d" % i for i in range(25)])
    pages = pages_of("talks", limit=10)
    assert all(len(p) <= 10 for p in pages) and len(pages) >= 3
    assert sum(pages, [])[-25:] == ["line %d" % i for i in range(25)]


def test_pages_backward_end():
    name = stream_of("talks")["logStreamName"]
    ask = {"logGroupName": GROUP + "talks", "logStreamName": name, "limit": 7}
    page, seen = logs().get_log_events(**ask), []
    assert messages(page["events"]) == ["line %d" % i for i in range(18, 25)]
    forward = logs().get_log_events(nextToken=page["nextForwardToken"], **ask)
    assert not forward["events"] and forward["nextForwardToken"] == page["nextForwardToken"]
    while page["events"]:
        seen = messages(page["events"]) + seen
        token = page["nextBackwardToken"]
        page = logs().get_log_events(nextToken=token, **ask)
    assert page["nextBackwardToken"] == token
    assert seen == sum(pages_of("talks"), [])
    say("talks", "after the end")
    more = logs().get_log_events(nextToken=forward["nextForwardToken"], startFromHead=True, **ask)
    assert messages(more["events"]) == ["after the end"]


def test_events_by_time():
    time.sleep(1.2)
    say("talks", "early")
    time.sleep(1.2)
    middle = int(time.time() * 1000)
    time.sleep(1.2)
    say("talks", "late")
    name = stream_of("talks")["logStreamName"]
    ask = {"logGroupName": GROUP + "talks", "logStreamName": name, "startFromHead": True}
    assert messages(logs().get_log_events(startTime=middle, **ask)["events"]) == ["late"]
    before = messages(logs().get_log_events(endTime=middle, **ask)["events"])
    assert before[-1] == "early" and "late" not in before
    assert messages(logs().filter_log_events(logGroupName=GROUP + "talks", startTime=middle)["events"]) == ["late"]
    assert not logs().get_log_events(startTime=middle + 100000, **ask)["events"]


def test_filter_patterns():
    def found(pattern, **kw):
        return messages(logs().filter_log_events(logGroupName=GROUP + "talks", filterPattern=pattern, **kw)["events"])

    assert found("ERROR") == ["third ERROR here"] and found("error") == []
    assert found("here third") == ["third ERROR here"] and found('"ERROR here"') == ["third ERROR here"]
    assert found('"here ERROR"') == []
    assert found("?early ?late") == ["early", "late"]
    assert found("line -\"line 1\"")[:2] == ["line 0", "line 2"]
    assert found("") == sum(pages_of("talks"), [])
    for bad in ('{ $.a = 1 }', '[a, b]', '%x%', 'a-b', '"open'):
        assert code_of(logs().filter_log_events, logGroupName=GROUP + "talks",
                       filterPattern=bad) == "InvalidParameterException", bad
    assert "terms" in message_of(logs().filter_log_events, logGroupName=GROUP + "talks", filterPattern="{ $.a = 1 }")


def test_filter_pages():
    whole = logs().filter_log_events(logGroupName=GROUP + "talks")["events"]
    assert [e["timestamp"] for e in whole] == sorted(e["timestamp"] for e in whole)
    assert len({e["eventId"] for e in whole}) == len(whole)
    pager = logs().get_paginator("filter_log_events")
    paged = [e for p in pager.paginate(logGroupName=GROUP + "talks", PaginationConfig={"PageSize": 4}) for e in p["events"]]
    assert paged == whole


def test_filter_merges_streams():
    sm = B.client("sagemaker")
    sm.update_endpoint_weights_and_capacities(EndpointName="talks", DesiredWeightsAndCapacities=[
        {"VariantName": "AllTraffic", "DesiredInstanceCount": 2}])
    end = time.time() + 30
    while len(logs().describe_log_streams(logGroupName=GROUP + "talks")["logStreams"]) < 2 or \
            sm.describe_endpoint(EndpointName="talks")["EndpointStatus"] != "InService":
        assert time.time() < end
        time.sleep(0.05)
    streams = logs().describe_log_streams(logGroupName=GROUP + "talks", orderBy="LastEventTime", descending=True)["logStreams"]
    assert streams[0]["lastEventTimestamp"] >= streams[1]["lastEventTimestamp"]
    pages = logs().get_paginator("describe_log_streams").paginate(logGroupName=GROUP + "talks", PaginationConfig={"PageSize": 1})
    assert [s["logStreamName"] for p in pages for s in p["logStreams"]] == sorted(s["logStreamName"] for s in streams)
    served = logs().filter_log_events(logGroupName=GROUP + "talks", filterPattern="served")["events"]
    assert {e["logStreamName"] for e in served} == {s["logStreamName"] for s in streams}
    one = logs().filter_log_events(logGroupName=GROUP + "talks", logStreamNames=[streams[0]["logStreamName"]])["events"]
    assert {e["logStreamName"] for e in one} == {streams[0]["logStreamName"]}
    assert code_of(logs().describe_log_streams, logGroupName=GROUP + "talks", orderBy="LastEventTime",
                   logStreamNamePrefix="A") == "InvalidParameterException"


def test_what_is_not_there():
    assert message_of(logs().describe_log_streams, logGroupName=GROUP + "nobody") == "The specified log group does not exist."
    for group in ("other", GROUP + "../endpoints", GROUP):
        assert code_of(logs().describe_log_streams, logGroupName=group) == "ResourceNotFoundException", group
    for stream in ("AllTraffic/i-none", "none", "../talks", "AllTraffic/.."):
        assert message_of(logs().get_log_events, logGroupName=GROUP + "talks", logStreamName=stream) == \
            "The specified log stream does not exist.", stream
    assert code_of(logs().get_log_events, logGroupName=GROUP + "talks", logStreamName=stream_name(),
                   nextToken="x/1") == "InvalidParameterException"
    assert code_of(logs().describe_log_streams, logGroupName="a b") == "InvalidParameterException"


def stream_name():
    return logs().describe_log_streams(logGroupName=GROUP + "talks")["logStreams"][0]["logStreamName"]


def test_long_and_odd_lines():
    deploy("odd")
    say("odd", "x" * 600000, "\tindented", "end")
    texts = [m for p in pages_of("odd") for m in p]
    assert [len(t) for t in texts if t.startswith("xxx")] == [262144, 262144, 600000 - 2 * 262144]
    assert texts[-2:] == ["\tindented", "end"]


def test_aws_logs_tail_pages():
    """What `aws logs tail` asks, by its own client code: FilterLogEvents by time, interleaved."""
    pager = logs().get_paginator("filter_log_events")
    pages = pager.paginate(logGroupName=GROUP + "odd", startTime=0, interleaved=True, PaginationConfig={"PageSize": 2})
    assert messages(e for p in pages for e in p["events"])[-1] == "end"


def test_failed_endpoint_keeps_its_log():
    deploy("dies", archive(CRASHES), wait="Failed")
    text = "\n".join(sum(pages_of("dies"), []))
    assert "the model asked for a crash at start" in text, text
    B.client("sagemaker").delete_endpoint(EndpointName="dies")
    await_status("dies", "gone")
    assert "\n".join(sum(pages_of("dies"), [])) == text


def test_log_survives_kill():
    say("odd", "the last words before the kill")
    texts = sum(pages_of("odd"), [])
    s = stream_of("odd")
    B.kill()
    B.start()
    await_status("odd", "InService")
    events = logs().get_log_events(logGroupName=GROUP + "odd", logStreamName=s["logStreamName"], startFromHead=True)["events"]
    assert messages(events) == texts
    assert events[-1]["timestamp"] == s["lastEventTimestamp"]
    streams = logs().describe_log_streams(logGroupName=GROUP + "odd")["logStreams"]
    assert len(streams) == 2, "an instance that was started anew has a stream of its own"
    for name in ("odd", "talks"):
        await_status(name, "InService")
        B.client("sagemaker").delete_endpoint(EndpointName=name)
        await_status(name, "gone")
