"""Buckets and what is set on them."""
from botocore.exceptions import ClientError

from suite import REGION, S, case, equal, fails, rows


@case
def create_head_delete():
    b = S.new_bucket()
    equal(S.s3.head_bucket(Bucket=b)["ResponseMetadata"]["HTTPStatusCode"], 200)
    equal(S.s3.delete_bucket(Bucket=b)["ResponseMetadata"]["HTTPStatusCode"], 204)
    fails(404, "404", S.s3.head_bucket, Bucket=b)
    fails(404, "NoSuchBucket", S.s3.delete_bucket, Bucket=b)


@case
def head_bucket_region():
    equal(S.s3.head_bucket(Bucket=S.bucket)["BucketRegion"], REGION)


@case
def create_again_is_fine_in_us_east_1():
    S.s3.create_bucket(Bucket=S.bucket)


@case
def create_location_header():
    b = "suite-location"
    equal(S.s3.create_bucket(Bucket=b)["Location"], "/" + b)
    S.s3.delete_bucket(Bucket=b)


@rows([("other_region", "eu-west-1", "IllegalLocationConstraintException"), ("us_east_1", "us-east-1", "InvalidLocationConstraint"),
       ("nonsense", "mars", "InvalidLocationConstraint")])
def create_with_location(region, code):
    try:
        S.s3.create_bucket(Bucket="suite-elsewhere", CreateBucketConfiguration={"LocationConstraint": region})
    except ClientError as e:
        equal((e.response["ResponseMetadata"]["HTTPStatusCode"], e.response["Error"]["Code"] in (
            code, "InvalidLocationConstraint", "IllegalLocationConstraintException")), (400, True))
        return
    raise AssertionError("it was made")


@rows([("short", "ab"), ("upper", "Abcdef"), ("underscore", "ab_cd"), ("dots", "ab..cd"), ("address", "192.168.5.4"),
       ("dash_first", "-abc"), ("dash_last", "abc-"), ("dot_first", ".abc"), ("xn", "xn--abc"), ("alias", "abc-s3alias")])
def bucket_name_refused(name):
    client = S.client()
    client.meta.events.unregister("before-parameter-build.s3", __import__("botocore.handlers").handlers.validate_bucket_name)
    fails(400, "InvalidBucketName", client.create_bucket, Bucket=name)


@rows([("shortest", "a1b"), ("longest", "a" * 63), ("dots", "a.b-c.d1"), ("digits", "123456")])
def bucket_name_taken(name):
    S.s3.create_bucket(Bucket=name)
    key = "x/y"
    S.s3.put_object(Bucket=name, Key=key, Body=b"1")
    equal(S.s3.get_object(Bucket=name, Key=key)["Body"].read(), b"1")
    S.s3.delete_object(Bucket=name, Key=key)
    S.s3.delete_bucket(Bucket=name)


@case
def delete_not_empty():
    b = S.new_bucket()
    S.s3.put_object(Bucket=b, Key="a", Body=b"")
    fails(409, "BucketNotEmpty", S.s3.delete_bucket, Bucket=b)
    S.s3.delete_object(Bucket=b, Key="a")
    S.s3.delete_bucket(Bucket=b)


@case
def list_buckets():
    names = [b["Name"] for b in S.s3.list_buckets()["Buckets"]]
    assert S.bucket in names and names == sorted(names), names


@case
def list_buckets_by_prefix():
    for n in ("pre-a", "pre-b", "prf-c"):
        S.s3.create_bucket(Bucket=n)
    r = S.s3.list_buckets(Prefix="pre-")
    equal([b["Name"] for b in r["Buckets"]], ["pre-a", "pre-b"])
    equal(r["Prefix"], "pre-")


@case
def list_buckets_pages():
    for n in ("page-a", "page-b", "page-c"):
        S.s3.create_bucket(Bucket=n)
    seen = [b["Name"] for p in S.s3.get_paginator("list_buckets").paginate(Prefix="page-", PaginationConfig={"PageSize": 2})
            for b in p["Buckets"]]
    equal(seen, ["page-a", "page-b", "page-c"])


@case
def bucket_location():
    equal(S.s3.get_bucket_location(Bucket=S.bucket)["LocationConstraint"], None)


@case
def bucket_is_not_versioned():
    assert "Status" not in S.s3.get_bucket_versioning(Bucket=S.bucket)


@case
def owner_expected():
    fails(403, "403", S.s3.head_bucket, Bucket=S.bucket, ExpectedBucketOwner="999999999999")
    fails(403, "AccessDenied", S.s3.list_objects_v2, Bucket=S.bucket, ExpectedBucketOwner="999999999999")


