"""many_endpoints.py MOUNTPOINT STUB_URL N: reads the directories as programs do and compares what the service was asked with what
was to be read. Prints "ok ..." and "FAIL ..." lines."""
import glob
import json
import os
import subprocess
import sys
import time
import urllib.request

mnt, url, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
pages = -(-n // 100)
endpoints, invoke = f"{mnt}/endpoints", f"{mnt}/invoke"


def stub(what):
    with urllib.request.urlopen(f"{url}/_/{what}", timeout=60) as r:
        return json.load(r)


def check(name, good, *more):
    print("ok" if good else "FAIL", name, *([] if good else more), flush=True)


def asked(name, work, describes=0, result_wanted=n):
    """work() reads everything that is wanted and makes at most so many single questions."""
    stub("counts")
    began = time.monotonic()
    result = work()
    counts = stub("counts")
    allowed = describes(time.monotonic() - began) if callable(describes) else describes
    check(f"{name}: all of them", result == result_wanted, result)
    check(f"{name}: no question for each", counts.get("DescribeEndpoint", 0) <= allowed, counts)


def first_listing():
    early, names = None, []
    with os.scandir(endpoints) as entries:
        for e in entries:
            names += [e.name] if e.name.startswith("ep-") else []
            if len(names) == 1 and early is None:
                early = stub("counts").get("ListEndpoints", 0)
    check("the first names are read while later pages are still to come", 0 < early < pages, f"after {early} calls")
    check("the first listing has every name, once", sorted(names) == [f"ep-{i:05}" for i in range(n)],
          len(names), len(set(names)))
    calls = early + stub("counts").get("ListEndpoints", 0)
    # Every 9th call is throttled, and the hourly look at what other mounts left lists, too.
    check("a page is asked for once or twice, but for throttled calls", calls <= 2 * pages * 9 / 8 + 2, f"{calls} calls")


def shell(command):
    return int(subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout.split()[0])


def later_listings():
    stub("hold/1")
    check("a later ls needs no answer of the service", len([e for e in os.listdir(endpoints) if e.startswith("ep-")]) == n)
    check("nor does invoke/", len([e for e in os.listdir(invoke) if e.startswith("ep-")]) == n)
    check("nor do the names as a shell completes them", len(glob.glob(f"{endpoints}/ep-0001*")) == 10)
    stub("hold/0")


def look_around():
    asked("ls -l endpoints", lambda: shell(f"ls -l '{endpoints}' | grep -c ep-"))
    asked("ls -l invoke", lambda: shell(f"ls -l '{invoke}' | grep -c ep-"))
    asked("stat endpoints/*", lambda: shell(f"cd '{endpoints}' && printf '%s\\0' ep-* | xargs -0 stat -c %n | wc -l"))
    asked("os.scandir and stat", lambda: sum(e.stat().st_mode > 0 for e in os.scandir(endpoints) if e.name.startswith("ep-")))
    # The directory is not read: the first name is looked up alone.
    asked("os.stat of names known before", lambda: sum(os.stat(f"{invoke}/ep-{i:05}").st_mode > 0 for i in range(n)), 1)
    # Into a thousand directories: 16 are described at once, then 2 a second.
    few = lambda seconds: 18 + 2 * seconds
    asked("find", lambda: shell(f"find '{endpoints}'/ep-00* -name status | wc -l"), few, n // 10)
    asked("du", lambda: shell(f"du -a '{endpoints}'/ep-01* | grep -c '/config$'"), few, n // 10)


def changes_elsewhere():
    stub("delete/ep-00042")
    stub("create/zz-new")
    until = time.monotonic() + 180
    while time.monotonic() < until and not ("zz-new" in (names := os.listdir(endpoints)) and "ep-00042" not in names):
        time.sleep(0.5)
    check("what was made elsewhere shows up, what was deleted elsewhere goes", "zz-new" in names and "ep-00042" not in names)
    check("so it does in invoke/", "zz-new" in (names := os.listdir(invoke)) and "ep-00042" not in names)


def one_alone():
    time.sleep(1.1)
    stub("counts")
    with open(f"{endpoints}/ep-07777/instance_type", encoding="ascii") as f:
        check("one of them is described when it is read", f.read() == "ml.m5.large\n")
    check("once", stub("counts").get("DescribeEndpoint", 0) <= 2)
    with open(f"{endpoints}/ep-07777/status", encoding="ascii") as f:
        check("its status", f.read() == "InService\n")


first_listing()
later_listings()
look_around()
one_alone()
changes_elsewhere()
