"""kills.py ROUNDS"""
import collections
import os
import signal
import subprocess
import sys
import time

from world import *

ROUNDS = int(sys.argv[1])
mount = Mount(os.environ["MNT"]).start()
environment(mount.at)
source = savedmodel(WORLD + "/source", [3 << 20] * 4 + [3000] * 30)
where = collections.Counter()  # what status said when it was killed


def copy(name):
    """cp -r and sync, as a script does; its own process group."""
    return subprocess.Popen(["bash", "-c", 'cp -rT "$1" "$2" && sync "$2"', "copy", source, mount.model(name)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def moment(name):
    try:
        return mount.side(name, "status").split()[0].rstrip(":")
    except OSError:
        return "nothing yet"


def crash(victim):
    if victim in ("mount", "both"):
        pid = mount.pid()
        if victim == "both":
            os.kill(backend_pid(), signal.SIGKILL)
        mount.kill()
    else:
        os.kill(backend_pid(), signal.SIGKILL)


def one(i, whole, found):
    name = f"kill{i}"
    victim = chance.choice(["mount", "mount", "mount", "backend", "both"])
    put(source, "1/assets/round.txt", b"%d" % i)
    p = copy(name)
    after = chance.uniform(0, whole)
    time.sleep(after)
    crash(victim)
    p.wait(timeout=120)
    account = found
    if victim != "backend":
        mount.start()
        environment(mount.at)  # with both gone, the next backend may be elsewhere
        account = Account()
        where[moment(name)] += 1
    what = f"{name}, {victim} after {1000 * after:.0f} ms"
    why = mount.fill(source, name)
    if why:
        return f"{what}: cannot be finished: {why}"
    why = account.differs(name, source)
    if why:
        return f"{what}: {why}"
    keys = {}
    for v in account.manifest(name)["versions"]:
        keys.setdefault(v["digest"], set()).add(v["key"])
    if any(len(k) > 1 for k in keys.values()):
        return f"{what}: one content is there twice: {keys}"
    stray = until(15, lambda: not account.litter(name)) or account.litter(name)
    return "" if stray is True else f"{what}: left over: {stray}"


def main():
    # Parts take their time, so that there is something to interrupt.
    faults({"operation": "UploadPart", "nth": 0, "action": "delay", "arg": 120})
    begin = time.monotonic()
    copy("measure").wait(timeout=120)
    whole = time.monotonic() - begin
    begin = time.monotonic()
    for i in range(ROUNDS):
        why = one(i, whole, Account())
        if why:
            fail("kills: " + why)
    check(f"kills: {ROUNDS} moments in {time.monotonic() - begin:.0f} s, {1000 * whole:.0f} ms undisturbed; found: {dict(where)}", not failures)
    faults()
    check("kills: no unfinished upload anywhere", not Account().uploads(), lambda: Account().uploads())
    r = mount.stop()
    check("kills: unmount finds nothing unfinished", r.returncode == 0, r.stdout + r.stderr)


main()
done()
