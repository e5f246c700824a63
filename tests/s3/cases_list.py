"""ListObjects, ListObjectsV2, ListObjectVersions."""
from suite import S, case, equal, etag, fails, rows

KEYS = ["a", "b/1", "b/2", "c", "d/x/y", "d/z", "e&<>\"'", "f g", "g+h", "i%20j", "é/ü", "日本"]
LISTED = {}


def bucket():
    """The bucket of KEYS, made by the first case that asks."""
    if not LISTED:
        LISTED["name"] = S.new_bucket()
        for k in KEYS:
            S.s3.put_object(Bucket=LISTED["name"], Key=k, Body=k.encode())
    return LISTED["name"]


def keys(r):
    return [o["Key"] for o in r.get("Contents", [])]


def prefixes(r):
    return [p["Prefix"] for p in r.get("CommonPrefixes", [])]


def ordered(names):
    return sorted(names, key=lambda k: k.encode())


@rows([("v1", "list_objects"), ("v2", "list_objects_v2")])
def list_all(call):
    r = getattr(S.s3, call)(Bucket=bucket())
    equal(keys(r), ordered(KEYS))
    equal(r["IsTruncated"], False)
    equal(r["Name"], bucket())


@rows([("v1", "list_objects"), ("v2", "list_objects_v2")])
def list_entry(call):
    o = getattr(S.s3, call)(Bucket=bucket(), Prefix="b/1")["Contents"][0]
    equal((o["Key"], o["Size"], o["ETag"], o["StorageClass"]), ("b/1", 3, etag(b"b/1"), "STANDARD"))


@rows([("v1", "list_objects"), ("v2", "list_objects_v2")])
def list_delimiter(call):
    r = getattr(S.s3, call)(Bucket=bucket(), Delimiter="/")
    equal(prefixes(r), ["b/", "d/", "é/"])
    equal(keys(r), ordered(k for k in KEYS if "/" not in k))
    equal(r["Delimiter"], "/")


@rows([("none", "zzz", []), ("exact", "c", ["c"]), ("folder", "b/", ["b/1", "b/2"]), ("utf8", "é", ["é/ü"]), ("plus", "g+", ["g+h"]),
       ("percent", "i%", ["i%20j"]), ("space", "f ", ["f g"]), ("markup", "e&<", ["e&<>\"'"])])
def list_prefix(prefix, wanted):
    r = S.s3.list_objects_v2(Bucket=bucket(), Prefix=prefix)
    equal(keys(r), wanted)
    equal((r["KeyCount"], r["Prefix"]), (len(wanted), prefix))


@rows([("slash", "/", ["d/x/"], ["d/z"]), ("letter", "x", ["d/x"], ["d/z"]), ("long", "x/y", ["d/x/y"], ["d/z"]), ("absent", "#", [], ["d/x/y", "d/z"])])
def list_prefix_and_delimiter(delimiter, groups, rest):
    r = S.s3.list_objects_v2(Bucket=bucket(), Prefix="d/", Delimiter=delimiter)
    equal((prefixes(r), keys(r)), (groups, rest))


