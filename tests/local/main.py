"""The local backend from outside: boto3 and plain HTTP against a real process.

usage: main.py LOCAL-SERVE ECHO-SERVE-DIR [TEST...]   (tests/local/run finds both)
One line per test, a last line "N passed, N failed". The tests run in order: later ones use what earlier ones made.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from types import SimpleNamespace

import test_async
import test_auth
import test_conformance
import test_data
import test_faults
import test_hosting
import test_isolation
import test_kills
import test_logs
import test_metrics
import test_process
import test_s3
import test_scaling
import test_serverless
import test_stats
import test_streams
import test_updates
from harness import B

ROOMS = (
    test_s3,
    test_auth,
    test_conformance,
    test_hosting,
    test_data,
    test_updates,
    test_streams,
    test_async,
    test_serverless,
    test_faults,
    test_logs,
    test_metrics,
    test_scaling,
    test_stats,
    test_isolation,
    test_kills,
    test_process,
)


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
        traceback.print_exc()
        return False
    print("ok   %s (%.2f s)" % (name, time.time() - began), flush=True)
    return True


def main():
    serve, echo, *wanted = sys.argv[1:]
    root = tempfile.mkdtemp(prefix="smfs-local-")
    setup = SimpleNamespace(serve=os.path.abspath(serve), echo=os.path.abspath(echo), root=root, runtimes=root + "/runtimes")
    for framework in ("tensorflow", "sklearn"):
        make_runtime(setup.runtimes, framework)
    B.open(setup, "store")
    results = [run(name, test) for room in ROOMS for name, test in list(vars(room).items())
               if name.startswith("test_") and (not wanted or name in wanted or room.__name__ in wanted)]
    if B.process.poll() is None:
        B.kill()
    if not results:
        print("FAIL no test is called %s" % " or ".join(wanted))
        results.append(False)
    if all(results):
        subprocess.run(["chmod", "-R", "u+w", root])  # where there are no namespaces models are read-only
        shutil.rmtree(root)
    else:
        print("the store is left in %s" % root)
    print("%d passed, %d failed" % (results.count(True), results.count(False)))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
