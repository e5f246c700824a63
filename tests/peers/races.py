"""Two mounts do random things to the same models and endpoints at the same time; boto3 looks at what comes of it.

races.py EXPORT ROUNDS SEED MOUNT MOUNT: prints "ok ..." and "FAIL ..." lines.
"""
import collections
import errno
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

import boto3
from botocore.exceptions import ClientError

EXPORT, ROUNDS, SEED, MOUNTS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
SHARED, OWN = ["both1", "both2"], ["first", "second"]  # OWN[i] is only touched by mount i
EVERY = 10  # rounds between two looks
SM, S3, RUNTIME = (boto3.client(s) for s in ("sagemaker", "s3", "sagemaker-runtime"))
counts = collections.Counter()
failures = []
history = []  # of rounds: what each mount did with which name, and the errno


def fail(text):
    failures.append(text)
    print("FAIL races:", text, flush=True)


# --- what the mounts do

def attempt(fn):
    """0, or the errno."""
    try:
        fn()
        return 0
    except OSError as e:
        return e.errno


def publish(mount, name, n):
    """New content, committed; a conflict is resolved, mostly for the files here, as a user who insists does."""
    top = os.path.join(mount, "models", name)

    def change():
        if not os.path.isdir(top):
            shutil.copytree(EXPORT, top, copy_function=shutil.copyfile)
        os.makedirs(top + "/1/assets", exist_ok=True)
        # Few different contents: archives are shared between versions, also with ones that are just being pruned.
        with open(top + "/1/assets/note.txt", "w") as f:
            f.write("%d\n" % (n % 9))

    if attempt(change):
        counts["change refused"] += 1
        return
    for _ in range(3):
        if subprocess.run(["sync", top], stderr=subprocess.DEVNULL).returncode == 0:
            counts["published"] += 1
            return
        counts["conflicts"] += 1
        if attempt(lambda: resolve(top, "mine" if n % 3 else "theirs")) == 0:
            counts["resolved"] += 1


def resolve(top, whose):
    fd = os.open(top + "/.sagemaker/resolve", os.O_WRONLY)
    try:
        os.write(fd, whose.encode())
    finally:
        os.close(fd)


def deploy(mount, name, n):
    rc = attempt(lambda: os.mkdir(os.path.join(mount, "endpoints", name)))
    counts["mkdir " + errno.errorcode.get(rc, "0")] += 1
    return rc


def remove(mount, name, n):
    rc = attempt(lambda: os.rmdir(os.path.join(mount, "endpoints", name)))
    counts["rmdir " + errno.errorcode.get(rc, "0")] += 1
    return rc


ACTIONS = [publish] * 4 + [deploy] * 4 + [remove] * 3


class Mount(threading.Thread):
    """One mount's user: does what it is told, at the same moment as the other."""

    def __init__(self, at, barrier):
        super().__init__(daemon=True)
        self.at, self.barrier, self.todo, self.did = at, barrier, None, None

    def run(self):
        while True:
            self.barrier.wait()
            if self.todo is None:
                return
            what, name, n, pause = self.todo
            time.sleep(pause)
            self.did = what(self.at, name, n)
            self.barrier.wait()


# --- what may have come of it

possible = {name: {False} for name in SHARED + OWN}  # is there an endpoint of this name?


def tell(name):
    """The last rounds that had to do with it, and what service and mounts say of it."""
    rows = [r for r in history if any(name == did[1] for did in r[1:])]
    for r in rows[-8:]:
        print("races: round %s: %s" % (r[0], ", ".join("%s %s %s" % did for did in r[1:])))
    seen = state_of(name)
    print("races: the service: %s" % ({k: str(seen[k]) for k in seen if k != "ResponseMetadata"} if seen else "none"))
    for at in MOUNTS:
        print("races: %s: status '%s', listed in %s" % (at, attempt_status(at, name), [
            d for d in ("endpoints", "endpoints/.deleting") if name in os.listdir(os.path.join(at, d))]))
        with open(open(at + "/.sagemakerfs/state").read().strip() + "/log") as f:
            print("".join("races:     " + line for line in f.readlines()[-400:] if "'%s'" % name in line), end="")


