"""What an account has, as boto3 sees it: one line a thing, sorted, random parts of names replaced.

usage: account.py [BUCKET]      endpoints and keys by the environment, as for any program that uses boto3
"""
import re
import sys

import boto3
import botocore.exceptions


def plain(name):
    name = re.sub(r"\d{8}T\d{6}Z?-[a-z0-9]+", "VERSION", name)
    return re.sub(r"(smfs-.*)-[a-z0-9]{8}$", r"\1-RANDOM", name)


def pages(client, operation, key, **arguments):
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, [])


def bucket_lines(s3, bucket):
    try:
        s3.head_bucket(Bucket=bucket)
    except botocore.exceptions.ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return
        raise
    yield "bucket"
    for o in pages(s3, "list_objects_v2", "Contents", Bucket=bucket):
        yield "object " + plain(o["Key"])
    for u in pages(s3, "list_multipart_uploads", "Uploads", Bucket=bucket):
        yield "upload " + plain(u["Key"])


def tags(sm, kind, arn):
    return " ".join(
        "%s=%s" % (t["Key"].replace("sagemakerfs:", ""), "..." if t["Key"] in ("sagemakerfs:attempt", "sagemakerfs:digest") else t["Value"])
        for t in sorted(pages(sm, "list_tags", "Tags", ResourceArn=arn), key=lambda t: t["Key"])
    )


def account_lines(sm):
    for m in pages(sm, "list_models", "Models"):
        yield "model %s [%s]" % (plain(m["ModelName"]), tags(sm, "model", m["ModelArn"]))
    for c in pages(sm, "list_endpoint_configs", "EndpointConfigs"):
        yield "config %s [%s]" % (plain(c["EndpointConfigName"]), tags(sm, "config", c["EndpointConfigArn"]))
    for e in pages(sm, "list_endpoints", "Endpoints"):
        yield "endpoint %s %s [%s]" % (e["EndpointName"], e["EndpointStatus"], tags(sm, "endpoint", e["EndpointArn"]))


def main():
    lines = list(account_lines(boto3.client("sagemaker")))
    if len(sys.argv) > 1:
        lines += bucket_lines(boto3.client("s3"), sys.argv[1])
    print("\n".join(sorted(lines)) if lines else "nothing")


main()
