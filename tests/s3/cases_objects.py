"""Objects: keys, bytes, ranges, conditions, headers, tags, deletion."""
import datetime
import os
import threading

from botocore.exceptions import ClientError

from suite import MIB, S, case, equal, error_of, etag, fails, rows

DATA = b"0123456789"


@rows([("empty", 0), ("one", 1), ("page", 4096), ("mib", MIB), ("odd", 3 * MIB + 17), ("big", 9 * MIB + 1)])
def put_and_get(size):
    data = os.urandom(size)
    key, r = S.put(data)
    equal(r["ETag"], etag(data))
    g = S.s3.get_object(**S.at(key))
    equal((g["ContentLength"], g["ETag"]), (size, etag(data)))
    assert g["Body"].read() == data


@rows([("space", "a b"), ("plus", "a+b"), ("percent", "a%20b"), ("slashes", "a//b"), ("utf8", "ü/日本/\U0001f600"), ("markup", "<&>\"'"),
       ("query", "a?b#c=d&e"), ("dot", "a/.hidden"), ("tilde", "a~b!c*d'(e)"), ("long", "k" * 200),
       ("equals", "year=2026/month=11"), ("colon", "a:b;c,d@e$f"), ("backslash", "a\\b"), ("brackets", "[a]{b}|^`")])
def key_kept(key):
    S.s3.put_object(**S.at(key), Body=key.encode())
    equal(S.body(key), key.encode())
    equal([o["Key"] for o in S.s3.list_objects_v2(Bucket=S.bucket, Prefix=key)["Contents"]], [key])
    S.s3.delete_object(**S.at(key))
    fails(404, "404", S.s3.head_object, **S.at(key))


@rows([("dots", "a/../b"), ("dot", "./a"), ("first_slash", "/a"), ("only_dots", ".."), ("long_1024", "é" * 512), ("control", "a\x01b")])
def odd_key_kept(key):
    S.s3.put_object(**S.at(key), Body=b"odd")
    equal(S.body(key), b"odd")
    S.s3.delete_object(**S.at(key))


@case
def key_of_1025_bytes():
    fails(400, "KeyTooLongError", S.s3.put_object, **S.at("k" * 1025), Body=b"")


@case
def folder_and_its_object():
    S.s3.put_object(**S.at("folder/"), Body=b"")
    S.s3.put_object(**S.at("folder/file"), Body=b"1")
    equal(S.s3.head_object(**S.at("folder/"))["ContentLength"], 0)
    S.s3.delete_object(**S.at("folder/file"))
    equal(S.s3.head_object(**S.at("folder/"))["ContentLength"], 0)
    S.s3.delete_object(**S.at("folder/"))


@case
def object_and_folder_of_one_name():
    S.s3.put_object(**S.at("both"), Body=b"object")
    S.s3.put_object(**S.at("both/file"), Body=b"below")
    equal((S.body("both"), S.body("both/file")), (b"object", b"below"))


@case
def folder_with_bytes():
    S.s3.put_object(**S.at("full/"), Body=b"bytes")
    equal(S.body("full/"), b"bytes")


@case
def replaced():
    key, _ = S.put(b"old", Metadata={"a": "1"}, ContentType="a/b")
    S.s3.put_object(**S.at(key), Body=b"new")
    g = S.s3.get_object(**S.at(key))
    equal((g["Body"].read(), g["Metadata"], g["ContentType"]), (b"new", {}, "binary/octet-stream"))


@rows([("get", "get_object", "NoSuchKey"), ("head", "head_object", "404"), ("tags", "get_object_tagging", "NoSuchKey"),
       ("acl", "get_object_acl", "NoSuchKey")])
def no_such_key(call, code):
    fails(404, code, getattr(S.s3, call), **S.at("there-is-none"))


@case
def delete_is_idempotent():
    key, _ = S.put()
    for _ in range(2):
        equal(S.s3.delete_object(**S.at(key))["ResponseMetadata"]["HTTPStatusCode"], 204)


@rows([("first", "bytes=0-0", b"0"), ("middle", "bytes=3-5", b"345"), ("open", "bytes=7-", b"789"), ("suffix", "bytes=-3", b"789"),
       ("beyond", "bytes=8-100", b"89"), ("suffix_beyond", "bytes=-100", DATA), ("all", "bytes=0-9", DATA)])
def range_of(spec, wanted):
    key, _ = S.put(DATA)
    g = S.s3.get_object(**S.at(key), Range=spec)
    equal((g["Body"].read(), g["ResponseMetadata"]["HTTPStatusCode"]), (wanted, 206))
    first = DATA.index(wanted)
    equal(g["ContentRange"], "bytes %d-%d/10" % (first, first + len(wanted) - 1))


