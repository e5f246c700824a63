"""crowd.py ROUNDS"""
import errno
import os
import threading

from world import *

ROUNDS = int(sys.argv[1])
here = Mount(os.environ["MNT"]).start()
there = Mount(WORLD + "/mnt2", state="2", options=("-o", "commit=explicit")).start()
small = Mount(WORLD + "/mnt3", state="3").start()
environment(here.at)
account = Account()


def together(*calls):
    """All at the same moment; their results."""
    gate, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(i, fn, args):
        gate.wait()
        results[i] = fn(*args)

    threads = [threading.Thread(target=run, args=(i, fn, args)) for i, (fn, *args) in enumerate(calls)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    return results


def notes(name):
    """What note.txt says in every version that the manifest lists."""
    out = set()
    for v in account.manifest(name)["versions"]:
        body = account.s3.get_object(Bucket=account.bucket, Key=v["key"])["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as t:
            member = next(m["archive"] for m in v["members"] if m.get("path") == "1/assets/note.txt")
            out.add(t.extractfile(member).read().decode())
    return out


def race():
    """Both write and publish: one wins, the other is told; nobody's bytes are lost, neither the winner's in S3 nor the loser's here."""
    source = savedmodel(WORLD + "/race", [], extra=[("1/assets/note.txt", b"begin")])
    here.fill(source, "race")
    conflicts = 0
    for i in range(ROUNDS):
        texts = [f"{who} {i}" for who in ("here", "there")]
        for m, text in zip((here, there), texts):
            with open(m.model("race", "1/assets/note.txt"), "w") as f:
                f.write(text)
        answers = together((here.sync, "race"), (there.sync, "race"))
        kept = notes("race")
        for m, text, no in zip((here, there), texts, answers):
            if no == 0 and text not in kept:
                fail(f"crowd: round {i}: sync said that '{text}' is published; versions have {sorted(kept)}")
            if read(m.model("race", "1/assets/note.txt")) != text and no != 0:
                fail(f"crowd: round {i}: the change that was refused is lost: {read(m.model('race', '1/assets/note.txt'))!r}, not {text!r}")
            if no == errno.EEXIST:
                conflicts += 1
                if not m.side("race", "status").startswith("conflict"):
                    fail(f"crowd: round {i}: a conflict is not shown: {m.side('race', 'status')}")
                with open(m.model("race", ".sagemaker/resolve"), "w") as f:
                    f.write("theirs\n")
        if 0 not in answers or set(answers) - {0, errno.EEXIST}:
            fail(f"crowd: round {i}: answers {answers}, {here.side('race', 'error')} {there.side('race', 'error')}")
        for m in (here, there):
            until(20, lambda: m.side("race", "status").startswith("published"))
        # what another mount has published is seen within a second
        if not until(10, lambda: read(here.model("race", "1/assets/note.txt")) == read(there.model("race", "1/assets/note.txt"))):
            fail(f"crowd: round {i}: the mounts do not agree afterwards")
    check(f"crowd: {ROUNDS} races of two mounts, {conflicts} conflicts shown, no byte lost", not failures)
    stray = until(20, lambda: not account.litter("race"))
    check("crowd: nothing is left over of them", stray, lambda: account.litter("race"))


def many_models():
    sources = [savedmodel(f"{WORLD}/many{i}", [200000 + i], i) for i in range(16)]
    for i, s in enumerate(sources):
        shutil.copytree(s, here.model(f"many{i}"), copy_function=shutil.copyfile)
    answers = together(*[(here.sync, f"many{i}") for i in range(16)])
    check("crowd: 16 models published at once", answers == [0] * 16, answers)
    wrong = [why for i, s in enumerate(sources) if (why := account.differs(f"many{i}", s))]
    check("crowd: each is its source", not wrong, wrong)


def many_files():
    files = [(f"1/assets/{i // 500}/{i}", b"%d" % i) for i in range(5000)]
    source = savedmodel(WORLD + "/files", [], extra=files)
    why = here.fill(source, "files") or account.differs("files", source)
    check("crowd: a model of 5,000 files", not why, why)


def odd_names():
    names = ["with space", "späße/ünïcode ✓", "-dash", "'quote\"", "*?[x]", "back\\slash", "n" * 255, "é" * 127, "a/" * 20 + "deep"]
    source = savedmodel(WORLD + "/odd", [], extra=[("1/assets/" + n, n.encode()) for n in names] + [("1/assets/empty", b""), ("1/assets/empty too", b"")])
    os.chmod(source + "/1/assets/with space", 0o755)
    os.makedirs(source + "/1/assets/no files")
    why = here.fill(source, "odd") or account.differs("odd", source)
    check("crowd: names with spaces, quotes, UTF-8, 255 bytes; empty files", not why, why)
    check("crowd: another mount reads them", tree(there.model("odd")) == tree(source))


def renamed():
    """mv of a directory while the model is uploaded: what is published is one or the other, in the end what is there."""
    source = savedmodel(WORLD + "/moved", [1 << 20] * 9, 7)
    faults({"operation": "UploadPart", "nth": 0, "action": "delay", "arg": 700})
    shutil.copytree(source, here.model("moved"), copy_function=shutil.copyfile)
    going = threading.Thread(target=here.sync, args=("moved",))
    going.start()
    until(20, lambda: here.side("many0", "status") and account.uploads("moved"))
    os.rename(here.model("moved", "1/assets"), here.model("moved", "1/assets.extra"))
    os.rename(source + "/1/assets", source + "/1/assets.extra")
    going.join(60)
    faults()
    no = until(10, lambda: here.sync("moved") == 0)
    why = account.differs("moved", source) if no else here.side("moved", "error")
    check("crowd: a directory renamed during the upload: what is there is published", not why, why)
    check("crowd: and nothing else", until(15, lambda: not account.litter("moved")), lambda: account.litter("moved"))


def full_disk():
    """Staging's disk is full: said at the write or the close, nothing else is lost, and half a model is not published."""
    source = savedmodel(WORLD + "/full", [4 << 20] * 12, 8)
    r = subprocess.run(["cp", "-rT", source, small.model("full")], capture_output=True, text=True, timeout=60)
    check("crowd: a full disk ends cp", r.returncode == 1 and "No space left" in r.stderr, r.stderr)
    time.sleep(5)  # more than the quiet time
    status = small.side("full", "status")
    check("crowd: half a copy is not published by itself", status.startswith(("waiting:", "failed:")) and not account.manifest("full"), status)
    for d, _, files in os.walk(small.model("full")):
        for f in files:
            if f.endswith(".bin"):
                os.unlink(os.path.join(d, f))
    less = savedmodel(WORLD + "/less", [4 << 20], 9)
    why = small.fill(less, "full") or account.differs("full", less)
    check("crowd: with room again, it is finished", not why, why)


race()
many_models()
many_files()
odd_names()
renamed()
full_disk()
check("crowd: no unfinished upload anywhere", until(15, lambda: not account.uploads()), lambda: account.uploads())
for m in (here, there, small):
    r = m.stop()
    check(f"crowd: unmount of {os.path.basename(m.at)}", r.returncode == 0, r.stdout + r.stderr)
done()
