"""Every hosting call x what can be wrong with it: HTTP status, code and sentence as AWS's; lists, pages, filters; Runtime's errors."""
import json
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

from harness import B, IMAGE, archive, await_status, code_of, deploy, error_of, invoke, send, signed, until

ARN = "arn:aws:sagemaker:us-east-1:123456789012:"
VARIANT = {"VariantName": "AllTraffic", "ModelName": "conf", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
MODEL_PATTERN = "[a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?"
NAME_PATTERN = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"

# Call: a good request's members but the name, the member of the name, its kind (ARN), the kind's noun, its pattern.
CALLS = {
    "CreateModel": (lambda: {"ExecutionRoleArn": B.run["role"], "PrimaryContainer": {"Image": IMAGE}},
                    "ModelName", "model", "model", MODEL_PATTERN),
    "DescribeModel": (dict, "ModelName", "model", "model", MODEL_PATTERN),
    "DeleteModel": (dict, "ModelName", "model", "model", MODEL_PATTERN),
    "CreateEndpointConfig": (lambda: {"ProductionVariants": [VARIANT]},
                             "EndpointConfigName", "endpoint-config", "endpoint configuration", NAME_PATTERN),
    "DescribeEndpointConfig": (dict, "EndpointConfigName", "endpoint-config", "endpoint configuration", NAME_PATTERN),
    "DeleteEndpointConfig": (dict, "EndpointConfigName", "endpoint-config", "endpoint configuration", NAME_PATTERN),
    "CreateEndpoint": (lambda: {"EndpointConfigName": "conf"}, "EndpointName", "endpoint", "endpoint", NAME_PATTERN),
    "DescribeEndpoint": (dict, "EndpointName", "endpoint", "endpoint", NAME_PATTERN),
    "DeleteEndpoint": (dict, "EndpointName", "endpoint", "endpoint", NAME_PATTERN),
    "UpdateEndpoint": (lambda: {"EndpointConfigName": "conf"}, "EndpointName", "endpoint", "endpoint", NAME_PATTERN),
    "UpdateEndpointWeightsAndCapacities": (lambda: {"DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic", "DesiredWeight": 1}]},
                                           "EndpointName", "endpoint", "endpoint", NAME_PATTERN),
}
LISTS = {"ListModels": "Models", "ListEndpointConfigs": "EndpointConfigs", "ListEndpoints": "Endpoints"}


def call(operation, body):
    """A control call as no SDK would check it: status, headers, parsed body."""
    text = json.dumps(body).encode() if not isinstance(body, bytes) else body
    status, headers, reply = send(signed("POST", "/", text, {
        "X-Amz-Target": "SageMaker." + operation, "Content-Type": "application/x-amz-json-1.1"}, "sagemaker"))
    assert headers["x-amzn-RequestId"], operation
    return status, json.loads(reply) if reply else {}


def good(operation, name):
    make, member = CALLS[operation][:2]
    return dict(make(), **{member: name})


def refused(operation, body, code, *parts):
    """The error's sentence, once status and code are right."""
    status, reply = call(operation, body)
    assert status == 400 and reply["__type"] == code, (operation, body, status, reply)
    for part in parts:
        assert part in reply["message"], (operation, part, reply)
    return reply["message"]


def lower(member):
    return member[0].lower() + member[1:]


@contextmanager
def backend(store, *args):
    """Another backend instead of the one that the tests share."""
    saved = dict(vars(B))
    B.open(B.setup, store, args)
    try:
        yield
    finally:
        B.stop()
        vars(B).update(saved)


def test_ok():
    deploy("conf")
    for operation, list_member in LISTS.items():
        status, reply = call(operation, {})
        assert status == 200 and isinstance(reply[list_member], list), (operation, reply)
    d = call("DescribeEndpoint", {"EndpointName": "conf"})[1]
    assert d["EndpointArn"] == ARN + "endpoint/conf" and d["EndpointConfigName"] == "conf"
    assert isinstance(d["CreationTime"], float) and d["LastModifiedTime"] >= d["CreationTime"]
    assert call("DescribeEndpoint", {"EndpointName": "CONF"})[1]["EndpointName"] == "conf"


