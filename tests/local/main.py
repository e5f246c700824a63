"""The local backend from outside: boto3 and plain HTTP against a real process.

usage: main.py LOCAL-SERVE ECHO-SERVE-DIR [ROOM | TEST]...   (tests/local/run finds both)
A room is a file of tests, test_ROOM.py, with a backend and a store of its own, in which a bucket `models` is there; its tests run in
order: later ones use what earlier ones made. Rooms run beside each other, JOBS at once (6), each in a process of its own.
One line per test, a last line "N passed, N failed". With SANITIZED (a build's sanitizer) the reports of a room's processes fail it.
"""
import concurrent.futures
import glob
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from types import SimpleNamespace

from harness import B, Backend

# The longest first.
ROOMS = (
    "test_metrics",
    "test_kills",
    "test_updates",
    "test_process",
    "test_hosting",
    "test_async",
    "test_serverless",
    "test_stats",
    "test_many",
    "test_faults",
    "test_logs",
    "test_scaling",
    "test_streams",
    "test_data",
    "test_isolation",
    "test_conformance",
    "test_auth",
    "test_s3",
)
assert set(ROOMS) == {os.path.basename(f)[:-3] for f in glob.glob(os.path.dirname(os.path.abspath(__file__)) + "/test_*.py")}


def make_runtime(runtimes, framework):
    """A runtime of no framework: what the echo model server needs is Python alone."""
    runtime = "%s/%s-9.9.9" % (runtimes, framework)
    os.makedirs(runtime + "/bin")
    os.symlink("/usr/bin/python3", runtime + "/bin/python")
    with open(runtime + "/runtime.json", "w") as f:
        json.dump({"framework": "tensorflow", "version": "9.9.9"}, f)


def run(name, test):
    began = time.time()
    try:
        test()
    except Exception:
        print("FAIL %s" % name, flush=True)
        traceback.print_exc(file=sys.stdout)
        return False
    print("ok   %s (%.2f s)" % (name, time.time() - began), flush=True)
    return True


def tests_of(room):
    return [(name, test) for name, test in vars(importlib.import_module(room)).items() if name.startswith("test_")]


def run_room(serve, echo, room, *wanted):
    """In this process. wanted: tests; none: all of them."""
    root = tempfile.mkdtemp(prefix="smfs-local-")
    setup = SimpleNamespace(serve=os.path.abspath(serve), echo=os.path.abspath(echo), root=root, runtimes=root + "/runtimes")
    for framework in ("tensorflow", "sklearn"):
        make_runtime(setup.runtimes, framework)
    B.open(setup, "store")
    B.client("s3").create_bucket(Bucket="models")
    results = [run(name, test) for name, test in tests_of(room) if not wanted or name in wanted]
    if B.process.poll() is None:
        B.stop()
    for backend in Backend.opened:  # of tests that failed
        if backend.process.poll() is None:
            backend.kill()
    if all(results):
        subprocess.run(["chmod", "-R", "u+w", root])  # where there are no namespaces models are read-only
        shutil.rmtree(root)
    else:
        print("the store is left in %s" % root)
    return 0 if all(results) else 1


def log_reports(environment, directory):
    """Every process's sanitizer reports go there."""
    for name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
        environment[name] = ":".join(filter(None, (environment.get(name), "log_path=%s/report" % directory)))


def spawn_room(serve, echo, room, *wanted):
    """The room in a process of its own; its output, passed, failed."""
    environment, reports = dict(os.environ), tempfile.mkdtemp(prefix="smfs-reports-")
    if os.environ.get("SANITIZED"):
        log_reports(environment, reports)
    began = time.time()
    with tempfile.TemporaryFile("w+", errors="replace") as log:  # not a pipe: whatever outlives the room would keep it open
        p = subprocess.run([sys.executable, __file__, "--room", serve, echo, room, *wanted], env=environment,
                           stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        log.seek(0)
        out = log.read()
    failed = len(re.findall("^FAIL ", out, re.M))
    if p.returncode and not failed:
        out, failed = out + "FAIL %s: ended with status %d\n" % (room, p.returncode), 1
    for report in sorted(glob.glob(reports + "/*")):
        text = open(report, errors="replace").read()
        out, failed = out + "FAIL %s: %s report\n%s\n" % (room, os.environ["SANITIZED"], text[:20000]), failed + 1
    shutil.rmtree(reports)
    passed = len(re.findall("^ok ", out, re.M))
    return out + "-- %s: %d passed, %d failed, %d s" % (room, passed, failed, time.time() - began), passed, failed


def main():
    serve, echo, *wanted = sys.argv[1:]
    rooms = {room: [n for n, _ in tests_of(room) if n in wanted and room not in wanted] for room in ROOMS}
    rooms = {room: tests for room, tests in rooms.items() if not wanted or tests or {room, room[len("test_"):]} & set(wanted)}
    if not rooms:
        sys.exit("FAIL no room or test is called %s" % " or ".join(wanted))
    results = []
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS") or 6)) as pool:
        running = [pool.submit(spawn_room, serve, echo, room, *tests) for room, tests in rooms.items()]
        for future in concurrent.futures.as_completed(running):
            results.append(future.result())
            print(results[-1][0], flush=True)
    failed = sum(r[2] for r in results)
    print("%d passed, %d failed" % (sum(r[1] for r in results), failed))
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(run_room(*sys.argv[2:]) if sys.argv[1:2] == ["--room"] else main())
