"""Holds recorded requests (record.py) against botocore: its service models, its signers, and the policy that `doctor` prints.

usage: validate_requests.py RECORDS POLICY OPERATION...

RECORDS: a directory of NAME.jsonl (requests) and NAME.run (the backend's keys). POLICY: what `doctor --policy deploy` said. The
operations named must be among those seen. One line per operation and check.
"""

import base64
import collections
import glob
import json
import os
import sys
import urllib.parse
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

import botocore.session
import regex
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SESSION = botocore.session.Session()
MODELS = {s: SESSION.get_service_model(s) for s in ("s3", "sagemaker", "sagemaker-runtime", "sts", "iam")}
# Headers that belong to no operation.
COMMON = {"host", "authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "user-agent", "content-length",
          "amz-sdk-invocation-id", "amz-sdk-request"}
# Permissions whose name is not the operation's. None: nobody needs one.
ACTIONS = {
    ("s3", "HeadObject"): "s3:GetObject", ("s3", "HeadBucket"): "s3:ListBucket", ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "CreateMultipartUpload"): "s3:PutObject", ("s3", "UploadPart"): "s3:PutObject",
    ("s3", "CompleteMultipartUpload"): "s3:PutObject",
    ("s3", "ListMultipartUploads"): "s3:ListBucketMultipartUploads", ("s3", "ListParts"): "s3:ListMultipartUploadParts",
    ("s3", "PutPublicAccessBlock"): "s3:PutBucketPublicAccessBlock", ("sts", "GetCallerIdentity"): None,
    # Ways to find a role, or to list those that would do: given up where they are not allowed.
    ("iam", "ListRoles"): None, ("sagemaker", "DescribeNotebookInstance"): None, ("sagemaker", "DescribeUserProfile"): None,
    ("sagemaker", "DescribeDomain"): None,
}
# The service takes more than its model says (docs/invoke.md).
MAXIMA = {"InvokeEndpoint.Body (length)": 26214400}
# Buckets of others that tests link to (ln -s s3://...): the printed policies are for the mount's own.
LINKED = {"other-bucket"}
# What a member names, as a resource of the operation.
RESOURCES = {"ModelName": "model", "EndpointConfigName": "endpoint-config", "EndpointName": "endpoint"}


class Bad(Exception):
    pass


def need(held, text, *args):
    if not held:
        raise Bad(text % args)


# Members against their shapes ----------------------------------------------------------------


def check(shape, value, where):
    kind = {"structure": check_structure, "list": check_list, "map": check_map, "string": check_string, "blob": check_size}.get(
        shape.type_name, check_scalar)
    kind(shape, value, where)


def check_range(shape, n, where):
    need(n >= shape.metadata.get("min", n), "%s: %r is below the minimum %s", where, n, shape.metadata.get("min"))
    most = MAXIMA.get(where, shape.metadata.get("max", n))
    need(n <= most, "%s: %r is above the maximum %s", where, n, most)


def check_size(shape, value, where):
    check_range(shape, len(value), where + " (length)")


def check_structure(shape, value, where):
    need(isinstance(value, dict), "%s: %r is no structure", where, value)
    for name in shape.required_members:
        need(name in value, "%s: lacks %s", where, name)
    for name, v in value.items():
        need(name in shape.members, "%s: has no member %s", where, name)
        check(shape.members[name], v, where + "." + name)


def check_list(shape, value, where):
    need(isinstance(value, list), "%s: %r is no list", where, value)
    check_size(shape, value, where)
    for i, v in enumerate(value):
        check(shape.member, v, "%s[%d]" % (where, i))


def check_map(shape, value, where):
    need(isinstance(value, dict), "%s: %r is no map", where, value)
    check_size(shape, value, where)
    for k, v in value.items():
        check(shape.key, k, where + " (key)")
        check(shape.value, v, where + "." + k)


def check_string(shape, value, where):
    need(isinstance(value, str), "%s: %r is no string", where, value)
    check_size(shape, value, where)
    need(not shape.enum or value in shape.enum, "%s: %r is none of %s", where, value, shape.enum)
    pattern = shape.metadata.get("pattern")
    need(not pattern or regex.fullmatch(pattern, value), "%s: %r does not match %s", where, value, pattern)


