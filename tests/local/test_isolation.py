"""A hostile model: what it can reach of the machine, of its user and of the backend. As root, as an ordinary user, and where
namespaces are refused (a process in a chroot may not make user namespaces) and Landlock does what it can."""
import json
import os
import shutil
import socket
import subprocess
import time

from harness import B, Backend, IMAGE, archive

# Runs in the model. Everything that succeeds and should not is a line in `out`.
HOSTILE = r'''
import ctypes, errno, glob, json, os, signal, socket, subprocess
P = json.loads(PARAMETERS)
out = []
def refused(what, fn):
    try:
        fn()
    except OSError:
        return
    out.append(what)
def connect(family, address):
    with socket.socket(family) as s:
        s.settimeout(3)
        s.connect(address)
for host, port in P["addresses"]:
    refused("connects to %s:%d" % (host, port), lambda: connect(socket.AF_INET, (host, port)))
refused("connects to an abstract socket", lambda: connect(socket.AF_UNIX, "\0" + P["abstract"]))
for path in P["secret"]:
    refused("reads " + path, lambda: os.close(os.open(path, os.O_RDONLY)))
    refused("writes " + path, lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND)))
def plant_and_look(path):
    """The way to its own scratch directory may be there; what is planted on it must not be there outside."""
    refused("plants", lambda: os.close(os.open(path + "/planted", os.O_WRONLY | os.O_CREAT)) or refused_here())
    if len([n for n in os.listdir(path) if n != "planted"]) > 1:
        out.append("lists " + path)
def refused_here():
    raise OSError
for path in P["directories"]:
    refused("", lambda: plant_and_look(path) or refused_here())
model = os.environ["SAGEMAKER_BASE_DIR"] + "/model"
for path in (model, "/usr", "/etc", "/"):
    refused("writes in " + path, lambda: os.close(os.open(path + "/planted", os.O_WRONLY | os.O_CREAT)))
for root, _, files in os.walk(model):
    for f in files:
        refused("writes " + f, lambda: os.close(os.open(root + "/" + f, os.O_WRONLY)))
if P["signals"]:
    for pid in P["pids"]:
        refused("signals %d" % pid, lambda: os.kill(pid, 0))
for pid in os.listdir("/proc"):
    if pid.isdigit() and int(pid) != os.getpid():
        for name in ("environ", "mem", "root", "cwd", "fd/0"):
            refused("opens /proc/%s/%s" % (pid, name), lambda: os.close(os.open("/proc/%s/%s" % (pid, name), os.O_RDONLY)))
try:
    uids = subprocess.run([P["setuid"], "-c", "import os; print(*os.getresuid())"], capture_output=True, text=True).stdout.split()
    if any(int(u) != os.getuid() for u in uids):
        out.append("a set-uid program works")
except OSError:
    pass
refused("becomes root", lambda: os.setuid(0) if os.getuid() else os.chroot("/tmp"))
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"x", b"/tmp", b"tmpfs", 0, None) == 0:
    out.append("mounts")
out += ["has " + n for n in os.environ if n.startswith("AWS_")]
status = dict(l.split(":", 1) for l in open("/proc/self/status").read().splitlines())
for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
    if int(status[name], 16) & ~P["capabilities"]:
        out.append(name + status[name])
if status["NoNewPrivs"].strip() != "1":
    out.append("may gain privileges")
out = {"wrong": out, "uid": os.getuid(), "pid": os.getpid(), "processes": sum(p.isdigit() for p in os.listdir("/proc"))}
'''

