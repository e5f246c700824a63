"""InvokeEndpointWithResponseStream: what a container sends arrives as it is sent, and how it ends."""
import json
import threading
import time

from botocore.exceptions import EventStreamError

from harness import B, MIB, deploy, error_of, invoke


def stream(words, name="streams", **kw):
    return B.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName=name, Body=json.dumps(words).encode(), ContentType="application/json", **kw)


def parts(reply):
    return [e["PayloadPart"]["Bytes"] for e in reply["Body"]]


def test_stream_arrives_in_pieces():
    deploy("streams")
    reply = stream({"stream": ["one ", "two ", "three"], "pause": 0.3})
    assert reply["ContentType"] == "text/plain" and reply["InvokedProductionVariant"] == "AllTraffic"
    got = parts(reply)
    assert b"".join(got) == b"one two three"
    assert len(got) >= 2, "the first piece did not wait for the last"


def test_stream_of_an_ordinary_answer():
    assert json.loads(b"".join(parts(stream({"env": True}))))["SAGEMAKER_BASE_DIR"]


def test_stream_of_many_bytes():
    text = "x" * MIB
    assert sum(map(len, parts(stream({"stream": [text] * 24})))) == 24 * MIB


def test_stream_of_a_client_that_reads_late():
    """What has come waits in the backend; others are answered meanwhile."""
    reply = stream({"stream": ["y" * MIB] * 16})
    time.sleep(1)
    invoke("streams")
    assert sum(map(len, parts(reply))) == 16 * MIB


def test_stream_that_breaks():
    reply = stream({"stream": ["a", "b"], "break": True})
    got = []
    try:
        for event in reply["Body"]:
            got.append(event["PayloadPart"]["Bytes"])
    except EventStreamError as e:
        assert e.response["Error"]["Code"] == "ModelStreamError", e.response
    else:
        raise AssertionError("the break was not told")
    assert b"".join(got) == b"ab"


def test_stream_refused_by_the_container():
    e = error_of(stream, {"status": 418, "text": "teapot"})
    assert e["Error"]["Code"] == "ModelError" and e["OriginalStatusCode"] == 418 and e["OriginalMessage"] == "teapot"
    assert error_of(stream, {}, name="no-such")["Error"]["Code"] == "ValidationError"


def test_stream_whose_client_goes():
    """The rest of the answer has nobody to go to; the instance is free again."""
    reply = stream({"stream": ["z" * MIB] * 8, "pause": 0.2})
    next(iter(reply["Body"]))
    reply["Body"].close()
    threads = [threading.Thread(target=invoke, args=("streams",)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
        assert not t.is_alive()