@rows([("reversed", "bytes=5-3"), ("unit", "lines=1-2"), ("words", "bytes=a-b"), ("two", "bytes=0-1,3-4"), ("dash", "bytes=-")])
def range_ignored(spec):
    key, _ = S.put(DATA)
    g = S.s3.get_object(**S.at(key), Range=spec)
    equal((g["Body"].read(), g["ResponseMetadata"]["HTTPStatusCode"]), (DATA, 200))


@rows([("at_end", "bytes=10-"), ("beyond", "bytes=100-200"), ("no_bytes", "bytes=-0")])
def range_unsatisfiable(spec):
    key, _ = S.put(DATA)
    fails(416, "InvalidRange", S.s3.get_object, **S.at(key), Range=spec)


@case
def range_of_nothing():
    key, _ = S.put(b"")
    fails(416, "InvalidRange", S.s3.get_object, **S.at(key), Range="bytes=0-")


@case
def head_with_range():
    key, _ = S.put(DATA)
    h = S.s3.head_object(**S.at(key), Range="bytes=2-4")
    equal((h["ContentLength"], h["ContentRange"]), (3, "bytes 2-4/10"))


@case
def part_number_of_a_plain_object():
    key, _ = S.put(DATA)
    g = S.s3.get_object(**S.at(key), PartNumber=1)
    equal((g["Body"].read(), "PartsCount" in g), (DATA, False))
    fails(416, "InvalidPartNumber", S.s3.get_object, **S.at(key), PartNumber=2)
    fails(400, "InvalidRequest", S.s3.get_object, **S.at(key), PartNumber=1, Range="bytes=0-1")


def stamps(key):
    at = S.s3.head_object(**S.at(key))["LastModified"]
    hour = datetime.timedelta(hours=1)
    return at, at - hour, at + hour


@rows([("match", "IfMatch", None, 200), ("match_star", "IfMatch", "*", 200), ("match_other", "IfMatch", '"0"', 412),
       ("match_list", "IfMatch", '"0", %s', 200), ("none_other", "IfNoneMatch", '"0"', 200), ("none_same", "IfNoneMatch", None, 304),
       ("none_star", "IfNoneMatch", "*", 304)])
def read_if_etag(member, value, status):
    key, r = S.put(DATA)
    value = r["ETag"] if value is None else value % r["ETag"] if "%s" in value else value
    for call in ("get_object", "head_object"):
        try:
            got = getattr(S.s3, call)(**S.at(key), **{member: value})["ResponseMetadata"]["HTTPStatusCode"]
        except ClientError as e:
            got = e.response["ResponseMetadata"]["HTTPStatusCode"]
        equal((call, got), (call, status))


@rows([("modified_before", "IfModifiedSince", 1, 200), ("modified_now", "IfModifiedSince", 0, 304), ("unmodified_now", "IfUnmodifiedSince", 0, 200),
       ("unmodified_before", "IfUnmodifiedSince", 1, 412), ("unmodified_after", "IfUnmodifiedSince", 2, 200)])
def read_if_date(member, which, status):
    key, _ = S.put(DATA)
    try:
        got = S.s3.get_object(**S.at(key), **{member: stamps(key)[which]})["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as e:
        got = e.response["ResponseMetadata"]["HTTPStatusCode"]
    equal(got, status)


@case
def etag_decides_over_dates():
    key, r = S.put(DATA)
    at, before, after = stamps(key)
    S.s3.get_object(**S.at(key), IfMatch=r["ETag"], IfUnmodifiedSince=before)
    equal(error_of(S.s3.get_object, **S.at(key), IfNoneMatch=r["ETag"], IfModifiedSince=before)["ResponseMetadata"]["HTTPStatusCode"], 304)


@case
def write_if_absent():
    key = S.key()
    S.s3.put_object(**S.at(key), Body=b"1", IfNoneMatch="*")
    fails(412, "PreconditionFailed", S.s3.put_object, **S.at(key), Body=b"2", IfNoneMatch="*")
    equal(S.body(key), b"1")


@case
def write_if_match():
    key, r = S.put(b"1")
    fails(412, "PreconditionFailed", S.s3.put_object, **S.at(key), Body=b"2", IfMatch='"0"')
    S.s3.put_object(**S.at(key), Body=b"2", IfMatch=r["ETag"])
    equal(S.body(key), b"2")


@case
def write_if_match_of_nothing():
    fails(404, "NoSuchKey", S.s3.put_object, **S.at(S.key()), Body=b"", IfMatch='"0"')


@case
def write_if_none_match_etag():
    fails(501, "NotImplemented", S.s3.put_object, **S.at(S.key()), Body=b"", IfNoneMatch='"0"')


@case
def one_writer_wins():
    key, won = S.key(), []

    def write(i):
        try:
            S.client().put_object(**S.at(key), Body=b"%d" % i, IfNoneMatch="*")
            won.append(i)
        except ClientError as e:
            assert e.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412), e
    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    equal(len(won), 1)
    equal(S.body(key), b"%d" % won[0])


