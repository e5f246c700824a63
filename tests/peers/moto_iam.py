"""moto_iam: moto's server, with IAM that looks at resources and conditions, and at all that one call needs.

moto itself checks only the action's name, for most services against the resource "*". Here each call demands what AWS's Service
Authorization Reference lists for it: (action, resource, context) triples, made from the request. The identity, its policies and
its signature are moto's business. Usage: moto_iam.py PORT   (POST /moto-api/reset-auth with 0 begins to enforce)
"""
import fnmatch
import html
import json
import re
import sys

from moto.core import authorization
from moto.iam.models import iam_backends
from moto.server import main
from werkzeug.exceptions import HTTPException

ACCOUNT = "123456789012"


def sagemaker(kind, member):
    return lambda p, region: f"arn:aws:sagemaker:{region}:{ACCOUNT}:{kind}/{p[member].lower()}"


MODEL, CONFIG, ENDPOINT = (sagemaker("model", "ModelName"), sagemaker("endpoint-config", "EndpointConfigName"),
                           sagemaker("endpoint", "EndpointName"))
# What each operation acts on; those not here have no resource: "*".
RESOURCES = {
    "CreateModel": [MODEL], "DescribeModel": [MODEL], "DeleteModel": [MODEL],
    "CreateEndpointConfig": [CONFIG], "DescribeEndpointConfig": [CONFIG], "DeleteEndpointConfig": [CONFIG],
    "CreateEndpoint": [ENDPOINT, CONFIG], "UpdateEndpoint": [ENDPOINT, CONFIG], "DescribeEndpoint": [ENDPOINT],
    "DeleteEndpoint": [ENDPOINT], "UpdateEndpointWeightsAndCapacities": [ENDPOINT],
    "AddTags": [lambda p, region: p["ResourceArn"]], "ListTags": [lambda p, region: p["ResourceArn"]],
    "DeleteTags": [lambda p, region: p["ResourceArn"]],
}
# Names of S3's requests in moto that are no IAM actions.
S3_ACTIONS = {"HeadBucket": "ListBucket", "ListMultipartUploads": "ListBucketMultipartUploads",
              "PutPublicAccessBlock": "PutBucketPublicAccessBlock", "DeleteObjects": "DeleteObject"}


def demands_sagemaker(action, p, region):
    arns = [make(p, region) for make in RESOURCES.get(action, [])] or ["*"]
    yield from ((f"sagemaker:{action}", arn, {}) for arn in arns)
    if p.get("Tags") and action.startswith("Create"):
        yield ("sagemaker:AddTags", arns[0], {})
    if "ExecutionRoleArn" in p:
        yield ("iam:PassRole", p["ExecutionRoleArn"], {"iam:PassedToService": "sagemaker.amazonaws.com"})


def s3_action(handler):
    """moto's map sends every PUT of a bucket without a word it knows to CreateBucket."""
    action = handler._get_action()
    action = action[0] if isinstance(action, list) else action
    query = handler.querystring or {}
    if "publicAccessBlock" in query and action == "CreateBucket":
        action = "PutPublicAccessBlock"
    if handler.method == "GET" and "uploads" in query:
        action = "ListBucketMultipartUploads"
    return S3_ACTIONS.get(action, action)


def decoded(body):
    return body.decode() if isinstance(body, bytes) else body or ""


def demands(handler, service, resource, region):
    if service == "s3" and handler.method == "POST" and "delete" in (handler.querystring or {}):
        # DeleteObjects is asked about each object; moto knows the bucket only.
        for key in re.findall("<Key>(.*?)</Key>", decoded(handler.body), re.DOTALL):
            yield ("s3:DeleteObject", f"{resource}/{html.unescape(key)}", {})
    elif service == "s3":
        yield (f"s3:{s3_action(handler)}", resource, {})
    elif "invocations" in handler.path:
        name = handler.path.split("/")[2].lower()
        yield ("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{region}:{ACCOUNT}:endpoint/{name}", {})
    elif service == "sagemaker":
        body = handler.body
        yield from demands_sagemaker(handler._get_action(), json.loads(body or "{}"), region)
    elif service == "iam" and "RoleName" in handler.data:
        arns = [r.arn for r in iam_backends[ACCOUNT]["aws"].roles.values() if r.name == handler.data["RoleName"][0]]
        yield (f"iam:{handler._get_action()}", arns[0] if arns else "*", {})
    else:
        yield (f"{service}:{handler._get_action()}", "*", {})


def many(x):
    return x if isinstance(x, list) else [x]


def matches(patterns, value, fold=False):
    return any(fnmatch.fnmatchcase(value.lower() if fold else value, (p.lower() if fold else p).replace("[", "[[]"))
               for p in many(patterns))


def holds(condition, context):
    for operator, rows in (condition or {}).items():
        assert operator == "StringEquals", operator
        for key, values in rows.items():
            if context.get(key) not in many(values):
                return False
    return True


def permitted(documents, action, resource, context):
    allowed = False
    for document in documents:
        for s in many(document["Statement"]):
            if matches(s["Action"], action, True) and matches(s["Resource"], resource) and holds(s.get("Condition"), context):
                if s["Effect"] == "Deny":
                    return False
                allowed = True
    return allowed


def documents_of(key):
    for policy in key.collect_policies():
        text = policy["policy_document"] if isinstance(policy, dict) else policy
        yield json.loads(text)


QUERY_REPLY = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>%s</Message></Error></ErrorResponse>"


class Denied(HTTPException):
    def __init__(self, status, body):
        super().__init__(body)
        self.code = status


def refuse(request, action, arn):
    """S3 says no more than "Access Denied"; moto answers all others in a form of its own, AWS in the service's."""
    if request._service == "s3":
        request._raise_access_denied()
    text = (f"User: {request._access_key.arn} is not authorized to perform: {action} on resource: {arn} "
            f"because no identity-based policy allows the {action} action")
    if request._service == "iam":
        raise Denied(403, QUERY_REPLY % text)
    raise Denied(400, json.dumps({"__type": "AccessDeniedException", "Message": text}))


def authorize(handler, request_class, resource="*"):
    mixin = authorization.ActionAuthenticatorMixin
    if mixin.request_count < authorization.settings.INITIAL_NO_AUTH_ACTION_COUNT:
        mixin.request_count += 1
        return
    if resource.startswith("arn:aws:s3:::*"):
        resource = "*"
    request = request_class(account_id=ACCOUNT, method=handler.method, path=handler.raw_path, data=handler.data,
                            body=handler.raw_body, headers=handler.headers, action=handler._get_action() or "?")
    if request._service == "sts":
        return  # everybody may ask who he is
    documents = list(documents_of(request._access_key))
    for action, arn, context in demands(handler, request._service, resource, request._region):
        print(f"asked {action}", file=sys.stderr, flush=True)
        if not permitted(documents, action, arn, context):
            request._action = action
            print(f"denied {action} on {arn}", file=sys.stderr, flush=True)
            refuse(request, action, arn)


authorization.ActionAuthenticatorMixin._authenticate_and_authorize_action = authorize
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
