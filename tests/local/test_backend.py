"""The local backend from outside: boto3 and plain HTTP against a real process.

usage: test_backend.py LOCAL-SERVE ECHO-SERVE-DIR   (tests/local/run finds both)
Each test is a function test_*; one line per test, a last line "N passed, N failed".
"""
import base64
import fcntl
import hashlib
import http.client
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback
import zlib

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.19.0-cpu"
MIB = 1 << 20


class Backend:
    """One local-serve process on one store."""

    def __init__(self, store, args=(), env=None):
        self.store = store
        self.args = list(args)
        self.env = dict(os.environ, SAGEMAKERFS_RUNTIMES=RUNTIMES, SAGEMAKERFS_SERVE_DIR=ECHO,
                        XDG_DATA_HOME=os.path.join(ROOT, "none"), SAGEMAKERFS_FAULTS="1", **(env or {}))
        self.start()

    def start(self):
        self.process = subprocess.Popen([SERVE, self.store] + self.args, stdout=subprocess.PIPE,
                                        env=self.env, text=True)
        line = self.process.stdout.readline().strip()
        assert line.startswith("ready http://127.0.0.1:"), line
        self.run = json.load(open(self.store + "/run.json"))
        self.url = self.run["url"]
        assert line == "ready " + self.url

    def client(self, service, **config):
        config.setdefault("retries", {"max_attempts": 1})
        return boto3.client(service, endpoint_url=self.url, region_name=self.run["region"],
                            aws_access_key_id=self.run["access_key"],
                            aws_secret_access_key=self.run["secret_key"], config=Config(**config))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        began = time.time()
        assert self.process.wait(timeout=10) == 0
        return time.time() - began


def error_of(fn, *args, **kw):
    try:
        fn(*args, **kw)
    except ClientError as e:
        return e.response
    raise AssertionError("no error")


def code_of(fn, *args, **kw):
    return error_of(fn, *args, **kw)["Error"]["Code"]


def message_of(fn, *args, **kw):
    return error_of(fn, *args, **kw)["Error"]["Message"]