def test_missing():
    for operation, (_, member, kind, noun, _) in CALLS.items():
        if operation.startswith("Create"):
            continue
        text = refused(operation, good(operation, "Not-Here"), "ValidationException")
        assert text == 'Could not find %s "%s%s/not-here".' % (noun, ARN, kind), (operation, text)
    assert refused("CreateEndpointConfig", dict(good("CreateEndpointConfig", "new"), ProductionVariants=[dict(VARIANT, ModelName="Gone")]),
                   "ValidationException") == 'Could not find model "%smodel/gone".' % ARN
    for operation, name in (("CreateEndpoint", "new"), ("UpdateEndpoint", "conf")):
        assert refused(operation, {"EndpointName": name, "EndpointConfigName": "Gone"}, "ValidationException") == \
            'Could not find endpoint configuration "%sendpoint-config/gone".' % ARN
    refused("UpdateEndpointWeightsAndCapacities", {"EndpointName": "conf", "DesiredWeightsAndCapacities": [{"VariantName": "Other"}]},
            "ValidationException", 'Could not find variant "Other"')
    for operation in ("AddTags", "ListTags", "DeleteTags"):
        refused(operation, {"ResourceArn": ARN + "endpoint/gone", "Tags": [], "TagKeys": ["k"]}, "ValidationException",
                'Could not find endpoint "%sendpoint/gone".' % ARN)


def test_duplicate():
    for operation, (_, _, kind, noun, _) in CALLS.items():
        if operation.startswith("Create"):
            for name in ("conf", "CONF") if kind == "endpoint" else ("conf",):
                assert refused(operation, good(operation, name), "ValidationException") == \
                    'Cannot create already existing %s "%s%s/conf".' % (noun, ARN, kind)


