"""Who is let in: signatures, clocks, hosts, garbage; and who that is."""
import base64
import hashlib
import hmac
import json
import socket
import time
import urllib.request

import boto3

from harness import B, MIB, code_of, error_of, send, signed


def test_signature_refusals():
    s3 = boto3.client("s3", endpoint_url=B.url, region_name="us-east-1", aws_access_key_id="AKIAXXXXXXXXXXXXXXXX",
                      aws_secret_access_key="x")
    assert code_of(s3.list_buckets) == "InvalidAccessKeyId"
    for service, call, code in (("s3", "list_buckets", "SignatureDoesNotMatch"),
                                ("sagemaker", "list_models", "InvalidSignatureException"),
                                ("sts", "get_caller_identity", "SignatureDoesNotMatch")):
        c = boto3.client(service, endpoint_url=B.url, region_name="us-east-1", aws_access_key_id=B.run["access_key"],
                         aws_secret_access_key="wrong")
        assert code_of(getattr(c, call)) == code
    sm = boto3.client("sagemaker", endpoint_url=B.url, region_name="us-east-1", aws_access_key_id="AKIAX",
                      aws_secret_access_key="x")
    assert code_of(sm.list_models) == "UnrecognizedClientException"
    c = boto3.client("s3", endpoint_url=B.url, region_name="eu-west-1", aws_access_key_id=B.run["access_key"],
                     aws_secret_access_key=B.run["secret_key"])
    assert code_of(c.list_buckets) == "AuthorizationHeaderMalformed"
    # Of a bucket the answer says where it is, by which boto3, s3cmd and others sign anew.
    c.put_object(Bucket="models", Key="from elsewhere", Body=b"x")
    assert c.head_object(Bucket="models", Key="from elsewhere")["ContentLength"] == 1
    assert c.head_bucket(Bucket="models")["BucketRegion"] == "us-east-1"


def test_tampered_requests():
    ok = signed("PUT", "/models/t%20x", b"body", {"x-amz-meta-a": "1"})
    assert send(ok)[0] == 200
    assert send(signed("PUT", "/models/t", b"body"), lambda h: h.update({"Authorization": "AWS4-HMAC-SHA256 x"}))[0] == 400
    assert send(signed("PUT", "/models/t", b"body"), lambda h: h.pop("Authorization"))[0] == 403

    def other_body(h):
        h["X-Amz-Content-SHA256"] = hashlib.sha256(b"else").hexdigest()
    assert send(signed("PUT", "/models/t", b"body"), other_body)[0] == 403
    req = signed("PUT", "/models/t", b"body")
    req.data = b"BODY"
    status, _, text = send(req)
    assert status == 400 and b"XAmzContentSHA256Mismatch" in text, text
    req = signed("POST", "/", b"{}", {"X-Amz-Target": "SageMaker.ListModels"}, service="sagemaker")
    req.data = b'{"MaxResults":1}'
    status, headers, text = send(req)
    assert status == 400 and json.loads(text)["__type"] == "InvalidSignatureException"
    assert headers["x-amzn-RequestId"]


def test_other_host_is_refused():
    status, _, text = send(signed("GET", "/"), lambda h: h.update({"Host": "evil.example:80"}))
    assert status == 403 and b"Host" in text


def test_clock_skew():
    import datetime
    import botocore.auth
    real = botocore.auth.get_current_datetime if hasattr(botocore.auth, "get_current_datetime") else None
    if real is None:
        import botocore.compat
        name, module = "get_current_datetime", botocore.compat
    else:
        name, module = "get_current_datetime", botocore.auth
    old = getattr(module, name)
    setattr(module, name, lambda *a, **k: old(*a, **k) - datetime.timedelta(minutes=20))
    try:
        assert code_of(B.client("s3").list_buckets) == "RequestTimeTooSkewed"
    finally:
        setattr(module, name, old)