def check_scalar(shape, value, where):
    types = {"integer": int, "long": int, "boolean": bool, "float": (int, float), "double": (int, float), "timestamp": (int, float, str)}
    need(shape.type_name in types, "%s: type %s", where, shape.type_name)
    need(isinstance(value, types[shape.type_name]) and isinstance(value, bool) == (shape.type_name == "boolean"),
         "%s: %r is no %s", where, value, shape.type_name)
    if shape.type_name != "boolean" and not isinstance(value, str):
        check_range(shape, value, where)


# Requests into members -----------------------------------------------------------------------


def from_text(shape, text):
    """A header's, a query's or an XML element's text."""
    if shape.type_name in ("integer", "long"):
        need(text.lstrip("-").isdigit(), "%r is no integer", text)
        return int(text)
    if shape.type_name == "boolean":
        need(text in ("true", "false"), "%r is no boolean", text)
        return text == "true"
    return text


def wire_name(name, shape):
    return shape.serialization.get("name", name)


def from_xml(shape, element):
    if shape.type_name != "structure":
        return from_text(shape, element.text or "")
    by_name = {wire_name(n, m): (n, m) for n, m in shape.members.items()}
    out = {}
    for child in element:
        tag = child.tag.rpartition("}")[2]
        need(tag in by_name, "the body has <%s>, which %s does not", tag, shape.name)
        name, member = by_name[tag]
        if member.type_name == "list":
            need(member.serialization.get("flattened"), "the list %s is not flat", name)
            out.setdefault(name, []).append(from_xml(member.member, child))
        else:
            need(name not in out, "<%s> comes twice", tag)
            out[name] = from_xml(member, child)
    return out


def parse_form(shape, rows, prefix=""):
    out = {}
    for name, member in shape.members.items():
        at = prefix + wire_name(name, member)
        if member.type_name == "structure":
            if any(k.startswith(at + ".") for k in rows):
                out[name] = parse_form(member, rows, at + ".")
        elif member.type_name == "list":
            values = []
            while "%s.member.%d" % (at, len(values) + 1) in rows:
                values.append(from_text(member.member, rows.pop("%s.member.%d" % (at, len(values) + 1))))
            if values:
                out[name] = values
        elif at in rows:
            out[name] = from_text(member, rows.pop(at))
    return out


def split_template(op):
    path, _, query = op.http["requestUri"].partition("?")
    return path, dict(parse_qsl(query, keep_blank_values=True))


def match_path(template, path):
    """Members of the path, or None."""
    names = regex.findall(r"\{(\w+)\+?\}", template)
    pattern = regex.sub(r"\\\{(\w+)\\\+\\\}", r"(.+)", regex.sub(r"\\\{(\w+)\\\}", r"([^/]+)", regex.escape(template)))
    found = regex.fullmatch(pattern, path)
    return dict(zip(names, (unquote(g) for g in found.groups()))) if found else None


def located(shape, where):
    return {wire_name(n, m): (n, m) for n, m in shape.members.items() if m.serialization.get("location") == where}


