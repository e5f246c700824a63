"""Compares several hundred requests, random ones and every operation of ours, stage by stage, with the signers of botocore."""

import hashlib
import json
import random
import subprocess
import sys
from urllib.parse import quote

import botocore
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from botocore_requests import requests

COUNT = 600
ROUNDS = 8  # of each operation
TEXT = "abcXYZ019-._~ /+%&=?#:@!$'()*,;[]{}|\\\"<>^`äß漢"


def word(r, most, alphabet=TEXT):
    return "".join(r.choice(alphabet) for _ in range(r.randint(0, most)))


def path(r):
    parts = [r.choice([quote(word(r, 8), safe="-._~"), ".", "..", "", "invocations"]) for _ in range(r.randint(0, 6))]
    return "/" + "/".join(parts)


def query(r):
    pairs = []
    for _ in range(r.choice([0, 0, 1, 2, 5, 12])):
        name = quote(word(r, 4, "abAB-_. ä") or "k", safe="-._~")
        pairs.append(name if r.random() < 0.2 else name + "=" + quote(word(r, 6), safe="-._~"))
        if r.random() < 0.2:
            pairs.append(pairs[-1])
    return "&".join(pairs)


def headers(r, host, date):
    rows = [("Host", host), ("X-Amz-Date", date)]
    for i in range(r.randint(0, 6)):
        name = r.choice(["Content-Type", "x-amz-meta-a", "X-Amz-Target", "X-AMZ-B", "accept", "x-amzn-sagemaker-x%d" % i])
        value = word(r, 12, "abcXYZ 019-;=/,  \t").strip() or "v"
        rows.append((name, value))
    return rows


def oracle(case, body):
    request = AWSRequest(
        method=case["method"],
        url="https://" + case["headers"][0][1] + case["path"] + ("?" + case["query"] if case["query"] else ""),
        data=body,
    )
    for name, value in case["headers"]:
        request.headers.add_header(name, value)
    request.context["timestamp"] = case["date"]
    if case["payload"] == "UNSIGNED-PAYLOAD":
        request.headers["X-Amz-Content-SHA256"] = case["payload"]
        case["headers"].append(["X-Amz-Content-SHA256", case["payload"]])
    kind = SigV4Auth if case["double"] else S3SigV4Auth
    auth = kind(Credentials(case["access"], case["secret"]), case["service"], case["region"])
    canonical = auth.canonical_request(request)
    to_sign = auth.string_to_sign(request, canonical)
    names = auth.signed_headers(auth.headers_to_sign(request))
    return {
        "canonical": canonical,
        "string_to_sign": to_sign,
        "authorization": "AWS4-HMAC-SHA256 Credential=%s, SignedHeaders=%s, Signature=%s"
        % (auth.scope(request), names, auth.signature(to_sign, request)),
    }


def make_case(r):
    service = r.choice(["s3", "sagemaker", "sts", "iam"])
    body = word(r, 40).encode()
    date = "20%02d%02d%02dT%02d%02d%02dZ" % tuple(r.randint(10, 12) for _ in range(6))
    case = {
        "method": r.choice(["GET", "PUT", "POST", "DELETE", "HEAD"]),
        "path": path(r),
        "query": query(r),
        "headers": [list(row) for row in headers(r, "host%d.example.com:%d" % (r.randint(0, 9), r.randint(1024, 9999)), date)],
        "payload": hashlib.sha256(body).hexdigest(),
        "double": service != "s3",
        "date": date,
        "region": r.choice(["us-east-1", "eu-west-1", "cn-north-1"]),
        "service": service,
        "access": "AKID" + word(r, 8, "ABC123"),
        "secret": word(r, 40, "abc/+ABC") or "s",
    }
    if service == "s3" and r.random() < 0.5:
        case["payload"] = "UNSIGNED-PAYLOAD"
    return case, body


def compare(what, driver, cases, wanted):
    """What our driver makes of the cases, stage by stage; the number of stages that differ."""
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([driver], input=lines, capture_output=True, text=True, check=True)
    got = [json.loads(line) for line in done.stdout.splitlines()]
    failed = 0
    for stage in [s for s in ("key", "canonical", "string_to_sign", "authorization") if any(w.get(s) for w in wanted)]:
        wrong = [i for i in range(len(cases)) if i >= len(got) or got[i].get(stage) != wanted[i][stage]]
        if wrong:
            failed += 1
            i = wrong[0]
            print("FAIL sigv4 %s, %s: %d of %d differ from botocore, first %r: %r, not %r" % (
                stage, what, len(wrong), len(cases), cases[i], got[i] if i < len(got) else None, wanted[i][stage]))
        else:
            print("ok sigv4 %s, %s: %d requests as botocore %s" % (stage, what, len(cases), botocore.__version__))
    return failed


def main():
    driver = sys.argv[1]
    r = random.Random(20261123)
    pairs = [make_case(r) for _ in range(COUNT)]
    failed = compare("random", driver, [case for case, _ in pairs], [oracle(case, body) for case, body in pairs])
    real = list(requests(r, ROUNDS))
    for service in sorted({case["service"] for _, case, _ in real}):
        mine = [(case, wanted) for _, case, wanted in real if case["service"] == service]
        failed += compare("our operations of " + service, driver, [case for case, _ in mine], [wanted for _, wanted in mine])
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
