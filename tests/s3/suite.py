"""S3 as boto3 and plain HTTP see it: the same cases for our backend and for other people's servers.

usage: main.py URL ACCESS SECRET [--peer NAME] [CASE...]      (tests/peers/s3_*.sh start the servers)
A case is a row of the table: its name and its function. One line per case: "ok NAME" or "FAIL NAME: why".
"""
import base64
import hashlib
import itertools
import struct
import traceback
import zlib

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "us-east-1"
MIB = 1 << 20
CASES = []  # (name, function)


def case(fn):
    CASES.append((fn.__name__, fn))
    return fn


def rows(table):
    """One case per row: (name, arguments...)."""
    def take(fn):
        for name, *args in table:
            CASES.append(("%s[%s]" % (fn.__name__, name), lambda fn=fn, args=args: fn(*args)))
        return fn
    return take


class Server:
    """The server that the cases talk to; opened by main.py."""

    def open(self, url, access, secret):
        self.url, self.access, self.secret = url, access, secret
        self.host = url.split("//")[1]
        self.numbers = itertools.count(1)
        self.s3 = self.client()
        self.bucket = self.new_bucket()

    def client(self, **config):
        config.setdefault("retries", {"max_attempts": 1})
        config.setdefault("s3", {"addressing_style": "path"})
        config.setdefault("signature_version", "s3v4")
        return boto3.client("s3", endpoint_url=self.url, region_name=REGION, aws_access_key_id=self.access,
                            aws_secret_access_key=self.secret, config=Config(**config))

    def new_bucket(self):
        name = "suite-%d" % next(self.numbers)
        self.s3.create_bucket(Bucket=name)
        return name

    def key(self):
        return "k%d" % next(self.numbers)

    def put(self, body=b"0123456789", **kw):
        """An object of its own: (its key, the reply)."""
        key = self.key()
        return key, self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **kw)

    def at(self, key, **kw):
        return dict(Bucket=self.bucket, Key=key, **kw)

    def body(self, key, **kw):
        return self.s3.get_object(**self.at(key), **kw)["Body"].read()


S = Server()


def equal(got, wanted):
    assert got == wanted, "%r, wanted %r" % (got, wanted)


def error_of(fn, *args, **kw):
    try:
        fn(*args, **kw)
    except ClientError as e:
        return e.response
    raise AssertionError("no error")


def fails(status, code, fn, *args, **kw):
    """The call is refused so. Returns its sentence."""
    r = error_of(fn, *args, **kw)
    equal((r["ResponseMetadata"]["HTTPStatusCode"], r["Error"]["Code"]), (status, code))
    return r["Error"].get("Message", "")


def crc(polynomial, width):
    """A reflected CRC, all ones in and out."""
    ones, table = (1 << width) - 1, []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (polynomial if n & 1 else 0)
        table.append(n)

    def sum_of(data):
        v = ones
        for b in data:
            v = v >> 8 ^ table[(v ^ b) & 255]
        return v ^ ones
    return sum_of


def text(value):
    return base64.b64encode(value).decode()


CRC32C, CRC64 = crc(0x82f63b78, 32), crc(0x9a6c9329ac4bc9b5, 64)
SUMS = {
    "CRC32": lambda d: struct.pack(">I", zlib.crc32(d)),
    "CRC32C": lambda d: struct.pack(">I", CRC32C(d)),
    "CRC64NVME": lambda d: struct.pack(">Q", CRC64(d)),
    "SHA1": lambda d: hashlib.sha1(d).digest(),
    "SHA256": lambda d: hashlib.sha256(d).digest(),
}


def sum_text(name, data):
    return text(SUMS[name](data))


def composite(name, parts):
    return "%s-%d" % (sum_text(name, b"".join(SUMS[name](p) for p in parts)), len(parts))


def md5_text(data):
    return text(hashlib.md5(data).digest())


def etag(data):
    return '"%s"' % hashlib.md5(data).hexdigest()


def reason(e):
    line = str(e).splitlines()[0][:300] if str(e) else type(e).__name__
    where = traceback.extract_tb(e.__traceback__)
    own = [f for f in where if "/tests/s3/" in f.filename and f.name not in ("equal", "fails", "error_of")]
    return "line %s: %s" % (own[-1].lineno if own else "?", line)


def run(wanted, deviations):
    """Of all cases, or those that are wanted; how many failed."""
    failed = 0
    for name, fn in CASES:
        if wanted and not any(name.startswith(w) for w in wanted):
            continue
        why = None
        try:
            fn()
        except Exception as e:
            why = reason(e)
        if name in deviations:
            why = None if why else "it is listed as deviating (%s), but does as AWS" % deviations[name]
        print("FAIL %s: %s" % (name, why) if why else "ok %s" % name, flush=True)
        failed += why is not None
    return failed
