"""What the tests of the local backend share: its process, signed requests, archives, endpoints."""
import glob
import http.client
import io
import json
import os
import signal
import subprocess
import tarfile
import time

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.19.0-cpu"
MIB = 1 << 20


class Backend:
    """One local-serve process on one store."""

    opened = []  # all of them, so that none outlives its room

    def open(self, setup, store, args=(), env=None):
        """setup: what main.py was told; store: a directory's name below setup.root; env: more variables."""
        self.opened.append(self)
        self.setup = setup
        self.store = os.path.join(setup.root, store)
        self.args = list(args)
        self.env = dict(os.environ, SAGEMAKERFS_RUNTIMES=setup.runtimes, SAGEMAKERFS_SERVE_DIR=setup.echo,
                        XDG_DATA_HOME=os.path.join(setup.root, "none"), SAGEMAKERFS_FAULTS="1", **env or {})
        self.start()
        return self

    def start(self):
        self.process = subprocess.Popen([self.setup.serve, "--store", self.store] + self.args, stdout=subprocess.PIPE,
                                        env=self.env, text=True)
        line = self.process.stdout.readline().strip()
        assert line.startswith("ready http://127.0.0.1:"), line
        self.run = json.load(open(self.store + "/run.json"))
        self.url = self.run["url"]
        assert line == "ready " + self.url

    def client(self, service, **config):
        config.setdefault("retries", {"max_attempts": 1})
        return boto3.client(service, endpoint_url=self.url, region_name=self.run["region"],
                            aws_access_key_id=self.run["access_key"],
                            aws_secret_access_key=self.run["secret_key"], config=Config(**config))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        began = time.time()
        assert self.process.wait(timeout=10) == 0
        return time.time() - began


B = Backend()  # the one that the tests talk to; opened by main.py


def error_of(fn, *args, **kw):
    try:
        fn(*args, **kw)
    except ClientError as e:
        return e.response
    raise AssertionError("no error")


def code_of(fn, *args, **kw):
    return error_of(fn, *args, **kw)["Error"]["Code"]


def message_of(fn, *args, **kw):
    return error_of(fn, *args, **kw)["Error"]["Message"]


def archive(files=(("export/Servo/1/saved_model.pb", b"x" * 100),), change=None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as t:
        for name, data in files:
            i = tarfile.TarInfo(name)
            i.size = len(data)
            if change:
                change(i)
            t.addfile(i, io.BytesIO(data))
    return out.getvalue()


def deploy(name, data=None, env=None, image=IMAGE, wait="InService"):
    """An endpoint of that name on data; the final description."""
    s3, sm = B.client("s3"), B.client("sagemaker")
    s3.put_object(Bucket="models", Key=name + "/model.tar.gz", Body=data or archive())
    sm.create_model(ModelName=name, ExecutionRoleArn=B.run["role"], PrimaryContainer={
        "Image": image, "ModelDataUrl": "s3://models/%s/model.tar.gz" % name, "Environment": env or {}})
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{
        "VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1}])
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return await_status(name, wait) if wait else None


def await_status(name, *wanted, seconds=30):
    sm = B.client("sagemaker")
    end = time.time() + seconds
    while time.time() < end:
        try:
            d = sm.describe_endpoint(EndpointName=name)
        except ClientError:
            d = {"EndpointStatus": "gone"}
        if d["EndpointStatus"] in wanted:
            return d
        assert d["EndpointStatus"] in ("Creating", "Deleting", "InService"), d
        time.sleep(0.02)
    raise AssertionError("endpoint %s is %s" % (name, d))


def until(fn, seconds=30):
    """What fn gives as soon as it is true."""
    end = time.time() + seconds
    while not (value := fn()):
        assert time.time() < end, "never: %s" % fn.__name__
        time.sleep(0.02)
    return value


def arrived(name, store=None):
    """How many invocations the echo servers of an endpoint have begun with."""
    logs = glob.glob("%s/logs/%s/*/*/log" % (store or B.store, name))
    return sum(open(log, errors="replace").read().count("POST /invocations ") for log in logs)


def invoke(name, body=b"[1, 2]", **kw):
    kw.setdefault("ContentType", "application/json")
    return B.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **kw)


def signed(method, path, body=b"", headers=None, service="s3", keys=None, when=None, secret=None):
    """A request signed by botocore, with what a test wants changed; status, headers, body."""
    headers = dict(headers or {})
    creds = Credentials(keys or B.run["access_key"], secret or B.run["secret_key"])
    req = AWSRequest(method, B.url + path, data=body, headers=headers)
    auth = (S3SigV4Auth if service == "s3" else SigV4Auth)(creds, service, B.run["region"])
    auth.add_auth(req)
    return req


def send(req, change=None):
    p = req.prepare()
    h = dict(p.headers.items())
    if change:
        change(h)
    host, port = B.url[7:].split(":")
    c = http.client.HTTPConnection(host, int(port), timeout=20)
    c.putrequest(p.method, p.url[len(B.url):], skip_host=any(k.lower() == "host" for k in h), skip_accept_encoding=True)
    body = p.body or b""
    body = body.encode() if isinstance(body, str) else body
    if not any(k.lower() == "content-length" for k in h):
        h["Content-Length"] = str(len(body))
    for k, v in h.items():
        c.putheader(k, v.decode() if isinstance(v, bytes) else v)
    c.endheaders(body)
    r = c.getresponse()
    return r.status, r.headers, r.read()
