"""What the fault programs share: a mount that can be killed, models to copy, and the account as boto3 sees it."""
import contextlib
import errno
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import boto3
import botocore.config
from botocore.exceptions import ClientError

WORLD, STORE, DATA, PROGRAM = (os.environ[k] for k in ("WORLD", "STORE", "DATA", "SAGEMAKERFS"))
SEED = int(os.environ["SEED"])
chance = random.Random(SEED)
failures = 0


def ok(text):
    print("ok", text, flush=True)


def fail(text):
    global failures
    failures += 1
    print("FAIL", text[:1500], flush=True)


def check(name, good, why=""):
    if good:
        ok(name)
    else:
        fail(f"{name}: {why() if callable(why) else why}")


def until(seconds, fn):
    """What fn gives as soon as it is true; its last answer when time is up."""
    end = time.monotonic() + seconds
    while True:
        value = fn()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.05)


def read(path):
    with open(path) as f:
        return f.read()


class Mount:
    """One mount; source: what follows the program's name on its command line."""

    def __init__(self, at, source=None, state="", options=()):
        self.at, self.source, self.options = at, source or "local:" + STORE, options
        self.env = dict(os.environ)
        if state:
            self.env.update(XDG_STATE_HOME=f"{WORLD}/state{state}", XDG_CACHE_HOME=f"{WORLD}/cache{state}")

    def start(self):
        with contextlib.suppress(OSError):
            os.makedirs(self.at, exist_ok=True)  # a dead mount there is replaced
        subprocess.run([PROGRAM, self.source, self.at, *self.options], check=True, env=self.env, timeout=60)
        return self

    def pid(self):
        return int(read(self.at + "/.sagemakerfs/pid"))

    def kill(self):
        """kill -9, and wait until it is gone."""
        pid = self.pid()
        fd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        import select
        select.select([fd], [], [], 30)
        os.close(fd)
        # Its end of the mount is closed by the kernel a moment later.
        until(10, lambda: not os.path.exists(self.at + "/README"))

    def stop(self):
        return subprocess.run([PROGRAM, "unmount", self.at], env=self.env, capture_output=True, text=True, timeout=120)

    def model(self, name, *path):
        return os.path.join(self.at, "models", name, *path)

    def side(self, name, what):
        return read(self.model(name, ".sagemaker", what))

    def sync(self, name):
        """0, or the errno of fsync on models/NAME."""
        try:
            fd = os.open(self.model(name), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as e:
            return e.errno
        return 0

    def fill(self, source, name):
        """As a user does who goes on after a failure: rsync what differs, then sync. Files that a killed copy left open may take a
        moment to be let go of. '' or why not."""
        for _ in range(5):
            r = subprocess.run(["rsync", "-a", "--delete", source + "/", self.model(name) + "/"], capture_output=True, text=True, timeout=120)
            if r.returncode:
                return r.stderr
            no = self.sync(name)
            if no == 0:
                return ""
            if no not in (errno.EBUSY, errno.EEXIST):
                break
        return f"sync: {os.strerror(no)}: {self.side(name, 'error')}"


def backend_pid():
    return json.loads(read(STORE + "/run.json"))["pid"]


def faults(*rows):
    """The backend's fault table (docs/local-backend.md)."""
    with open(STORE + "/faults.new", "w") as f:
        json.dump(rows, f)
    os.rename(STORE + "/faults.new", STORE + "/faults.json")
    time.sleep(0.3)


def environment(at):
    """Makes boto3 (and every child) reach the local backend of that mount."""
    out = subprocess.run([PROGRAM, "env", at], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        if line.startswith("export "):
            key, _, value = line[len("export "):].partition("=")
            os.environ[key] = value.strip("'\"")


# --- models

def savedmodel(at, sizes, seed=0, extra=()):
    """A whole SavedModel with assets of these sizes that do not shrink; extra: (path, bytes)."""
    top = next(d for d, _, files in os.walk(DATA + "/tensorflow-keras") if "saved_model.pb" in files)
    shutil.rmtree(at, ignore_errors=True)
    shutil.copytree(top, at + "/1")
    noise = random.Random(seed)
    for i, size in enumerate(sizes):
        put(at, f"1/assets/part{i:03d}.bin", noise.randbytes(size))
    for path, content in extra:
        put(at, path, content)
    return at


def put(top, path, content):
    path = os.path.join(top, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content)


def tree(top):
    """path -> (SHA-256, executable)"""
    out = {}
    for d, _, files in os.walk(top):
        for name in files:
            path = os.path.join(d, name)
            with open(path, "rb") as f:
                out[os.path.relpath(path, top)] = (hashlib.sha256(f.read()).hexdigest(), bool(os.stat(path).st_mode & 0o111))
    return out


# --- the account

class Account:
    def __init__(self):
        config = botocore.config.Config(retries={"max_attempts": 8, "mode": "standard"}, read_timeout=60)
        self.s3 = boto3.client("s3", config=config)
        self.sm = boto3.client("sagemaker", config=config)
        account = boto3.client("sts").get_caller_identity()["Account"]
        self.bucket = f"sagemaker-{os.environ['AWS_REGION']}-{account}"

    def manifest(self, name):
        try:
            return json.load(self.s3.get_object(Bucket=self.bucket, Key=f"model/{name}/manifest.json")["Body"])
        except ClientError as e:
            if e.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
                return None
            raise

    def current(self, name):
        m = self.manifest(name)
        return next(v for v in m["versions"] if v["version"] == m["current"]) if m else None

    def objects(self, name):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"model/{name}/")
        return sorted(o["Key"] for p in pages for o in p.get("Contents", []))

    def uploads(self, name=""):
        prefix = f"model/{name}/" if name else "model/"
        return [(u["Key"], u["UploadId"]) for u in self.s3.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix).get("Uploads", [])]

    def content(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def published(self, name):
        """What the current version's archive holds, or the objects do that it has instead, under the user's own paths."""
        version = self.current(name)
        out = {"sagemaker.json": (hashlib.sha256(version["settings"].encode()).hexdigest(), False)} if version.get("settings") else {}
        if version["key"].endswith("/"):
            return out | {m["path"]: (hashlib.sha256(self.content(version["key"] + m["archive"])).hexdigest(), bool(int(m["mode"]) & 0o111))
                          for m in version["members"] if m.get("path")}
        body = self.content(version["key"])
        inside = {}
        with tarfile.open(fileobj=io.BytesIO(body)) as t:
            for m in t:
                if m.isfile():
                    assert m.name not in inside, f"{m.name} is there twice"
                    inside[m.name] = (hashlib.sha256(t.extractfile(m).read()).hexdigest(), bool(m.mode & 0o111))
        return out | {m["path"]: inside[m["archive"]] for m in version["members"] if m.get("path")}

    def differs(self, name, source):
        """'' when the published archive is the source; else what is not."""
        if not self.manifest(name):
            return "nothing is published"
        have, want = self.published(name), tree(source)
        if have == want:
            return ""
        return ", ".join([f"lacks {p}" for p in want if p not in have] + [f"has {p} too" for p in have if p not in want] +
                         [f"other bytes in {p}" for p in want if p in have and have[p] != want[p]])[:600]

    def litter(self, name):
        """Keys that the manifest does not name, and unfinished uploads: '' when there are none."""
        m = self.manifest(name)
        named = {f"model/{name}/manifest.json"} | {v["key"] for v in m["versions"]} if m else set()
        stray = [k for k in self.objects(name) if k not in named]
        return " ".join(stray + [f"upload:{k}" for k, _ in self.uploads(name)])


def done():
    sys.exit(1 if failures else 0)
