"""Every operation of ours as botocore itself sends it, with random members, signed by botocore: the same requests for our signer.

requests(r, rounds) yields (what, case, wanted) as botocore_sigv4.py compares them: case for the driver, wanted what botocore came to.
"""

import re
from urllib.parse import urlsplit

import botocore.auth
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config

OPERATIONS = {
    "s3": "HeadBucket CreateBucket PutPublicAccessBlock GetBucketVersioning ListObjectsV2 ListMultipartUploads ListParts HeadObject "
    "GetObject PutObject DeleteObject DeleteObjects CreateMultipartUpload UploadPart CompleteMultipartUpload AbortMultipartUpload",
    "sagemaker": "CreateModel CreateEndpointConfig CreateEndpoint DescribeModel DescribeEndpointConfig DescribeEndpoint ListModels "
    "ListEndpointConfigs ListEndpoints DeleteModel DeleteEndpointConfig DeleteEndpoint UpdateEndpoint UpdateEndpointWeightsAndCapacities "
    "AddTags DeleteTags ListTags DescribeNotebookInstance DescribeUserProfile DescribeDomain",
    "sagemaker-runtime": "InvokeEndpoint",
    "sts": "GetCallerIdentity AssumeRole",
    "iam": "GetRole ListRoles",
    "logs": "DescribeLogStreams GetLogEvents FilterLogEvents",
}
ODD = "abcXYZ019-._~ /+%&=?#:@!$'()*,;[]{}|\\\"<>^`äß漢🦊"
IN_HEADERS = "abcXYZ019-._~ /+%&=?#:@!$'()*,;[]{}|\\\"<>^`\t"
# Members that botocore itself changes before it sends them, or refuses for each other.
LEFT_OUT = re.compile("SSECustomer|SSEKMS|Checksum|ContentMD5|ContentLength|MpuObjectSize|Expires|CopySource|WriteOffset|RequestPayer|ObjectLock")
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjE//////////wEaCXVzLWVhc3QtMSJHMEUCIQ==" * 5


def word(r, alphabet, least=1, most=12):
    return "".join(r.choice(alphabet) for _ in range(r.randint(least, max(least, most))))


def number(r, shape, most):
    least = max(1, int(shape.metadata.get("min", 0)))
    return r.randint(least, max(least, most))


def text(r, shape, location):
    least = max(1, int(shape.metadata.get("min", 0)))
    if location in ("header", "headers"):
        return "v" + word(r, IN_HEADERS, least) + "v"
    return word(r, ODD, least)


def member(r, shape, location, depth):
    kind = shape.type_name
    if kind == "structure":
        return structure(r, shape, depth + 1)
    if kind == "list":
        return [member(r, shape.member, location, depth) for _ in range(number(r, shape, 3))]
    if kind == "map":
        return {"k" + word(r, "abc-", 0): member(r, shape.value, location, depth) for _ in range(r.randint(1, 3))}
    if kind == "string":
        return r.choice(shape.enum) if shape.enum else text(r, shape, location)
    if kind == "boolean":
        return r.random() < 0.5
    return {"blob": b"\x00\xff" + word(r, ODD).encode(), "timestamp": r.randint(1, 1 << 31),
            "float": r.random(), "double": r.random()}.get(kind) or number(r, shape, 99)


def structure(r, shape, depth=0):
    out = {}
    for name, m in shape.members.items():
        if name in shape.required_members or (depth < 3 and r.random() < 0.3 and not LEFT_OUT.search(name)):
            out[name] = member(r, m, m.serialization.get("location"), depth)
    return out


def parameters(r, model):
    if model.input_shape is None:
        return {}
    p = structure(r, model.input_shape)
    if "Bucket" in p:
        p["Bucket"] = r.choice(["bucket-1", "with.dots"])
    if model.name == "CreateBucket":
        p["CreateBucketConfiguration"] = {"LocationConstraint": "eu-west-1"}
    if model.name == "InvokeEndpoint":
        p["EndpointName"] = word(r, ODD)
    return p


class Watched:
    """What botocore's signer comes to on its way."""

    def __init__(self):
        self.steps = {}
        for stage in ("canonical_request", "string_to_sign"):
            setattr(botocore.auth.SigV4Auth, stage, self.wrapped(stage, getattr(botocore.auth.SigV4Auth, stage)))

    def wrapped(self, stage, method):
        def run(signer, *args):
            self.steps[stage] = method(signer, *args)
            return self.steps[stage]

        return run


def decoded(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def make_client(session, service, sent):
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=True)
    client = session.create_client(service, "eu-west-1", config=config)

    def keep(request, **_):
        sent.append(request)
        return AWSResponse(request.url, 599, {}, None)

    client.meta.events.register("before-send.*.*", keep)
    return client


def case_of(request, service, steps):
    url = urlsplit(request.url)
    given = {k.lower(): decoded(v) for k, v in request.headers.items()}
    scope, names, _ = [part.split("=", 1)[1] for part in given["authorization"].split(", ")]
    _, _, region, signing, _ = scope.split("/")
    given.setdefault("host", url.netloc)
    case = {
        "method": request.method, "path": url.path or "/", "query": url.query,
        "headers": [[n, given[n]] for n in reversed(names.split(";"))],
        "payload": steps["canonical_request"].rpartition("\n")[2], "double": service != "s3",
        "date": given["x-amz-date"], "region": region, "service": signing, "access": "AKIDEXAMPLE", "secret": SECRET,
    }
    return case, {"canonical": steps["canonical_request"], "string_to_sign": steps["string_to_sign"],
                  "authorization": given["authorization"]}


def requests(r, rounds):
    watched, sent = Watched(), []
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", SECRET, TOKEN)
    for service, names in OPERATIONS.items():
        client = make_client(session, service, sent)
        for name in names.split():
            model = client.meta.service_model.operation_model(name)
            call = getattr(client, botocore.xform_name(name))
            for _ in range(rounds):
                sent.clear()
                params = parameters(r, model)
                try:
                    call(**params)
                except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError, AttributeError):
                    pass  # of the answer, which is none
                if not sent:
                    raise RuntimeError("botocore did not send %s %r" % (name, params))
                case, wanted = case_of(sent[-1], service, dict(watched.steps))
                # The key as it was given, for our own encoding of it.
                case["key"] = params.get("Key", "") if service == "s3" else ""
                wanted["key"] = case["path"].removeprefix("/" + params["Bucket"]).removeprefix("/") if case["key"] else ""
                yield name, case, wanted
