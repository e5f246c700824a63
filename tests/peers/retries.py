"""How often a failing request is sent: botocore in standard mode and our client, each against the same scripted server.

usage: retries.py DRIVER      with AWS_NEW_RETRIES_2026=true both follow the newer rules (botocore >= 1.44 always does)

One line per row. A row plays its replies in order, the last one for ever, to each request of its operation; requests of other
operations are answered well. Both clients must ask as often and end the same way, but for the rows that say `ours`: how often we
ask, how we end, and why that is better.
"""

import asyncio
import base64
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from zlib import crc32

import boto3
import botocore
import botocore.endpoint
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from crc32c import crc32c

from botocore_requests import OPERATIONS

NEW = tuple(map(int, botocore.__version__.split(".")[:2])) >= (1, 44) or os.environ.get("AWS_NEW_RETRIES_2026", "").lower() == "true"
BIG = 9 << 20
CONTENT = b"0123456789"


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: tuple = ()
    fault: str = ""  # reset, close, reset-in-body, stall, truncate, garbage


def aws_json(status, code, message="said so"):
    return Reply(status, json.dumps({"__type": code, "message": message}).encode(), (("Content-Type", "application/x-amz-json-1.1"),))


def xml(status, code, headers=()):
    return Reply(status, f"<Error><Code>{code}</Code><Message>said so</Message></Error>".encode(), headers)


def query(status, code):
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    return Reply(status, body.encode())


def runtime(status, code):
    return Reply(status, b'{"Message":"said so"}', (("x-amzn-errortype", code),))


def checksums(data):
    return (
        ("x-amz-checksum-crc32", base64.b64encode(struct.pack(">I", crc32(data))).decode()),
        ("x-amz-checksum-crc32c", base64.b64encode(struct.pack(">I", crc32c(data))).decode()),
    )


def composite(*parts):
    """A HEAD of the object that these parts made."""
    of_parts = b"".join(struct.pack(">I", crc32c(p)) for p in parts)
    checksum = base64.b64encode(struct.pack(">I", crc32c(of_parts))).decode() + "-%d" % len(parts)
    headers = (("ETag", '"e-2"'), ("x-amz-checksum-type", "COMPOSITE"), ("x-amz-checksum-crc32c", checksum))
    return Reply(200, bytes(sum(map(len, parts))), headers)


DATE_FAR_OFF = ("Date", "Thu, 01 Jan 2032 00:00:00 GMT")
OK, RESET, CLOSE, STALL = Reply(), Reply(fault="reset"), Reply(fault="close"), Reply(fault="stall")
IN_BODY, GARBAGE, CUT = Reply(fault="reset-in-body"), Reply(fault="garbage"), Reply(fault="truncate")
DESCRIBED = {"EndpointName": "e1", "EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/e1", "EndpointConfigName": "c1",
             "EndpointStatus": "InService", "CreationTime": 1.0, "LastModifiedTime": 1.0}


def well(op):
    """What a healthy service says."""
    x = {
        "DescribeEndpoint": json.dumps(DESCRIBED),
        "CreateEndpoint": json.dumps({"EndpointArn": DESCRIBED["EndpointArn"]}),
        "GetCallerIdentity": "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/u</Arn>"
        "<UserId>U</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        "ListObjectsV2": "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
        "CreateMultipartUpload": "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
        "CompleteMultipartUpload": '<CompleteMultipartUploadResult><ETag>"e-2"</ETag></CompleteMultipartUploadResult>',
        "InvokeEndpoint": "[]",
    }.get(op, "")
    headers = [("ETag", '"e1"'), ("Content-Type", "application/json")]
    status = 204 if op in ("DeleteObject", "AbortMultipartUpload") else 200
    if op == "GetObject":
        return Reply(200, CONTENT, (*headers, *checksums(CONTENT)))
    return Reply(status, x.encode(), tuple(headers))


@dataclass
class Row:
    name: str
    op: str
    replies: list
    calls: int = 1
    ours: tuple = ()  # requests, ends well, why
    head: Reply = field(default_factory=lambda: Reply(404))  # of the object, when somebody looks

    def patience(self):
        """Seconds of silence that either client bears: few only where there is some, as the machine may be busy."""
        return 2 if any("stall" in reply.fault for reply in self.replies) else 60