def test_in_progress():
    deploy("busy", archive([("ready-in-3", b"")]), wait=None)
    for operation in ("DeleteEndpoint", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"):
        assert refused(operation, good(operation, "Busy"), "ValidationException") == \
            'Cannot update in-progress endpoint "%sendpoint/busy".' % ARN
    assert refused("CreateEndpoint", good("CreateEndpoint", "busy"), "ValidationException").startswith("Cannot create already existing")
    assert code_of(invoke, "busy") == "ValidationError"
    await_status("busy", "InService")
    assert call("DeleteEndpoint", {"EndpointName": "busy"}) == (200, {})
    await_status("busy", "gone")
    assert call("DescribeEndpointConfig", {"EndpointConfigName": "busy"})[0] == 200
    assert call("DescribeModel", {"ModelName": "busy"})[0] == 200


def test_names():
    for operation, (_, member, _, _, pattern) in CALLS.items():
        for bad in ("bad_name", "-x", "x-", "a.b", "a b", "", "ü"):
            refused(operation, good(operation, bad), "ValidationException",
                    " validation error", "Value '%s' at '%s' failed to satisfy constraint: " % (bad, lower(member)),
                    "Member must satisfy regular expression pattern: " + pattern)
        refused(operation, good(operation, "a" * 64), "ValidationException",
                "at '%s' failed to satisfy constraint: Member must have length less than or equal to 63" % lower(member))


def test_required():
    for operation, (make, member, _, _, _) in CALLS.items():
        text = refused(operation, make(), "ValidationException")
        assert text == "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null" % lower(member)
        refused(operation, dict(make(), **{member: None}), "ValidationException", "Member must not be null")
    for operation, body, path in (
            ("CreateEndpointConfig", {"EndpointConfigName": "n"}, "productionVariants"),
            ("CreateEndpoint", {"EndpointName": "n"}, "endpointConfigName"),
            ("UpdateEndpoint", {"EndpointName": "n"}, "endpointConfigName"),
            ("UpdateEndpointWeightsAndCapacities", {"EndpointName": "conf"}, "desiredWeightsAndCapacities"),
            ("UpdateEndpointWeightsAndCapacities", {"EndpointName": "conf", "DesiredWeightsAndCapacities": [{}]},
             "desiredWeightsAndCapacities.1.member.variantName"),
            ("AddTags", {"ResourceArn": ARN + "endpoint/conf"}, "tags"), ("ListTags", {}, "resourceArn"),
            ("DeleteTags", {"ResourceArn": ARN + "endpoint/conf"}, "tagKeys")):
        refused(operation, body, "ValidationException", "Value null at '%s' failed to satisfy constraint: Member must not be null" % path)


def test_types():
    for operation, (make, member, _, _, _) in CALLS.items():
        for wrong in (5, True, ["x"], {"a": "b"}):
            refused(operation, dict(make(), **{member: wrong}), "SerializationException")
    for operation in LISTS:
        refused(operation, {"MaxResults": "5"}, "SerializationException")
        refused(operation, {"NameContains": 5}, "SerializationException")
        refused(operation, {"CreationTimeAfter": "yesterday"}, "SerializationException")
        for body in (b"[]", b"{", b"5", b"{}x"):
            refused(operation, body, "SerializationException")


def test_enums_and_ranges():
    variant = lambda **kw: {"EndpointConfigName": "new", "ProductionVariants": [dict(VARIANT, **kw)]}
    for operation, body, text in [
            (o, {"SortBy": "Size"}, "at 'sortBy' failed to satisfy constraint: Member must satisfy enum value set: [") for o in LISTS] + [
            (o, {"SortOrder": "Up"}, "at 'sortOrder' failed to satisfy constraint: Member must satisfy enum value set: [Ascending, Descending]")
            for o in LISTS] + [
            (o, {"MaxResults": 0}, "Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1")
            for o in LISTS] + [
            (o, {"MaxResults": 101}, "Member must have value less than or equal to 100") for o in LISTS] + [
            (o, {"NameContains": "a_b"}, "at 'nameContains'") for o in LISTS] + [
            ("ListEndpoints", {"StatusEquals": "Ready"}, "at 'statusEquals' failed to satisfy constraint: Member must satisfy enum value set"),
            ("CreateEndpointConfig", variant(InstanceType="ml.huge"), "productionVariants.1.member.instanceType"),
            ("CreateEndpointConfig", variant(InitialInstanceCount=0), "productionVariants.1.member.initialInstanceCount"),
            ("CreateEndpointConfig", variant(InitialVariantWeight=-1), "productionVariants.1.member.initialVariantWeight"),
            ("CreateEndpointConfig", variant(VolumeSizeInGB=513), "productionVariants.1.member.volumeSizeInGB"),
            ("CreateEndpointConfig", variant(ContainerStartupHealthCheckTimeoutInSeconds=59), "Member must have value greater than or equal to 60"),
            ("CreateEndpointConfig", dict(variant(), ProductionVariants=[]), "Member must have length greater than or equal to 1"),
            ("CreateModel", dict(good("CreateModel", "new"), Tags=[{"Key": "k" * 129, "Value": ""}]), "tags.1.member.key"),
            ("CreateModel", dict(good("CreateModel", "new"), Tags=[{"Key": "k%d" % n, "Value": ""} for n in range(51)]),
             "at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50")]:
        refused(operation, body, "ValidationException", text)
    text = refused("CreateModel", {"ModelName": "a_b", "ExecutionRoleArn": "x", "PrimaryContainer": {"Image": IMAGE}}, "ValidationException")
    assert text.startswith("3 validation errors detected: ") and text.count("failed to satisfy constraint") == 3, text


def test_unknown_call():
    refused("CreateEverything", {}, "UnknownOperationException", "CreateEverything")
    status, _, body = send(signed("POST", "/endpoints/conf/nothing", b"", {}, "sagemaker"))
    assert status == 404 and "does not have the call" in json.loads(body)["Message"], body


def names_of(operation, **body):
    status, reply = call(operation, body)
    assert status == 200, reply
    list_member = LISTS[operation]
    return [r[list_member[:-1] + "Name"] for r in reply[list_member]], reply.get("NextToken")


def pages(operation, **body):
    names, token = names_of(operation, **body)
    out = [names]
    while token:
        names, token = names_of(operation, NextToken=token, **body)
        out.append(names)
    return out


def test_lists():
    made = ["zz-%d" % n for n in (3, 1, 4, 0, 2)]
    for name in made:
        assert call("CreateModel", good("CreateModel", name))[0] == 200
        assert call("CreateEndpointConfig", good("CreateEndpointConfig", name))[0] == 200
    for operation in ("ListModels", "ListEndpointConfigs"):
        ask = lambda **kw: pages(operation, NameContains="ZZ-", **kw)
        assert ask() == [made[::-1]], "newest first"
        assert ask(SortOrder="Ascending") == [made]
        assert ask(SortBy="Name") == [sorted(made, reverse=True)]
        assert ask(SortBy="Name", SortOrder="Ascending", MaxResults=2) == [["zz-0", "zz-1"], ["zz-2", "zz-3"], ["zz-4"]]
        assert ask(MaxResults=5) == [made[::-1]], "no token when nothing follows"
        kind = operation[4:-1]
        t = call("Describe" + kind, {kind + "Name": "zz-4"})[1]["CreationTime"]
        assert ask(CreationTimeBefore=t, SortOrder="Ascending") == [["zz-3", "zz-1"]]
        assert ask(CreationTimeAfter=t, SortOrder="Ascending") == [["zz-0", "zz-2"]]
        assert ask(CreationTimeAfter=time.time() + 60) == [[]]
        # A page's last row goes before the next page is asked for: nothing is shown twice, nothing left out.
        names, token = names_of(operation, NameContains="zz-", SortBy="Name", SortOrder="Ascending", MaxResults=2)
        assert call("Delete" + kind, {kind + "Name": "zz-1"})[0] == 200
        rest = names_of(operation, NameContains="zz-", SortBy="Name", SortOrder="Ascending", NextToken=token)
        assert names == ["zz-0", "zz-1"] and rest == (["zz-2", "zz-3", "zz-4"], None), (names, rest)
        for bad in (token[:-4], "x", "////", "e30=", "W10="):
            refused(operation, {"NextToken": bad, "SortBy": "Name", "SortOrder": "Ascending"}, "ValidationException", "NextToken")
        refused(operation, {"NextToken": token, "SortBy": "Name"}, "ValidationException", "NextToken")
        for name in made:
            call("Delete" + kind, {kind + "Name": name})
    assert names_of("ListEndpoints", NameContains="conf", StatusEquals="InService")[0] == ["conf"]
    assert names_of("ListEndpoints", NameContains="conf", StatusEquals="Failed")[0] == []
    d = call("DescribeEndpoint", {"EndpointName": "conf"})[1]
    t = d["LastModifiedTime"]
    for body, there in (({"LastModifiedTimeBefore": t}, False), ({"LastModifiedTimeBefore": t + 1}, True),
                        ({"LastModifiedTimeAfter": t + 1}, False), ({"LastModifiedTimeAfter": t - 1}, True)):
        assert ("conf" in names_of("ListEndpoints", MaxResults=100, **body)[0]) == there, body
    by_status = call("ListEndpoints", {"SortBy": "Status", "SortOrder": "Ascending", "MaxResults": 100})[1]["Endpoints"]
    assert [e["EndpointStatus"] for e in by_status] == sorted(e["EndpointStatus"] for e in by_status)
    sm = B.client("sagemaker")
    now = datetime.now(timezone.utc)
    assert not sm.list_endpoints(CreationTimeAfter=now + timedelta(hours=1))["Endpoints"]


def test_tags_conform():
    arn = ARN + "endpoint/conf"
    tags = lambda n, at=0: [{"Key": "k%d" % (at + i), "Value": "v"} for i in range(n)]
    assert call("AddTags", {"ResourceArn": arn, "Tags": tags(50)})[0] == 200
    assert call("AddTags", {"ResourceArn": arn, "Tags": tags(3)})[0] == 200, "replaced, not added"
    refused("AddTags", {"ResourceArn": arn, "Tags": tags(1, 50)}, "ResourceLimitExceeded")
    refused("ListTags", {"ResourceArn": arn, "MaxResults": 49}, "ValidationException", "greater than or equal to 50")
    refused("ListTags", {"ResourceArn": arn, "NextToken": "x"}, "ValidationException", "NextToken")
    assert len(call("ListTags", {"ResourceArn": arn})[1]["Tags"]) == 50
    assert call("DeleteTags", {"ResourceArn": arn, "TagKeys": ["k%d" % n for n in range(50)]}) == (200, {})
    assert call("ListTags", {"ResourceArn": arn})[1]["Tags"] == []


def runtime(path, headers=None, body=b"[1]"):
    status, h, reply = send(signed("POST", path, body, headers or {}, "sagemaker"))
    return status, h["x-amzn-ErrorType"], json.loads(reply)


def test_runtime_refusals():
    h = "X-Amzn-SageMaker-"
    for verb in ("invocations", "invocations-response-stream"):
        for name, headers, text in (
                ("none", {}, "Endpoint none of account 123456789012 not found."),
                ("bad_name", {}, "1 validation error detected: Value 'bad_name' at 'endpointName' failed to satisfy constraint: "
                                 "Member must satisfy regular expression pattern: "),
                ("a" * 64, {}, "Member must have length less than or equal to 63"),
                ("conf", {h + "Target-Variant": "Other"}, "Variant Other not found for Endpoint conf."),
                ("conf", {h + "Target-Variant": "a_b"}, "at 'targetVariant' failed to satisfy constraint"),
                ("conf", {"Content-Type": "x" * 1025}, "at 'contentType' failed to satisfy constraint: Member must have length less than"),
                ("conf", {h + "Custom-Attributes": "x" * 1025}, "at 'customAttributes'"),
                ("conf", {h + "Inference-Id": "x" * 65}, "at 'inferenceId'"),
                ("conf", {h + "Session-Id": "NEW_SESSION"}, "the local backend does not have what")):
            status, kind, reply = runtime("/endpoints/%s/%s" % (name, verb), headers)
            assert status == 400 and kind.split(":")[0] == "ValidationError" and text in reply["Message"], (verb, name, headers, reply)
    assert invoke("CONF")["InvokedProductionVariant"] == "AllTraffic"


def test_model_error_members():
    r = error_of(invoke, "conf", b'{"status": 418, "text": "no coffee"}')
    assert r["ResponseMetadata"]["HTTPStatusCode"] == 424 and r["Error"]["Code"] == "ModelError", r
    assert (r["OriginalStatusCode"], r["OriginalMessage"]) == (418, "no coffee")
    assert r["LogStreamArn"] == "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/conf"
    assert r["Error"]["Message"] == (
        'Received client error (418) from primary with message "no coffee". See https://us-east-1.console.aws.amazon.com/cloudwatch/home?'
        "region=us-east-1#logEventViewer:group=/aws/sagemaker/Endpoints/conf in account 123456789012 for more information.")
    for status, code in ((418, "CLIENT_ERROR_FROM_MODEL"), (500, "SERVER_ERROR_FROM_MODEL")):
        reply = runtime("/endpoints/conf/invocations", {}, b'{"status": %d, "text": "x"}' % status)
        assert reply[0] == 424 and reply[1].startswith("ModelError") and reply[2]["ErrorCode"] == code, reply


def test_limits_are_settable():
    call("DeleteEndpoint", {"EndpointName": "conf"})
    with backend("limits", "--invoke-timeout", "0.5", "--max-payload=1000", "--health-timeout", "1", "--region", "eu-central-1"):
        assert B.run["region"] == "eu-central-1"
        B.client("s3").create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        arn = deploy("e")["EndpointArn"]
        assert arn == "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/e"
        r = error_of(invoke, "e", b'{"sleep": 5}')
        assert r["Error"]["Code"] == "ModelError" and r["OriginalStatusCode"] == 0, r
        assert r["Error"]["Message"].startswith('Received server error (0) from model with message "Your invocation timed out while waiting')
        r = error_of(invoke, "e", b"x" * 1001)
        assert r["ResponseMetadata"]["HTTPStatusCode"] == 413 and r["Error"]["Message"] == "HTTP content length exceeded 1000 bytes.", r
        assert invoke("e", b"x" * 900)["Body"].read()
        assert error_of(invoke, "e", b'{"bytes": 1001}')["Error"]["Message"].startswith(
            "Received server error (500) from primary and could not load the entire response body. See ")
        assert "did not pass the ping health check" in deploy("never", archive([("never-ready", b"")]), wait="Failed")["FailureReason"]
        assert refused("UpdateEndpoint", {"EndpointName": "never", "EndpointConfigName": "e"}, "ValidationException").endswith(
            "only DeleteEndpoint is allowed.")


def test_instances_are_limited():
    """No slip of the pen starts a thousand processes."""
    with backend("quota", "--max-instances", "3"):
        B.client("s3").create_bucket(Bucket="models")
        sm = B.client("sagemaker")
        deploy("e")
        steady = lambda: sm.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"
        wish = lambda n: {"EndpointName": "e", "DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic", "DesiredInstanceCount": n}]}
        assert refused("UpdateEndpointWeightsAndCapacities", wish(4), "ResourceLimitExceeded") == (
            "The account-level service limit 'ml.m5.large for endpoint usage' is 3 Instances, with current utilization of 1 Instances"
            " and a request delta of 3 Instances.")
        sm.create_endpoint_config(EndpointConfigName="four", ProductionVariants=[
            {"VariantName": "AllTraffic", "ModelName": "e", "InstanceType": "ml.m5.large", "InitialInstanceCount": 4}])
        for operation in "CreateEndpoint", "UpdateEndpoint":
            refused(operation, {"EndpointName": "e" if operation[0] == "U" else "f", "EndpointConfigName": "four"}, "ResourceLimitExceeded")
        assert call("DescribeEndpoint", {"EndpointName": "f"})[0] == 400
        assert call("UpdateEndpointWeightsAndCapacities", wish(2))[0] == 200
        until(steady)
        refused("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "four"}, "ResourceLimitExceeded")
        assert call("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "e"})[0] == 200
        until(steady)
        assert invoke("e", b"x")["Body"].read()


def test_delays():
    with backend("delays", "--create-delay", "1", "--update-delay", "1", "--delete-delay", "1"):
        B.client("s3").create_bucket(Bucket="models")
        spans = {}

        def took(what, fn):
            began = time.monotonic()
            fn()
            await_status("d", "gone" if what == "delete" else "InService")
            spans[what] = time.monotonic() - began
        took("create", lambda: deploy("d"))
        sm = B.client("sagemaker")
        sm.update_endpoint_weights_and_capacities(EndpointName="d", DesiredWeightsAndCapacities=[
            {"VariantName": "AllTraffic", "DesiredInstanceCount": 1}])
        assert sm.describe_endpoint(EndpointName="d")["EndpointStatus"] == "Updating"
        assert json.loads(invoke("d")["Body"].read())["echo"], "it serves while it is updated"
        while sm.describe_endpoint(EndpointName="d")["EndpointStatus"] == "Updating":
            time.sleep(0.02)
        took("delete", lambda: sm.delete_endpoint(EndpointName="d"))
        assert all(s >= 1 for s in spans.values()), spans


def test_stale():
    with backend("stale", "--stale", "1.5"):
        B.client("s3").create_bucket(Bucket="models")
        assert call("CreateModel", good("CreateModel", "conf"))[0] == 200
        refused("DescribeModel", {"ModelName": "conf"}, "ValidationException", "Could not find model")
        assert names_of("ListModels") == ([], None)
        refused("CreateModel", good("CreateModel", "conf"), "ValidationException", "already existing")
        assert call("CreateEndpointConfig", good("CreateEndpointConfig", "conf"))[0] == 200, "what is written is known to writers"
        assert call("CreateEndpoint", good("CreateEndpoint", "conf"))[0] == 200
        refused("DescribeEndpoint", {"EndpointName": "conf"}, "ValidationException", "Could not find endpoint")
        await_seen("Creating", "InService")
        assert call("DeleteEndpoint", {"EndpointName": "conf"})[0] == 200
        assert call("DescribeEndpoint", {"EndpointName": "conf"})[1]["EndpointStatus"] == "InService"
        assert names_of("ListEndpoints", StatusEquals="InService")[0] == ["conf"]
        refused("DeleteEndpoint", {"EndpointName": "conf"}, "ValidationException")
        await_status("conf", "gone")
        assert names_of("ListEndpoints")[0] == []
        assert call("DescribeModel", {"ModelName": "conf"})[0] == 200
        assert call("DeleteModel", {"ModelName": "conf"})[0] == 200
        assert call("DescribeModel", {"ModelName": "conf"})[0] == 200 and names_of("ListModels")[0] == ["conf"]


def await_seen(*statuses, seconds=30):
    """The endpoint conf shows these one after the other, whatever it shows before."""
    end, seen = time.time() + seconds, []
    while time.time() < end and (not seen or seen[-1] != statuses[-1]):
        status = call("DescribeEndpoint", {"EndpointName": "conf"})[1].get("EndpointStatus")
        if status and (not seen or seen[-1] != status):
            seen.append(status)
        time.sleep(0.02)
    assert tuple(seen) == statuses, seen


def test_rate():
    with backend("rate", "--control-rate", "5"):
        replies = [call("ListModels", {}) for _ in range(30)]
        refusals = [r for s, r in replies if s == 400]
        assert [s for s, _ in replies[:5]] == [200] * 5 and refusals
        assert all(r == {"__type": "ThrottlingException", "message": "Rate exceeded"} for r in refusals), refusals[0]
        retrying = B.client("sagemaker", retries={"max_attempts": 10, "mode": "standard"})
        assert all(retrying.list_models()["Models"] == [] for _ in range(6))
        assert code_of(B.client("s3").head_bucket, Bucket="nobody") == "404", "only control calls are counted"


def test_given_keys():
    keys = {"SAGEMAKERFS_SERVE_ACCESS_KEY": "AKIDGIVENGIVENGIVEN", "SAGEMAKERFS_SERVE_SECRET_KEY": "given/secret+of=mine_0123"}
    saved = dict(vars(B))
    B.open(B.setup, "keys", (), keys)
    try:
        assert B.run["access_key"] == keys["SAGEMAKERFS_SERVE_ACCESS_KEY"] and names_of("ListModels") == ([], None)
        with open("/proc/%d/environ" % B.process.pid, "rb") as f:
            assert b"given/secret" not in f.read()
        B.stop()
    finally:
        vars(B).update(saved)
