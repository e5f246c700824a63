"""stats.json: what the backend has done, and what it does."""
import datetime
import json
import os
import time

from harness import B, await_status, code_of, deploy, invoke


def stats_where(ready, seconds=20):
    """The file once it says what is waited for: it is written every few seconds."""
    end = time.time() + seconds
    s = None
    while time.time() < end:
        try:
            s = json.load(open(B.store + "/stats.json"))
        except FileNotFoundError:
            s = None
        if s and ready(s):
            return s
        time.sleep(0.05)
    raise AssertionError(s)


def fresh():
    """What has happened until now is in it."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
    B.client("sts").get_caller_identity()  # a change, so it is written
    return stats_where(lambda s: s["time"] > now)


def count(s, call, status="2xx"):
    return s["requests"].get(call, {}).get(status, 0)


def test_stats_count_requests():
    before = fresh()
    deploy("observed")
    for _ in range(3):
        invoke("observed", b"x" * 1000)
    assert code_of(invoke, "observed", b'{"status": 500}') == "ModelError"
    B.client("sts").get_caller_identity()
    B.client("cloudwatch").list_metrics()
    s = fresh()
    assert count(s, "ListMetrics") > count(before, "ListMetrics")
    assert count(s, "InvokeEndpoint") == count(before, "InvokeEndpoint") + 3
    assert count(s, "InvokeEndpoint", "4xx") == count(before, "InvokeEndpoint", "4xx") + 1
    assert count(s, "CreateEndpoint") == count(before, "CreateEndpoint") + 1
    assert count(s, "GetCallerIdentity") > count(before, "GetCallerIdentity")
    assert s["bytes"]["received"] >= before["bytes"]["received"] + 3000 and s["bytes"]["sent"] > before["bytes"]["sent"]
    assert s["endpoints"]["InService"] >= 1 and s["model_servers"] >= 1 and s["invocations_in_flight"] == 0
    assert s["pid"] == B.process.pid and s["resident_bytes"] > 1 << 20
    assert os.stat(B.store + "/stats.json").st_mode & 0o777 == 0o600


def test_stats_follow_endpoints():
    B.client("sagemaker").delete_endpoint(EndpointName="observed")
    await_status("observed", "gone")
    gone = B.client("sagemaker").list_endpoints(NameContains="observed")["Endpoints"]
    assert gone == []
    s = stats_where(lambda s: s["endpoints"]["Deleting"] == 0 and count(s, "ListEndpoints"))
    assert set(s["endpoints"]) == {"Creating", "InService", "Updating", "RollingBack", "Failed", "Deleting"}