class Rest:
    """One candidate for a REST request."""

    def __init__(self, op, request):
        self.op, self.shape, self.unknown = op, op.input_shape, []
        template, self.literal = split_template(op)
        path, _, query = request["target"].partition("?")
        in_path = match_path(template, path) if op.http["method"] == request["method"] else None
        query = dict(parse_qsl(query, keep_blank_values=True))
        self.fits = in_path is not None and all(query.get(k) == v for k, v in self.literal.items())
        if not self.fits:
            return
        names = located(self.shape, "uri")
        self.params = {names[k][0]: v for k, v in in_path.items()}
        self.take(located(self.shape, "querystring"), {k: v for k, v in query.items() if k not in self.literal}, "query")
        self.take({k.lower(): v for k, v in located(self.shape, "header").items()},
                  {k: v for k, v in request["given"].items() if k not in COMMON}, "header")
        outside = set(self.params) | set(self.body_members())
        self.fits = set(self.shape.required_members) <= outside

    def take(self, members, values, what):
        for k, v in values.items():
            if k in members:
                self.params[members[k][0]] = from_text(members[k][1], v)
            elif not (what == "header" and (k == "content-type" or (k.startswith("x-amz-checksum-") and self.op.http_checksum))):
                self.unknown.append("%s %s" % (what, k))

    def body_members(self):
        return [n for n, m in self.shape.members.items() if "location" not in m.serialization]

    def parse_body(self, body):
        payload = self.shape.serialization.get("payload")
        member = self.shape.members.get(payload)
        if member is None:
            need(not body, "%s has no body", self.op.name)
        elif member.type_name == "blob":
            self.params[payload] = body
        elif body:
            root = ElementTree.fromstring(body)
            space, _, tag = root.tag[1:].rpartition("}")
            need(tag == wire_name(payload, member), "the body is a <%s>", tag)
            need(space == member.serialization.get("xmlNamespace", {}).get("uri", space), "the body's namespace is %s", space)
            self.params[payload] = from_xml(member, root)

    def rank(self):
        return (len(self.literal), -len(self.unknown), len(self.shape.required_members))


def read_rest(model, request):
    """The operation of a REST request, and its members."""
    body = request["bytes"]
    fitting = []
    for name in model.operation_names:
        candidate = Rest(model.operation_model(name), request)
        if candidate.fits:
            fitting.append(candidate)
    need(fitting, "no operation is %s %s", request["method"], request["target"])
    best = max(fitting, key=Rest.rank)
    need(not best.unknown, "%s has no %s", best.op.name, ", ".join(best.unknown))
    best.parse_body(body)
    return best.op, best.params


def read_json(model, request):
    prefix, name = request["given"]["x-amz-target"].split(".")
    need(prefix == model.metadata["targetPrefix"], "target %s", prefix)
    need(request["given"].get("content-type") == "application/x-amz-json-" + model.metadata["jsonVersion"], "content type")
    unknown = set(request["given"]) - COMMON - {"x-amz-target", "content-type"}
    need(not unknown and request["target"] == "/" and request["method"] == "POST", "%s: unknown %s", name, unknown)
    return model.operation_model(name), json.loads(request["bytes"])


def read_query(model, request):
    rows = dict(parse_qsl(request["bytes"].decode(), keep_blank_values=True, strict_parsing=True))
    op = model.operation_model(rows.pop("Action"))
    need(rows.pop("Version") == model.api_version, "the version is not %s", model.api_version)
    unknown = set(request["given"]) - COMMON - {"content-type"}
    need(not unknown and request["target"] == "/" and request["method"] == "POST", "%s: unknown %s", op.name, unknown)
    params = parse_form(op.input_shape, rows) if op.input_shape else {}
    need(not rows, "%s has no %s", op.name, sorted(rows))
    return op, params


def read(request):
    service = request["scope"][3]
    if service == "sagemaker" and "x-amz-target" not in request["given"]:
        service = "sagemaker-runtime"
    need(service in MODELS, "service %s", service)
    reader = {"json": read_json, "query": read_query}.get(MODELS[service].protocol, read_rest)
    return service, *reader(MODELS[service], request)


# The checks ----------------------------------------------------------------------------------


def authorization(given):
    kind, _, rest = given["authorization"].partition(" ")
    need(kind == "AWS4-HMAC-SHA256", "authorization %s", kind)
    return {k: v for k, _, v in (part.strip().partition("=") for part in rest.split(","))}


def check_signature(request, keys, op):
    given, auth = request["given"], request["auth"]
    names = auth["SignedHeaders"].split(";")
    for name in given:
        must = name in ("host", "content-type") or (name.startswith("x-amz") and name != "authorization")
        need(name in names or not must, "header %s is not signed", name)
    again = AWSRequest(method=request["method"], url="http://%s%s" % (given["host"], request["target"]))
    for name, value in request["headers"]:
        if name.lower() in names:
            again.headers.add_header(name, value)
    again.context["timestamp"] = given["x-amz-date"]
    _, day, region, service, _ = request["scope"]
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(keys["access_key"], keys["secret_key"]), service, region)
    signer.payload = lambda _: request["sha256"]
    need(service == MODELS[op.service_model.service_name].signing_name, "signed for %s", service)
    need(day == given["x-amz-date"][:8] and region == keys["region"], "scope %s", request["scope"])
    need(signer.signed_headers(signer.headers_to_sign(again)) == auth["SignedHeaders"], "signed headers %s", names)
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    need(signature == auth["Signature"], "botocore signs it otherwise")


