"""network.py: a mount whose S3 is behind the proxy of WORLD/line."""
import os
import threading
import time

from world import *

PART = 8 << 20
LINE = WORLD + "/line"
ROLE = "arn:aws:iam::123456789012:role/models"
account = Account()  # past the proxy
os.environ["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:" + read(LINE + "/port")
mount = Mount(os.environ["MNT"], "aws", options=("-o", f"role={ROLE},upload_memory={3 * PART}")).start()


def line(**control):
    with open(LINE + "/control.new", "w") as f:
        json.dump(dict(rate=0, delay=0, refuse=False, cut_at=0) | control, f)
    os.rename(LINE + "/control.new", LINE + "/control")
    time.sleep(0.15)


def stats():
    return json.loads(read(LINE + "/stats"))


def in_background(fn, *args):
    result = []
    t = threading.Thread(target=lambda: result.append(fn(*args)))
    t.start()
    return lambda: (t.join(180), result[0] if result else "still waits")[1]


def copy(source, name):
    subprocess.run(["cp", "-rT", source, mount.model(name)], check=True, timeout=120)


def looks(model):
    """Every directory is listed and every name looked at, as ls -l does; the slowest, in ms."""
    worst = 0
    for d in (".", "models", f"models/{model}", f"models/{model}/1", f"models/{model}/1/assets", "endpoints", "endpoints/.defaults", "invoke"):
        begin = time.monotonic()
        for e in os.scandir(os.path.join(mount.at, d)):
            e.stat(follow_symlinks=False)
        worst = max(worst, time.monotonic() - begin)
    return 1000 * worst


def slow_line():
    """Goes on by itself after 2 s; the directories answer all the while, and progress says how far it is."""
    source = savedmodel(WORLD + "/slow", [5 << 20] * 8, 1)
    line(rate=8 << 20)
    copy(source, "slow")
    seen, percents, worst = set(), [], 0
    end = time.monotonic() + 60
    while not mount.side("slow", "status").startswith("published") and time.monotonic() < end:
        words = mount.side("slow", "progress").split()
        seen.add(words[0])
        if words[0] == "uploading" and "%" in words:
            percents.append(int(words[1]))
        worst = max(worst, looks("slow"))
        time.sleep(0.05)
    check("network: a slow line: the progress goes up", "uploading" in seen and percents == sorted(percents) and len(set(percents)) > 5, f"{seen} {percents}")
    check(f"network: directories answer meanwhile (slowest {worst:.0f} ms)", worst < 2000)
    why = account.differs("slow", source)
    check("network: what came over it is the source", not why, why)


def cut():
    source = savedmodel(WORLD + "/cut", [8 << 20] * 8, 2)
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(source) for f in files)
    # What is sent while the copy runs counts, too.
    before = stats()["up"]
    line(cut_at=before + size * 9 // 10, rate=40 << 20)
    copy(source, "cut")
    answer = in_background(mount.sync, "cut")
    check("network: the line is cut at 90 %", until(60, lambda: stats()["cut"]))
    time.sleep(1)
    worst = looks("slow")
    check(f"network: cut, the directories answer (slowest {worst:.0f} ms)", worst < 10000)
    line()
    no = answer()
    why = "" if no == 0 else mount.fill(source, "cut")
    check(f"network: it is finished when the line is back ({'by itself' if no == 0 else 'at the next sync'})", not why, why)
    sent = stats()["up"] - before
    why = account.differs("cut", source)
    check("network: the archive is the source", not why, why)
    # Parts that were on their way when it was cut may have to go again: three at a time, and the one that was being packed.
    most = size + 4 * PART
    check(f"network: sent once, but for parts in flight ({sent / size:.2f} of {size >> 20} MiB)", size <= sent <= most, f"{sent} bytes for {size}")


def refused():
    """Nobody listens at all: nothing is lost, and it goes up later."""
    source = savedmodel(WORLD + "/later", [100000] * 3, 3)
    line(refuse=True)
    copy(source, "later")
    no = mount.sync("later")
    check("network: without a line sync fails", no not in (0, None), no)
    check("network: and says why", "later" in mount.side("later", "error"), lambda: mount.side("later", "error"))
    check("network: what was copied is there", tree(mount.model("later")) == tree(source))
    line()
    check("network: with it, it works", mount.sync("later") == 0, lambda: mount.side("later", "error"))
    why = account.differs("later", source)
    check("network: and is the source", not why, why)


slow_line()
cut()
refused()
mount.stop()
mount.start()
for name in ("slow", "cut", "later"):
    check(f"network: nothing is left over of {name}", until(30, lambda: not account.litter(name)), lambda: account.litter(name))
done()
