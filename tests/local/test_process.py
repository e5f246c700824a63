"""The process's own life: faults, kill -9, restarts, the end."""
import fcntl
import json
import os
import re
import socket
import subprocess
import threading
import time

from harness import B, Backend, archive, await_status, code_of, deploy, invoke, until


def test_faults():
    s3 = B.client("s3", read_timeout=20, retries={"total_max_attempts": 1})
    table = B.store + "/faults.json"

    def set_faults(rows):
        with open(table + ".new", "w") as f:
            json.dump(rows, f)
        os.rename(table + ".new", table)
    set_faults([{"operation": "PutObject", "nth": 1, "action": "status", "arg": 503, "code": "SlowDown"}])
    assert code_of(s3.put_object, Bucket="models", Key="fault", Body=b"1") == "SlowDown"
    s3.put_object(Bucket="models", Key="fault", Body=b"1")
    set_faults([{"operation": "GetObject", "nth": 0, "action": "reset"}])
    try:
        s3.get_object(Bucket="models", Key="fault")
        raise SystemError("no reset")
    except SystemError:
        raise
    except Exception:
        pass
    set_faults([{"operation": "PutObject", "nth": 0, "action": "withhold"}])
    got = []
    t = threading.Thread(target=lambda: got.append(B.client("s3").put_object(Bucket="models", Key="held", Body=b"1")))
    t.start()
    until(lambda: [o for o in B.client("s3").list_objects_v2(Bucket="models", Prefix="held").get("Contents", []) if o["Size"] == 1])
    assert not got
    set_faults([])
    t.join(30)
    assert got
    set_faults([{"operation": "ListModels", "nth": 1, "action": "delay", "arg": 300}])
    began = time.time()
    B.client("sagemaker").list_models()
    assert 0.29 < time.time() - began
    set_faults([])


def descendants(pid):
    out = []
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                fields = open("/proc/%s/stat" % p).read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                out += [int(p)] + descendants(int(p))
    return out


def runs(pid):
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_kill_and_restart():
    deploy("Echo")
    deploy("never", archive([("never-ready", b"")]), wait=None)
    await_status("never", "Creating")
    s3 = B.client("s3")
    s3.put_object(Bucket="models", Key="durable", Body=b"still here")
    up = s3.create_multipart_upload(Bucket="models", Key="later")["UploadId"]
    part = s3.upload_part(Bucket="models", Key="later", UploadId=up, PartNumber=1, Body=b"part")
    children = descendants(B.process.pid)
    assert len(children) >= 2, children
    B.kill()
    until(lambda: not any(map(runs, children)))
    B.start()
    s3 = B.client("s3")
    assert s3.get_object(Bucket="models", Key="durable")["Body"].read() == b"still here"
    s3.complete_multipart_upload(Bucket="models", Key="later", UploadId=up,
                                 MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert s3.get_object(Bucket="models", Key="later")["Body"].read() == b"part"
    await_status("Echo", "InService")
    assert json.loads(invoke("Echo", b"[7]")["Body"].read())["echo"] == "[7]"
    assert "never" in [e["EndpointName"] for e in B.client("sagemaker").list_endpoints(StatusEquals="Creating")["Endpoints"]]


def test_second_backend_is_refused():
    p = subprocess.run([B.setup.serve, "--store", B.store], capture_output=True, text=True, timeout=20)
    assert p.returncode == 1 and "another local backend" in p.stderr and p.stdout.startswith("error "), p
    assert B.client("s3").list_buckets()["Buckets"]


def test_orphans_are_swept():
    B.stop()
    open(B.store + "/objects/orphan", "w").close()
    os.makedirs(B.store + "/endpoints/orphan/model/x")
    B.start()
    assert not os.path.exists(B.store + "/objects/orphan")
    assert not os.path.exists(B.store + "/endpoints/orphan")
    await_status("Echo", "InService")


def test_no_secret_in_logs():
    text = open(B.store + "/log").read()
    for r, _, files in os.walk(B.store + "/endpoints"):
        text += "".join(open(os.path.join(r, f), errors="replace").read() for f in files if f == "log")
    assert B.run["secret_key"] not in text and len(text) > 100
    assert os.stat(B.store + "/run.json").st_mode & 0o77 == 0 and os.stat(B.store + "/keys.json").st_mode & 0o77 == 0


def test_log_is_logfmt():
    code_of(B.client("sagemaker").describe_endpoint, EndpointName="nobody")
    code_of(B.client("s3").put_object, Bucket="nobody", Key="x", Body=b"1")
    value = r'(?:"(?:[^"\\]|\\.)*"|[^\s"=]+)'
    line = re.compile(r'time=\d{4}-\d\d-\d\dT[\d:.]+Z level=(?:info|warn|error)(?: [a-z]+=%s)+' % value)
    with open(B.store + "/log") as log:
        lines = log.read().splitlines()
    assert not [t for t in lines if not line.fullmatch(t)]
    assert [t for t in lines if " level=warn op=PutObject status=404 ms=" in t and "NoSuchBucket" in t]
    assert [t for t in lines if " level=info msg=\"serving " in t]
    deploy("unpackable", b"no archive", wait="Failed")
    with open(B.store + "/log") as log:
        assert [t for t in log if " level=error msg=\"endpoint unpackable: Failed: " in t]


def test_stop():
    seconds = B.stop()
    assert seconds < 5, seconds
    assert not os.path.exists(B.store + "/run.json")


def test_service_notifications():
    path = B.setup.root + "/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(20)
        os.environ["NOTIFY_SOCKET"] = path
        try:
            b = Backend().open(B.setup, "notified")
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert s.recv(100) == b"READY=1"
        b.stop()
        assert s.recv(100) == b"STOPPING=1"


def test_until_unused():
    b = Backend().open(B.setup, "unused", ["--until-unused"])
    with open(b.store + "/users", "a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        time.sleep(2)
        assert b.process.poll() is None
    assert b.process.wait(timeout=20) == 0
