"""A line to the services on which chosen calls go wrong: an HTTP proxy that knows AWS's operations, in threads of its own.

    line = Line("127.0.0.1", 4570)           # line.port
    line.rules([Rule("CreateEndpoint", FAULTS["lost"], WHEN["first"], "iris")])
    line.rules([])                            # healed

What the local backend's own fault table cannot do: calls that are carried out and whose reply is an error, is no HTTP, is not what was
asked for, or ends in the middle; for calls that mention a name only.
"""
import http.client
import random
import re
import socket
import socketserver
import struct
import threading
import time
import urllib.parse

HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}
BY_QUERY = (("uploads", {"POST": "CreateMultipartUpload", "GET": "ListMultipartUploads"}), ("delete", {"POST": "DeleteObjects"}),
            ("versioning", {"GET": "GetBucketVersioning"}), ("publicAccessBlock", {"PUT": "PutPublicAccessBlock", "GET": "GetPublicAccessBlock"}),
            ("list-type", {"GET": "ListObjectsV2"}), ("location", {"GET": "GetBucketLocation"}))
OF_KEY = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
OF_BUCKET = {"PUT": "CreateBucket", "HEAD": "HeadBucket", "GET": "ListObjects"}


def s3_operation(method, path, query, headers):
    copied = "x-amz-copy-source" in headers
    if "uploadId" in query:
        return {"PUT": "UploadPartCopy" if copied else "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload",
                "GET": "ListParts"}.get(method, "?")
    for key, methods in BY_QUERY:
        if key in query:
            return methods.get(method, "?")
    if not path.strip("/").partition("/")[2]:
        return OF_BUCKET.get(method, "?")
    return "CopyObject" if copied else OF_KEY.get(method, "?")


def operation(method, target, headers, body):
    """(service, AWS's name of the call)"""
    path, _, query = target.partition("?")
    if "x-amz-target" in headers:
        service, _, name = headers["x-amz-target"].partition(".")
        return service, name
    if re.fullmatch(r"/endpoints/[^/]+/invocations", path):
        return "Runtime", "InvokeEndpoint"
    if "x-www-form-urlencoded" in headers.get("content-type", "") and b"Action=" in body:
        return "Query", urllib.parse.parse_qs(body.decode())["Action"][0]
    return "S3", s3_operation(method, path, urllib.parse.parse_qs(query, keep_blank_values=True), headers)


def error(status, code, text, service):
    if service == "S3":
        body = f"<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{text}</Message><RequestId>FAULT</RequestId></Error>"
        return status, {"Content-Type": "application/xml", "x-amz-request-id": "FAULT"}, body.encode()
    if service == "Query":
        body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error><RequestId>FAULT</RequestId></ErrorResponse>"
        return status, {"Content-Type": "text/xml", "x-amzn-RequestId": "FAULT"}, body.encode()
    body = f'{{"__type":"{code}","message":"{text}"}}'
    return status, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "FAULT"}, body.encode()


class Fault:
    """acted: the call is carried out all the same. reply(handler, real): sends something, False: the connection ends without a word."""

    def __init__(self, acted, reply, wait=0):
        self.acted, self.reply, self.wait = acted, reply, wait


def says(status, code, text="a fault", acted=False):
    return Fault(acted, lambda h, real: h.answer(*error(status, code, text, h.service)))


def page(status, acted=False):
    return Fault(acted, lambda h, real: h.answer(status, {"Content-Type": "text/html"}, b"<html><body><h1>proxy</h1>&nbsp;<p>sorry</body></html>"))


def silence(acted, wait=0):
    return Fault(acted, lambda h, real: False, wait)


def other_sums(h, real):
    status, headers, body = real
    for key in list(headers):
        if key.lower() == "etag" or (key.lower().startswith("x-amz-checksum-") and key.lower() != "x-amz-checksum-type"):
            headers[key] = '"00000000000000000000000000000000"' if key.lower() == "etag" else "AAAAAA=="
    body = re.sub(rb"<ETag>[^<]*</ETag>", b"<ETag>0000</ETag>", body)
    body = re.sub(rb"<(Checksum[A-Z0-9]+)>[^<]*<", rb"<\1>AAAAAA==<", body)
    return h.answer(status, headers, body)


def other_bytes(h, real):
    status, headers, body = real
    if body and h.service == "S3" and h.operation == "GetObject":
        at = random.randrange(len(body))
        body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
    return h.answer(status, headers, body)


def cut_reply(h, real):
    text = h.text(*real)
    h.wfile.write(text[:random.randrange(len(text))])
    return False


def empty(h, real):
    return h.answer(200, {}, b"")