# What a model must still be able to do.
USEFUL = r'''
import multiprocessing, os, socket, subprocess, tempfile, threading
with tempfile.NamedTemporaryFile() as f:
    f.write(b"1")
for place in ("TMPDIR", "HOME"):
    os.makedirs(os.environ[place] + "/a directory of " + place)
open("/tmp/x" if os.environ["SAGEMAKER_BASE_DIR"] == "/opt/ml" else os.environ["TMPDIR"] + "/x", "w").close()
low = os.environ.get("SAGEMAKER_SAFE_PORT_RANGE")
s = socket.create_server(("127.0.0.1", int(low.split("-")[0]) + 1 if low else 0))
threading.Thread(target=lambda: s.accept()[0].sendall(b"self"), daemon=True).start()
said = socket.create_connection(s.getsockname(), 5).recv(10).decode()
s.close()
multiprocessing.Lock()
child = subprocess.run(["/bin/sh", "-c", "exit 7"]).returncode
out = [said, child, open(os.environ["SAGEMAKER_BASE_DIR"] + "/model/export/Servo/1/saved_model.pb").read(3)]
'''


class Machine:
    """A home with secrets, a listener, a set-uid program, two endpoints on a backend of its own."""

    def __init__(self, name, uid=None, chroot=False):
        self.root = os.path.join(B.setup.root, name)
        self.uid, self.chroot = uid, chroot
        os.mkdir(self.root)
        os.chmod(B.setup.root, 0o755)
        home = self.home = self.root + "/home"
        for d in (".aws", ".ssh"):
            os.makedirs(home + "/" + d)
        for f in (".aws/credentials", ".ssh/id_ed25519", "notes"):
            with open(home + "/" + f, "w") as out:
                out.write("secret")
        # What a user other than root may reach.
        self.serve, self.echo = self.root + "/local-serve", self.root + "/serve"
        shutil.copy(B.setup.serve, self.serve)
        shutil.copytree(B.setup.echo, self.echo)
        self.setuid = self.root + "/setuid"
        shutil.copy("/usr/bin/python3", self.setuid)
        os.chmod(self.setuid, 0o4755)
        if uid is not None:
            for at, _, files in os.walk(self.root):
                for n in [at] + [at + "/" + f for f in files if at + "/" + f != self.setuid]:
                    os.chown(n, uid, uid)
        self.backend = Sandboxed(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.backend.process.poll() is None:
            self.backend.stop()


class Sandboxed(Backend):
    """A Backend of another user, in a chroot, or both, that has AWS's keys in its environment."""

    def __init__(self, machine):
        self.machine = machine
        setup = B.setup
        self.setup = type(setup)(**dict(vars(setup), serve=machine.serve, echo=machine.echo, root=machine.root))
        self.store = machine.root + "/store"
        self.args = []
        self.env = dict(os.environ, SAGEMAKERFS_RUNTIMES=setup.runtimes, SAGEMAKERFS_SERVE_DIR=machine.echo,
                        HOME=machine.home, XDG_DATA_HOME=machine.root + "/none", AWS_SECRET_ACCESS_KEY="secret",
                        AWS_ACCESS_KEY_ID="secret")
        self.start()

    def start(self):
        m, command = self.machine, []
        if m.uid is not None:
            command = ["setpriv", "--reuid", str(m.uid), "--regid", str(m.uid), "--clear-groups"]
        if m.chroot:
            os.makedirs(m.root + "/root", exist_ok=True)
            inner = "mount --rbind / '%s/root' && exec chroot '%s/root' \"$@\"" % (m.root, m.root)
            command = ["unshare", "-m", "sh", "-c", inner, "sh"] + command
        self.process = subprocess.Popen(command + [self.setup.serve, "--store", self.store], stdout=subprocess.PIPE, env=self.env, text=True)
        line = self.process.stdout.readline().strip()
        assert line.startswith("ready http://127.0.0.1:"), line
        self.run = json.load(open(self.store + "/run.json"))
        self.url = self.run["url"]

    def deploy(self, name):
        s3, sm = self.client("s3"), self.client("sagemaker")
        s3.create_bucket(Bucket="models")
        s3.put_object(Bucket="models", Key=name, Body=archive())
        sm.create_model(ModelName=name, ExecutionRoleArn=self.run["role"], PrimaryContainer={
            "Image": IMAGE, "ModelDataUrl": "s3://models/" + name})
        sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{
            "VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}])
        sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
        end = time.time() + 30
        while sm.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating" and time.time() < end:
            time.sleep(0.05)
        d = sm.describe_endpoint(EndpointName=name)
        assert d["EndpointStatus"] == "InService", d

    def run_in(self, name, code):
        reply = self.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=json.dumps({"run": code}).encode())
        return json.loads(reply["Body"].read())

    def logs(self):
        return "".join(open(os.path.join(at, f)).read() for at, _, files in os.walk(self.store + "/logs")
                       for f in files if f == "log")


def prepare(store_of, listener, machine):
    """What the hostile code is told: all that it would have to find out."""
    other = [os.path.join(at, f) for d in ("endpoints", "logs") for at, _, files in os.walk(store_of.store + "/" + d)
             for f in files if f in ("saved_model.pb", "log", "whole")]
    return {"addresses": [["127.0.0.1", int(store_of.url.rsplit(":", 1)[1])], list(listener.getsockname()),
                          ["127.0.0.53", 53], ["192.0.2.1", 80]],
            "abstract": "smfs-test-%d" % os.getpid(),
            "secret": [store_of.store + "/" + f for f in ("keys.json", "run.json", "store.db", "log", "lock")] +
                      [machine.home + "/" + f for f in (".aws/credentials", ".ssh/id_ed25519", "notes")],
            "others": other,
            "directories": [machine.home, store_of.store, store_of.store + "/objects", store_of.store + "/endpoints",
                            store_of.store + "/logs"],
            "pids": [store_of.process.pid, os.getpid()], "setuid": machine.setuid}


def misbehave(machine, text, signals=True, capabilities=0, processes=None):
    """Two endpoints; the first does its worst. Returns what it says of itself."""
    backend = machine.backend
    backend.deploy("bad")
    mine = {os.path.join(at, f) for at, _, files in os.walk(backend.store + "/endpoints") for f in files}
    backend.deploy("good")
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        p = prepare(backend, listener, machine)
        abstract.bind("\0" + p["abstract"])
        abstract.listen()
        p["secret"] += [f for f in p.pop("others") if f not in mine]
        assert any("saved_model.pb" in f for f in p["secret"])
        p.update(signals=signals, capabilities=capabilities)
        got = backend.run_in("bad", "PARAMETERS = %r\n%s" % (json.dumps(p), HOSTILE))
    assert got["wrong"] == [], got
    assert not [d for d in p["directories"] if os.path.exists(d + "/planted")]
    assert backend.run_in("good", USEFUL) == ["self", 7, "xxx"]
    assert text in backend.logs() and text in backend.run["sandbox"], (backend.logs(), backend.run)
    return got


def test_model_of_root():
    with Machine("of-root") as machine:
        got = misbehave(machine, "own network, processes, IPC, own files")
        assert got["uid"] >= 0x60000000 and got["processes"] <= 3, got
        other = machine.backend.run_in("good", "import os\nout = os.getuid()")
        assert other != got["uid"], other


def test_model_of_a_user():
    with Machine("of-user", uid=65534) as machine:
        got = misbehave(machine, "own network, processes, IPC, own files in a user namespace")
        assert got["uid"] == 65534 and got["processes"] <= 3, got


def test_model_without_namespaces():
    with Machine("of-chroot", uid=65534, chroot=True) as machine:
        misbehave(machine, "Landlock")


def test_end_of_a_model_ends_all_of_it():
    sleep = "86401.%d" % os.getpid()

    def lives():
        return subprocess.run(["pgrep", "-fx", "sleep " + sleep.replace(".", "[.]")], stdout=subprocess.DEVNULL).returncode == 0
    with Machine("of-group") as machine:
        backend = machine.backend
        backend.deploy("m")
        backend.run_in("m", "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '%s'])" % sleep)
        end = time.time() + 20
        while not lives():
            assert time.time() < end
            time.sleep(0.05)
        backend.client("sagemaker").delete_endpoint(EndpointName="m")
        while lives():
            assert time.time() < end, "a process of a deleted endpoint runs on"
            time.sleep(0.05)