@rows([(str(n), n) for n in (1, 2, 3, 7)])
def list_v2_pages(size):
    seen, tokens = [], 0
    for p in S.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket(), PaginationConfig={"PageSize": size}):
        assert len(p.get("Contents", [])) <= size
        seen += keys(p)
        tokens += p["IsTruncated"]
    equal(seen, ordered(KEYS))
    equal(tokens, (len(KEYS) - 1) // size)


@rows([(str(n), n) for n in (1, 2, 5)])
def list_v1_pages(size):
    seen = [k for p in S.s3.get_paginator("list_objects").paginate(Bucket=bucket(), PaginationConfig={"PageSize": size})
            for k in keys(p)]
    equal(seen, ordered(KEYS))


@rows([("v1_1", "list_objects", 1), ("v1_2", "list_objects", 2), ("v2_1", "list_objects_v2", 1), ("v2_2", "list_objects_v2", 2),
       ("v2_3", "list_objects_v2", 3)])
def list_pages_with_delimiter(call, size):
    seen = []
    for p in S.s3.get_paginator(call).paginate(Bucket=bucket(), Delimiter="/", PaginationConfig={"PageSize": size}):
        assert len(keys(p)) + len(prefixes(p)) <= size
        seen += keys(p) + prefixes(p)
    wanted = [k for k in KEYS if "/" not in k] + ["b/", "d/", "é/"]
    equal(ordered(seen), ordered(wanted))


@case
def list_v2_start_after():
    equal(keys(S.s3.list_objects_v2(Bucket=bucket(), StartAfter="d/x/y", Prefix="d")), ["d/z"])
    equal(keys(S.s3.list_objects_v2(Bucket=bucket(), StartAfter="d/", Prefix="d")), ["d/x/y", "d/z"])
    r = S.s3.list_objects_v2(Bucket=bucket(), StartAfter="日本")
    equal((keys(r), r["StartAfter"]), ([], "日本"))


@case
def list_v1_marker():
    r = S.s3.list_objects(Bucket=bucket(), Marker="c", MaxKeys=2)
    equal((keys(r), r["Marker"], r["IsTruncated"], "NextMarker" in r), (["d/x/y", "d/z"], "c", True, False))


@case
def list_v1_next_marker():
    r = S.s3.list_objects(Bucket=bucket(), Delimiter="/", MaxKeys=2)
    equal((keys(r), prefixes(r), r["NextMarker"]), (["a"], ["b/"], "b/"))
    r = S.s3.list_objects(Bucket=bucket(), Delimiter="/", MaxKeys=1, Marker="b/")
    equal((keys(r), prefixes(r)), (["c"], []))


@rows([("v1", "list_objects"), ("v2", "list_objects_v2")])
def list_no_keys(call):
    r = getattr(S.s3, call)(Bucket=bucket(), MaxKeys=0)
    equal((keys(r), r["IsTruncated"]), ([], False))


@rows([("v1", "list_objects"), ("v2", "list_objects_v2")])
def list_negative_max_keys(call):
    fails(400, "InvalidArgument", getattr(S.s3, call), Bucket=bucket(), MaxKeys=-1)


@case
def list_max_keys_is_at_most_1000():
    equal(S.s3.list_objects_v2(Bucket=bucket(), MaxKeys=5000)["MaxKeys"], 1000)


@case
def list_wrong_encoding():
    fails(400, "InvalidArgument", S.s3.list_objects_v2, Bucket=bucket(), EncodingType="base64")


@case
def list_fetch_owner():
    assert "Owner" not in S.s3.list_objects_v2(Bucket=bucket())["Contents"][0]
    assert S.s3.list_objects_v2(Bucket=bucket(), FetchOwner=True)["Contents"][0]["Owner"]["ID"]
    assert S.s3.list_objects(Bucket=bucket())["Contents"][0]["Owner"]["ID"]


@case
def list_empty_bucket():
    b = S.new_bucket()
    r = S.s3.list_objects_v2(Bucket=b)
    equal((r["KeyCount"], r["IsTruncated"], "Contents" in r), (0, False, False))


@case
def list_shows_checksums():
    b = S.new_bucket()
    S.s3.put_object(Bucket=b, Key="a", Body=b"1", ChecksumAlgorithm="SHA256")
    o = S.s3.list_objects_v2(Bucket=b)["Contents"][0]
    equal((o["ChecksumAlgorithm"], o["ChecksumType"]), (["SHA256"], "FULL_OBJECT"))


@case
def list_order_is_of_bytes():
    b, names = S.new_bucket(), ["A", "B", "a", "a!", "a-", "a/", "a0", "aa", "~", "é", "\uffff", "\U0001f600"]
    for k in names:
        S.s3.put_object(Bucket=b, Key=k, Body=b"")
    equal(keys(S.s3.list_objects_v2(Bucket=b)), ordered(names))


@case
def list_versions():
    r = S.s3.list_object_versions(Bucket=bucket(), Prefix="b/")
    equal([(v["Key"], v["VersionId"], v["IsLatest"]) for v in r["Versions"]], [("b/1", "null", True), ("b/2", "null", True)])


@case
def list_version_pages():
    seen = [v["Key"] for p in S.s3.get_paginator("list_object_versions").paginate(Bucket=bucket(), PaginationConfig={"PageSize": 5})
            for v in p.get("Versions", [])]
    equal(seen, ordered(KEYS))


@case
def list_thousands():
    b = S.new_bucket()
    for i in range(1100):
        S.s3.put_object(Bucket=b, Key="%05d" % i, Body=b"")
    pages = list(S.s3.get_paginator("list_objects_v2").paginate(Bucket=b))
    equal([len(p["Contents"]) for p in pages], [1000, 100])
    equal([o["Key"] for p in pages for o in p["Contents"]], ["%05d" % i for i in range(1100)])
    for first in (0, 1000):
        some = [{"Key": "%05d" % i} for i in range(first, min(first + 1000, 1100))]
        equal(len(S.s3.delete_objects(Bucket=b, Delete={"Objects": some})["Deleted"]), len(some))
    S.s3.delete_bucket(Bucket=b)