def rows():
    r = []
    throttling = ("Throttling ThrottlingException ThrottledException RequestThrottledException TooManyRequestsException "
                  "ProvisionedThroughputExceededException TransactionInProgressException RequestLimitExceeded BandwidthLimitExceeded "
                  "LimitExceededException RequestThrottled SlowDown PriorRequestNotComplete EC2ThrottledException")
    for code in throttling.split():
        r.append(Row(f"{code}, then well", "DescribeEndpoint", [aws_json(400, code), OK]))
    for code in ("RequestTimeout", "RequestTimeoutException"):
        r.append(Row(f"{code}, then well", "DescribeEndpoint", [aws_json(400, code), OK]))
    for status in (500, 502, 503, 504):
        r.append(Row(f"status {status} twice, then well", "DescribeEndpoint", [Reply(status), Reply(status), OK]))
        r.append(Row(f"status {status} for ever", "DescribeEndpoint", [Reply(status)]))
    for status in (400, 401, 403, 404, 408, 409, 413, 429, 501, 505, 529):
        r.append(Row(f"status {status} alone", "DescribeEndpoint", [Reply(status)]))
    for code in ("ValidationException", "ResourceLimitExceeded", "ResourceNotFound", "ResourceInUse", "AccessDeniedException",
                 "UnrecognizedClientException", "InternalFailure", "ServiceUnavailable", "NobodyKnowsThis"):
        r.append(Row(f"{code} with status 400", "DescribeEndpoint", [aws_json(400, code)]))
    r += [
        Row("nothing wrong", "DescribeEndpoint", [OK]),
        Row("throttled for ever", "DescribeEndpoint", [aws_json(400, "ThrottlingException")]),
        Row("throttled with status 503 and x-amz-retry-after", "DescribeEndpoint", [
            Reply(503, aws_json(503, "ThrottlingException").body, (("x-amz-retry-after", "10"),)), OK]),
        Row("status 429 and an unknown code", "DescribeEndpoint", [aws_json(429, "Strange"), OK]),
        Row("status 500 with HTML", "DescribeEndpoint", [Reply(500, b"<html>oops"), OK]),
        Row("reset before the reply, then well", "DescribeEndpoint", [RESET, OK]),
        Row("reset for ever", "DescribeEndpoint", [RESET]),
        Row("closed without a reply, then well", "DescribeEndpoint", [CLOSE, OK]),
        Row("silence, then well", "DescribeEndpoint", [STALL, OK]),
        Row("silence for ever", "DescribeEndpoint", [STALL]),
        Row("no HTTP, then well", "DescribeEndpoint", [GARBAGE, OK]),
        Row("reply cut short, then well", "DescribeEndpoint", [CUT, OK],
            ours=(2, True, "takes half an answer for one without members") if NEW else ()),
        Row("one failure of each kind", "DescribeEndpoint", [RESET, Reply(503), OK]),
        # The token bucket: 500 tokens, and failures for ever.
        Row("quota: 80 calls, status 500 for ever", "DescribeEndpoint", [Reply(500)], calls=80),
        Row("quota: 80 calls, throttled for ever", "DescribeEndpoint", [aws_json(400, "ThrottlingException")], calls=80),
        Row("quota: 60 calls, silence for ever", "DescribeEndpoint", [STALL], calls=60),
        Row("quota: 60 calls, denied", "DescribeEndpoint", [aws_json(400, "AccessDeniedException")], calls=60),
        # The query protocol.
        Row("STS: IDPCommunicationError, then well", "GetCallerIdentity", [query(400, "IDPCommunicationError"), OK]),
        Row("STS: Throttling for ever", "GetCallerIdentity", [query(400, "Throttling")]),
        Row("STS: InvalidClientTokenId", "GetCallerIdentity", [query(403, "InvalidClientTokenId")]),
        Row("STS: status 500, then well", "GetCallerIdentity", [Reply(500), OK]),
        # S3
        Row("S3: SlowDown twice, then well", "PutObject", [xml(503, "SlowDown"), xml(503, "SlowDown"), OK]),
        Row("S3: SlowDown for ever", "PutObject", [xml(503, "SlowDown")]),
        Row("S3: InternalError, then well", "PutObject", [xml(500, "InternalError"), OK]),
        Row("S3: RequestTimeout, then well", "PutObject", [xml(400, "RequestTimeout"), OK]),
        Row("S3: reset inside the request's body, then well", "PutObject", [IN_BODY, OK]),
        Row("S3: reset inside the request's body for ever", "PutObject", [IN_BODY]),
        Row("S3: lost reply of a write", "PutObject", [CLOSE, OK]),
        Row("S3: silence after a write", "PutObject", [STALL, OK]),
        Row("S3: AccessDenied", "PutObject", [xml(403, "AccessDenied")]),
        Row("S3: NoSuchBucket", "PutObject", [xml(404, "NoSuchBucket")]),
        Row("S3: BadDigest", "PutObject", [xml(400, "BadDigest")]),
        Row("S3: 412", "PutObject if none", [xml(412, "PreconditionFailed")]),
        Row("S3: OperationAborted", "PutObject", [xml(409, "OperationAborted")]),
        Row("S3: a part is slowed down", "UploadPart", [xml(503, "SlowDown"), OK]),
        Row("S3: list, status 503, then well", "ListObjectsV2", [Reply(503), OK]),
        Row("S3: list cut short, then well", "ListObjectsV2", [CUT, OK]),
        Row("S3: delete, status 500, then well", "DeleteObject", [Reply(500), OK]),
        Row("S3: HEAD 404", "HeadObject", [Reply(404)]),
        Row("S3: HEAD 403", "HeadObject", [Reply(403)]),
        Row("S3: HEAD 503, then well", "HeadObject", [Reply(503), OK]),
        Row("S3: GET 404", "GetObject", [xml(404, "NoSuchKey")]),
        Row("S3: GET 500, then well", "GetObject", [xml(500, "InternalError"), OK]),
        Row("S3: GET reset before the reply, then well", "GetObject", [RESET, OK]),
        Row("S3: a flipped bit", "GetObject", [Reply(200, b"0123456788", checksums(CONTENT))]),
        Row("S3: complete, 200 with an error, then well", "CompleteMultipartUpload", [xml(200, "InternalError"), OK]),
        Row("S3: complete, 200 with an error for ever", "CompleteMultipartUpload", [xml(200, "InternalError")]),
        Row("S3: complete, NoSuchUpload", "CompleteMultipartUpload", [xml(404, "NoSuchUpload")]),
        Row("S3: complete, lost reply, then well", "CompleteMultipartUpload", [CLOSE, OK]),
        # The runtime
        Row("invoke: well", "InvokeEndpoint", [OK]),
        Row("invoke: throttled, then well", "InvokeEndpoint", [runtime(400, "ThrottlingException"), OK]),
        Row("invoke: 503, then well", "InvokeEndpoint", [runtime(503, "ServiceUnavailable"), OK]),
        Row("invoke: ModelError", "InvokeEndpoint", [runtime(424, "ModelError")]),
        Row("invoke: ValidationError", "InvokeEndpoint", [runtime(400, "ValidationError")]),
        Row("invoke: InternalDependencyException", "InvokeEndpoint", [runtime(530, "InternalDependencyException")]),
        Row("invoke: status 429 alone", "InvokeEndpoint", [Reply(429), OK]),
    ]
    acted = "the request may have been acted on, and a model may count its calls"
    r += [
        Row("200 with a body that is no JSON", "DescribeEndpoint", [Reply(200, b"<html>")],
            ours=(3, False, "takes a page of something in between for an answer without members")),
        Row("invoke: reset", "InvokeEndpoint", [RESET, OK], ours=(1, False, acted)),
        Row("invoke: lost reply", "InvokeEndpoint", [CLOSE, OK], ours=(1, False, acted)),
        Row("invoke: silence", "InvokeEndpoint", [STALL, OK], ours=(1, False, acted)),
        Row("invoke: reply cut short", "InvokeEndpoint", [CUT, OK], ours=(1, False, acted)),
        Row("invoke: no HTTP", "InvokeEndpoint", [GARBAGE, OK], ours=(1, False, acted)),
        Row("invoke: status 500", "InvokeEndpoint", [runtime(500, "InternalFailure"), OK], ours=(1, False, acted)),
        Row("invoke: status 504", "InvokeEndpoint", [Reply(504), OK], ours=(1, False, acted)),
        Row("invoke: ModelNotReadyException", "InvokeEndpoint", [runtime(429, "ModelNotReadyException"), OK],
            ours=(2, True, "the model was not asked yet")),
        Row("ExpiredTokenException", "DescribeEndpoint", [aws_json(400, "ExpiredTokenException"), OK],
            ours=(2, True, "once more, with keys read anew")),
        Row("ExpiredToken for ever", "PutObject", [xml(400, "ExpiredToken")], ours=(2, False, "once more, with keys read anew")),
        Row("S3: HEAD with an expired token", "HeadObject", [Reply(400), OK], ours=(2, True, "a HEAD's refusal has no words")),
        Row("RequestExpired", "DescribeEndpoint", [aws_json(400, "RequestExpired"), OK], ours=(2, True, "the clock is right: new keys")),
        Row("S3: RequestTimeTooSkewed", "PutObject", [xml(403, "RequestTimeTooSkewed", (DATE_FAR_OFF,)), OK],
            ours=(2, True, "the server's date is the better clock")),
        Row("S3: RequestTimeTooSkewed for ever", "PutObject", [xml(403, "RequestTimeTooSkewed", (DATE_FAR_OFF,))],
            ours=(2, False, "the server's date is tried once")),
        Row("S3: RequestTimeTooSkewed without a date", "PutObject", [xml(403, "RequestTimeTooSkewed")]),
        Row("S3: HEAD 403 with a date far off", "HeadObject", [Reply(403, b"", (DATE_FAR_OFF,)), OK],
            ours=(2, True, "a HEAD's refusal has no words")),
        Row("signature expired", "DescribeEndpoint", [
            Reply(400, aws_json(400, "InvalidSignatureException", "Signature expired: 2026 is now earlier").body, (DATE_FAR_OFF,)), OK],
            ours=(2, True, "the server's date is the better clock")),
        Row("STS: signature expired", "GetCallerIdentity", [
            Reply(403, query(403, "SignatureDoesNotMatch").body.replace(b">no<", b">Signature expired: 2026<"), (DATE_FAR_OFF,)), OK],
            ours=(2, True, "the server's date is the better clock")),
        Row("S3: ConditionalRequestConflict, then well", "PutObject if none", [xml(409, "ConditionalRequestConflict"), OK],
            ours=(2, True, "S3 was still deciding another write")),
        Row("S3: ConditionalRequestConflict for ever", "PutObject if none", [xml(409, "ConditionalRequestConflict")],
            ours=(3, False, "S3 was still deciding another write")),
        Row("S3: lost reply of a conditional write", "PutObject if none", [CLOSE, xml(412, "PreconditionFailed")],
            head=Reply(200, b"hello", (("ETag", '"e1"'), *checksums(b"hello"))), ours=(2, True, "what is there is what was sent")),
        Row("S3: a conditional write that another won", "PutObject if none", [CLOSE, xml(412, "PreconditionFailed")],
            head=Reply(200, b"olleh", (("ETag", '"e1"'), *checksums(b"olleh")))),
        Row("S3: GET cut short, then well", "GetObject", [CUT, OK], ours=(2, True, "goes on with Range and If-Match")),
        Row("S3: GET silent inside the body", "GetObject", [Reply(fault="stall-in-body"), OK],
            ours=(2, True, "goes on with Range and If-Match")),
        Row("S3: complete, lost reply, then NoSuchUpload", "CompleteMultipartUpload", [CLOSE, xml(404, "NoSuchUpload")],
            head=Reply(200, bytes(BIG), (("ETag", '"e-2"'), ("x-amz-checksum-type", "FULL_OBJECT"), *checksums(bytes(BIG)))),
            ours=(2, True, "what is there is what was sent")),
        Row("S3: complete, lost reply, then NoSuchUpload, checksum of the parts'", "CompleteMultipartUpload", [CLOSE, xml(404, "NoSuchUpload")],
            head=composite(bytes(8 << 20), bytes(1 << 20)), ours=(2, True, "what is there is what was sent")),
        Row("S3: complete, lost reply, checksum of others' parts", "CompleteMultipartUpload", [CLOSE, xml(404, "NoSuchUpload")],
            head=composite(b"x" * (8 << 20), bytes(1 << 20))),
        Row("S3: complete, lost reply, another's object", "CompleteMultipartUpload", [CLOSE, xml(404, "NoSuchUpload")],
            head=Reply(200, b"x" * BIG, (("ETag", '"e-2"'), ("x-amz-checksum-type", "FULL_OBJECT"), *checksums(b"x" * BIG)))),
        Row("create: lost reply, then already existing", "CreateEndpoint", [
            CLOSE, aws_json(400, "ValidationException", 'Cannot create already existing endpoint "e1".')],
            ours=(2, True, "the endpoint has the configuration asked for")),
        Row("create: already existing", "CreateEndpoint", [
            aws_json(400, "ValidationException", 'Cannot create already existing endpoint "e1".')]),
    ]
    return r


