"""The measuring part of s3_local.sh: for each server of a file "NAME URL ACCESS SECRET PID" the median of a few rounds."""
import concurrent.futures
import os
import statistics
import subprocess
import sys
import time

import boto3
from botocore.config import Config

PART = 16 << 20


class Server:
    def __init__(self, line):
        self.name, url, access, secret, self.pid = line.split()
        self.s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=access, aws_secret_access_key=secret,
                               config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, max_pool_connections=16,
                                             request_checksum_calculation="when_required"))
        self.s3.create_bucket(Bucket="bench")

    def url(self, call, **kw):
        return self.s3.generate_presigned_url(call, Params=dict(kw, Bucket="bench"))

    def rss(self):
        for line in open("/proc/%s/status" % self.pid):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) >> 10

    def cpu(self):
        fields = open("/proc/%s/stat" % self.pid).read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def curl(*args):
    subprocess.run(["curl", "-sSf", "-H", "Expect:", *args], check=True, stdout=subprocess.DEVNULL)


def put(server, data):
    curl("-T", data, server.url("put_object", Key="whole"))


def get(server, data):
    curl("-o", data + ".back", server.url("get_object", Key="whole"))


def parts(server, data):
    up = server.s3.create_multipart_upload(Bucket="bench", Key="parts")["UploadId"]
    size = os.path.getsize(data)
    fd = os.open(data, os.O_RDONLY)

    def one(number):
        url = server.url("upload_part", Key="parts", UploadId=up, PartNumber=number)
        body = os.pread(fd, PART, (number - 1) * PART)
        out = subprocess.run(["curl", "-sSf", "-H", "Expect:", "-D", "-", "-T", "-", "-H", "Content-Length: %d" % len(body),
                              "-H", "Transfer-Encoding:", url], input=body, check=True, capture_output=True).stdout.decode()
        tag = [line.split(":", 1)[1].strip() for line in out.splitlines() if line.lower().startswith("etag:")][0]
        return {"PartNumber": number, "ETag": tag}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = list(pool.map(one, range(1, (size + PART - 1) // PART + 1)))
    os.close(fd)
    server.s3.complete_multipart_upload(Bucket="bench", Key="parts", UploadId=up, MultipartUpload={"Parts": done})


def many(server, _):
    def one(i):
        server.s3.put_object(Bucket="bench", Key="many/%05d" % i, Body=b"x")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(10000)))


def listed(server, _):
    pages = server.s3.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix="many/")
    assert sum(len(p.get("Contents", [])) for p in pages) == 10000


def measure(server, what, data, rounds):
    seconds, before = [], server.cpu()
    for _ in range(rounds):
        began = time.monotonic()
        what(server, data)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds), (server.cpu() - before) / rounds


def main():
    servers = [Server(line) for line in open(sys.argv[1])]
    data, rounds = sys.argv[2], int(sys.argv[3])
    mib = os.path.getsize(data) >> 20
    for what, label, n in ((put, "put", rounds), (get, "get", rounds), (parts, "parts", rounds), (many, "10,000 puts", 1),
                           (listed, "10,000 listed", rounds)):
        own = None
        for server in servers:
            seconds, cpu = measure(server, what, data, n)
            own = own or seconds
            speed = "%6.0f MiB/s" % (mib / seconds) if label in ("put", "get", "parts") else ""
            print("%-14s %-10s %7.2f s, %6.2f CPU s %s  our time / its: %.2f" % (label, server.name, seconds, cpu, speed, own / seconds), flush=True)
        if label == "get":
            subprocess.run(["cmp", data, data + ".back"], check=True)
    for server in servers:
        print("%-14s %-10s %d MiB" % ("highest RSS", server.name, server.rss()))


if __name__ == "__main__":
    main()
