"""S3 through boto3: objects, ranges, conditions, checksums, listings, multipart uploads."""
import base64
import hashlib
import io
import os
import struct
import threading
import zlib

from botocore.exceptions import ClientError

from harness import B, MIB, code_of, error_of


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
    rows, crc = [], 0xffffffff
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        rows.append(n)
    for b in data:
        crc = crc >> 8 ^ rows[(crc ^ b) & 255]
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
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="models", Prefix="bigg")
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


def crc32c_base64(data):
    return base64.b64encode(struct.pack(">I", crc32c(data))).decode()


def test_multipart_crc32c():
    """Parts with a CRC-32C are compared by it; their ETags, no MD5s, still tell one content from another."""
    s3 = B.client("s3")
    head, end, other = os.urandom(5 * MIB + 4097), b"123456789", b"123456780"
    assert crc32c_base64(end) == "4waSgw=="
    up = s3.create_multipart_upload(Bucket="models", Key="c", ChecksumAlgorithm="CRC32C", ChecksumType="FULL_OBJECT")
    where = dict(Bucket="models", Key="c", UploadId=up["UploadId"])

    def put(number, body, **kw):
        return s3.upload_part(PartNumber=number, Body=body, ChecksumCRC32C=crc32c_base64(body), **kw, **where)["ETag"]
    first = put(1, head)
    assert code_of(s3.upload_part, PartNumber=2, Body=other, ChecksumCRC32C=crc32c_base64(end), **where) == "BadDigest"
    old, new, again = put(2, other), put(2, end), put(2, end)
    assert old != new == again and len(new) == len('""') + 32
    md5 = base64.b64encode(hashlib.md5(end).digest()).decode()
    assert put(2, end, ContentMD5=md5) == '"%s"' % hashlib.md5(end).hexdigest()
    assert code_of(s3.upload_part, PartNumber=2, Body=end, ChecksumCRC32C=crc32c_base64(end),
                   ContentMD5=base64.b64encode(bytes(16)).decode(), **where) == "BadDigest"
    new = put(2, end)

    def complete(last):
        list_ = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": last}]
        return s3.complete_multipart_upload(MultipartUpload={"Parts": list_}, ChecksumCRC32C=crc32c_base64(head + end), **where)
    assert code_of(complete, old) == "InvalidPart"
    assert complete(new)["ETag"].endswith('-2"')
    assert s3.get_object(Bucket="models", Key="c")["Body"].read() == head + end
    s3.delete_object(Bucket="models", Key="c")


def test_upload_file():
    path = os.path.join(B.setup.root, "upload")
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
    assert code_of(s3.put_bucket_versioning, Bucket="models",
                   VersioningConfiguration={"Status": "Enabled"}) == "NotImplemented"
    assert code_of(s3.list_bucket_inventory_configurations, Bucket="models") == "NotImplemented"
    assert code_of(s3.put_object, Bucket="models", Key="k" * 1025, Body=b"") == "KeyTooLongError"