def operation(method, target, headers):
    path, _, q = target.partition("?")
    if "x-amz-target" in headers:
        return headers["x-amz-target"].split(".")[1]
    if path.endswith("/invocations"):
        return "InvokeEndpoint"
    if path == "/":
        return "GetCallerIdentity"
    if "uploadId=" in q or "uploads" in q.split("&")[0]:
        if method == "PUT":
            return "UploadPart" if "partNumber=1&" in q + "&" else "another UploadPart"
        return {"DELETE": "AbortMultipartUpload", "GET": "ListMultipartUploads"}.get(
            method, "CompleteMultipartUpload" if "uploadId=" in q else "CreateMultipartUpload")
    if "list-type" in q:
        return "ListObjectsV2"
    return {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(method, "?")


class Server:
    """One row, played to one client."""

    def __init__(self, row):
        self.row, self.count, self.wrong = row, 0, []

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 20, backlog=512)
        return "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        try:
            while await self.one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    async def one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        op = operation(method, target, headers)
        reply = self.choose(op, method, headers)
        if reply.fault == "reset-in-body":
            await reader.readexactly(1000)
            return self.reset(writer)
        if "100-continue" in headers.get("expect", "").lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(int(headers.get("content-length", 0)))
        return await self.answer(op, method, reply, writer)

    def choose(self, op, method, headers):
        if op != self.row.op.split()[0]:
            # What the row's head shows is there once the operation has been asked for.
            return well(op) if op != "HeadObject" else self.row.head if self.count else Reply(404)
        n, self.count = self.count, self.count + 1
        reply = self.row.replies[min(n, len(self.row.replies) - 1)]
        if "range" in headers:  # going on after a break
            if headers["range"] != "bytes=5-" or headers.get("if-match") != '"e1"':
                self.wrong.append("goes on with %r" % headers)
            return Reply(206, CONTENT[5:], (("ETag", '"e1"'), ("Content-Range", "bytes 5-9/10"), *checksums(CONTENT)))
        return well(op) if reply is OK else reply

    async def answer(self, op, method, reply, writer):
        if reply.fault == "reset":
            return self.reset(writer)
        if reply.fault == "close":
            return False
        if reply.fault == "stall":
            await asyncio.sleep(100)
            return False
        if reply.fault == "garbage":
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            return False
        whole = well(op) if reply.fault else reply
        lines = [f"HTTP/1.1 {whole.status} X", f"Content-Length: {len(whole.body)}"] + [f"{k}: {v}" for k, v in whole.headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        if reply.fault:
            writer.write(whole.body[: len(whole.body) // 2])
            await writer.drain()
            if reply.fault == "stall-in-body":
                await asyncio.sleep(100)
            return False
        if method != "HEAD":
            writer.write(whole.body)
        await writer.drain()
        return True

    @staticmethod
    def reset(writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False


def boto_call(row, url):
    service = {"GetCallerIdentity": "sts", "InvokeEndpoint": "sagemaker-runtime", "DescribeEndpoint": "sagemaker",
               "CreateEndpoint": "sagemaker"}.get(row.op, "s3")
    config = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=60, read_timeout=row.patience(),
                    max_pool_connections=100, s3={"addressing_style": "path"})
    session = boto3.session.Session("AKIDEXAMPLE", "secret", "token", "eu-west-1")
    c = session.client(service, endpoint_url=url, config=config)
    key = {"Bucket": "bucket", "Key": "key"}
    upload = {**key, "UploadId": "u1"}
    part = {"ETag": '"e1"', "PartNumber": 1}
    return {
        "DescribeEndpoint": lambda: c.describe_endpoint(EndpointName="e1"),
        "CreateEndpoint": lambda: c.create_endpoint(EndpointName="e1", EndpointConfigName="c1"),
        "GetCallerIdentity": lambda: c.get_caller_identity(),
        "PutObject": lambda: c.put_object(Body=bytes(4 << 20), **key),
        "PutObject if none": lambda: c.put_object(Body=b"hello", IfNoneMatch="*", **key),
        "GetObject": lambda: c.get_object(**key)["Body"].read(),
        "HeadObject": lambda: c.head_object(**key),
        "DeleteObject": lambda: c.delete_object(**key),
        "ListObjectsV2": lambda: c.list_objects_v2(Bucket="bucket"),
        "UploadPart": lambda: c.upload_part(Body=b"x", PartNumber=1, **upload),
        "CompleteMultipartUpload": lambda: c.complete_multipart_upload(MultipartUpload={"Parts": [part]}, **upload),
        "InvokeEndpoint": lambda: c.invoke_endpoint(EndpointName="e1", ContentType="application/json", Body=b"{}"),
    }[row.op]


def run_boto(row, url):
    call = boto_call(row, url)
    said = [""]

    def once(_):
        try:
            call()
            return True
        except ClientError as e:
            said[0] = e.response["Error"]["Code"]
        except (BotoCoreError, OSError) as e:
            said[0] = type(e).__name__
        return False

    with ThreadPoolExecutor(row.calls) as pool:
        done = list(pool.map(once, range(row.calls)))
    return {"ok": sum(done), "failed": row.calls - sum(done), "code": said[0]}


def run_ours(driver, all_rows, urls):
    wanted = [{"name": r.name, "url": u, "op": r.op, "calls": r.calls, "patience_ms": 1000 * r.patience()} for r, u in zip(all_rows, urls)]
    lines = "".join(json.dumps(w) + "\n" for w in wanted)
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    env["AWS_NEW_RETRIES_2026"] = "true" if NEW else "false"
    done = subprocess.run([driver], input=lines, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        print("FAIL retries: our driver ended with %d: %s" % (done.returncode, done.stderr))
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(row, boto, ours):
    """boto, ours: (server, outcome). What is wrong, or None."""
    asked, outcome = ours[0].count, ours[1]
    theirs, their_outcome = boto[0].count, boto[1]
    if ours[0].wrong:
        return ours[0].wrong[0]
    if row.ours:
        want, ends_well, _ = row.ours
        if (theirs, their_outcome["ok"] > 0) == (want, ends_well):
            return "botocore does so too (%d requests): this is no exception any more" % theirs
        if (asked, outcome["ok"] > 0) != (want, ends_well):
            return "%d requests, %r, not %d" % (asked, outcome, want)
        return None
    if asked != theirs or outcome["ok"] != their_outcome["ok"]:
        return "%d requests, %r; botocore: %d requests, %r" % (asked, outcome, theirs, their_outcome)
    if outcome["code"] and outcome["code"] != their_outcome["code"]:
        return "ends with %s, botocore with %s" % (outcome["code"], their_outcome["code"])
    return None


def check_models():
    """No error of our operations is modelled as retryable: there is no such row in our table of codes."""
    session, found = botocore.session.Session(), []
    for service, names in OPERATIONS.items():
        model = session.get_service_model(service)
        errors = {e.name: e for name in names.split() for e in model.operation_model(name).error_shapes}
        found += [name for name, e in errors.items() if e.metadata.get("retryable") is not None]
    print("%s retries: no error of ours is modelled as retryable in botocore %s: %s" % ("FAIL" if found else "ok", botocore.__version__, found))
    return len(found)


def main():
    botocore.endpoint.time.sleep = lambda seconds: None  # botocore's delays are not looked at
    all_rows = rows()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    served = [[Server(row) for row in all_rows] for _ in range(2)]
    urls = [[asyncio.run_coroutine_threadsafe(s.start(), loop).result() for s in servers] for servers in served]
    with ThreadPoolExecutor(2) as pool:
        ours = pool.submit(run_ours, sys.argv[1], all_rows, urls[1])
        boto = [run_boto(row, url) for row, url in zip(all_rows, urls[0])]
        ours = ours.result()
    failed = check_models()
    rules = "new" if NEW else "old"
    for i, row in enumerate(all_rows):
        wrong = compare(row, (served[0][i], boto[i]), (served[1][i], ours[i])) if i < len(ours) else "did not run"
        failed += wrong is not None
        said = "FAIL retries (%s rules): %s: %s" % (rules, row.name, wrong) if wrong else "ok retries (%s rules): %s: %d requests%s" % (
            rules, row.name, served[1][i].count,
            ", botocore %d: %s" % (served[0][i].count, row.ours[2]) if row.ours else " as botocore %s" % botocore.__version__)
        print(said)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
