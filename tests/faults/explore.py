"""explore.py SECONDS WAYS: the whole way of a model, from cp to rm, again and again; each time with other calls that fail in other ways."""
import errno
import glob
import os
import select
import sqlite3
import sys
import threading
import time

from service_line import FAULTS, WHEN, Line, Rule
from world import *

SECONDS, WAYS = float(sys.argv[1]), int(sys.argv[2])
ONLY = os.environ.get("CASE")  # the seed of one case
ROLE = "arn:aws:iam::123456789012:role/models"
HUNG_S = 100  # no call but sync, wait and an invocation may take as long; on a busy machine 2 s are soon over
OPERATIONS = ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "CopyObject", "HeadObject", "GetObject",
              "ListObjectsV2", "ListParts", "DeleteObject", "DeleteObjects", "HeadBucket", "CreateModel", "CreateEndpointConfig", "CreateEndpoint",
              "DescribeModel", "DescribeEndpointConfig", "DescribeEndpoint", "ListEndpoints", "ListModels", "ListEndpointConfigs", "DeleteEndpoint",
              "DeleteEndpointConfig", "DeleteModel", "AddTags", "ListTags", "InvokeEndpoint"]
# Those whose failure costs most come more often.
OFTEN = ["PutObject", "CreateEndpoint", "CreateModel", "CreateEndpointConfig", "DeleteEndpoint", "DescribeEndpoint", "DeleteEndpointConfig",
         "DeleteModel", "CompleteMultipartUpload", "UploadPart", "GetObject"]

account = Account()  # past the line
secret = os.environ["AWS_SECRET_ACCESS_KEY"]
backends = []
line = Line("127.0.0.1", int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]))
os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{line.port}"
OPTIONS = ("-o", f"role={ROLE},linger=0")
mount = Mount(os.environ["MNT"], "aws", options=OPTIONS).start()
other = Mount(WORLD + "/mnt2", "aws", state="2", options=OPTIONS).start()
SMALL = savedmodel(WORLD + "/small", [30000, 100], 1, [("1/assets/a/b", b"x")])
LARGE = savedmodel(WORLD + "/large", [5 << 20] * 4 + [1000] * 5, 2)
PLAIN = savedmodel(WORLD + "/plain", [9 << 20, 200000, 0], 4, [("sagemaker.json", b'{"packaging": "none"}')])
CHANGED = savedmodel(WORLD + "/changed", [40000, 100], 3, [("1/assets/a/c", b"y")])


def rows(sql, *args):
    with contextlib.closing(sqlite3.connect(f"file:{STORE}/store.db?mode=ro", uri=True, timeout=20)) as db:
        return db.execute(sql, args).fetchall()


def resources(name):
    return [f"{k}:{n}" for k, n in rows("SELECT kind, name FROM resource WHERE name = ? OR name LIKE ? ORDER BY kind", name, f"smfs-{name}-%")]


def restart_backend():
    """kill -9, and another one at once where it was."""
    pid = backend_pid()
    fd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([fd], [], [], 30)
    os.close(fd)
    with open(WORLD + "/serve.log", "ab") as log:
        backends.append(subprocess.Popen([PROGRAM, "serve", "--store", STORE, "--listen", f"127.0.0.1:{line.there[1]}"], stdout=log, stderr=log))
    until(30, lambda: os.path.exists(STORE + "/run.json") and backend_pid() != pid)


