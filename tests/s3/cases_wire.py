"""Below boto3: aws-chunked, presigned URLs, hosts, signatures, errors as XML."""
import datetime
import hashlib
import http.client
import os
import socket
import time
import urllib.request
import xml.etree.ElementTree

import wire
from suite import MIB, S, SUMS, case, equal, etag, md5_text, rows, sum_text
from wire import SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER, Signer, code, encode, path_of, send, signed

DATA = bytes(range(256)) * 300


def put_chunked(payload, data=DATA, size=65536, trailer=None, spoil=None, headers=None, length=None, http_chunked=False):
    """PutObject of an aws-chunked body; spoil changes the encoded bytes. The key and the answer."""
    key, signer = S.key(), Signer()
    h = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(data) if length is None else length)}
    if trailer:
        h["x-amz-trailer"] = trailer[0]
    h.update(headers or {})
    signer.request("PUT", path_of(key), h, payload)
    body = encode(signer, payload, data, size, trailer)
    return key, send("PUT", path_of(key), h, spoil(body) if spoil else body, chunked=http_chunked)


@rows([("signed_one", SIGNED, len(DATA), None), ("signed_many", SIGNED, 8192, None), ("signed_odd", SIGNED, 10007, None),
       ("unsigned", UNSIGNED_TRAILER, 8192, "CRC32"), ("signed_trailer", SIGNED_TRAILER, 8192, "CRC32C")])
def chunked_put(payload, size, name):
    trailer = ("x-amz-checksum-" + name.lower(), sum_text(name, DATA)) if name else None
    key, answer = put_chunked(payload, size=size, trailer=trailer)
    equal((answer[0], answer[1]["ETag"]), (200, etag(DATA)))
    assert S.body(key) == DATA
    if name:
        equal(S.s3.head_object(**S.at(key), ChecksumMode="ENABLED")["Checksum" + name], sum_text(name, DATA))


@rows([(n, n) for n in SUMS])
def chunked_trailer(name):
    key, answer = put_chunked(SIGNED_TRAILER, trailer=("x-amz-checksum-" + name.lower(), sum_text(name, DATA)))
    equal((answer[0], S.body(key) == DATA), (200, True))
    key, answer = put_chunked(UNSIGNED_TRAILER, trailer=("x-amz-checksum-" + name.lower(), sum_text(name, DATA + b"x")))
    equal(code(answer), (400, "BadDigest"))


@case
def chunked_empty():
    key, answer = put_chunked(SIGNED, data=b"")
    equal((answer[0], S.body(key)), (200, b""))


@case
def chunked_over_http_chunked():
    key, answer = put_chunked(UNSIGNED_TRAILER, trailer=("x-amz-checksum-crc32", sum_text("CRC32", DATA)), http_chunked=True)
    equal((answer[0], S.body(key) == DATA), (200, True))


@case
def chunked_big():
    data = os.urandom(5 * MIB + 77)
    key, answer = put_chunked(SIGNED, data=data, size=MIB)
    equal((answer[0], S.body(key) == data), (200, True))


@case
def chunked_content_encoding_is_not_kept():
    key, answer = put_chunked(SIGNED, headers={"content-encoding": "aws-chunked,gzip"})
    equal((answer[0], S.s3.head_object(**S.at(key)).get("ContentEncoding")), (200, "gzip"))
    key, answer = put_chunked(SIGNED)
    equal((answer[0], S.s3.head_object(**S.at(key)).get("ContentEncoding")), (200, None))


def flip(at):
    return lambda b: b[:at] + bytes([b[at] ^ 1]) + b[at + 1:]


@rows([("data", flip(200), 403), ("signature", flip(30), 403), ("last_data", lambda b: b.replace(b"\xff\r\n", b"\xfe\r\n", 1), 403)])
def chunk_signature_checked(spoil, status):
    key, answer = put_chunked(SIGNED, spoil=spoil)
    equal(code(answer), (status, "SignatureDoesNotMatch"))
    equal(code(signed("GET", path_of(key))), (404, "NoSuchKey"))


@case
def chunk_order_checked():
    data = b"a" * 8192 + b"b" * 8192

    def swap(b):
        one = b.index(b"\r\n") + 2 + 8192 + 2
        return b[one:2 * one] + b[:one] + b[2 * one:]
    equal(code(put_chunked(SIGNED, data=data, size=8192, spoil=swap)[1]), (403, "SignatureDoesNotMatch"))


@case
def trailer_signature_checked():
    wrong = put_chunked(SIGNED_TRAILER, trailer=("x-amz-checksum-crc32", sum_text("CRC32", DATA)),
                        spoil=lambda b: b[:-6] + bytes([b[-6] ^ 1]) + b[-5:])[1]
    equal(code(wrong), (403, "SignatureDoesNotMatch"))


