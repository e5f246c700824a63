"""One upload the way an SDK does it; its seconds and CPU seconds, imports not counted, as JSON. upload_sdk.py boto3|sagemaker SRC TAR BUCKET

SRC holds `export/`, as the container wants it in the archive; TAR is the temporary file.
"""
import json
import os
import resource
import sys
import tarfile
import time

import boto3

way, src, tar, bucket = sys.argv[1:]


def by_boto3():
    with tarfile.open(tar, "w:gz") as t:
        t.add(f"{src}/export", arcname="export")
    s3.upload_file(tar, bucket, "boto3/model.tar.gz")


def by_sagemaker():
    create_tar_file([f"{src}/export"], tar)
    session.upload_data(tar, bucket=bucket, key_prefix="sagemaker")


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


if way == "sagemaker":
    import logging

    logging.disable(logging.INFO)
    import sagemaker
    from sagemaker.utils import create_tar_file

    session = sagemaker.Session()
else:
    s3 = boto3.client("s3")
wall, used = time.monotonic(), cpu()
by_sagemaker() if way == "sagemaker" else by_boto3()
print(json.dumps({"wall": time.monotonic() - wall, "cpu": cpu() - used, "size": os.path.getsize(tar)}))
os.unlink(tar)
