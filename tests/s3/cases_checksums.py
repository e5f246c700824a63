"""Checksums and digests of whole objects."""
from suite import S, SUMS, case, equal, fails, md5_text, rows, sum_text

DATA = b"123456789"
NAMES = [(n, n) for n in SUMS]


@rows(NAMES)
def checksum_kept(name):
    member, wanted = "Checksum" + name, sum_text(name, DATA)
    key, r = S.put(DATA, **{member: wanted})
    equal((r[member], r["ChecksumType"]), (wanted, "FULL_OBJECT"))
    for call in ("get_object", "head_object"):
        g = getattr(S.s3, call)(**S.at(key), ChecksumMode="ENABLED")
        equal((g[member], g["ChecksumType"]), (wanted, "FULL_OBJECT"))


@rows(NAMES)
def checksum_made_by_boto3(name):
    key, r = S.put(DATA, ChecksumAlgorithm=name)
    equal(r["Checksum" + name], sum_text(name, DATA))
    equal(S.body(key, ChecksumMode="ENABLED"), DATA)


@rows(NAMES)
def checksum_differs(name):
    key = S.key()
    fails(400, "BadDigest", S.s3.put_object, **S.at(key), Body=b"other", **{"Checksum" + name: sum_text(name, DATA)})
    fails(404, "404", S.s3.head_object, **S.at(key))


@rows(NAMES)
def checksum_malformed(name):
    fails(400, "InvalidRequest", S.s3.put_object, **S.at(S.key()), Body=DATA, **{"Checksum" + name: "not base64!"})


@rows([("length", "CRC32", "AAAAAAA="), ("empty", "SHA256", "AAAA")])
def checksum_of_another_length(name, value):
    fails(400, "InvalidRequest", S.s3.put_object, **S.at(S.key()), Body=DATA, **{"Checksum" + name: value})


@case
def two_checksums():
    fails(400, "InvalidRequest", S.s3.put_object, **S.at(S.key()), Body=DATA, ChecksumCRC32=sum_text("CRC32", DATA),
          ChecksumSHA1=sum_text("SHA1", DATA))


@case
def checksum_is_shown_only_when_asked_for():
    key, _ = S.put(DATA, ChecksumAlgorithm="SHA1")
    assert "ChecksumSHA1" not in S.client(response_checksum_validation="when_required").head_object(**S.at(key))


@case
def checksum_not_of_a_range():
    key, _ = S.put(DATA, ChecksumAlgorithm="SHA1")
    assert "ChecksumSHA1" not in S.s3.get_object(**S.at(key), Range="bytes=1-2", ChecksumMode="ENABLED")


@case
def checksum_of_nothing():
    key, r = S.put(b"", ChecksumAlgorithm="CRC64NVME")
    equal(r["ChecksumCRC64NVME"], "AAAAAAAAAAA=")
    equal(S.body(key), b"")


@case
def default_checksum():
    key = S.key()
    S.client(request_checksum_calculation="when_required").put_object(**S.at(key), Body=DATA)
    h = S.s3.head_object(**S.at(key), ChecksumMode="ENABLED")
    equal((h["ChecksumCRC64NVME"], h["ChecksumType"]), ("rosUhgp5mIg=", "FULL_OBJECT"))


@rows([(mode, mode) for mode in ("when_supported", "when_required")])
def checksum_modes_of_botocore(mode):
    client = S.client(request_checksum_calculation=mode, response_checksum_validation=mode)
    key = S.key()
    client.put_object(**S.at(key), Body=DATA)
    equal(client.get_object(**S.at(key))["Body"].read(), DATA)
    client.delete_objects(Bucket=S.bucket, Delete={"Objects": [{"Key": key}]})
    fails(404, "404", client.head_object, **S.at(key))


@case
def md5_right():
    key = S.key()
    S.s3.put_object(**S.at(key), Body=DATA, ContentMD5=md5_text(DATA))
    equal(S.body(key), DATA)


@case
def md5_differs():
    fails(400, "BadDigest", S.s3.put_object, **S.at(S.key()), Body=b"x", ContentMD5=md5_text(DATA))


@rows([("short", "AAAA"), ("words", "not a digest"), ("long", md5_text(DATA) + "AAAA")])
def md5_malformed(value):
    fails(400, "InvalidDigest", S.s3.put_object, **S.at(S.key()), Body=DATA, ContentMD5=value)


@case
def batch_delete_with_md5():
    key, _ = S.put()
    S.s3.delete_objects(Bucket=S.bucket, Delete={"Objects": [{"Key": key}]}, ChecksumAlgorithm="SHA256")
    fails(404, "404", S.s3.head_object, **S.at(key))