@case
def trailer_missing():
    answer = put_chunked(UNSIGNED_TRAILER, headers={"x-amz-trailer": "x-amz-checksum-crc32"})[1]
    equal((answer[0], code(answer)[1] in ("MalformedTrailerError", "InvalidRequest")), (400, True))


@case
def trailer_unknown():
    answer = put_chunked(UNSIGNED_TRAILER, trailer=("x-amz-checksum-rot13", "AAAA"))[1]
    equal(code(answer), (400, "InvalidRequest"))


@rows([("short", len(DATA) + 1), ("long", len(DATA) - 1)])
def chunked_length_differs(length):
    answer = put_chunked(SIGNED, length=length)[1]
    equal((answer[0], code(answer)[1]), (400, "IncompleteBody"))


@case
def chunked_length_missing():
    key, signer, h = S.key(), Signer(), {"content-encoding": "aws-chunked"}
    signer.request("PUT", path_of(key), h, SIGNED)
    equal(code(send("PUT", path_of(key), h, encode(signer, SIGNED, DATA, 65536))), (411, "MissingContentLength"))


@rows([("size", lambda b: b"zz" + b[2:]), ("cut", lambda b: b[:5000]), ("nothing", lambda b: b"")])
def chunked_malformed(spoil):
    answer = put_chunked(UNSIGNED_TRAILER, trailer=("x-amz-checksum-crc32", sum_text("CRC32", DATA)), spoil=spoil)[1]
    equal(answer[0], 400)