def check_body(request, op):
    given = request["given"]
    need(int(given.get("content-length", 0)) == request["length"], "content-length")
    payload = given.get("x-amz-content-sha256", request["sha256"])
    covered = "x-amz-checksum-crc32c" in given
    need(payload == request["sha256"] or (payload == "UNSIGNED-PAYLOAD" and covered), "x-amz-content-sha256 is %s", payload)
    if op.http_checksum.get("requestChecksumRequired") or op.name in ("PutObject", "UploadPart"):
        need(given.get("x-amz-checksum-crc32c") == request["crc32c"], "the checksum is not the body's")


def resources(service, params):
    if service == "s3":
        return ["arn:aws:s3:::" + "/".join(params[k] for k in ("Bucket", "Key") if k in params)]
    if service == "iam":
        return ["arn:aws:iam::123456789012:role/" + params["RoleName"]]
    named = ["arn:aws:sagemaker:us-east-1:123456789012:%s/%s" % (RESOURCES[k], v.lower()) for k, v in params.items() if k in RESOURCES]
    return named or [params.get("ResourceArn", "*")]


def of_objects(op, params):
    """Requests that name their objects in other places than the path."""
    if op.name == "DeleteObjects":
        return [("s3:DeleteObject", "%s/%s" % (params["Bucket"], o["Key"])) for o in params["Delete"]["Objects"]]
    source = urllib.parse.unquote(params["CopySource"]).lstrip("/").split("?")[0]
    return [("s3:GetObject", source), ("s3:PutObject", "%s/%s" % (params["Bucket"], params["Key"]))]


def permissions(service, op, params):
    """(action, resource) that the request needs."""
    if service == "s3" and op.name in ("DeleteObjects", "CopyObject", "UploadPartCopy"):
        yield from ((action, "arn:aws:s3:::" + path) for action, path in of_objects(op, params))
        return
    if params.get("Bucket") in LINKED:
        return
    action = ACTIONS.get((service, op.name), "%s:%s" % (MODELS[service].signing_name, op.name))
    for resource in resources(service, params) if action else []:
        yield action, resource
    if params.get("Tags"):
        yield "sagemaker:AddTags", resources(service, params)[0]
    if "ExecutionRoleArn" in params:
        yield "iam:PassRole", params["ExecutionRoleArn"]


def allows(policy, action, resource):
    """A policy names one role, and tests name others by options: of roles only the action counts."""
    of_role = action.startswith("iam:")
    for s in policy["Statement"]:
        if s["Effect"] == "Allow" and any(fnmatchcase(action, a) for a in s["Action"]) and (
                of_role or any(fnmatchcase(resource, r) for r in s["Resource"])):
            return True
    return False


def check_policy(service, op, params, policy):
    for action, resource in permissions(service, op, params):
        need(allows(policy, action, resource), "the policy does not allow %s on %s", action, resource)


def recorded(directory):
    """Every request of ours, with the keys it was signed with."""
    for path in sorted(glob.glob(os.path.join(directory, "*.jsonl"))):
        with open(path[: -len("jsonl")] + "run", encoding="utf-8") as f:
            keys = json.load(f)
        with open(path, encoding="ascii") as f:
            for line in f:
                r = json.loads(line)
                r["given"] = {k.lower(): v for k, v in r["headers"]}
                if not r["given"].get("user-agent", "").startswith("sagemakerfs/"):
                    continue
                r["bytes"] = base64.b64decode(r["body"]) if r["body"] is not None else bytes(r["length"])
                yield r, keys


