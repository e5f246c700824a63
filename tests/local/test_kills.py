"""kill -9 at random moments under load: what was acknowledged is there and whole, endpoints come back as they were last asked to be,
invocations are answered with what is theirs or not at all, asynchronous ones are carried out, nothing is left over."""
import hashlib
import json
import os
import random
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError

from harness import B, Backend, IMAGE, archive, arrived, until

ROUNDS, SLOWNESS = (15, 3) if os.environ.get("SANITIZED") else (30, 1)
SEED = int(os.environ.get("SAGEMAKERFS_TEST_SEED", "1"))


class Load:
    """Writers that note what was acknowledged, and what was begun and may have happened."""

    def __init__(self, backend):
        self.b, self.stop = backend, False
        self.objects, self.doubtful = {}, set()  # key -> digest; keys whose last write was not answered
        self.endpoints, self.unsure = set(), set()
        self.answers, self.wrong = 0, []  # of invocations
        self.later = {}  # where an asynchronous one's answer goes -> what it asked
        self.configs = {"k"}  # what `served` may run on: the last that was acknowledged, and those whose call was not answered

    def has_done_much(self):
        return len(self.objects) > 20 and self.answers > 20 and len(self.later) > 20

    def clients(self):
        config = {"retries": {"total_max_attempts": 1}, "read_timeout": 5, "connect_timeout": 2}
        return self.b.client("s3", **config), self.b.client("sagemaker", **config)

    def forever(self, step, number):
        rng = random.Random("%d %s %d" % (SEED, step.__name__, number))
        s3, sm = self.clients()
        while not self.stop:
            try:
                step(rng, s3, sm, number)
            except (ClientError, BotoCoreError):
                time.sleep(0.01)

    def put(self, rng, s3, _, number):
        key, data = "put/%d/%d" % (number, rng.randrange(40)), rng.randbytes(rng.choice((10, 5000, 300000)))
        self.doubtful.add(key)
        s3.put_object(Bucket="models", Key=key, Body=data)
        self.objects[key] = hashlib.sha256(data).hexdigest()
        self.doubtful.discard(key)

    def multipart(self, rng, s3, _, number):
        key, parts = "parts/%d/%d" % (number, rng.randrange(10)), [rng.randbytes(5 << 20), rng.randbytes(1000)]
        self.doubtful.add(key)
        up = {"Bucket": "models", "Key": key}
        up["UploadId"] = s3.create_multipart_upload(**up)["UploadId"]
        tags = [s3.upload_part(PartNumber=n + 1, Body=p, **up)["ETag"] for n, p in enumerate(parts)]
        s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": n + 1, "ETag": t} for n, t in enumerate(tags)]}, **up)
        self.objects[key] = hashlib.sha256(b"".join(parts)).hexdigest()
        self.doubtful.discard(key)

    def endpoint(self, rng, _, sm, number):
        name = "e%d-%d" % (number, rng.randrange(3))
        self.unsure.add(name)
        if name in self.endpoints:
            sm.delete_endpoint(EndpointName=name)
            self.endpoints.discard(name)
        else:
            sm.create_endpoint(EndpointName=name, EndpointConfigName="k")
            self.endpoints.add(name)
        self.unsure.discard(name)
        time.sleep(0.2)

    def runtime(self):
        return self.b.client("sagemaker-runtime", retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=2)

    def invoke(self, rng, *_):
        runtime = self.runtime()
        while not self.stop:
            text = "[%d]" % rng.getrandbits(60)
            answer = json.loads(runtime.invoke_endpoint(EndpointName="served", Body=text.encode())["Body"].read())["echo"]
            self.answers += 1
            if answer != text:
                self.wrong.append((text, answer))

    def ask_later(self, rng, *_):
        runtime = self.runtime()
        while not self.stop:
            text = "[%d]" % rng.getrandbits(60)
            r = runtime.invoke_endpoint_async(EndpointName="later", Body=text.encode())
            self.later[r["OutputLocation"]] = text
            time.sleep(0.05)

    def update(self, rng, _, sm, __):
        config, before = rng.choice(("k", "k2")), self.configs
        self.configs = before | {config}
        try:
            sm.update_endpoint(EndpointName="served", EndpointConfigName=config)
            self.configs = {config}
        except ClientError:  # refused: nothing was begun
            self.configs = before
        time.sleep(0.1)

    def run(self, seconds):
        self.stop = False
        steps = [(self.put, 0), (self.put, 1), (self.multipart, 0), (self.endpoint, 0), (self.invoke, 0), (self.ask_later, 0),
                 (self.update, 0)]
        threads = [threading.Thread(target=self.forever, args=s, daemon=True) for s in steps]
        for t in threads:
            t.start()
        time.sleep(seconds)
        self.b.kill()
        self.stop = True
        for t in threads:
            t.join()


