"""The measurements of upload_link.sh. upload_link.py WORLD MOUNTPOINT"""
import json
import os
import statistics
import subprocess
import sys
import time

import boto3

WORLD, MNT = sys.argv[1:]
RATE, LATENCY, ROUNDS = int(os.environ["RATE"]), float(os.environ["LATENCY"]), int(os.environ["ROUNDS"])
s3 = boto3.client("s3")


def line(**control):
    with open(f"{WORLD}/line/control.new", "w") as f:
        json.dump(control, f)
    os.rename(f"{WORLD}/line/control.new", f"{WORLD}/line/control")
    time.sleep(0.2)


def stats():
    time.sleep(0.12)
    with open(f"{WORLD}/line/stats") as f:
        return json.load(f)


def requests():
    """How many of each the backend's S3 has answered."""
    time.sleep(3.2)  # it is written within 3 s
    with open(f"{WORLD}/store/stats.json") as f:
        return {k: sum(v.values()) for k, v in json.load(f)["requests"].items()}


def by_mount(name, src):
    began = time.monotonic()
    subprocess.run(["cp", "-rT", src, f"{MNT}/models/{name}"], check=True)
    copied = time.monotonic()
    subprocess.run(["sync", f"{MNT}/models/{name}"], check=True)
    return began, copied, time.monotonic()


def share(up, first, ready):
    return up / RATE / (ready - first)


def archive_size(name):
    with open(f"{MNT}/models/{name}/.sagemaker/uri") as f:
        bucket, key = f.read().strip().removeprefix("s3://").split("/", 1)
    return s3.head_object(Bucket=bucket, Key=key)["ContentLength"]


def big():
    ours, theirs = [], []
    for n in range(ROUNDS):
        line(rate=RATE, latency=LATENCY)
        began, copied, ready = by_mount(f"big-{n}", f"{WORLD}/src-big")
        first = stats()["first"]
        size = archive_size(f"big-{n}")
        ours.append(share(size, first, ready))
        print(f"cp {copied - began:.2f} s, first byte on the line after {first - began:.2f} s, ready after {ready - began:.2f} s: "
              f"{100 * ours[-1]:.1f} % of the line")
        line(rate=RATE, latency=LATENCY)
        s3.upload_file(f"{WORLD}/noise.tar", "bench-link", "noise.tar")
        ready = time.monotonic()
        theirs.append(share(os.path.getsize(f"{WORLD}/noise.tar"), stats()["first"], ready))
        print(f"boto3 upload_file of a ready tar: {100 * theirs[-1]:.1f} %", flush=True)
    mid = statistics.median(ours)
    print(f"share of {RATE * 8 / 1e6:.0f} Mbit/s at {1000 * LATENCY:.0f} ms, median of {ROUNDS}: {100 * mid:.1f} % "
          f"(goal 90: {'met' if mid >= 0.9 else 'MISSED'}); boto3 upload_file of a ready tar {100 * statistics.median(theirs):.1f} %")


def small():
    took = []
    for n in range(2 * ROUNDS + 1):
        line(rate=RATE, latency=LATENCY)
        before = requests()
        _, copied, ready = by_mount(f"small-{n}", f"{WORLD}/src-small")
        after = requests()
        took.append(ready - copied)
        made = {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k, 0)}
    print(f"50 KiB: from sync to ready {statistics.median(took):.3f} s, {statistics.median(took) / LATENCY:.1f} round trips; "
          f"the last one's requests: {made}")


s3.create_bucket(Bucket="bench-link")
small()
big()