def test_garbage():
    host, port = B.url[7:].split(":")
    for junk in (b"\0\1\2\r\n\r\n", b"GET\r\n\r\n", b"GET /%zz/%2 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                 b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                 b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nAuthorization: AWS4-HMAC-SHA256 Credential=/////, "
                 b"SignedHeaders=;;;;, Signature=\r\nContent-Length: 1\r\n\r\nx", b"A" * 300000):
        s = socket.create_connection((host, int(port)), timeout=1)
        try:
            s.sendall(junk)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass
        s.close()
    assert B.client("s3").list_buckets()["Buckets"]


def test_identity():
    me = B.client("sts").get_caller_identity()
    assert me["Account"] == "123456789012" and ":assumed-role/" in me["Arn"]
    name = me["Arn"].split("/")[1]
    role = B.client("iam").get_role(RoleName=name)["Role"]
    assert role["Arn"] == B.run["role"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"] == "sagemaker.amazonaws.com"
    assert code_of(B.client("iam").get_role, RoleName="other") == "NoSuchEntity"


def session_client(service, keys):
    return boto3.client(service, endpoint_url=B.url, region_name=B.run["region"], aws_access_key_id=keys["AccessKeyId"],
                        aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])


def test_assumed_role():
    """Temporary keys work everywhere, say whose they are, and only whole."""
    sts = B.client("sts")
    answer = sts.assume_role(RoleArn=B.run["role"], RoleSessionName="tests", DurationSeconds=900)
    keys = answer["Credentials"]
    assert 890 < (keys["Expiration"].timestamp() - time.time()) <= 900
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/sagemakerfs-local/tests"
    who = session_client("sts", keys).get_caller_identity()
    assert who["Arn"] == answer["AssumedRoleUser"]["Arn"] and who["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    s3 = session_client("s3", keys)
    s3.put_object(Bucket="models", Key="by-a-session", Body=b"x" * MIB)
    assert s3.head_object(Bucket="models", Key="by-a-session")["ContentLength"] == MIB
    session_client("sagemaker", keys).list_endpoints()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "models", "Key": "by-a-session"})
    assert len(urllib.request.urlopen(url).read()) == MIB
    for change in ({"SecretAccessKey": "wrong"}, {"SessionToken": keys["SessionToken"][:-8] + "AAAAAAA="},
                   {"AccessKeyId": "ASIA" + "X" * 16}):
        assert error_of(session_client("s3", dict(keys, **change)).list_buckets)["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_assumed_role_after_a_restart():
    keys = B.client("sts").assume_role(RoleArn=B.run["role"], RoleSessionName="tests")["Credentials"]
    B.kill()
    B.start()
    assert session_client("s3", keys).list_buckets()["Buckets"]


def test_expired_session():
    """A token whose time is over, made as the store would have made it."""
    access, who, expires = "ASIA" + "A" * 16, "sagemakerfs-local/old", int(time.time()) - 10

    def derive(purpose):
        text = "%s\n%s\n%d\n%s" % (purpose, access, expires, who)
        return hmac.new(B.run["secret_key"].encode(), text.encode(), "sha256").hexdigest()
    keys = {"AccessKeyId": access, "SecretAccessKey": derive("secret")[:40],
            "SessionToken": base64.b64encode(("%d %s %s" % (expires, derive("token"), who)).encode()).decode()}
    assert code_of(session_client("s3", keys).list_buckets) == "ExpiredToken"
    assert code_of(session_client("sagemaker", keys).list_models) == "ExpiredTokenException"
    assert code_of(session_client("sts", keys).get_caller_identity) == "ExpiredToken"


def test_roles_that_are_not_ours():
    sts = B.client("sts")
    assert code_of(sts.assume_role, RoleArn="arn:aws:iam::999999999999:role/x", RoleSessionName="tests") == "AccessDenied"
    assert code_of(sts.assume_role, RoleArn=B.run["role"], RoleSessionName="no blanks") == "ValidationError"
    assert code_of(sts.assume_role, RoleArn=B.run["role"], RoleSessionName="tests", DurationSeconds=60000) == "ValidationError"