def examine(r, keys, policy, note):
    note("?", "is understood", None)
    need(len(r["given"]) == len(r["headers"]), "a header comes twice")
    r["auth"] = authorization(r["given"])
    r["scope"] = r["auth"]["Credential"].split("/")
    need(r["scope"][0] == keys["access_key"] and r["scope"][4] == "aws4_request", "scope %s", r["scope"])
    service, op, params = read(r)
    for what, run in (
        ("as in the model", lambda: check(op.input_shape, params, op.name) if op.input_shape else need(not params, "has members")),
        ("signed as botocore does", lambda: check_signature(r, keys, op)),
        ("body covered", lambda: check_body(r, op)),
        ("allowed by the printed policy", lambda: check_policy(service, op, params, policy)),
    ):
        try:
            run()
            note(service + " " + op.name, what, None)
        except Bad as e:
            note(service + " " + op.name, what, "%s %s: %s" % (r["method"], r["target"], e))


def with_json(r, change):
    body = json.loads(r["bytes"])
    change(body)
    return {**r, "bytes": json.dumps(body).encode()}


def with_header(r, name, value):
    headers = [[k, v] for k, v in r["headers"] if k.lower() != name] + [[name, value]]
    return {**r, "headers": headers, "given": {k.lower(): v for k, v in headers}}


# Faults that must be found: in a request whose target or line holds the text, what is done to it.
PLANTED = [
    ("a pattern", ".CreateModel", lambda r: with_json(r, lambda b: b.update(ModelName="no_such_name"))),
    ("a missing member", ".CreateEndpointConfig", lambda r: with_json(r, lambda b: b.pop("ProductionVariants"))),
    ("an unknown member", ".CreateEndpoint", lambda r: with_json(r, lambda b: b.update(Colour="red"))),
    ("an enum", ".ListEndpoints", lambda r: with_json(r, lambda b: b.update(SortBy="Beauty"))),
    ("a type", ".ListEndpoints", lambda r: with_json(r, lambda b: b.update(MaxResults="100"))),
    ("a maximum", ".ListEndpoints", lambda r: with_json(r, lambda b: b.update(MaxResults=101))),
    ("an unsigned header", "HEAD /", lambda r: with_header(r, "x-amz-expected-bucket-owner", "1")),
    ("an unknown header", "HEAD /", lambda r: with_header(r, "x-amz-colour", "red")),
    ("another body", "PUT /", lambda r: {**r, "sha256": "0" * 64, "crc32c": "AAAAAA=="}),
    ("another path", "POST /endpoints/", lambda r: {**r, "target": r["target"].replace("/endpoints/", "/endpoints/a")}),
]


def find_planted(requests, policy):
    for name, text, change in PLANTED:
        r, keys = next((r, keys) for r, keys in requests if text in "%s %s %s" % (
            r["method"], r["target"], r["given"].get("x-amz-target", "")))
        found = []
        try:
            examine(change(r), keys, policy, lambda op, what, failure: found.append(failure) if failure else None)
        except Bad as e:
            found.append(e)
        print("%s recorded: %s that is wrong would be found" % ("ok" if found else "FAIL", name))


def main():
    with open(sys.argv[2], encoding="utf-8") as f:
        policy = json.load(f)
    policy = policy.get("user", policy)
    seen, wrong = collections.Counter(), collections.defaultdict(list)

    def note(op, what, failure):
        seen[(op, what)] += 1
        if failure:
            wrong[(op, what)].append(failure)

    requests = list(recorded(sys.argv[1]))
    for r, keys in requests:
        try:
            examine(r, keys, policy, note)
        except Bad as e:
            wrong[("?", "is understood")].append("%s %s: %s" % (r["method"], r["target"], e))
    for key, n in sorted(seen.items()):
        if wrong[key]:
            print("FAIL recorded: %s is %s: %d of %d are not, first: %s" % (*key, len(wrong[key]), n, wrong[key][0][:1500]))
        else:
            print("ok recorded: %s is %s: %d requests" % (*key, n))
    operations = {op for op, _ in seen}
    for op in sys.argv[3:]:
        print("%s recorded: %s was sent" % ("ok" if any(o.endswith(" " + op) for o in operations) else "FAIL", op))
    find_planted(requests, policy)
    return any(wrong.values())


if __name__ == "__main__":
    sys.exit(main())