@rows([("list", "list_objects", {}), ("list_v2", "list_objects_v2", {}), ("put", "put_object", {"Key": "a", "Body": b""}),
       ("get", "get_object", {"Key": "a"}), ("delete", "delete_object", {"Key": "a"}), ("uploads", "list_multipart_uploads", {}),
       ("multipart", "create_multipart_upload", {"Key": "a"}), ("location", "get_bucket_location", {}),
       ("tagging", "get_bucket_tagging", {}), ("versioning", "get_bucket_versioning", {}),
       ("batch", "delete_objects", {"Delete": {"Objects": [{"Key": "a"}]}}),
       ("copy", "copy_object", {"Key": "a", "CopySource": "no-such-bucket-at-all/b"})])
def no_such_bucket(call, args):
    fails(404, "NoSuchBucket", getattr(S.s3, call), Bucket="no-such-bucket-at-all", **args)


@rows([("tags", "get_bucket_tagging", "NoSuchTagSet"), ("policy", "get_bucket_policy", "NoSuchBucketPolicy"),
       ("policy_status", "get_bucket_policy_status", "NoSuchBucketPolicy"), ("cors", "get_bucket_cors", "NoSuchCORSConfiguration"),
       ("lifecycle", "get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
       ("website", "get_bucket_website", "NoSuchWebsiteConfiguration"),
       ("replication", "get_bucket_replication", "ReplicationConfigurationNotFoundError"),
       ("object_lock", "get_object_lock_configuration", "ObjectLockConfigurationNotFoundError")])
def setting_is_absent(call, code):
    fails(404, code, getattr(S.s3, call), Bucket=S.bucket)


@rows([("logging", "get_bucket_logging", "LoggingEnabled"), ("notification", "get_bucket_notification_configuration", "QueueConfigurations"),
       ("accelerate", "get_bucket_accelerate_configuration", "Status")])
def setting_is_empty(call, member):
    assert member not in getattr(S.s3, call)(Bucket=S.bucket)


@case
def request_payment():
    equal(S.s3.get_bucket_request_payment(Bucket=S.bucket)["Payer"], "BucketOwner")


@case
def bucket_tags():
    b = S.new_bucket()
    tags = [{"Key": "team", "Value": "a+b /ü@c:d"}, {"Key": "empty", "Value": ""}]
    S.s3.put_bucket_tagging(Bucket=b, Tagging={"TagSet": tags})
    equal(sorted(S.s3.get_bucket_tagging(Bucket=b)["TagSet"], key=str), sorted(tags, key=str))
    S.s3.delete_bucket_tagging(Bucket=b)
    fails(404, "NoSuchTagSet", S.s3.get_bucket_tagging, Bucket=b)


@case
def settings_go_with_their_bucket():
    b = S.new_bucket()
    S.s3.put_bucket_tagging(Bucket=b, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    S.s3.delete_bucket(Bucket=b)
    S.s3.create_bucket(Bucket=b)
    fails(404, "NoSuchTagSet", S.s3.get_bucket_tagging, Bucket=b)


@case
def public_access_block():
    b = S.new_bucket()
    wanted = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
    equal(S.s3.get_public_access_block(Bucket=b)["PublicAccessBlockConfiguration"], wanted)
    other = dict(wanted, BlockPublicPolicy=False)
    S.s3.put_public_access_block(Bucket=b, PublicAccessBlockConfiguration=other)
    equal(S.s3.get_public_access_block(Bucket=b)["PublicAccessBlockConfiguration"], other)
    S.s3.delete_public_access_block(Bucket=b)
    fails(404, "NoSuchPublicAccessBlockConfiguration", S.s3.get_public_access_block, Bucket=b)


def algorithm(b):
    rule = S.s3.get_bucket_encryption(Bucket=b)["ServerSideEncryptionConfiguration"]["Rules"][0]
    return rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]


@case
def bucket_encryption():
    b = S.new_bucket()
    equal(algorithm(b), "AES256")
    S.s3.put_bucket_encryption(Bucket=b, ServerSideEncryptionConfiguration={"Rules": [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/a"}}]})
    equal(algorithm(b), "aws:kms")
    S.s3.delete_bucket_encryption(Bucket=b)
    equal(algorithm(b), "AES256")


@case
def ownership_is_the_bucket_owners():
    rule = S.s3.get_bucket_ownership_controls(Bucket=S.bucket)["OwnershipControls"]["Rules"][0]
    equal(rule["ObjectOwnership"], "BucketOwnerEnforced")


@case
def bucket_acl():
    grants = S.s3.get_bucket_acl(Bucket=S.bucket)["Grants"]
    equal([g["Permission"] for g in grants], ["FULL_CONTROL"])


@case
def public_acl_is_refused():
    fails(400, "AccessControlListNotSupported", S.s3.put_bucket_acl, Bucket=S.bucket, ACL="public-read")


@case
def versioning_is_refused():
    fails(501, "NotImplemented", S.s3.put_bucket_versioning, Bucket=S.bucket, VersioningConfiguration={"Status": "Enabled"})