def note_round(todos, dids):
    history.append([len(history) + 1] + [(t[0].__name__, t[1], errno.errorcode.get(d, d)) for t, d in zip(todos, dids)])
    for name in possible:
        made = any(t[0] is deploy and t[1] == name and d == 0 for t, d in zip(todos, dids))
        removed = any(t[0] is remove and t[1] == name and d == 0 for t, d in zip(todos, dids))
        if made and removed:
            possible[name] = {True, False}
        elif made or removed:
            possible[name] = {made}


def state_of(name):
    try:
        return SM.describe_endpoint(EndpointName=name)
    except ClientError as e:
        assert "Could not find endpoint" in str(e), e
        return None


def settled(name):
    """Once no mount has anything under way with it and the service neither."""
    end = time.time() + 60
    while time.time() < end:
        seen = state_of(name)
        status = seen["EndpointStatus"] if seen else ""
        busy = any(os.path.isdir("%s/endpoints/.deleting/%s" % (m, name)) for m in MOUNTS)
        shown = [attempt_status(m, name) for m in MOUNTS]
        if not busy and status in ("", "InService", "Failed") and not any(
                s.startswith("Uploading") or s == "Creating" for s in shown):
            return seen
        time.sleep(0.1)
    fail("endpoint %s does not settle: %s, %s" % (name, status, shown))
    return seen


def attempt_status(mount, name):
    try:
        return open("%s/endpoints/%s/status" % (mount, name)).read().strip()
    except OSError:
        return ""


def reason(name):
    """Why a mount says that what its mkdir had begun came to nothing."""
    for m in MOUNTS:
        if attempt_status(m, name) == "Failed":
            text = open("%s/endpoints/%s/error" % (m, name)).read()
            os.rmdir("%s/endpoints/%s" % (m, name))
            return text
    return ""


LEGITIMATE = ("exist", "was removed while it was being deployed", "was published by another mount", "no model",
              "published elsewhere at the same time", "other mounts keep changing")


def look_at_endpoints():
    for name in possible:
        seen = settled(name)
        why = reason(name)
        there = seen is not None
        if why:
            counts["failed later"] += 1
            if not any(words in why for words in LEGITIMATE):
                fail("endpoint %s failed: %s" % (name, why))
        if there not in possible[name] and not (why and not there):
            fail("endpoint %s is %s, and nobody asked for that" % (name, "there" if there else "gone"))
            tell(name)
        possible[name] = {there}
        if there:
            look_at_parts(name, seen)


def head(bucket, key):
    try:
        return S3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as e:
        return None if e.response["ResponseMetadata"]["HTTPStatusCode"] == 404 else e


def look_at_parts(name, seen):
    if seen["EndpointStatus"] != "InService":
        fail("endpoint %s is %s: %s" % (name, seen["EndpointStatus"], seen.get("FailureReason")))
        return
    try:
        config = SM.describe_endpoint_config(EndpointConfigName=seen["EndpointConfigName"])
        model = SM.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    except ClientError as e:
        fail("endpoint %s has lost a part: %s" % (name, e))
        return
    bucket, key = model["PrimaryContainer"]["ModelDataUrl"][len("s3://"):].split("/", 1)
    if not head(bucket, key):
        fail("endpoint %s is InService and its model data %s is gone" % (name, key))
    answer = RUNTIME.invoke_endpoint(EndpointName=name, Body=b"[1]", ContentType="application/json")["Body"].read()
    if b"1" not in answer:
        fail("endpoint %s answers %r" % (name, answer))
    counts["endpoints looked at"] += 1


def bucket_name():
    return [b["Name"] for b in S3.list_buckets()["Buckets"] if b["Name"].startswith("sagemaker-")][0]


def keys(bucket):
    return [o["Key"] for page in S3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="model/")
            for o in page.get("Contents", [])]