def check_objects(load):
    s3, _ = load.clients()
    for key, digest in load.objects.items():
        data = None
        try:
            data = s3.get_object(Bucket="models", Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            pass
        assert data is not None, "'%s' was acknowledged and is gone" % key
        assert key in load.doubtful or hashlib.sha256(data).hexdigest() == digest, "'%s' is not what was acknowledged" % key
        load.objects[key] = hashlib.sha256(data).hexdigest()
    load.doubtful.clear()


def check_endpoints(load):
    _, sm = load.clients()
    there = {e["EndpointName"]: e["EndpointStatus"] for e in sm.list_endpoints(MaxResults=100)["Endpoints"]}
    for name in load.endpoints - load.unsure:
        assert there.get(name) in ("Creating", "InService"), (name, there)
    assert there.get("served") in ("Creating", "InService", "Updating") and there.get("later") in ("Creating", "InService"), there
    load.endpoints = {n for n, s in there.items() if s != "Deleting"} - {"served", "later"}
    load.unsure.clear()


def count_files(backend):
    return len(os.listdir(backend.store + "/objects")), set(os.listdir(backend.store + "/endpoints"))


def check_runtime(load):
    """What was asked of the endpoints that stay."""
    s3, sm = load.clients()
    assert not load.wrong, load.wrong
    config = sm.describe_endpoint(EndpointName="served")["EndpointConfigName"]
    assert config in load.configs, (config, load.configs)
    end = time.time() + 60
    for url, text in load.later.items():
        while True:
            try:
                answer = s3.get_object(Bucket="models", Key=url.split("/", 3)[3])["Body"].read()
                break
            except s3.exceptions.NoSuchKey:
                assert time.time() < end, "%s was accepted and never answered" % url
                time.sleep(0.1)
        assert json.loads(answer)["echo"] == text, (url, text, answer)


def settle(load):
    """In the end: every endpoint serves or is gone; uploads aborted, every file belongs to something."""
    s3, sm = load.clients()
    end = time.time() + 60
    while any(e["EndpointStatus"] != "InService" for e in sm.list_endpoints(MaxResults=100)["Endpoints"]):
        assert time.time() < end, sm.list_endpoints()["Endpoints"]
        time.sleep(0.1)
    names = [e["EndpointName"] for e in sm.list_endpoints(MaxResults=100)["Endpoints"]]
    for name in names:
        load.b.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"[1]")
    check_runtime(load)
    for up in s3.list_multipart_uploads(Bucket="models").get("Uploads", []):
        s3.abort_multipart_upload(Bucket="models", Key=up["Key"], UploadId=up["UploadId"])
    keys = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="models") for o in page["Contents"]]
    segments = sum(s3.head_object(Bucket="models", Key=k, PartNumber=1).get("PartsCount", 1) for k in keys)
    end = time.time() + 20
    while count_files(load.b)[0] > segments or len(count_files(load.b)[1]) > len(names):
        assert time.time() < end, (count_files(load.b), segments, names)
        time.sleep(0.1)


def make_endpoints(b):
    """Models and configurations; `served`, which is invoked and updated, and `later`, which is invoked asynchronously."""
    s3, sm = b.client("s3"), b.client("sagemaker")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="k.tar.gz", Body=archive())
    sm.create_model(ModelName="k", ExecutionRoleArn=b.run["role"],
                    PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://models/k.tar.gz"})
    variants = [{"VariantName": "a", "ModelName": "k", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}]
    for config in ("k", "k2"):
        sm.create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants)
    sm.create_endpoint_config(EndpointConfigName="later", ProductionVariants=variants, AsyncInferenceConfig={
        "OutputConfig": {"S3OutputPath": "s3://models/out/", "S3FailurePath": "s3://models/failed/"}})
    sm.create_endpoint(EndpointName="served", EndpointConfigName="k")
    sm.create_endpoint(EndpointName="later", EndpointConfigName="later")
    while any(e["EndpointStatus"] != "InService" for e in sm.list_endpoints()["Endpoints"]):
        time.sleep(0.05)


def test_kills():
    rng = random.Random(SEED)
    b = Backend().open(B.setup, "kills")
    make_endpoints(b)
    load = Load(b)
    rounds = 0
    while rounds < ROUNDS or not load.has_done_much():
        rounds += 1
        assert rounds < 10 * ROUNDS, (len(load.objects), load.answers, len(load.later))
        load.run(rng.uniform(0.05, 0.8) * SLOWNESS)
        b.start()
        check_objects(load)
        check_endpoints(load)
    settle(load)
    b.stop()


def test_shutdown_in_flight():
    """What ends within the grace period is answered; what does not is an error, and the end does not wait for it."""
    b = Backend().open(B.setup, "in-flight")
    s3, sm = b.client("s3"), b.client("sagemaker")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="k.tar.gz", Body=archive())
    sm.create_model(ModelName="k", ExecutionRoleArn=b.run["role"],
                    PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://models/k.tar.gz"})
    sm.create_endpoint_config(EndpointConfigName="k", ProductionVariants=[{
        "VariantName": "a", "ModelName": "k", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}])
    sm.create_endpoint(EndpointName="k", EndpointConfigName="k")
    while sm.describe_endpoint(EndpointName="k")["EndpointStatus"] == "Creating":
        time.sleep(0.05)
    got = {}

    def ask(name, seconds):
        try:
            body = ('{"sleep": %g, "status": 200, "text": "slept"}' % seconds).encode()
            r = b.client("sagemaker-runtime").invoke_endpoint(EndpointName="k", Body=body)
            got[name] = r["Body"].read()
        except (ClientError, BotoCoreError) as e:
            got[name] = e
    threads = [threading.Thread(target=ask, args=a) for a in (("short", 1.5), ("long", 30))]
    for t in threads:
        t.start()
    until(lambda: arrived("k", b.store) == 2)
    b.stop()
    for t in threads:
        t.join(60)
    assert got["short"] == b"slept", got
    assert isinstance(got["long"], Exception), got
