"""Multipart uploads."""
import hashlib
import os

from suite import MIB, S, case, composite, equal, error_of, etag, fails, rows, sum_text

PARTS = [os.urandom(5 * MIB), os.urandom(5 * MIB + 3), b"the end"]


class Upload:
    def __init__(self, key=None, **kw):
        self.key = key or S.key()
        self.reply = S.s3.create_multipart_upload(**S.at(self.key), **kw)
        self.where = S.at(self.key, UploadId=self.reply["UploadId"])
        self.made, self.has_sums = [], "ChecksumAlgorithm" in kw

    def part(self, number, body, **kw):
        r = S.s3.upload_part(PartNumber=number, Body=body, **self.where, **kw)
        row = {"PartNumber": number, "ETag": r["ETag"]}
        row.update({k: v for k, v in r.items() if self.has_sums and k.startswith("Checksum") and k != "ChecksumType"})
        self.made = [m for m in self.made if m["PartNumber"] != number] + [row]
        self.made.sort(key=lambda m: m["PartNumber"])
        return r

    def parts(self, bodies, **kw):
        for i, b in enumerate(bodies):
            self.part(i + 1, b, **kw)
        return self

    def complete(self, parts=None, **kw):
        return S.s3.complete_multipart_upload(MultipartUpload={"Parts": self.made if parts is None else parts}, **self.where, **kw)

    def abort(self):
        S.s3.abort_multipart_upload(**self.where)


@case
def multipart_whole():
    u = Upload(Metadata={"a": "1"}, ContentType="a/b", CacheControl="no-cache").parts(PARTS)
    r = u.complete()
    tag = '"%s-3"' % hashlib.md5(b"".join(hashlib.md5(p).digest() for p in PARTS)).hexdigest()
    equal((r["ETag"], r["Bucket"], r["Key"]), (tag, S.bucket, u.key))
    g = S.s3.get_object(**S.at(u.key))
    assert g["Body"].read() == b"".join(PARTS)
    equal((g["ETag"], g["Metadata"], g["ContentType"], g["CacheControl"]), (tag, {"a": "1"}, "a/b", "no-cache"))


@case
def multipart_range_over_parts():
    u = Upload().parts(PARTS)
    u.complete()
    whole, at = b"".join(PARTS), 5 * MIB
    for a, b in ((at - 3, at + 3), (at, at), (at - 1, len(whole) - 1), (0, len(whole) - 1)):
        assert S.body(u.key, Range="bytes=%d-%d" % (a, b)) == whole[a:b + 1], (a, b)


@case
def multipart_part_numbers():
    u = Upload().parts(PARTS)
    u.complete()
    for i, p in enumerate(PARTS):
        g = S.s3.get_object(**S.at(u.key), PartNumber=i + 1)
        equal((g["ContentLength"], g["PartsCount"], g["ResponseMetadata"]["HTTPStatusCode"]), (len(p), 3, 206))
        assert g["Body"].read() == p
    fails(416, "416", S.s3.head_object, **S.at(u.key), PartNumber=4)


@case
def multipart_replaced_part():
    u = Upload()
    u.part(1, b"first")
    u.part(1, b"second")
    u.complete()
    equal(S.body(u.key), b"second")


@case
def multipart_out_of_order_and_gaps():
    u = Upload()
    u.part(7, b"seven")
    u.part(3, PARTS[0])
    u.complete()
    assert S.body(u.key) == PARTS[0] + b"seven"


@case
def multipart_some_parts_left_out():
    u = Upload().parts(PARTS)
    u.complete(u.made[1:])
    assert S.body(u.key) == PARTS[1] + PARTS[2]


@case
def multipart_of_one_small_part():
    u = Upload().parts([b"x"])
    u.complete()
    equal(S.body(u.key), b"x")


@case
def multipart_of_one_empty_part():
    u = Upload().parts([b""])
    u.complete()
    equal(S.body(u.key), b"")


@case
def complete_too_small():
    u = Upload().parts([b"1", b"2"])
    fails(400, "EntityTooSmall", u.complete)
    u.abort()


@case
def complete_wrong_order():
    u = Upload().parts(PARTS[:2])
    fails(400, "InvalidPartOrder", u.complete, u.made[::-1])
    u.abort()


@case
def complete_twice_the_same_part():
    u = Upload().parts([PARTS[0]])
    fails(400, "InvalidPartOrder", u.complete, u.made * 2)
    u.abort()


@rows([("number", {"PartNumber": 2}), ("etag", {"ETag": '"00000000000000000000000000000000"'})])
def complete_invalid_part(change):
    u = Upload().parts([b"1"])
    fails(400, "InvalidPart", u.complete, [dict(u.made[0], **change)])
    u.complete()


@case
def complete_with_no_parts():
    u = Upload().parts([b"1"])
    fails(400, "MalformedXML", u.complete, [])
    u.abort()


