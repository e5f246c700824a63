"""Starts model servers as the backend does, and asks them over HTTP."""
import http.client
import io
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DATA = os.path.join(ROOT, "tests", "data")
SERVE = os.path.join(ROOT, "sagemaker", "local", "serve")
PYTHON = "/usr/bin/python3"


def runtime_dirs():
    listed = [d for d in os.environ.get("SAGEMAKERFS_RUNTIMES", "").split(":") if d]
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return listed + [os.path.join(data, "sagemakerfs", "runtimes"),
                     "/usr/local/lib/sagemakerfs/runtimes"]


def runtime(framework):
    """The Python of the newest runtime of a framework, or None."""
    for directory in runtime_dirs():
        names = sorted((n for n in os.listdir(directory) if n.startswith(framework + "-")),
                       key=lambda n: [int(p) for p in n.split("-")[1].split(".") if p.isdigit()]
                       ) if os.path.isdir(directory) else []
        for name in reversed(names):
            if os.path.exists(os.path.join(directory, name, "runtime.json")):
                return os.path.join(directory, name, "bin", "python")
    return None


def expected(name):
    with open(os.path.join(DATA, name, "expected.json")) as file:
        return json.load(file)["requests"]


def load_json(path):
    with open(path) as file:
        return json.load(file)


def trained(python, script):
    """A directory with what a script of tests/data/train makes, run by a runtime's Python."""
    out = tempfile.mkdtemp(prefix="serve-trained-")
    subprocess.run([python, "-B", os.path.join(DATA, "train", script), out], check=True)
    return out


def packaged(requirements, code):
    """Files for a model whose script needs packages that pip finds beside it, offline: colours (import
    colours; colours.RED), which itself needs numpy, that every runtime has."""
    dist = "colours-1.0.dist-info/"
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("colours.py", "import numpy\nRED = 'red'\n")
        archive.writestr(dist + "METADATA", "Metadata-Version: 2.1\nName: colours\nVersion: 1.0\nRequires-Dist: numpy\n")
        archive.writestr(dist + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(dist + "RECORD", "colours.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n" % (dist, dist, dist))
    return {"code/inference.py": code, "code/wheels/colours-1.0-py3-none-any.whl": wheel.getvalue(),
            "code/requirements.txt": "--no-index\n--find-links wheels\n%s\n" % requirements}


NO_PACKAGE = ("cannot install the packages of code/requirements.txt (pip ended with 1): ERROR: No matching "
              "distribution found for no-such-package")


def npy(rows):
    """A two-dimensional float32 array as numpy saves it."""
    shape = (len(rows), len(rows[0]))
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % shape
    head = head.ljust(117) + "\n"
    numbers = [x for row in rows for x in row]
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
            struct.pack("<%df" % len(numbers), *numbers))


def write_files(directory, files):
    for path, text in files.items():
        target = os.path.join(directory, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb" if isinstance(text, bytes) else "w") as file:
            file.write(text)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.type = response.getheader("Content-Type")
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """One model server on an inherited socket, with files for its model."""

    def __init__(self, python, script, model=None, files=None, env=None, serve=SERVE):
        self.base = tempfile.mkdtemp(prefix="serve-")
        directory = os.path.join(self.base, "model")
        if model:
            shutil.copytree(model, directory)
        os.makedirs(directory, exist_ok=True)
        write_files(directory, files or {})
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(128)
        self.port = self.socket.getsockname()[1]
        self.paths = [os.path.join(self.base, n) for n in ("stdout", "stderr")]
        variables = {"PATH": "/usr/bin:/bin", "HOME": self.base, "TMPDIR": self.base,
                     "SAGEMAKER_BASE_DIR": self.base, "SAGEMAKERFS_LISTEN_FD": "3"}
        variables.update(env or {})
        self.start(python, os.path.join(serve, script), variables)
        self.connection = None

    def start(self, python, script, variables):
        """The listening socket becomes fd 3 of the server, as with the runner."""
        outputs = [open(path, "wb") for path in self.paths]
        command = ["/bin/sh", "-c", 'exec 3<&%d; exec "$@"' % self.socket.fileno(), "sh",
                   python, script]
        if self.socket.fileno() == 3:
            command[2] = 'exec "$@"'
        self.begin = time.monotonic()
        self.process = subprocess.Popen(command, env=variables, cwd=self.base, stdout=outputs[0],
                                        stderr=outputs[1], pass_fds=[self.socket.fileno()])
        self.socket.close()
        for output in outputs:
            output.close()

    def output(self, number=0):
        with open(self.paths[number], errors="replace") as file:
            return file.read()

    def last_error(self):
        lines = self.output(1).strip().splitlines()
        return lines[-1] if lines else ""

    def ready(self, timeout=60):
        """Seconds until /ping answered 200."""
        while time.monotonic() - self.begin < timeout:
            if self.process.poll() is not None:
                raise AssertionError("exited %d: %s" % (self.process.returncode, self.last_error()))
            try:
                if self.request("GET", "/ping").status == 200:
                    return time.monotonic() - self.begin
            except OSError:
                self.connection = None
            time.sleep(0.01)
        raise AssertionError("not ready after %d s" % timeout)

    def request(self, method, path, body=None, headers=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            self.connection.request(method, path, body, headers or {})
            return Answer(self.connection.getresponse())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise

    def invoke(self, body, content_type="application/json", **headers):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type:
            fields["Content-Type"] = content_type
        return self.request("POST", "/invocations", body, fields)

    def wait(self, timeout=30):
        return self.process.wait(timeout)

    def stop(self):
        """SIGTERM; the exit code and the seconds it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30), time.monotonic() - begin

    def close(self):
        if self.connection:
            self.connection.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


class Trained(unittest.TestCase):
    """Tests of a framework's server on models that its own runtime trains, once for all of them."""
    framework = None

    @classmethod
    def setUpClass(cls):
        cls.python = runtime(cls.framework)
        if cls.python is None:
            raise AssertionError("no runtime: run scripts/runtimes %s" % cls.framework)
        cls.trained = trained(cls.python, cls.framework + "_models.py")
        cls.expected = load_json(os.path.join(cls.trained, "expected.json"))
        cls.rows = cls.expected["rows"]
        cls.csv = "\n".join(",".join(map(str, row)) for row in cls.rows)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.trained)

    def start(self, model="model", files=None, env=None):
        """A server on one of the trained models, or on files alone."""
        server = Server(self.python, self.framework + "_server.py", model and os.path.join(self.trained, model),
                        files, env)
        self.addCleanup(server.close)
        return server

    def served(self, *arguments):
        server = self.start(*arguments)
        server.ready()
        return server

    def near(self, one, other):
        self.assertTrue(close_to(one, other), "%s != %s" % (one, other))


def close_to(one, other, limit=1e-5):
    """Whether two JSON values are equal but for limit in their numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(close_to(one[k], other[k], limit) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(close_to(a, b, limit) for a, b in zip(one, other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) <= limit
    return one == other