class Case:
    def __init__(self, seed):
        self.seed, self.name = seed, f"x{seed}"
        self.dice = random.Random(seed)
        self.bad, self.story = [], []
        self.at = mount
        self.table = [self.rule() for _ in range(self.dice.choice([1, 1, 2, 3]))]

    def rule(self):
        op = self.dice.choice(OPERATIONS + OFTEN)
        what, when = self.dice.choice(sorted(FAULTS)), self.dice.choice(sorted(WHEN))
        if what == "404" and op in ("GetObject", "HeadObject"):
            what = "500"  # S3 does not deny what is there
        then = self.dice.choice(sorted(FAULTS)) if self.dice.random() < 0.3 else None
        if op in ("DeleteEndpointConfig", "DeleteModel"):  # what is denied is left, and an orphan (docs/endpoints.md)
            what, then = ("503" if w == "AccessDenied" else w for w in (what, then))
        self.story.append(f"{op} {what}{' then ' + then if then else ''} ({when})")
        about = self.name if self.dice.random() < 0.5 else ""
        return Rule(op, FAULTS[what], WHEN[when], about, FAULTS[then] if then else None)

    def wrong(self, text):
        self.bad.append(text)

    def sentence(self, what, no, *files):
        """A failure has said why."""
        for f in files:
            with contextlib.suppress(OSError):
                if said := read(f"{self.at.at}/{f}").strip():
                    self.story.append(f"[{said[:400]}]")
                    return
        self.wrong(f"{what}: {errno.errorcode.get(no, no)} without a sentence")

    def do(self, what, fn, files=(), quiet=()):
        """0, or the errno."""
        begin, no = time.monotonic(), 0
        try:
            fn()
        except OSError as e:
            no = e.errno
            if no not in quiet:
                self.sentence(what, no, *files)
        took = time.monotonic() - begin
        self.story.append(f"{what}: {errno.errorcode.get(no, no)}" + (f" {took:.0f} s" if took > 3 else ""))
        if took > HUNG_S:
            self.wrong(f"{what} took {took:.0f} s")
        return no

    # --- the way

    def copy(self, source):
        """As rsync --delete does, in our own process."""
        at = self.at.model(self.name)
        want = tree(source)
        if os.path.isdir(at):
            for old in tree(at).keys() - want.keys():
                os.unlink(os.path.join(at, old))
        for path in want:
            to = os.path.join(at, path)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copyfile(os.path.join(source, path), to)
            if want[path][1]:
                os.chmod(to, 0o755)

    def put(self, source, sync=True):
        files = ("models/.error", f"models/{self.name}/.sagemaker/error")
        self.source, self.whole = source, False
        no = self.do("cp", lambda: self.copy(source), files)
        if no:
            return no
        self.whole = True
        if not sync:
            return 0
        begin = time.monotonic()
        no = self.at.sync(self.name)
        self.story.append(f"sync {os.path.basename(source)}: {errno.errorcode.get(no, no)} {time.monotonic() - begin:.1f} s")
        if no:
            self.sentence("sync", no, *files)
        elif why := account.differs(self.name, source):
            self.wrong(f"sync said 0, but {why}")
        self.same("after sync")
        return no

    def same(self, when):
        if why := self.unlike():
            self.wrong(f"{when}: {why}")

    def unlike(self):
        try:
            have, want = tree(self.at.model(self.name)), tree(self.source)
        except OSError as e:
            return f"reading: {e}"
        return "" if have == want else f"the mount has {sorted(set(have) ^ set(want)) or 'other bytes'}"

    def upload_of_a_mix(self):
        """What is published is a whole content that was once there."""
        if account.manifest(self.name) and account.differs(self.name, SMALL) and account.differs(self.name, LARGE) and account.differs(self.name, CHANGED):
            self.wrong("a mix is published")

    def both(self, what, fn):
        """With TOGETHER=1 the other mount sometimes does the same at the same moment: what it is answered does not matter here. Not by
        itself: an rmdir that means a failed mkdir of this mount leaves the endpoint that the other has made of that name."""
        def there():
            with contextlib.suppress(OSError):
                fn(f"{other.at}/endpoints/{self.name}")
        t = threading.Thread(target=there) if self.dice.random() < 0.2 and os.environ.get("TOGETHER") else None
        if t:
            self.story.append("with the other mount")
            t.start()
        no = self.do(what, lambda: fn(f"{self.at.at}/endpoints/{self.name}"), ("endpoints/.error",), (errno.ENOENT,) if what == "rmdir" else ())
        if t:
            t.join()
        return no

    def deploy(self):
        return self.both("mkdir", os.mkdir)

    def wait(self, seconds=25):
        path = f"{self.at.at}/endpoints/{self.name}/wait"
        r = subprocess.run(["timeout", str(seconds), "cat", path], capture_output=True, text=True)
        said = (r.stdout + r.stderr).strip()
        self.story.append(f"wait: {r.returncode} {said[:150]}")
        if r.returncode == 0 and "InService" not in said:
            self.wrong(f"wait ended with 0 and said '{said}'")
        if "InService" in r.stdout and not rows("SELECT 1 FROM resource WHERE kind = 'endpoint' AND name = ?", self.name):
            self.wrong("wait said InService and there is no endpoint")
        return r.returncode == 0

    def invoke(self):
        path = f"{self.at.at}/invoke/{self.name}.json"

        def ask():
            fd = os.open(path, os.O_RDWR)
            try:
                os.write(fd, b'{"instances": [1]}')
                answer = os.read(fd, 65536)
            finally:
                os.close(fd)
            if b"instances" not in answer:
                self.wrong(f"an answer of the model: {answer[:100]!r}")
        return self.do("invoke", ask, ("invoke/.error",))

    def undeploy(self):
        return self.both("rmdir", os.rmdir)

    def remove(self):
        """rm -r"""
        at = self.at.model(self.name)

        def rm():
            for d, dirs, files in os.walk(at, topdown=False):
                for f in files:
                    os.unlink(os.path.join(d, f))
                for sub in dirs:
                    os.rmdir(os.path.join(d, sub))
            os.rmdir(at)
        self.whole = False  # refused, what is published is back, and what was only here is gone
        return self.do("rm -r", rm, ("models/.error",), (errno.ENOENT,))

    def disturb(self):
        what = self.dice.choice(["", "", "", "kill", "kill", "both", "backend", "remount", "heal"])
        if what:
            self.story.append(what)
        if what in ("both", "backend"):
            restart_backend()
        if what in ("kill", "both"):
            mount.kill()
            if self.dice.random() < 0.6:
                line.rules([])
            self.remount()
        elif what == "remount":
            mount.stop()
            self.remount()
        elif what == "heal":
            line.rules([])

    def remount(self):
        try:
            mount.start()
        except subprocess.SubprocessError as e:
            self.story.append(f"mount refused: {e}")
            line.rules([])
            mount.start()

    def way(self):
        self.put(self.dice.choice([SMALL, SMALL, SMALL, LARGE, LARGE, PLAIN]), self.dice.random() < 0.8)
        if self.dice.random() < 0.3:
            self.disturb()
        made = self.deploy() == 0
        if self.dice.random() < 0.3:
            self.disturb()
        elif made and self.wait():
            self.invoke()
        if self.dice.random() < 0.5:
            self.put(CHANGED)
        if self.dice.random() < 0.2:
            self.wait(10)
        removed = made and self.undeploy() == 0
        if self.dice.random() < 0.5:
            self.disturb()
        gone = False
        if self.dice.random() < 0.3:
            gone = self.remove() == 0
        return removed, gone

    # --- and what must hold when all is well again

    def healed(self, removed, gone):
        line.rules([])
        name = self.name
        shown = lambda: os.path.isdir(f"{mount.at}/endpoints/{name}")
        if removed:
            if not until(60, lambda: not resources(name)):
                self.wrong(f"rmdir said 0; left: {resources(name)}; shown: {shown()} {self.shown()}")
        if not gone:
            if not self.whole:
                self.copy(self.source)
            if why := until(20, lambda: not self.unlike()) and "" or self.unlike():
                self.wrong(f"healed: {why}")
            no = until(30, lambda: mount.sync(name) == 0)
            if not no:
                self.wrong(f"healed, sync: {mount.side(name, 'error')}")
            elif why := account.differs(name, self.source):
                self.wrong(f"healed: {why}")
        if shown():
            self.undeploy()
        if not until(60, lambda: not resources(name)):
            self.wrong(f"left at the end: {resources(name)}; shown: {shown()} {self.shown()}")
        if not gone and (no := until(30, lambda: self.remove() in (0, errno.ENOENT)) is not True):
            self.wrong(f"rm -r at last: {read(mount.at + '/models/.error')}")
        left = lambda: account.objects(name) + account.uploads(name)
        if not until(5, lambda: not left()):
            mount.stop()  # what is in the journal is the next mount's
            mount.start()
            if not until(15, lambda: not left()):
                self.wrong(f"left in the bucket: {left()}")
        if any(secret in read(f) for f in glob.glob(f"{WORLD}/state*/**/log", recursive=True) + [mount.at + "/.error"]):
            self.wrong("the secret key is shown")

    def shown(self):
        out = subprocess.run([PROGRAM, "status", mount.at], capture_output=True, text=True, env=mount.env).stdout
        return " / ".join(l for l in out.splitlines() if self.name in l)

    def run(self):
        line.rules(self.table)
        try:
            self.healed(*self.way())
        except Exception as e:  # noqa: BLE001: the case is told of
            import traceback
            self.wrong(f"{type(e).__name__}: {e} {traceback.format_exc()[-600:]}")
        finally:
            line.rules([])
        return self.bad


def main():
    end, n, met = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end and n < WAYS:
        case = Case(int(ONLY) if ONLY else chance.randrange(10**7))
        begin = time.monotonic()
        bad = case.run()
        n += 1
        met += any(r.met for r in case.table)
        print(f"# {case.seed} {time.monotonic() - begin:.0f} s met {[r.met for r in case.table]}: {'; '.join(case.story)}", flush=True)
        if bad:
            fail(f"explore: CASE={case.seed}: {' | '.join(bad)}")
        if ONLY:
            break
    check(f"explore: {n} ways, {met} with a fault on them", not failures)


main()
for m in (mount, other):
    m.stop()
for b in backends:
    b.kill()
    b.wait()
done()
