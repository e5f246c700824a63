"""Requests that boto3 does not send by itself: aws-chunked bodies, odd signatures, other hosts."""
import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree

from suite import REGION, S

EMPTY = hashlib.sha256(b"").hexdigest()
SIGNED, SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def hmac256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Signer:
    """Signature Version 4, step by step, so that a test can spoil any of them."""

    def __init__(self, when=None, secret=None):
        now = when or datetime.datetime.now(datetime.timezone.utc)
        self.date, self.day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        self.scope = "%s/%s/s3/aws4_request" % (self.day, REGION)
        key = ("AWS4" + (secret or S.secret)).encode()
        for step in (self.day, REGION, "s3", "aws4_request"):
            key = hmac256(key, step)
        self.key = key

    def sign(self, text):
        return hmac256(self.key, text).hex()

    def request(self, method, path, headers, payload, query=""):
        """headers get what is missing, and the Authorization; the signature."""
        headers.setdefault("Host", S.host)
        headers.update({"x-amz-date": self.date, "x-amz-content-sha256": payload})
        names = sorted(h.lower() for h in headers if h.lower() not in ("content-length", "expect", "connection", "transfer-encoding"))
        lower = {h.lower(): " ".join(str(v).split()) for h, v in headers.items()}
        query = "&".join(sorted(q if "=" in q else q + "=" for q in query.split("&") if q))
        canonical = "\n".join([method, path, query] + ["%s:%s" % (n, lower[n]) for n in names] + ["", ";".join(names), payload])
        self.previous = self.sign("\n".join(["AWS4-HMAC-SHA256", self.date, self.scope, hashlib.sha256(canonical.encode()).hexdigest()]))
        headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            S.access, self.scope, ";".join(names), self.previous)

    def chunk(self, data):
        self.previous = self.sign("\n".join(["AWS4-HMAC-SHA256-PAYLOAD", self.date, self.scope, self.previous, EMPTY,
                                             hashlib.sha256(data).hexdigest()]))
        return self.previous

    def trailer(self, text):
        self.previous = self.sign("\n".join(["AWS4-HMAC-SHA256-TRAILER", self.date, self.scope, self.previous,
                                             hashlib.sha256(text.encode()).hexdigest()]))
        return self.previous


def encode(signer, payload, data, size, trailer=None):
    """aws-chunked: data in chunks of that size, the trailing header (name, value) where there is one."""
    out = b""
    for at in list(range(0, len(data), size)) + [None]:
        part = b"" if at is None else data[at:at + size]
        out += b"%x" % len(part)
        if payload != UNSIGNED_TRAILER:
            out += b";chunk-signature=" + signer.chunk(part).encode()
        out += b"\r\n" + part + (b"" if at is None else b"\r\n")
    if trailer:
        out += ("%s:%s\r\n" % trailer).encode()
        if payload == SIGNED_TRAILER:
            out += ("x-amz-trailer-signature:%s\r\n" % signer.trailer("%s:%s\n" % trailer)).encode()
    return out + b"\r\n"


def send(method, path, headers, body=b"", query="", chunked=False):
    """As given, on a connection of its own: status, headers, body."""
    c = http.client.HTTPConnection(S.host, timeout=30)
    c.putrequest(method, path + ("?" + query if query else ""), skip_host=True, skip_accept_encoding=True)
    headers = dict(headers)
    if not chunked and not any(h.lower() == "content-length" for h in headers):
        headers["Content-Length"] = str(len(body))
    for h, v in headers.items():
        c.putheader(h, v)
    try:
        if chunked:
            c.putheader("Transfer-Encoding", "chunked")
            c.endheaders(iter([body[i:i + 1000] for i in range(0, len(body), 1000)]), encode_chunked=True)
        else:
            c.endheaders(body)
    except BrokenPipeError:
        pass  # refused before all of it was sent: there is an answer to read
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, r.headers, text


def signed(method, path, headers=None, body=b"", query="", payload=None, signer=None):
    signer, headers = signer or Signer(), dict(headers or {})
    signer.request(method, path, headers, payload or hashlib.sha256(body).hexdigest(), query)
    return send(method, path, headers, body, query)


def code(answer):
    """An error's (status, code), from its XML."""
    status, _, body = answer
    return status, xml.etree.ElementTree.fromstring(body).findtext("Code") if body else ""


def path_of(key):
    return "/%s/%s" % (S.bucket, urllib.parse.quote(key))
