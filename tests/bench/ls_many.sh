#!/usr/bin/env bash
# ls_many: an account with 10,000 endpoints 50 ms away (tests/peers/many_endpoints_stub.py; every 9th list is throttled): the first
# name and the whole of the first listing, later listings, ls -l; beside boto3's paginator in the same run, with the ratio.
#   N=10000 tests/bench/ls_many.sh
set -euo pipefail
. "$(dirname "$0")/../peers/lib.sh"
peer_venv
N=${N:-10000}
PORT=$(free_port)
start_server "$WORLD/stub.log" /usr/bin/python3 "$PEERS_DIR/many_endpoints_stub.py" "$PORT" "$N"
wait_for_port "$PORT"
export AWS_ENDPOINT_URL=http://127.0.0.1:$PORT AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1
export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=secret
"$PYTHON" - "$SAGEMAKERFS" "$MNT" "$AWS_ENDPOINT_URL" <<'PY'
import json, os, subprocess, sys, time, urllib.request
import boto3
from botocore.config import Config

program, mnt, url = sys.argv[1:]


def calls():
    with urllib.request.urlopen(f"{url}/_/counts") as r:
        return json.load(r)


def pages():
    c = boto3.client("sagemaker", config=Config(retries={"mode": "standard"}))
    for page in c.get_paginator("list_endpoints").paginate(PaginationConfig={"PageSize": 100}):
        yield from (e["EndpointName"] for e in page["Endpoints"])


def entries(d="endpoints"):
    with os.scandir(f"{mnt}/{d}") as it:
        yield from (e.name for e in it if e.name.startswith("ep-"))


def stats(d="endpoints"):
    with os.scandir(f"{mnt}/{d}") as it:
        for e in it:
            if e.name.startswith("ep-"):
                e.stat()
                yield e.name


def run(label, names):
    calls()
    t, first, n = time.perf_counter(), 0, 0
    for _ in names:
        first = first or time.perf_counter() - t
        n += 1
    whole = time.perf_counter() - t
    print(f"{label:28} {n:6} names, first {first * 1000:8.1f} ms, all {whole * 1000:9.1f} ms   {calls()}")
    return first, whole


boto = run("boto3 paginator", pages())
subprocess.run([program, "aws", mnt], check=True)
ours = run("first ls", entries())
later = run("later ls", entries())
run("later ls of invoke/", entries("invoke"))
run("ls -l", stats())
run("ls -l of invoke/", stats("invoke"))
print(f"ratio to boto3: first name {ours[0] / boto[0]:.2f}, whole first listing {ours[1] / boto[1]:.2f}, later {later[1] / boto[1]:.4f}")
PY
"$SAGEMAKERFS" unmount "$MNT"