@case
def delete_if_match():
    key, r = S.put()
    fails(412, "PreconditionFailed", S.s3.delete_object, **S.at(key), IfMatch='"0"')
    S.s3.delete_object(**S.at(key), IfMatch=r["ETag"])
    fails(404, "404", S.s3.head_object, **S.at(key))


@rows([("type", "ContentType", "text/x-a; charset=utf-8"), ("disposition", "ContentDisposition", 'attachment; filename="a b.txt"'),
       ("encoding", "ContentEncoding", "gzip"), ("language", "ContentLanguage", "de-DE"), ("cache", "CacheControl", "max-age=5")])
def header_comes_back(member, value):
    key, _ = S.put(**{member: value})
    for call in ("get_object", "head_object"):
        equal(getattr(S.s3, call)(**S.at(key))[member], value)


@case
def expires_comes_back():
    key, _ = S.put(Expires=datetime.datetime(2030, 1, 2, 3, 4, 5))
    equal(S.s3.head_object(**S.at(key))["ExpiresString"], "Wed, 02 Jan 2030 03:04:05 GMT")


@case
def default_type():
    key, _ = S.put()
    equal(S.s3.head_object(**S.at(key))["ContentType"], "binary/octet-stream")


@rows([("simple", {"a": "1", "b-c": "x y z"}), ("upper", {"Mixed": "Case"}), ("empty", {"empty": ""}), ("punctuation", {"p": "a=b;c,d:\"e\""})])
def metadata_comes_back(meta):
    key, _ = S.put(Metadata=meta)
    equal(S.s3.head_object(**S.at(key))["Metadata"], {k.lower(): v for k, v in meta.items()})


@case
def metadata_of_2_kib():
    key, _ = S.put(Metadata={"m": "v" * 2047})
    equal(S.s3.head_object(**S.at(key))["Metadata"], {"m": "v" * 2047})
    fails(400, "MetadataTooLarge", S.s3.put_object, **S.at(key), Body=b"", Metadata={"m": "v" * 2048})


@rows([("type", "ResponseContentType", "ContentType", "a/b"), ("disposition", "ResponseContentDisposition", "ContentDisposition", "inline"),
       ("encoding", "ResponseContentEncoding", "ContentEncoding", "x-e"), ("cache", "ResponseCacheControl", "CacheControl", "no-store"),
       ("language", "ResponseContentLanguage", "ContentLanguage", "fr")])
def header_overridden(asked, member, value):
    key, _ = S.put(ContentType="c/d", CacheControl="max-age=1")
    equal(S.s3.get_object(**S.at(key), **{asked: value})[member], value)


@case
def storage_class():
    key, _ = S.put(StorageClass="STANDARD_IA")
    equal(S.s3.head_object(**S.at(key))["StorageClass"], "STANDARD_IA")
    equal(S.s3.list_objects_v2(Bucket=S.bucket, Prefix=key)["Contents"][0]["StorageClass"], "STANDARD_IA")
    key, _ = S.put()
    assert "StorageClass" not in S.s3.head_object(**S.at(key))
    fails(400, "InvalidStorageClass", S.s3.put_object, **S.at(key), Body=b"", StorageClass="COLDEST")


@case
def encryption_header():
    key, r = S.put(ServerSideEncryption="AES256")
    equal(r["ServerSideEncryption"], "AES256")
    equal(S.s3.head_object(**S.at(key))["ServerSideEncryption"], "AES256")


@case
def customer_keys_are_refused():
    fails(501, "NotImplemented", S.s3.put_object, **S.at(S.key()), Body=b"", SSECustomerAlgorithm="AES256",
          SSECustomerKey="k" * 32)


@rows([("private", "private"), ("owner", "bucket-owner-full-control")])
def harmless_acl(acl):
    S.put(ACL=acl)