@case
def complete_if_absent():
    key, _ = S.put()
    u = Upload(key).parts([b"1"])
    fails(412, "PreconditionFailed", u.complete, IfNoneMatch="*")
    u.complete()
    equal(S.body(key), b"1")


@case
def complete_if_match():
    key, r = S.put()
    u = Upload(key).parts([b"1"])
    fails(412, "PreconditionFailed", u.complete, IfMatch='"0"')
    u.complete(IfMatch=r["ETag"])
    equal(S.body(key), b"1")


@case
def complete_object_size():
    u = Upload().parts([b"12345"])
    fails(400, "InvalidRequest", u.complete, MpuObjectSize=6)
    u.complete(MpuObjectSize=5)


@case
def complete_is_all_or_nothing():
    u = Upload().parts([b"1"])
    fails(404, "404", S.s3.head_object, **S.at(u.key))
    equal(S.s3.list_objects_v2(Bucket=S.bucket, Prefix=u.key).get("Contents", []), [])
    u.complete()
    S.s3.head_object(**S.at(u.key))


@rows([("part", "upload_part", {"PartNumber": 1, "Body": b""}), ("list", "list_parts", {}),
       ("complete", "complete_multipart_upload", {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": '"0"'}]}}),
       ("abort", "abort_multipart_upload", {})])
def no_such_upload(call, args):
    fails(404, "NoSuchUpload", getattr(S.s3, call), **S.at("x", UploadId="there-is-none"), **args)


@case
def upload_of_another_key():
    u = Upload()
    fails(404, "NoSuchUpload", S.s3.list_parts, **S.at("another", UploadId=u.where["UploadId"]))
    u.abort()


@case
def aborted():
    u = Upload().parts([b"1"])
    u.abort()
    fails(404, "NoSuchUpload", u.part, 2, b"2")
    fails(404, "NoSuchUpload", u.complete)
    fails(404, "404", S.s3.head_object, **S.at(u.key))


@rows([("zero", 0), ("many", 10001), ("negative", -1)])
def part_number_refused(number):
    u = Upload()
    fails(400, "InvalidArgument", u.part, number, b"1")
    u.abort()


@case
def part_number_greatest():
    u = Upload()
    u.part(10000, b"1")
    u.complete()
    equal(S.body(u.key), b"1")


@case
def list_parts():
    u = Upload().parts([b"1", b"22", b"333"])
    r = S.s3.list_parts(**u.where)
    equal([(p["PartNumber"], p["Size"], p["ETag"]) for p in r["Parts"]], [(i + 1, i + 1, m["ETag"]) for i, m in enumerate(u.made)])
    equal((r["Bucket"], r["Key"], r["UploadId"], r["IsTruncated"]), (S.bucket, u.key, u.where["UploadId"], False))
    u.abort()


@case
def list_parts_pages():
    u = Upload().parts([b"%d" % i for i in range(5)])
    r = S.s3.list_parts(**u.where, MaxParts=2)
    equal(([p["PartNumber"] for p in r["Parts"]], r["IsTruncated"], r["NextPartNumberMarker"]), ([1, 2], True, 2))
    seen = [p["PartNumber"] for page in S.s3.get_paginator("list_parts").paginate(**u.where, PaginationConfig={"PageSize": 2})
            for p in page["Parts"]]
    equal(seen, [1, 2, 3, 4, 5])
    u.abort()


@case
def list_uploads():
    b = S.new_bucket()
    made = sorted((k, S.s3.create_multipart_upload(Bucket=b, Key=k)["UploadId"]) for k in ("a", "b/1", "b/2", "c", "c"))
    got = [(u["Key"], u["UploadId"]) for u in S.s3.list_multipart_uploads(Bucket=b)["Uploads"]]
    equal(sorted(got), made)
    equal([k for k, _ in got], ["a", "b/1", "b/2", "c", "c"])
    r = S.s3.list_multipart_uploads(Bucket=b, Prefix="b/")
    equal([u["Key"] for u in r["Uploads"]], ["b/1", "b/2"])
    r = S.s3.list_multipart_uploads(Bucket=b, Delimiter="/")
    equal(([u["Key"] for u in r["Uploads"]], [p["Prefix"] for p in r["CommonPrefixes"]]), (["a", "c", "c"], ["b/"]))


@case
def list_uploads_pages():
    b = S.new_bucket()
    made = sorted((k, S.s3.create_multipart_upload(Bucket=b, Key=k)["UploadId"]) for k in ("a", "b", "b", "c d", "ü"))
    seen = [(u["Key"], u["UploadId"]) for p in S.s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=b, PaginationConfig={"PageSize": 2}) for u in p.get("Uploads", [])]
    equal(sorted(seen), made)


@case
def list_uploads_of_none():
    r = S.s3.list_multipart_uploads(Bucket=S.new_bucket())
    equal(("Uploads" in r, r["IsTruncated"]), (False, False))


@case
def upload_tags():
    u = Upload(Tagging="a=1").parts([b"1"])
    u.complete()
    equal(S.s3.get_object_tagging(**S.at(u.key))["TagSet"], [{"Key": "a", "Value": "1"}])


@rows([(n, n) for n in ("CRC32", "CRC32C", "SHA1", "SHA256")])
def composite_checksum(name):
    bodies = [PARTS[2] * 800000, b"the end"]
    bodies[0] = bodies[0][:5 * MIB]
    u = Upload(ChecksumAlgorithm=name)
    equal(u.reply["ChecksumType"], "COMPOSITE")
    member, wanted = "Checksum" + name, composite(name, bodies)
    for i, b in enumerate(bodies):
        equal(u.part(i + 1, b, ChecksumAlgorithm=name)[member], sum_text(name, b))
    r = u.complete()
    equal((r[member], r["ChecksumType"]), (wanted, "COMPOSITE"))
    h = S.s3.head_object(**S.at(u.key), ChecksumMode="ENABLED")
    equal((h[member], h["ChecksumType"]), (wanted, "COMPOSITE"))
    a = S.s3.get_object_attributes(**S.at(u.key), ObjectAttributes=["Checksum", "ObjectParts"])
    equal(a["ObjectParts"]["TotalPartsCount"], 2)
    equal([p[member] for p in a["ObjectParts"]["Parts"]], [sum_text(name, b) for b in bodies])


@rows([(n, n) for n in ("CRC32", "CRC32C", "CRC64NVME")])
def full_object_checksum(name):
    bodies = [bytes(5 * MIB), b"the end"]
    member, wanted = "Checksum" + name, sum_text(name, b"".join(bodies))
    u = Upload(ChecksumAlgorithm=name, ChecksumType="FULL_OBJECT")
    equal((u.reply["ChecksumAlgorithm"], u.reply["ChecksumType"]), (name, "FULL_OBJECT"))
    for i, b in enumerate(bodies):
        u.part(i + 1, b, ChecksumAlgorithm=name)
    fails(400, "BadDigest", u.complete, **{member: sum_text(name, b"x")})
    r = u.complete(**{member: wanted})
    equal((r[member], r["ChecksumType"]), (wanted, "FULL_OBJECT"))
    equal(S.s3.head_object(**S.at(u.key), ChecksumMode="ENABLED")[member], wanted)


@rows([("full_sha1", "SHA1", "FULL_OBJECT"), ("full_sha256", "SHA256", "FULL_OBJECT"), ("composite_crc64", "CRC64NVME", "COMPOSITE")])
def checksum_type_refused(name, kind):
    fails(400, "InvalidRequest", S.s3.create_multipart_upload, **S.at(S.key()), ChecksumAlgorithm=name, ChecksumType=kind)


@case
def part_of_another_checksum():
    u = Upload(ChecksumAlgorithm="SHA256")
    fails(400, "InvalidRequest", u.part, 1, b"1", ChecksumAlgorithm="CRC32")
    u.abort()


@case
def composite_needs_the_parts_checksums():
    u = Upload(ChecksumAlgorithm="SHA256")
    u.part(1, b"1", ChecksumAlgorithm="SHA256")
    said = fails(400, "InvalidRequest", u.complete, [{"PartNumber": 1, "ETag": u.made[0]["ETag"]}])
    assert "missing for part 1" in said, said
    u.complete()


@case
def part_checksum_named_wrong():
    u = Upload(ChecksumAlgorithm="SHA256")
    u.part(1, b"1", ChecksumAlgorithm="SHA256")
    r = error_of(u.complete, [dict(u.made[0], ChecksumSHA256=sum_text("SHA256", b"2"))])
    equal((r["ResponseMetadata"]["HTTPStatusCode"], r["Error"]["Code"]), (400, "InvalidPart"))
    u.abort()


@case
def default_checksum_of_an_upload():
    client = S.client(request_checksum_calculation="when_required")
    key = S.key()
    up = client.create_multipart_upload(**S.at(key))["UploadId"]
    tag = client.upload_part(**S.at(key), UploadId=up, PartNumber=1, Body=b"123456789")["ETag"]
    equal(tag, etag(b"123456789"))
    client.complete_multipart_upload(**S.at(key), UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    h = S.s3.head_object(**S.at(key), ChecksumMode="ENABLED")
    equal((h["ChecksumCRC64NVME"], h["ChecksumType"]), ("rosUhgp5mIg=", "FULL_OBJECT"))


@rows([("transfer", {}), ("crc32c", {"ChecksumAlgorithm": "CRC32C"}), ("sha256", {"ChecksumAlgorithm": "SHA256"}),
       ("crc64", {"ChecksumAlgorithm": "CRC64NVME"})])
def upload_and_download_file(extra):
    import io
    data, out, key = os.urandom(20 * MIB + 5), io.BytesIO(), S.key()
    S.s3.upload_fileobj(io.BytesIO(data), S.bucket, key, ExtraArgs=extra)
    S.s3.download_fileobj(S.bucket, key, out)
    assert out.getvalue() == data