FAULTS = {
    "500": says(500, "InternalFailure"),
    "503": says(503, "ServiceUnavailable"),
    "SlowDown": says(503, "SlowDown", "Please reduce your request rate."),
    "Throttling": says(400, "ThrottlingException", "Rate exceeded"),
    "429": says(429, "TooManyRequestsException"),
    "Validation": says(400, "ValidationException", "1 validation error detected"),
    "AccessDenied": says(403, "AccessDeniedException", "User: u is not authorized"),
    "Expired": says(403, "ExpiredTokenException", "The security token included in the request is expired"),
    "Expired400": says(400, "ExpiredToken", "The provided token has expired."),
    "Skewed": says(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
    "BadKey": says(403, "UnrecognizedClientException", "The security token included in the request is invalid"),
    "404": says(404, "NoSuchKey", "gone"),
    "NoUpload": says(404, "NoSuchUpload", "gone"),
    "InUse": says(400, "ResourceInUse", "in use"),
    "Limit": says(400, "ResourceLimitExceeded", "The account-level service limit is 0"),
    "Conflict": says(409, "ConditionalRequestConflict", "in conflict"),
    "Aborted": says(409, "OperationAborted", "in conflict"),
    "412": says(412, "PreconditionFailed", "At least one of the pre-conditions did not hold"),
    "501": says(501, "NotImplemented", "not here"),
    "html502": page(502),
    "html200": page(200),
    "html404": page(404),
    "html403": page(403),
    "reset": silence(False),
    "lost": silence(True),
    "slow lost": silence(True, 3),
    "done500": says(500, "InternalFailure", acted=True),
    "done503": says(503, "ServiceUnavailable", acted=True),
    "done html200": page(200, True),
    "empty": Fault(True, empty),
    "cut reply": Fault(True, cut_reply),
    "sums": Fault(True, other_sums),
    "bytes": Fault(True, other_bytes),
    "late": Fault(True, lambda h, real: h.answer(*real), 4),
}
WHEN = {
    "first": lambda n: n == 1,
    "every": lambda n: True,
    "2nd, 3rd": lambda n: n in (2, 3),
    "every other": lambda n: n % 2 == 1,
    "half": lambda n: random.random() < 0.5,
}


class Rule:
    """then: the fault of the call after the first one that met it (a reply is lost, the repetition is refused)."""

    def __init__(self, operation, fault, when, about="", then=None):
        self.operation, self.fault, self.when, self.about, self.then = operation, fault, when, about.encode(), then
        self.seen = self.met = 0

    def meets(self, name, request):
        if name != self.operation or (self.about and self.about not in request):
            return None
        self.seen += 1
        if self.then and self.met:
            self.met += 1
            return self.then
        if not self.when(self.seen):
            return None
        self.met += 1
        return self.fault


class Handler(socketserver.StreamRequestHandler):
    def head(self):
        line = self.rfile.readline().decode("latin-1").split()
        headers = {}
        while len(line) == 3 and (row := self.rfile.readline().decode("latin-1").rstrip("\r\n")):
            key, _, value = row.partition(":")
            headers[key.strip().lower()] = value.strip()
        return line, headers

    def text(self, status, headers, body):
        rows = [f"HTTP/1.1 {status} X"] + [f"{k}: {v}" for k, v in headers.items()]
        length = headers.get("X-Real-Length", len(body))
        rows += [f"Content-Length: {length}"] if status not in (204, 304) else []
        return ("\r\n".join(rows) + "\r\n\r\n").encode("latin-1") + (b"" if self.method == "HEAD" else body)

    def answer(self, *reply):
        self.wfile.write(self.text(*reply))
        return True

    def forward(self, target, headers, body):
        c = http.client.HTTPConnection(*self.server.line.there, timeout=120)
        try:
            c.putrequest(self.method, target, skip_host=True, skip_accept_encoding=True)
            for k, v in headers.items():
                if k != "expect":
                    c.putheader(k, v)
            c.endheaders(body or None)
            r = c.getresponse()
            content = r.read()
            kept = {k: v for k, v in r.getheaders() if k.lower() not in HOP}
            if self.method == "HEAD":
                kept["X-Real-Length"] = r.getheader("Content-Length", "0")
            return r.status, kept, content
        finally:
            c.close()

    def one(self):
        line, headers = self.head()
        if len(line) != 3:
            return False
        self.method, target = line[0], line[1]
        if headers.get("expect"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.service, self.operation = operation(self.method, target, headers, body)
        fault = self.server.line.judge(self.operation, target.encode() + body[:100000] if self.service != "S3" else target.encode())
        if not fault:
            return self.answer(*self.forward(target, headers, body))
        real = self.forward(target, headers, body) if fault.acted else None
        time.sleep(fault.wait)
        return fault.reply(self, real)

    def handle(self):
        try:
            while self.one():
                pass
        except (OSError, http.client.HTTPException):
            pass
        with_reset = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, with_reset)
        self.connection.close()


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def shutdown_request(self, request):
        self.close_request(request)

    def handle_error(self, request, client_address):
        pass


class Line:
    def __init__(self, host, port):
        self.there, self.lock, self.table, self.calls = (host, port), threading.Lock(), [], {}
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.line = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def rules(self, table):
        with self.lock:
            self.table = table

    def judge(self, name, request):
        with self.lock:
            self.calls[name] = self.calls.get(name, 0) + 1
            for rule in self.table:
                fault = rule.meets(name, request)
                if fault:
                    return fault
            return None