@case
def chunked_part():
    key, signer = S.key(), Signer()
    up = S.s3.create_multipart_upload(**S.at(key))["UploadId"]
    h, query = {"x-amz-decoded-content-length": str(len(DATA))}, "partNumber=1&uploadId=" + up
    signer.request("PUT", path_of(key), h, SIGNED, query)
    status, headers, _ = send("PUT", path_of(key), h, encode(signer, SIGNED, DATA, 9000), query)
    equal((status, headers["ETag"]), (200, etag(DATA)))
    S.s3.complete_multipart_upload(**S.at(key), UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": headers["ETag"]}]})
    assert S.body(key) == DATA


@rows([("unsigned", "UNSIGNED-PAYLOAD"), ("hash", None)])
def payload_forms(payload):
    key = S.key()
    equal(signed("PUT", path_of(key), body=DATA, payload=payload)[0], 200)
    assert S.body(key) == DATA


@case
def payload_hash_differs():
    key = S.key()
    equal(code(signed("PUT", path_of(key), body=DATA, payload=hashlib.sha256(b"x").hexdigest())), (400, "XAmzContentSHA256Mismatch"))
    equal(code(signed("GET", path_of(key))), (404, "NoSuchKey"))


@case
def payload_unknown():
    equal(code(signed("PUT", path_of(S.key()), body=DATA, payload="STREAMING-ROT13"))[0], 400)


@rows([("on", True), ("off", False)])
def payload_signing_of_botocore(on):
    client = S.client(s3={"addressing_style": "path", "payload_signing_enabled": on})
    key = S.key()
    client.put_object(**S.at(key), Body=DATA)
    assert S.body(key) == DATA


@case
def signature_of_another_secret():
    equal(code(signed("GET", "/" + S.bucket, signer=Signer(secret="wrong"))), (403, "SignatureDoesNotMatch"))


@case
def signature_of_another_path():
    h = {}
    Signer().request("GET", "/" + S.bucket, h, wire.EMPTY)
    equal(code(send("GET", "/" + S.bucket + "x", h)), (403, "SignatureDoesNotMatch"))


@rows([("slash", "delimiter=/&prefix=a/b", "delimiter=%2F&prefix=a%2Fb"), ("lower", "prefix=a%2fb", "prefix=a%2Fb"),
       ("signs", "prefix=a:b@c", "prefix=a%3Ab%40c")])
def query_encoded_otherwise(sent, signed_as):
    """s3fs sends '/' in arguments as it is, and signs it encoded."""
    h = {}
    Signer().request("GET", "/" + S.bucket, h, wire.EMPTY, signed_as)
    equal(send("GET", "/" + S.bucket, h, query=sent)[0], 200)


@case
def path_encoded_otherwise():
    key, h = "a(b)!*'" + S.key(), {}
    S.s3.put_object(**S.at(key), Body=b"1")
    Signer().request("GET", path_of(key).replace("!", "%21").replace("(", "%28").replace(")", "%29").replace("*", "%2A").replace("'", "%27"), h,
                     wire.EMPTY)
    equal(send("GET", "/%s/%s" % (S.bucket, key), h)[0], 200)


@rows([("past", -20), ("future", 20)])
def clock_skewed(minutes):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    equal(code(signed("GET", "/" + S.bucket, signer=Signer(when=when))), (403, "RequestTimeTooSkewed"))


@case
def header_that_is_not_signed():
    key, h = S.key(), {}
    Signer().request("PUT", path_of(key), h, wire.EMPTY)
    h["x-amz-meta-added"] = "on the way"
    equal(code(send("PUT", path_of(key), h)), (403, "AccessDenied"))


@case
def error_document():
    status, headers, body = signed("GET", path_of("there-is-none"))
    root = xml.etree.ElementTree.fromstring(body)
    equal((status, root.tag, root.findtext("Code"), root.findtext("Message")),
          (404, "Error", "NoSuchKey", "The specified key does not exist."))
    equal(headers["Content-Type"], "application/xml")
    assert root.findtext("RequestId") and headers["x-amz-request-id"] == root.findtext("RequestId")


@case
def head_error_has_no_body():
    status, _, body = signed("HEAD", path_of("there-is-none"))
    equal((status, body), (404, b""))


@rows([("batch", "POST", "delete", b"<Delete><Object></Object></Delete>"), ("tags", "PUT", "tagging", b"<Tagging>"),
       ("tags_other", "PUT", "tagging", b"<Other/>")])
def malformed_xml(method, query, body):
    path = "/" + S.bucket if method == "POST" else path_of(S.put()[0])
    equal(code(signed(method, path, {"content-md5": md5_text(body)}, body, query)), (400, "MalformedXML"))


@case
def batch_delete_needs_a_digest():
    answer = signed("POST", "/" + S.bucket, {}, b"<Delete><Object><Key>a</Key></Object></Delete>", "delete")
    equal(code(answer), (400, "InvalidRequest"))


@case
def document_types_are_refused():
    body = b'<!DOCTYPE d [<!ENTITY e "eee">]><Delete><Object><Key>&e;</Key></Object></Delete>'
    equal(code(signed("POST", "/" + S.bucket, {"content-md5": md5_text(body)}, body, "delete")), (400, "MalformedXML"))


@rows([("post_bucket", "POST", "", 412), ("put_service", "PUT", None, 405)])
def method_not_allowed(method, path, status):
    equal(signed(method, "/" if path is None else "/" + S.bucket)[0], status)


@case
def key_that_is_not_utf8():
    equal(signed("PUT", "/%s/a%%FF%%FE" % S.bucket)[0], 400)


@case
def length_missing():
    key, h = S.key(), {}
    Signer().request("PUT", path_of(key), h, "UNSIGNED-PAYLOAD")
    equal(code(send("PUT", path_of(key), h, b"short", chunked=True)), (411, "MissingContentLength"))


@case
def expect_continue():
    """The body is sent only when the server has said that it wants it."""
    key, h = S.key(), {"Expect": "100-continue", "Content-Length": str(len(DATA)), "Connection": "close"}
    Signer().request("PUT", path_of(key), h, hashlib.sha256(DATA).hexdigest())
    host, port = S.host.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.sendall(("PUT %s HTTP/1.1\r\n" % path_of(key) + "".join("%s: %s\r\n" % i for i in h.items()) + "\r\n").encode())
        assert s.recv(100).startswith(b"HTTP/1.1 100"), "no 100"
        s.sendall(DATA)
        assert s.recv(100).startswith(b"HTTP/1.1 200"), "no 200"
    assert S.body(key) == DATA


@case
def expect_continue_refused():
    key, h = S.key(), {"Expect": "100-continue", "Content-Length": "5"}
    Signer(secret="wrong").request("PUT", path_of(key), h, wire.EMPTY)
    host, port = S.host.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.sendall(("PUT %s HTTP/1.1\r\n" % path_of(key) + "".join("%s: %s\r\n" % i for i in h.items()) + "\r\n").encode())
        assert s.recv(100).startswith(b"HTTP/1.1 403"), "the body was asked for"


@rows([("bucket", "%s.localhost"), ("upper", "%s.LOCALHOST")])
def virtual_host(form):
    key, _ = S.put(DATA)
    port = S.host.split(":")[1]
    host = {"Host": form % S.bucket + ":" + port}
    status, _, body = signed("GET", "/" + key, host)
    equal((status, body == DATA), (200, True))
    equal(signed("PUT", "/" + key + "-x", host, b"other")[0], 200)
    equal(S.body(key + "-x"), b"other")
    status, _, body = signed("GET", "/", host, query="list-type=2&prefix=" + key)
    equal((status, ("<Key>%s</Key>" % key).encode() in body), (200, True))


@rows([("service", "s3.localhost", 200), ("region", "s3.us-east-1.localhost", 200), ("other_machine", "example.com", 403),
       ("rebound", "127.0.0.1.example.com", 403), ("suffix", "notlocalhost", 403)])
def host_names(name, status):
    key, _ = S.put(DATA)
    equal(signed("GET", path_of(key), {"Host": name + ":" + S.host.split(":")[1]})[0], status)


def fetch(url, data=None, method="GET", headers=None):
    """(status, body) of a URL, without any signature of ours."""
    parts = urllib.parse.urlsplit(url)
    c = http.client.HTTPConnection(S.host, timeout=20)
    c.request(method, parts.path + "?" + parts.query, data, dict({"Host": parts.netloc}, **(headers or {})))
    r = c.getresponse()
    out = r.status, r.headers, r.read()
    c.close()
    return out


@rows([("v4", "s3v4"), ("v2", "s3")])
def presigned_get_and_put(version):
    client, key = S.client(signature_version=version), S.key() + " ü"
    url = client.generate_presigned_url("put_object", Params=S.at(key))
    equal(fetch(url, DATA, "PUT")[0], 200)
    status, _, body = fetch(client.generate_presigned_url("get_object", Params=S.at(key)))
    equal((status, body == DATA), (200, True))
    equal(fetch(client.generate_presigned_url("head_object", Params=S.at(key)), method="HEAD")[0], 200)
    equal(fetch(client.generate_presigned_url("delete_object", Params=S.at(key)), method="DELETE")[0], 204)


@rows([("v4", "s3v4"), ("v2", "s3")])
def presigned_with_arguments(version):
    client, (key, _) = S.client(signature_version=version), S.put(DATA)
    url = client.generate_presigned_url("get_object", Params=S.at(key, ResponseContentType="a/b", ResponseContentDisposition="inline; a=b"))
    status, headers, body = fetch(url)
    equal((status, headers["Content-Type"], headers["Content-Disposition"], body == DATA), (200, "a/b", "inline; a=b", True))


@rows([("v4", "s3v4"), ("v2", "s3")])
def presigned_list(version):
    status, _, body = fetch(S.client(signature_version=version).generate_presigned_url("list_objects_v2", Params={"Bucket": S.bucket, "MaxKeys": 1}))
    equal((status, b"ListBucketResult" in body), (200, True))


@rows([("v4", "s3v4"), ("v2", "s3")])
def presigned_spoiled(version):
    client, (key, _) = S.client(signature_version=version), S.put(DATA)
    url = client.generate_presigned_url("get_object", Params=S.at(key))
    equal(code(fetch(url.replace("/" + key, "/other"))), (403, "SignatureDoesNotMatch"))
    equal(code(fetch(url, method="DELETE")), (403, "SignatureDoesNotMatch"))
    equal(S.body(key), DATA)


@rows([("v4", "s3v4"), ("v2", "s3")])
def presigned_expired(version):
    client, (key, _) = S.client(signature_version=version), S.put(DATA)
    url = client.generate_presigned_url("get_object", Params=S.at(key), ExpiresIn=1)
    time.sleep(2.5)
    equal(code(fetch(url)), (403, "AccessDenied"))


@case
def presigned_for_too_long():
    key, _ = S.put(DATA)
    url = S.s3.generate_presigned_url("get_object", Params=S.at(key), ExpiresIn=604801)
    equal(code(fetch(url)), (400, "AuthorizationQueryParametersError"))


@case
def presigned_put_with_signed_header():
    key = S.key()
    url = S.s3.generate_presigned_url("put_object", Params=S.at(key, ContentType="a/b", Metadata={"m": "1"}))
    equal(fetch(url, DATA, "PUT")[0], 403)
    equal(fetch(url, DATA, "PUT", {"Content-Type": "a/b", "x-amz-meta-m": "1"})[0], 200)
    h = S.s3.head_object(**S.at(key))
    equal((h["ContentType"], h["Metadata"]), ("a/b", {"m": "1"}))


@case
def presigned_part():
    key = S.key()
    up = S.s3.create_multipart_upload(**S.at(key))["UploadId"]
    url = S.s3.generate_presigned_url("upload_part", Params=S.at(key, UploadId=up, PartNumber=1))
    status, headers, _ = fetch(url, DATA, "PUT")
    equal((status, headers["ETag"]), (200, etag(DATA)))
    S.s3.abort_multipart_upload(**S.at(key), UploadId=up)


@case
def two_mechanisms():
    key, _ = S.put(DATA)
    url = S.s3.generate_presigned_url("get_object", Params=S.at(key))
    equal(code(fetch(url, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=a"})), (400, "InvalidArgument"))


@case
def no_signature_at_all():
    equal(code(send("GET", path_of("a"), {"Host": S.host})), (403, "AccessDenied"))