def look_at_manifests():
    bucket = bucket_name()
    there = keys(bucket)
    named = set()
    for key in there:
        if not key.endswith("/manifest.json"):
            continue
        manifest = json.loads(S3.get_object(Bucket=bucket, Key=key)["Body"].read())
        for v in manifest["versions"]:
            named.add(v["key"])
            seen = head(bucket, v["key"])
            if not seen:
                fail("version %s of %s has no archive %s" % (v["version"], key, v["key"]))
            elif seen["ContentLength"] != v["size"] or seen.get("ChecksumCRC32C") != v.get("crc32c"):
                fail("archive %s is not what the manifest says" % v["key"])
            counts["versions looked at"] += 1
        counts["most versions"] = max(counts["most versions"], len(manifest["versions"]))
    return bucket, there, named


def quiet():
    """Prunings under way end: the same keys twice in a row."""
    bucket, before = bucket_name(), None
    for _ in range(50):
        now = keys(bucket)
        if now == before:
            return
        before = now
        time.sleep(0.3)


def look(rounds):
    before = len(failures)
    look_at_endpoints()
    quiet()
    look_at_manifests()
    if len(failures) == before:
        print("ok races: after %d rounds all is as it must be" % rounds, flush=True)


# --- the end

def used_by_models(bucket):
    used = set()
    for page in SM.get_paginator("list_models").paginate():
        for m in page["Models"]:
            url = SM.describe_model(ModelName=m["ModelName"])["PrimaryContainer"]["ModelDataUrl"]
            used.add(url[len("s3://%s/" % bucket):])
    return used


def look_for_strays():
    """Archives that neither a manifest nor a model names."""
    bucket, there, named = look_at_manifests()
    stray = [k for k in there if not k.endswith("/manifest.json") and k not in named | used_by_models(bucket)]
    if stray:
        fail("archives that nothing names: %s" % stray)
    uploads = S3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    if uploads:
        fail("unfinished uploads: %s" % [u["Key"] for u in uploads])


def take_down():
    for name in possible:
        if possible[name] == {True}:
            rc = remove(MOUNTS[0], name, 0)
            if rc:
                fail("endpoint %s cannot be removed at the end: %s" % (name, os.strerror(rc)))
                tell(name)
            note_round([(remove, name)], [0])
    look_at_endpoints()
    end = time.time() + 30
    left = None
    while time.time() < end and left != []:
        left = [m["ModelName"] for m in SM.list_models()["Models"]]
        left += [c["EndpointConfigName"] for c in SM.list_endpoint_configs()["EndpointConfigs"]]
        left += [e["EndpointName"] for e in SM.list_endpoints()["Endpoints"]]
        time.sleep(0.2)
    if left:
        fail("left at the end: %s" % left)
    else:
        print("ok races: no model, configuration or endpoint is left at the end")


def main():
    print("races: seed %d" % SEED)
    dice = random.Random(SEED)
    barrier = threading.Barrier(len(MOUNTS) + 1)
    users = [Mount(m, barrier) for m in MOUNTS]
    for i, user in enumerate(users):
        user.start()
        publish(MOUNTS[i], OWN[i], 0)
        publish(MOUNTS[i], SHARED[i], 0)
    for n in range(1, ROUNDS + 1):
        name = dice.choice(SHARED)
        for i, user in enumerate(users):
            mine = name if dice.random() < 0.6 else dice.choice(SHARED + [OWN[i]])
            user.todo = (dice.choice(ACTIONS), mine, dice.randrange(1000), dice.choice([0, 0, 0.01, 0.05]))
        barrier.wait()
        barrier.wait()
        note_round([u.todo for u in users], [u.did for u in users])
        if n % EVERY == 0:
            look(n)
    for user in users:
        user.todo = None
    barrier.wait()
    look_for_strays()
    take_down()
    for what in ("published", "mkdir 0", "mkdir EEXIST", "rmdir 0"):
        if not counts[what]:
            fail("there was no '%s': the rounds have raced nothing" % what)
    if counts["published"] > 4 * (6 + 1) and counts["most versions"] > 15:
        fail("nothing was pruned")
    print("races:", dict(counts))
    if not failures:
        print("ok races: %d rounds" % ROUNDS)


main()
sys.exit(bool(failures))
