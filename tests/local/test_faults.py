"""serve --faults: a row for each call's name makes that call fail, whatever it would have done."""
import json
import os
import subprocess
import time

from botocore.exceptions import BotoCoreError, ClientError
from harness import B, error_of

SERVICES = {
    "sagemaker": ["CreateModel", "DescribeModel", "ListModels", "DeleteModel", "CreateEndpointConfig", "DescribeEndpointConfig",
                  "ListEndpointConfigs", "DeleteEndpointConfig", "CreateEndpoint", "DescribeEndpoint", "ListEndpoints", "DeleteEndpoint",
                  "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities", "AddTags", "ListTags", "DeleteTags"],
    "sagemaker-runtime": ["InvokeEndpoint", "InvokeEndpointWithResponseStream", "InvokeEndpointAsync"],
    "s3": ["ListBuckets", "GetBucketLocation", "ListMultipartUploads", "ListObjects", "ListObjectsV2", "HeadBucket", "CreateBucket",
           "DeleteBucket", "DeleteObjects", "GetBucketTagging", "PutObject", "GetObject", "HeadObject", "DeleteObject", "CopyObject",
           "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "ListParts", "AbortMultipartUpload", "CompleteMultipartUpload",
           "GetObjectTagging"],
    "sts": ["GetCallerIdentity", "AssumeRole"],
    "iam": ["GetRole"],
}


def least(shape):
    """The least that botocore takes for a shape."""
    kind = shape.type_name
    if kind == "structure":
        return {m: least(shape.members[m]) for m in shape.required_members}
    if kind == "list":
        return [least(shape.member)]
    if kind == "string":
        return shape.enum[0] if shape.enum else "a" * max(20, shape.metadata.get("min", 0))
    return {"blob": b"", "integer": 1, "float": 1.0, "boolean": True, "map": {}}.get(kind, "a")


def put_table(rows):
    with open(B.store + "/faults.json.new", "w") as f:
        json.dump(rows, f)
    os.rename(B.store + "/faults.json.new", B.store + "/faults.json")
    time.sleep(0.1)


def test_every_call_can_fail():
    put_table([{"operation": call, "nth": 0, "action": "status", "arg": 418, "code": "AskedFor" + call, "message": "for " + call}
               for calls in SERVICES.values() for call in calls])
    try:
        for service, calls in SERVICES.items():
            client = B.client(service, s3={"addressing_style": "path"})
            methods = {v: k for k, v in client.meta.method_to_api_mapping.items()}
            for call in calls:
                shape = client.meta.service_model.operation_model(call).input_shape
                e = error_of(getattr(client, methods[call]), **(least(shape) if shape else {}))
                assert e["ResponseMetadata"]["HTTPStatusCode"] == 418, (call, e)
                if call not in ("HeadBucket", "HeadObject"):
                    assert (e["Error"]["Code"], e["Error"]["Message"]) == ("AskedFor" + call, "for " + call), e
    finally:
        put_table([])


def test_each_row_counts_every_call():
    """Rows for the first, second and third call of one operation, in whatever order: a call that one row fails counts for all."""
    def row(nth, action, **more):
        return {"operation": "ListModels", "nth": nth, "action": action} | more
    rows = [row(1, "status", arg=418, code="First"), row(2, "reset"), row(3, "status", arg=418, code="Third")]
    for table in (rows, rows[::-1]):
        put_table([])
        put_table(table)
        client = B.client("sagemaker", retries={"total_max_attempts": 1})
        said = []
        for _ in range(4):
            try:
                client.list_models()
                said.append("")
            except ClientError as e:
                said.append(e.response["Error"]["Code"])
            except BotoCoreError:
                said.append("reset")
        assert said == ["First", "reset", "Third", ""], said
    put_table([])


def test_mistakes_are_told():
    path = B.setup.root + "/table.json"
    for table, why in (('[{"operation": "CreateEndpiont", "action": "reset"}]', "operation 'CreateEndpiont', action 'reset': no such operation"),
                       ('[{"operation": "CreateEndpoint", "action": "rest"}]', "no such action"), ("[{}]", "a row needs"),
                       ("{", "is not a JSON array of rows")):
        with open(path, "w") as f:
            f.write(table)
        store = B.setup.root + "/mistakes"
        p = subprocess.run([B.setup.serve, "--store", store, "--faults", path], capture_output=True, text=True, timeout=20)
        assert p.returncode == 1 and "1 mistakes" in p.stderr, p
        assert why in open(store + "/log").read(), why