def archive(files=(("export/Servo/1/saved_model.pb", b"x" * 100),), change=None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as t:
        for name, data in files:
            i = tarfile.TarInfo(name)
            i.size = len(data)
            if change:
                change(i)
            t.addfile(i, io.BytesIO(data))
    return out.getvalue()


def deploy(name, data=None, env=None, image=IMAGE, wait="InService"):
    """An endpoint of that name on data; the final description."""
    s3, sm = B.client("s3"), B.client("sagemaker")
    s3.put_object(Bucket="models", Key=name + "/model.tar.gz", Body=data or archive())
    sm.create_model(ModelName=name, ExecutionRoleArn=B.run["role"], PrimaryContainer={
        "Image": image, "ModelDataUrl": "s3://models/%s/model.tar.gz" % name, "Environment": env or {}})
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{
        "VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1}])
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return await_status(name, wait) if wait else None


def await_status(name, *wanted, seconds=30):
    sm = B.client("sagemaker")
    end = time.time() + seconds
    while time.time() < end:
        try:
            d = sm.describe_endpoint(EndpointName=name)
        except ClientError:
            d = {"EndpointStatus": "gone"}
        if d["EndpointStatus"] in wanted:
            return d
        assert d["EndpointStatus"] in ("Creating", "Deleting", "InService"), d
        time.sleep(0.02)
    raise AssertionError("endpoint %s is %s" % (name, d))


def invoke(name, body=b"[1, 2]", **kw):
    kw.setdefault("ContentType", "application/json")
    return B.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **kw)


def signed(method, path, body=b"", headers=None, service="s3", keys=None, when=None, secret=None):
    """A request signed by botocore, with what a test wants changed; status, headers, body."""
    headers = dict(headers or {})
    creds = Credentials(keys or B.run["access_key"], secret or B.run["secret_key"])
    req = AWSRequest(method, B.url + path, data=body, headers=headers)
    auth = (S3SigV4Auth if service == "s3" else SigV4Auth)(creds, service, B.run["region"])
    auth.add_auth(req)
    return req


def send(req, change=None):
    p = req.prepare()
    h = dict(p.headers.items())
    if change:
        change(h)
    host, port = B.url[7:].split(":")
    c = http.client.HTTPConnection(host, int(port), timeout=20)
    c.putrequest(p.method, p.url[len(B.url):], skip_host=any(k.lower() == "host" for k in h), skip_accept_encoding=True)
    body = p.body or b""
    body = body.encode() if isinstance(body, str) else body
    if not any(k.lower() == "content-length" for k in h):
        h["Content-Length"] = str(len(body))
    for k, v in h.items():
        c.putheader(k, v.decode() if isinstance(v, bytes) else v)
    c.endheaders(body)
    r = c.getresponse()
    return r.status, r.headers, r.read()


# ---- S3 ----

def test_bucket():
    s3 = B.client("s3")
    s3.create_bucket(Bucket="models")
    s3.create_bucket(Bucket="models")
    assert s3.head_bucket(Bucket="models")["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    assert error_of(s3.head_bucket, Bucket="none-such")["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert code_of(s3.list_objects_v2, Bucket="none-such") == "NoSuchBucket"
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["models"]
    assert s3.get_bucket_location(Bucket="models")["LocationConstraint"] is None
    assert code_of(s3.head_bucket, Bucket="models", ExpectedBucketOwner="999999999999") == "403"
    s3.create_bucket(Bucket="short-lived")
    s3.put_object(Bucket="short-lived", Key="a", Body=b"")
    assert code_of(s3.delete_bucket, Bucket="short-lived") == "BucketNotEmpty"
    s3.delete_object(Bucket="short-lived", Key="a")
    s3.delete_bucket(Bucket="short-lived")


def test_put_get_range():
    s3 = B.client("s3")
    data = os.urandom(300000)
    r = s3.put_object(Bucket="models", Key="d/ü +&%2F?#<x>", Body=data, Metadata={"Colour": "blue"}, ContentType="a/b")
    assert r["ETag"] == '"%s"' % hashlib.md5(data).hexdigest()
    g = s3.get_object(Bucket="models", Key="d/ü +&%2F?#<x>")
    assert g["Body"].read() == data and g["ContentType"] == "a/b" and g["Metadata"] == {"colour": "blue"}
    for spec, part in (("bytes=0-0", data[:1]), ("bytes=100-", data[100:]), ("bytes=-7", data[-7:]),
                       ("bytes=299990-400000", data[299990:]), ("bytes=5-3", data), ("lines=1-2", data)):
        assert s3.get_object(Bucket="models", Key="d/ü +&%2F?#<x>", Range=spec)["Body"].read() == part, spec
    assert code_of(s3.get_object, Bucket="models", Key="d/ü +&%2F?#<x>", Range="bytes=300000-") == "InvalidRange"
    assert s3.head_object(Bucket="models", Key="d/ü +&%2F?#<x>")["ContentLength"] == 300000
    assert code_of(s3.get_object, Bucket="models", Key="nothing") == "NoSuchKey"
    s3.delete_object(Bucket="models", Key="d/ü +&%2F?#<x>")
    s3.delete_object(Bucket="models", Key="d/ü +&%2F?#<x>")
    assert error_of(s3.head_object, Bucket="models", Key="d/ü +&%2F?#<x>")["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_empty_object():
    s3 = B.client("s3")
    s3.put_object(Bucket="models", Key="empty", Body=b"")
    assert s3.get_object(Bucket="models", Key="empty")["Body"].read() == b""
    assert s3.head_object(Bucket="models", Key="empty")["ContentLength"] == 0


def test_conditions():
    s3 = B.client("s3")
    etag = s3.put_object(Bucket="models", Key="c", Body=b"one", IfNoneMatch="*")["ETag"]
    r = error_of(s3.put_object, Bucket="models", Key="c", Body=b"two", IfNoneMatch="*")
    assert r["Error"]["Code"] == "PreconditionFailed" and r["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert code_of(s3.put_object, Bucket="models", Key="c", Body=b"two", IfMatch='"0"') == "PreconditionFailed"
    assert code_of(s3.put_object, Bucket="models", Key="c2", Body=b"two", IfMatch='"0"') == "NoSuchKey"
    new = s3.put_object(Bucket="models", Key="c", Body=b"two", IfMatch=etag)["ETag"]
    assert code_of(s3.get_object, Bucket="models", Key="c", IfMatch=etag) == "PreconditionFailed"
    assert code_of(s3.get_object, Bucket="models", Key="c", IfNoneMatch=new) == "304"
    assert s3.get_object(Bucket="models", Key="c", IfMatch=new)["Body"].read() == b"two"
    s3.delete_object(Bucket="models", Key="c")


def test_conditions_race():
    wins = []

    def put(i):
        try:
            B.client("s3").put_object(Bucket="models", Key="race", Body=b"%d" % i, IfNoneMatch="*")
            wins.append(i)
        except ClientError as e:
            assert e.response["Error"]["Code"] == "PreconditionFailed"
    threads = [threading.Thread(target=put, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(wins) == 1
    assert B.client("s3").get_object(Bucket="models", Key="race")["Body"].read() == b"%d" % wins[0]


def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def test_checksums():
    s3, data = B.client("s3"), b"123456789"
    value = base64.b64encode(struct.pack(">I", crc32c(data))).decode()
    assert crc32c(data) == 0xe3069283
    s3.put_object(Bucket="models", Key="sum", Body=data, ChecksumCRC32C=value)
    assert s3.get_object(Bucket="models", Key="sum", ChecksumMode="ENABLED")["ChecksumCRC32C"] == value
    assert s3.head_object(Bucket="models", Key="sum", ChecksumMode="ENABLED")["ChecksumType"] == "FULL_OBJECT"
    assert code_of(s3.put_object, Bucket="models", Key="sum", Body=b"12345678", ChecksumCRC32C=value) == "BadDigest"
    z = base64.b64encode(struct.pack(">I", zlib.crc32(data))).decode()
    assert s3.put_object(Bucket="models", Key="sum", Body=data)["ChecksumCRC32"] == z
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    s3.put_object(Bucket="models", Key="sum", Body=data, ContentMD5=md5)
    assert code_of(s3.put_object, Bucket="models", Key="sum", Body=b"x", ContentMD5=md5) == "BadDigest"
    assert code_of(s3.put_object, Bucket="models", Key="sum", Body=b"x", ContentMD5="abc") == "InvalidDigest"
    sha = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert s3.put_object(Bucket="models", Key="sum", Body=data, ChecksumSHA256=sha)["ChecksumSHA256"] == sha
    assert code_of(s3.put_object, Bucket="models", Key="sum", Body=b"x", ChecksumSHA256=sha) == "BadDigest"
    assert s3.get_object(Bucket="models", Key="sum")["Body"].read() == data


def test_list():
    s3 = B.client("s3")
    keys = sorted(["l/a", "l/b/1", "l/b/2", "l/c", "l/d/x/y", "l/e&<", "l/ü"], key=lambda k: k.encode())
    for k in keys:
        s3.put_object(Bucket="models", Key=k, Body=b"1")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="models", Prefix="l/")["Contents"]] == keys
    r = s3.list_objects_v2(Bucket="models", Prefix="l/", Delimiter="/")
    assert [o["Key"] for o in r["Contents"]] == ["l/a", "l/c", "l/e&<", "l/ü"]
    assert [p["Prefix"] for p in r["CommonPrefixes"]] == ["l/b/", "l/d/"] and r["KeyCount"] == 6
    seen, kw = [], {}
    while True:
        r = s3.list_objects_v2(Bucket="models", Prefix="l/", Delimiter="/", MaxKeys=1, **kw)
        seen += [o["Key"] for o in r.get("Contents", [])] + [p["Prefix"] for p in r.get("CommonPrefixes", [])]
        if not r["IsTruncated"]:
            break
        kw = {"ContinuationToken": r["NextContinuationToken"]}
    assert seen == ["l/a", "l/b/", "l/c", "l/d/", "l/e&<", "l/ü"], seen
    r = s3.list_objects_v2(Bucket="models", Prefix="l/", StartAfter="l/c")
    assert [o["Key"] for o in r["Contents"]] == ["l/d/x/y", "l/e&<", "l/ü"]
    assert s3.list_objects_v2(Bucket="models", Prefix="nothing")["KeyCount"] == 0
    assert code_of(s3.list_objects_v2, Bucket="models", ContinuationToken="???") == "InvalidArgument"


def test_multipart():
    s3 = B.client("s3")
    parts = [os.urandom(5 * MIB), os.urandom(6 * MIB + 1), b"end"]
    up = s3.create_multipart_upload(Bucket="models", Key="big", Metadata={"a": "b"})["UploadId"]
    where = dict(Bucket="models", Key="big", UploadId=up)
    tags = [s3.upload_part(PartNumber=i + 1, Body=p, **where)["ETag"] for i, p in enumerate(parts)]
    assert [p["Size"] for p in s3.list_parts(**where)["Parts"]] == [len(p) for p in parts]
    assert up in [u["UploadId"] for u in s3.list_multipart_uploads(Bucket="models")["Uploads"]]
    good = [{"PartNumber": i + 1, "ETag": t} for i, t in enumerate(tags)]

    def complete(list_, **kw):
        return s3.complete_multipart_upload(MultipartUpload={"Parts": list_}, **where, **kw)
    assert code_of(complete, good[::-1]) == "InvalidPartOrder"
    assert code_of(complete, good[:2] + [{"PartNumber": 4, "ETag": tags[2]}]) == "InvalidPart"
    assert code_of(complete, good[:1] + [{"PartNumber": 2, "ETag": tags[2]}]) == "InvalidPart"
    r = complete(good)
    md5s = b"".join(hashlib.md5(p).digest() for p in parts)
    assert r["ETag"] == '"%s-3"' % hashlib.md5(md5s).hexdigest()
    whole = b"".join(parts)
    g = s3.get_object(Bucket="models", Key="big")
    assert g["Body"].read() == whole and g["Metadata"] == {"a": "b"}
    at = 5 * MIB
    g = s3.get_object(Bucket="models", Key="big", Range="bytes=%d-%d" % (at - 5, at + 4))
    assert g["Body"].read() == whole[at - 5:at + 5]
    g = s3.get_object(Bucket="models", Key="big", Range="bytes=%d-%d" % (at + 1, at + 4))
    assert g["Body"].read() == whole[at + 1:at + 5]
    assert code_of(complete, good) == "NoSuchUpload"
    up2 = s3.create_multipart_upload(Bucket="models", Key="big")["UploadId"]
    where["UploadId"] = up2
    small = [{"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=b"%d" % n, **where)["ETag"]} for n in (1, 2)]
    assert code_of(complete, small) == "EntityTooSmall"
    assert code_of(complete, small[1:], IfNoneMatch="*") == "PreconditionFailed"
    s3.abort_multipart_upload(**where)
    assert code_of(s3.upload_part, PartNumber=1, Body=b"1", **where) == "NoSuchUpload"
    s3.delete_object(Bucket="models", Key="big")


def test_multipart_full_crc():
    s3 = B.client("s3")
    parts = [bytes(5 * MIB), b"123456789"]
    full = zlib.crc32(b"".join(parts))
    up = s3.create_multipart_upload(Bucket="models", Key="f", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    where = dict(Bucket="models", Key="f", UploadId=up["UploadId"])
    tags = [s3.upload_part(PartNumber=i + 1, Body=p, **where)["ETag"] for i, p in enumerate(parts)]
    list_ = {"Parts": [{"PartNumber": i + 1, "ETag": t} for i, t in enumerate(tags)]}
    bad = base64.b64encode(struct.pack(">I", full ^ 1)).decode()
    good = base64.b64encode(struct.pack(">I", full)).decode()
    assert code_of(s3.complete_multipart_upload, MultipartUpload=list_, ChecksumCRC32=bad, **where) == "BadDigest"
    r = s3.complete_multipart_upload(MultipartUpload=list_, ChecksumCRC32=good, **where)
    assert r["ChecksumCRC32"] == good and r["ChecksumType"] == "FULL_OBJECT"
    assert s3.head_object(Bucket="models", Key="f", ChecksumMode="ENABLED")["ChecksumCRC32"] == good


def test_upload_file():
    path = os.path.join(ROOT, "upload")
    with open(path, "wb") as f:
        f.write(os.urandom(30 * MIB))
    s3 = B.client("s3")
    s3.upload_file(path, "models", "file")
    s3.download_file("models", "file", path + ".back")
    assert open(path, "rb").read() == open(path + ".back", "rb").read()
    s3.delete_object(Bucket="models", Key="file")


def test_files_go_with_their_objects():
    s3 = B.client("s3")
    for n in range(3):
        s3.put_object(Bucket="models", Key="over", Body=b"%d" % n)
    before = len(os.listdir(B.store + "/objects"))
    s3.delete_object(Bucket="models", Key="over")
    assert len(os.listdir(B.store + "/objects")) == before - 1


def test_read_while_replaced():
    s3, old = B.client("s3"), os.urandom(20 * MIB)
    s3.upload_fileobj(io.BytesIO(old), "models", "replaced")
    body = s3.get_object(Bucket="models", Key="replaced")["Body"]
    first = body.read(MIB)
    s3.put_object(Bucket="models", Key="replaced", Body=b"new")
    assert first + body.read() == old
    s3.delete_object(Bucket="models", Key="replaced")


def test_foreign_calls():
    s3 = B.client("s3")
    assert code_of(s3.get_bucket_acl, Bucket="models") == "NotImplemented"
    assert code_of(s3.copy_object, Bucket="models", Key="a", CopySource="models/b") == "NotImplemented"
    assert code_of(s3.put_object, Bucket="models", Key="k" * 1025, Body=b"") == "KeyTooLongError"


# ---- signatures ----

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


def test_streaming_bodies_are_refused():
    req = AWSRequest("PUT", B.url + "/models/s", data=b"0\r\n\r\n",
                     headers={"X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
    auth = S3SigV4Auth(Credentials(B.run["access_key"], B.run["secret_key"]), "s3", "us-east-1")
    auth.payload = lambda r: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    auth.add_auth(req)
    status, _, text = send(req)
    assert (status, b"NotImplemented" in text) == (501, True), (status, text)


def test_garbage():
    import socket
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


# ---- identity ----

def test_identity():
    me = B.client("sts").get_caller_identity()
    assert me["Account"] == "123456789012" and ":assumed-role/" in me["Arn"]
    name = me["Arn"].split("/")[1]
    role = B.client("iam").get_role(RoleName=name)["Role"]
    assert role["Arn"] == B.run["role"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"] == "sagemaker.amazonaws.com"
    assert code_of(B.client("iam").get_role, RoleName="other") == "NoSuchEntity"


# ---- control plane ----

def test_model_refusals():
    sm, s3 = B.client("sagemaker"), B.client("s3")
    s3.put_object(Bucket="models", Key="m", Body=archive())
    good = {"Image": IMAGE, "ModelDataUrl": "s3://models/m"}

    def create(name="m1", role=B.run["role"], **c):
        return sm.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=dict(good, **c))
    assert message_of(create, ModelDataUrl="s3://models/none") == "Could not find model data at s3://models/none."
    assert "regular expression" in message_of(create, name="bad_name")
    assert "'modelName'" in message_of(create, name="a" * 64)
    assert "executionRoleArn" in message_of(create, role="arn:aws:iam::1:role/x")
    assert message_of(create, role="arn:aws:iam::999999999999:role/x").startswith("Could not assume role")
    assert "primaryContainer.image" in message_of(create, Image="")
    assert code_of(create, Environment={"1X": "y"}) == "ValidationException"
    assert code_of(create, Environment={"X": "y" * 1025}) == "ValidationException"
    assert code_of(sm.create_model, ModelName="x", ExecutionRoleArn=B.run["role"], Containers=[good]) == "ValidationException"
    arn = create(Environment={"A": "b"})["ModelArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:model/m1"
    assert message_of(create) == 'Cannot create already existing model "%s".' % arn
    d = sm.describe_model(ModelName="m1")
    assert d["PrimaryContainer"]["Environment"] == {"A": "b"} and d["ModelArn"] == arn
    assert abs(d["CreationTime"].timestamp() - time.time()) < 60
    sm.delete_model(ModelName="m1")
    assert message_of(sm.describe_model, ModelName="m1") == 'Could not find model "%s".' % arn
    assert message_of(sm.delete_model, ModelName="m1") == 'Could not find model "%s".' % arn
    assert code_of(sm.create_training_job if False else sm.list_training_jobs) == "UnknownOperationException"


def test_config_refusals():
    sm = B.client("sagemaker")
    v = {"VariantName": "AllTraffic", "ModelName": "nope", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    assert message_of(sm.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[v]) == \
        'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/nope".'
    assert "productionVariants.1.member.instanceType" in message_of(
        sm.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[dict(v, InstanceType="large")])
    assert message_of(sm.create_endpoint, EndpointName="e", EndpointConfigName="none") == \
        'Could not find endpoint configuration "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/none".'
    assert message_of(sm.describe_endpoint, EndpointName="e") == \
        'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e".'
    assert message_of(sm.delete_endpoint, EndpointName="e").startswith("Could not find endpoint ")


def test_lists_and_tags():
    sm = B.client("sagemaker")
    for n in range(5):
        sm.create_model(ModelName="list-%d" % n, ExecutionRoleArn=B.run["role"], PrimaryContainer={"Image": IMAGE},
                        Tags=[{"Key": "k", "Value": str(n)}])
    names = [m["ModelName"] for p in sm.get_paginator("list_models").paginate(NameContains="list-", MaxResults=2, SortBy="Name",
                                                                               SortOrder="Ascending") for m in p["Models"]]
    assert names == ["list-%d" % n for n in range(5)], names
    arn = sm.describe_model(ModelName="list-3")["ModelArn"]
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "3"}]
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": "z", "Value": ""}, {"Key": "k", "Value": "new"}])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "new"}, {"Key": "z", "Value": ""}]
    sm.delete_tags(ResourceArn=arn, TagKeys=["k"])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "z", "Value": ""}]
    assert code_of(sm.list_tags, ResourceArn=arn + "x") == "ValidationException"
    for n in range(5):
        sm.delete_model(ModelName="list-%d" % n)


# ---- endpoints ----

def test_endpoint():
    d = deploy("Echo", env={"SEEN": "yes", "SAGEMAKERFS_LISTEN_FD": "99"})
    assert d["EndpointName"] == "Echo" and d["EndpointArn"].endswith("endpoint/echo")
    v = d["ProductionVariants"][0]
    assert v["VariantName"] == "AllTraffic" and v["CurrentInstanceCount"] == 1
    assert v["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    r = invoke("Echo", b'[6.4, 3.2]', Accept="application/json", CustomAttributes="tfs-method=predict")
    assert r["InvokedProductionVariant"] == "AllTraffic" and r["ContentType"] == "application/json"
    assert json.loads(r["Body"].read())["echo"] == "[6.4, 3.2]"
    assert 'Cannot create already existing endpoint "' in message_of(
        B.client("sagemaker").create_endpoint, EndpointName="echo", EndpointConfigName="Echo")
    names = [e["EndpointName"] for e in B.client("sagemaker").list_endpoints(StatusEquals="InService")["Endpoints"]]
    assert names == ["Echo"]


def test_environment():
    env = json.loads(invoke("Echo", b'{"env": true}')["Body"].read())
    assert env["SEEN"] == "yes" and env["SAGEMAKERFS_LISTEN_FD"] == "3", env
    assert env["SAGEMAKERFS_FRAMEWORK_VERSION"] == "2.19.0"
    assert not [k for k in env if k.startswith("AWS_")] and "SAGEMAKERFS_RUNTIMES" not in env
    assert env["SAGEMAKER_BASE_DIR"] == "/opt/ml" or env["SAGEMAKER_BASE_DIR"].startswith(B.store)
    log = open(os.path.join(os.path.dirname(env["HOME"]) if os.path.exists(env["HOME"]) else B.store, "log")).read()
    assert "served by tensorflow 9.9.9" in log


def test_invoke_errors():
    rt = B.client("sagemaker-runtime")
    r = error_of(rt.invoke_endpoint, EndpointName="none", Body=b"")
    assert r["Error"]["Code"] == "ValidationError" and r["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert r["Error"]["Message"] == "Endpoint none of account 123456789012 not found."
    r = error_of(invoke, "Echo", b'{"status": 400, "text": "bad input"}')
    assert r["Error"]["Code"] == "ModelError" and r["ResponseMetadata"]["HTTPStatusCode"] == 424, r
    assert r["OriginalStatusCode"] == 400 and r["OriginalMessage"] == "bad input", r
    assert r["Error"]["Message"].startswith('Received client error (400) from primary with message "bad input". See https://')
    r = error_of(invoke, "Echo", b'{"status": 503, "text": "tired"}')
    assert "Received server error (503)" in r["Error"]["Message"] and r["OriginalStatusCode"] == 503
    assert "not found" in message_of(invoke, "Echo", TargetVariant="other")


def test_invoke_sizes():
    assert len(invoke("Echo", b'{"bytes": 10000000}')["Body"].read()) == 10000000
    body = b"[" + b"1," * (10 * MIB) + b"1]"
    assert json.loads(invoke("Echo", body)["Body"].read())["echo"].encode() == body
    r = error_of(invoke, "Echo", b"x" * (26214400 + 1))
    assert r["ResponseMetadata"]["HTTPStatusCode"] == 413, r
    assert r["Error"]["Message"] == "HTTP content length exceeded 26214400 bytes."
    assert invoke("Echo", b"", ContentType="text/csv")["Body"].read()


def test_many_invocations_at_once():
    times, failures = [], []

    def one():
        try:
            began = time.time()
            invoke("Echo", b'{"sleep": 1}')["Body"].read()
            times.append(time.time() - began)
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=one) for _ in range(40)]
    began = time.time()
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failures, failures[0]
    assert time.time() - began < 20, time.time() - began
    assert len(open("/proc/%d/status" % B.process.pid).read()) and threads_of(B.process.pid) < 20


def threads_of(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def test_two_endpoints():
    deploy("second", env={"SEEN": "second"})
    for name, seen in (("Echo", "yes"), ("second", "second")):
        assert json.loads(invoke(name, b'{"env": true}')["Body"].read())["SEEN"] == seen


def test_restart_of_a_crashed_model():
    r = error_of(invoke, "second", b'{"exit": 7}')
    assert r["Error"]["Code"] == "ModelError", r
    end = time.time() + 15
    while True:
        try:
            assert json.loads(invoke("second", b"[1]")["Body"].read())["echo"] == "[1]"
            break
        except ClientError as e:
            assert e.response["Error"]["Code"] in ("ServiceUnavailable", "ModelError"), e.response
            assert time.time() < end
            time.sleep(0.1)
    assert B.client("sagemaker").describe_endpoint(EndpointName="second")["EndpointStatus"] == "InService"


def test_delete():
    sm = B.client("sagemaker")
    sm.delete_endpoint_config(EndpointConfigName="second")
    sm.delete_model(ModelName="second")
    assert invoke("second")["Body"].read()
    before = len(os.listdir(B.store + "/endpoints"))
    sm.delete_endpoint(EndpointName="second")
    await_status("second", "gone")
    assert len(os.listdir(B.store + "/endpoints")) == before - 1
    assert code_of(invoke, "second") == "ValidationError"


def test_crash_at_start():
    d = deploy("crash", archive([("a/crash-at-start", b"")]), wait="Failed")
    reason = d["FailureReason"]
    assert reason.startswith("The primary container for production variant AllTraffic did not pass the ping health check. "
                             "Please check CloudWatch logs for this endpoint."), reason
    assert "exit code 3" in reason and "Last lines: " in reason and len(reason) <= 1024, reason
    assert code_of(invoke, "crash") == "ValidationError"
    B.client("sagemaker").delete_endpoint(EndpointName="crash")
    await_status("crash", "gone")


def test_never_ready_and_delete_in_progress():
    sm = B.client("sagemaker")
    deploy("never", archive([("never-ready", b"")]), wait=None)
    await_status("never", "Creating")
    time.sleep(0.5)
    assert "Cannot update in-progress endpoint" in message_of(sm.delete_endpoint, EndpointName="never")
    assert code_of(invoke, "never") == "ValidationError"


def test_hostile_archives():
    def link(i):
        i.type, i.linkname, i.size = tarfile.SYMTYPE, "/etc/passwd", 0

    def device(i):
        i.type, i.size = tarfile.CHRTYPE, 0
    bad = {
        "outside": archive([("../../escape", b"x")]),
        "absolute": archive([("/tmp/smfs-escape", b"x")]),
        "link": archive([("a", b"")], link),
        "device": archive([("a", b"")], device),
        "garbage": b"this is no archive at all" * 100,
        "cut": archive([("a", os.urandom(100000))])[:50000],
    }
    for name, data in bad.items():
        reason = deploy(name, data, wait="Failed")["FailureReason"]
        assert "Failed to extract model data archive" in reason, (name, reason)
        B.client("sagemaker").delete_endpoint(EndpointName=name)
    assert not os.path.exists("/tmp/smfs-escape") and not os.path.exists(B.store + "/escape")
    for name in bad:
        await_status(name, "gone")


def test_changed_object_is_refused():
    s3 = B.client("s3")
    seen = set(os.listdir(B.store + "/objects"))
    data = archive([("a", os.urandom(200000))])
    s3.put_object(Bucket="models", Key="rotten/model.tar.gz", Body=data)
    path = os.path.join(B.store, "objects", (set(os.listdir(B.store + "/objects")) - seen).pop())
    with open(path, "r+b") as f:
        f.seek(150000)
        f.write(b"rotten")
    sm = B.client("sagemaker")
    sm.create_model(ModelName="rotten", ExecutionRoleArn=B.run["role"],
                    PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://models/rotten/model.tar.gz"})
    sm.create_endpoint_config(EndpointConfigName="rotten", ProductionVariants=[{
        "VariantName": "AllTraffic", "ModelName": "rotten", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}])
    sm.create_endpoint(EndpointName="rotten", EndpointConfigName="rotten")
    assert "have changed since they were uploaded" in await_status("rotten", "Failed")["FailureReason"]


def test_unknown_image_and_no_runtime():
    reason = deploy("foreign", image="example.com/mine:1", wait="Failed")["FailureReason"]
    assert "cannot run the image 'example.com/mine:1'" in reason
    mx = "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-inference:1.9.0-cpu-py38"
    reason = deploy("mx", image=mx, wait="Failed")["FailureReason"]
    assert "scripts/runtimes mxnet" in reason, reason


# ---- faults ----

def test_faults():
    s3 = B.client("s3", read_timeout=2, retries={"total_max_attempts": 1})
    table = B.store + "/faults.json"

    def set_faults(rows):
        with open(table + ".new", "w") as f:
            json.dump(rows, f)
        os.rename(table + ".new", table)
    set_faults([{"operation": "PutObject", "nth": 1, "action": "status", "arg": 503, "code": "SlowDown"}])
    assert code_of(s3.put_object, Bucket="models", Key="fault", Body=b"1") == "SlowDown"
    s3.put_object(Bucket="models", Key="fault", Body=b"1")
    set_faults([{"operation": "GetObject", "nth": 0, "action": "reset"}])
    try:
        s3.get_object(Bucket="models", Key="fault")
        raise SystemError("no reset")
    except SystemError:
        raise
    except Exception:
        pass
    set_faults([{"operation": "PutObject", "nth": 0, "action": "withhold"}])
    got = []
    t = threading.Thread(target=lambda: got.append(B.client("s3").put_object(Bucket="models", Key="held", Body=b"1")))
    t.start()
    time.sleep(0.6)
    assert not got
    assert B.client("s3").head_object(Bucket="models", Key="held")["ContentLength"] == 1
    set_faults([])
    t.join(5)
    assert got
    set_faults([{"operation": "ListModels", "nth": 1, "action": "delay", "arg": 300}])
    began = time.time()
    B.client("sagemaker").list_models()
    assert 0.29 < time.time() - began < 2
    set_faults([])


# ---- life of the process ----

def descendants(pid):
    out = []
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                fields = open("/proc/%s/stat" % p).read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                out += [int(p)] + descendants(int(p))
    return out


def test_kill_and_restart():
    s3 = B.client("s3")
    s3.put_object(Bucket="models", Key="durable", Body=b"still here")
    up = s3.create_multipart_upload(Bucket="models", Key="later")["UploadId"]
    part = s3.upload_part(Bucket="models", Key="later", UploadId=up, PartNumber=1, Body=b"part")
    children = descendants(B.process.pid)
    assert len(children) >= 2, children
    B.kill()
    time.sleep(0.3)
    assert not [c for c in children if os.path.exists("/proc/%d" % c) and
                open("/proc/%d/stat" % c).read().rsplit(")", 1)[1].split()[0] != "Z"]
    B.start()
    s3 = B.client("s3")
    assert s3.get_object(Bucket="models", Key="durable")["Body"].read() == b"still here"
    s3.complete_multipart_upload(Bucket="models", Key="later", UploadId=up,
                                 MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert s3.get_object(Bucket="models", Key="later")["Body"].read() == b"part"
    await_status("Echo", "InService")
    assert json.loads(invoke("Echo", b"[7]")["Body"].read())["echo"] == "[7]"
    assert "never" in [e["EndpointName"] for e in B.client("sagemaker").list_endpoints(StatusEquals="Creating")["Endpoints"]]


def test_second_backend_is_refused():
    p = subprocess.run([SERVE, B.store], capture_output=True, text=True, timeout=20)
    assert p.returncode == 1 and "another local backend" in p.stderr and p.stdout.startswith("error "), p
    assert B.client("s3").list_buckets()["Buckets"]


def test_orphans_are_swept():
    B.stop()
    open(B.store + "/objects/orphan", "w").close()
    os.makedirs(B.store + "/endpoints/orphan/model/x")
    B.start()
    assert not os.path.exists(B.store + "/objects/orphan")
    assert not os.path.exists(B.store + "/endpoints/orphan")
    await_status("Echo", "InService")


def test_no_secret_in_logs():
    text = open(B.store + "/log").read()
    for r, _, files in os.walk(B.store + "/endpoints"):
        text += "".join(open(os.path.join(r, f), errors="replace").read() for f in files if f == "log")
    assert B.run["secret_key"] not in text and len(text) > 100
    assert os.stat(B.store + "/run.json").st_mode & 0o77 == 0 and os.stat(B.store + "/keys.json").st_mode & 0o77 == 0


def test_stop():
    seconds = B.stop()
    assert seconds < 5, seconds
    assert not os.path.exists(B.store + "/run.json")


def test_until_unused():
    b = Backend(os.path.join(ROOT, "unused"), ["--until-unused"])
    with open(b.store + "/users", "a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        time.sleep(2)
        assert b.process.poll() is None
    assert b.process.wait(timeout=20) == 0


def main():
    global SERVE, ECHO, ROOT, RUNTIMES, B
    SERVE, ECHO = map(os.path.abspath, sys.argv[1:3])
    wanted = sys.argv[3:]
    ROOT = tempfile.mkdtemp(prefix="smfs-local-")
    RUNTIMES = os.path.join(ROOT, "runtimes")
    runtime = RUNTIMES + "/tensorflow-9.9.9"
    os.makedirs(runtime + "/bin")
    os.symlink("/usr/bin/python3", runtime + "/bin/python")
    with open(runtime + "/runtime.json", "w") as f:
        json.dump({"framework": "tensorflow", "version": "9.9.9"}, f)
    B = Backend(os.path.join(ROOT, "store"))
    passed = failed = 0
    for name, fn in list(globals().items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        began = time.time()
        try:
            fn()
            passed += 1
            print("ok   %s (%.2f s)" % (name, time.time() - began), flush=True)
        except Exception:
            failed += 1
            print("FAIL %s" % name, flush=True)
            traceback.print_exc()
    if B.process.poll() is None:
        B.kill()
    if not failed:
        subprocess.run(["chmod", "-R", "u+w", ROOT])  # where there are no namespaces models are read-only
        shutil.rmtree(ROOT)
    else:
        print("the store is left in %s" % ROOT)
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
