"""CopyObject and UploadPartCopy."""
import os

from suite import MIB, S, case, equal, etag, fails, rows, sum_text

DATA = b"what is to be copied"


def copy(source, key=None, **kw):
    key = key or S.key()
    return key, S.s3.copy_object(**S.at(key), CopySource={"Bucket": S.bucket, "Key": source}, **kw)


@case
def copy_plain():
    source, _ = S.put(DATA, Metadata={"a": "1"}, ContentType="a/b", CacheControl="no-cache")
    key, r = copy(source)
    equal(r["CopyObjectResult"]["ETag"], etag(DATA))
    g = S.s3.get_object(**S.at(key))
    equal((g["Body"].read(), g["Metadata"], g["ContentType"], g["CacheControl"]), (DATA, {"a": "1"}, "a/b", "no-cache"))


@case
def copy_replaces_metadata():
    source, _ = S.put(DATA, Metadata={"a": "1"}, ContentType="a/b")
    key, _ = copy(source, MetadataDirective="REPLACE", Metadata={"b": "2"}, ContentType="c/d")
    h = S.s3.head_object(**S.at(key))
    equal((h["Metadata"], h["ContentType"]), ({"b": "2"}, "c/d"))


@case
def copy_ignores_metadata_without_replace():
    source, _ = S.put(DATA, Metadata={"a": "1"})
    key, _ = copy(source, Metadata={"b": "2"})
    equal(S.s3.head_object(**S.at(key))["Metadata"], {"a": "1"})


@rows([("space", "from a b"), ("utf8", "from/ü 日"), ("percent", "from%20a"), ("plus", "from+a"), ("query", "from?versionId=x")])
def copy_from_key(source):
    S.s3.put_object(**S.at(source), Body=DATA)
    key, _ = copy(source)
    equal(S.body(key), DATA)


@case
def copy_between_buckets():
    other = S.new_bucket()
    S.s3.put_object(Bucket=other, Key="a", Body=DATA)
    key = S.key()
    S.s3.copy_object(**S.at(key), CopySource="/%s/a" % other)
    equal(S.body(key), DATA)


@case
def copy_to_itself_is_refused():
    source, _ = S.put(DATA)
    fails(400, "InvalidRequest", copy, source, source)


@case
def copy_to_itself_with_new_metadata():
    source, _ = S.put(DATA, Metadata={"a": "1"})
    copy(source, source, MetadataDirective="REPLACE", Metadata={"b": "2"})
    equal((S.body(source), S.s3.head_object(**S.at(source))["Metadata"]), (DATA, {"b": "2"}))


@case
def copy_of_nothing():
    fails(404, "NoSuchKey", copy, "there-is-none")
    fails(404, "NoSuchBucket", S.s3.copy_object, **S.at("x"), CopySource="there-is-no-such-bucket/a")


@rows([("match", "CopySourceIfMatch", None, True), ("match_other", "CopySourceIfMatch", '"0"', False),
       ("none_other", "CopySourceIfNoneMatch", '"0"', True), ("none_same", "CopySourceIfNoneMatch", None, False)])
def copy_if(member, value, works):
    source, r = S.put(DATA)
    args = {member: r["ETag"] if value is None else value}
    if works:
        equal(S.body(copy(source, **args)[0]), DATA)
    else:
        fails(412, "PreconditionFailed", copy, source, **args)


@case
def copy_keeps_tags():
    source, _ = S.put(DATA, Tagging="a=1")
    key, _ = copy(source)
    equal(S.s3.get_object_tagging(**S.at(key))["TagSet"], [{"Key": "a", "Value": "1"}])
    key, _ = copy(source, TaggingDirective="REPLACE", Tagging="b=2")
    equal(S.s3.get_object_tagging(**S.at(key))["TagSet"], [{"Key": "b", "Value": "2"}])


@case
def copy_keeps_the_checksum():
    source, _ = S.put(DATA, ChecksumAlgorithm="SHA1")
    key, r = copy(source)
    equal(r["CopyObjectResult"]["ChecksumSHA1"], sum_text("SHA1", DATA))
    equal(S.s3.head_object(**S.at(key), ChecksumMode="ENABLED")["ChecksumSHA1"], sum_text("SHA1", DATA))


@case
def copy_with_another_checksum():
    source, _ = S.put(DATA, ChecksumAlgorithm="CRC32")
    key, _ = copy(source, ChecksumAlgorithm="SHA256")
    equal(S.s3.head_object(**S.at(key), ChecksumMode="ENABLED")["ChecksumSHA256"], sum_text("SHA256", DATA))


@case
def copy_unknown_directive():
    source, _ = S.put(DATA)
    fails(400, "InvalidArgument", copy, source, MetadataDirective="MERGE")


@case
def copy_of_a_multipart_object():
    parts = [os.urandom(5 * MIB), b"end"]
    key = S.key()
    up = S.s3.create_multipart_upload(**S.at(key))["UploadId"]
    made = [{"PartNumber": i + 1, "ETag": S.s3.upload_part(**S.at(key), UploadId=up, PartNumber=i + 1, Body=p)["ETag"]}
            for i, p in enumerate(parts)]
    S.s3.complete_multipart_upload(**S.at(key), UploadId=up, MultipartUpload={"Parts": made})
    to, _ = copy(key)
    assert S.body(to) == b"".join(parts)


def part_copy(source, key, up, number, **kw):
    return S.s3.upload_part_copy(**S.at(key), UploadId=up, PartNumber=number, CopySource={"Bucket": S.bucket, "Key": source}, **kw)


@case
def part_copy_and_complete():
    data = os.urandom(11 * MIB)
    source, _ = S.put(data)
    key = S.key()
    up = S.s3.create_multipart_upload(**S.at(key))["UploadId"]
    made = [{"PartNumber": n, "ETag": part_copy(source, key, up, n, CopySourceRange=r)["CopyPartResult"]["ETag"]}
            for n, r in ((1, "bytes=0-%d" % (6 * MIB - 1)), (2, "bytes=%d-%d" % (6 * MIB, len(data) - 1)))]
    equal(made[0]["ETag"], etag(data[:6 * MIB]))
    S.s3.complete_multipart_upload(**S.at(key), UploadId=up, MultipartUpload={"Parts": made})
    assert S.body(key) == data


@rows([("words", "bytes=a-b"), ("open", "bytes=1-"), ("suffix", "bytes=-5"), ("beyond", "bytes=0-100")])
def part_copy_bad_range(spec):
    source, _ = S.put(DATA)
    key = S.key()
    up = S.s3.create_multipart_upload(**S.at(key))["UploadId"]
    fails(400, "InvalidArgument", part_copy, source, key, up, 1, CopySourceRange=spec)
    S.s3.abort_multipart_upload(**S.at(key), UploadId=up)


@case
def part_copy_whole():
    source, _ = S.put(DATA)
    key = S.key()
    up = S.s3.create_multipart_upload(**S.at(key), ChecksumAlgorithm="CRC32")["UploadId"]
    r = part_copy(source, key, up, 1)["CopyPartResult"]
    equal((r["ETag"], r["ChecksumCRC32"]), (etag(DATA), sum_text("CRC32", DATA)))
    S.s3.abort_multipart_upload(**S.at(key), UploadId=up)


@case
def part_copy_to_no_upload():
    source, _ = S.put(DATA)
    fails(404, "NoSuchUpload", part_copy, source, "x", "no-such-upload", 1)
