"""interrupted.py ROUNDS"""
import collections
import os
import signal
import subprocess
import sys
import time

from world import *

ROUNDS = int(sys.argv[1])
# Before 6.15 Linux tells how a process ended only until its parent has asked.
TELLS = tuple(int(n) for n in os.uname().release.split(".")[:2] if n.isdigit()) >= (6, 15)
mount = Mount(os.environ["MNT"]).start()
environment(mount.at)
account = Account()
# Few large files and many small ones: most of the time is spent in the first, most of the moments between two are among the others.
source = savedmodel(WORLD + "/source", [2 << 20] * 6 + [2000] * 60, extra=[("code/inference.py", b"def input_handler(data, context): return data.read()\n\n\ndef output_handler(response, context):\n    return response.content, 'application/json'\n")])


def copy(name):
    return subprocess.Popen(["cp", "-rT", source, mount.model(name)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def settled(name):
    """Published, or waiting and not about to try again: the status of a model that rests."""
    try:
        status = mount.side(name, "status").strip()
    except OSError:
        return "absent"
    return status if status.split()[0] in ("published", "waiting:", "failed:", "empty") else None


def main():
    begin = time.monotonic()
    copy("measure").wait(timeout=60)
    whole = time.monotonic() - begin
    want = tree(source)
    whats, cut = {}, {}
    for i in range(ROUNDS):
        name = f"cut{i}"
        p = copy(name)
        time.sleep(chance.uniform(0.002, whole))
        p.send_signal(signal.SIGINT)
        p.wait(timeout=60) if TELLS else os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT)
        here = tree(mount.model(name)) if os.path.isdir(mount.model(name)) else {}
        cut[name] = f"{len(here)} of {len(want)} files" if here != want else "all"
    for name in cut:
        whats[name] = until(30, lambda: settled(name)) or mount.side(name, "status")
    for name, what in whats.items():
        if account.manifest(name):
            why = account.differs(name, source)
            if why:
                fail(f"interrupted: {name} with {cut[name]} was published: {why}")
    words = collections.Counter(w.split()[0].rstrip(":") for w in whats.values())
    check(f"interrupted: {ROUNDS} moments of {1000 * whole:.0f} ms: {dict(words)}, of them cut short {sum(c != 'all' for c in cut.values())}", not failures)
    left = [n for n in cut if cut[n] != "all" and whats[n] != "absent"]
    for name in left[:3]:
        why = mount.fill(source, name) or account.differs(name, source)
        check(f"interrupted: {name} ({whats[name][:60]}), finished by rsync, is the source", not why, why)
    mount.stop()


main()
done()