@case
def object_acl():
    key, _ = S.put()
    equal([g["Permission"] for g in S.s3.get_object_acl(**S.at(key))["Grants"]], ["FULL_CONTROL"])
    fails(400, "AccessControlListNotSupported", S.s3.put_object, **S.at(key), Body=b"", ACL="public-read")


def tags_of(key):
    return {t["Key"]: t["Value"] for t in S.s3.get_object_tagging(**S.at(key))["TagSet"]}


@case
def tags_put_get_delete():
    key, _ = S.put()
    equal(tags_of(key), {})
    S.s3.put_object_tagging(**S.at(key), Tagging={"TagSet": [{"Key": "a b", "Value": "c+d=/ü"}, {"Key": "e", "Value": ""}]})
    equal(tags_of(key), {"a b": "c+d=/ü", "e": ""})
    equal(S.s3.get_object(**S.at(key))["TagCount"], 2)
    equal(S.s3.delete_object_tagging(**S.at(key))["ResponseMetadata"]["HTTPStatusCode"], 204)
    equal(tags_of(key), {})


@case
def tags_in_a_header():
    key, _ = S.put(Tagging="a=1&b%20c=x%2By&d=")
    equal(tags_of(key), {"a": "1", "b c": "x+y", "d": ""})


@rows([("many", [{"Key": "k%d" % i, "Value": ""} for i in range(11)], "BadRequest"),
       ("long_key", [{"Key": "k" * 129, "Value": ""}], "InvalidTag"), ("long_value", [{"Key": "k", "Value": "v" * 257}], "InvalidTag"),
       ("sign", [{"Key": "k", "Value": "<&>"}], "InvalidTag"),
       ("twice", [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}], "InvalidTag")])
def tags_refused(tags, code):
    key, _ = S.put()
    fails(400, code, S.s3.put_object_tagging, **S.at(key), Tagging={"TagSet": tags})
    equal(tags_of(key), {})


@case
def batch_delete():
    keys = [S.put()[0] for _ in range(3)] + ["never-was", "ü &<>"]
    r = S.s3.delete_objects(Bucket=S.bucket, Delete={"Objects": [{"Key": k} for k in keys]})
    equal(sorted(d["Key"] for d in r["Deleted"]), sorted(keys))
    assert "Errors" not in r
    for k in keys:
        fails(404, "404", S.s3.head_object, **S.at(k))


@case
def batch_delete_quietly():
    key, _ = S.put()
    r = S.s3.delete_objects(Bucket=S.bucket, Delete={"Objects": [{"Key": key}], "Quiet": True})
    assert "Deleted" not in r and "Errors" not in r
    fails(404, "404", S.s3.head_object, **S.at(key))


@case
def batch_delete_of_too_many():
    fails(400, "MalformedXML", S.s3.delete_objects, Bucket=S.bucket, Delete={"Objects": [{"Key": "%d" % i} for i in range(1001)]})


@case
def batch_delete_of_none():
    fails(400, "MalformedXML", S.s3.delete_objects, Bucket=S.bucket, Delete={"Objects": []})


@rows([("all", ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]), ("size", ["ObjectSize"])])
def attributes(names):
    key, r = S.put(DATA, ChecksumAlgorithm="CRC32C")
    a = S.s3.get_object_attributes(**S.at(key), ObjectAttributes=names)
    equal(a["ObjectSize"], 10)
    if len(names) > 1:
        equal((a["ETag"], a["StorageClass"], a["Checksum"]["ChecksumCRC32C"]), (r["ETag"].strip('"'), "STANDARD", r["ChecksumCRC32C"]))
        equal(a["Checksum"]["ChecksumType"], "FULL_OBJECT")
    else:
        assert "ETag" not in a and "Checksum" not in a


@case
def attributes_unknown():
    key, _ = S.put()
    fails(400, "InvalidArgument", S.s3.get_object_attributes, **S.at(key), ObjectAttributes=["Colour"])


@case
def version_null():
    key, _ = S.put(DATA)
    equal(S.body(key, VersionId="null"), DATA)


@case
def version_unknown():
    key, _ = S.put(DATA)
    fails(400, "InvalidArgument", S.s3.get_object, **S.at(key), VersionId="no-version")


@case
def read_while_replaced():
    old = os.urandom(12 * MIB)
    key, _ = S.put(old)
    body = S.s3.get_object(**S.at(key))["Body"]
    first = body.read(MIB)
    S.s3.put_object(**S.at(key), Body=b"new")
    assert first + body.read() == old
    equal(S.body(key), b"new")
