"""many.py DIR [SECOND_DIR]: many processes at once on files of one directory; an AssertionError tells what one of them saw."""

import hashlib
import mmap
import multiprocessing as mp
import os
import random
import sys

ROUNDS = 150
PAGES = 16
PLACES = 12


def block(i, n):
    """Content that proves itself: a digest and what it is of."""
    body = (b"%d-%d;" % (i, n)) * random.randrange(1, 4000)
    return hashlib.sha256(body).hexdigest().encode() + body


def whole(data, what):
    assert data[:64].decode() == hashlib.sha256(data[64:]).hexdigest(), f"{what}: {len(data)} bytes that nobody wrote"


def replaces(path, i):
    for n in range(ROUNDS):
        temp = f"{path}.{i}.tmp"
        with open(temp, "wb") as f:
            f.write(block(i, n))
        os.replace(temp, path)


def exchanges(a, b):
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(ROUNDS):
        rc = libc.renameat2(-100, a.encode(), -100, b.encode(), 2)
        assert rc == 0, os.strerror(ctypes.get_errno())


def reads(path, stop):
    """A file that is replaced all the time is there all the time, and whole."""
    n = 0
    while not stop.is_set() or n < 20:
        with open(path, "rb") as f:
            whole(f.read(), path)
        assert os.stat(path).st_size > 64
        n += 1


def lists(directory, names, stop):
    while not stop.is_set():
        have = set(os.listdir(directory))
        assert names <= have, f"listing without {names - have}"


def appends(path, i):
    with open(path, "ab", buffering=0) as f:
        for n in range(ROUNDS):
            f.write(b"%02d %08d\n" % (i, n))


def places(path, i, workers):
    """Each worker owns every workers-th block of some files, which share pages with others' blocks, and sees what it wrote."""
    for k in range(PLACES):
        fd = os.open(f"{path}{k}", os.O_RDWR | os.O_CREAT)
        for n in range(ROUNDS):
            at = (n * workers + i) * 1000
            os.pwrite(fd, bytes([i]) * 1000, at)
            assert os.pread(fd, 1000, at) == bytes([i]) * 1000, f"{path}{k}: what was written at {at} is not read"
        os.close(fd)


def numbers(path, last):
    """Pages rewritten in turn through a handle that cannot read; last: the number that was written for sure."""
    fd = os.open(path, os.O_WRONLY)
    for n in range(PAGES, ROUNDS * 40):
        os.pwrite(fd, n.to_bytes(8, "little") * 512, n % PAGES * 4096)
        last.value = n
    os.close(fd)


def follows(path, last, stop):
    """What was written is seen, by read and by a map, whatever was read before."""
    fd = os.open(path, os.O_RDONLY)
    with mmap.mmap(fd, PAGES * 4096, prot=mmap.PROT_READ) as m:
        while not stop.is_set():
            n = last.value
            at = n % PAGES * 4096
            for how, page in (("read", os.pread(fd, 4096, at)), ("map", m[at:at + 4096])):
                seen = {int.from_bytes(page[i:i + 8], "little") for i in range(0, 4096, 8)}
                assert min(seen) >= n, f"{how} sees {min(seen)} after {n} was written"
    os.close(fd)


def tails(path, stop):
    """An appended file has what was appended and nothing else, however often its end was read."""
    with open(path, "rb", buffering=0) as f:
        data = b""
        while not stop.is_set():
            data += f.read()
            lines = data.split(b"\n")
            assert all(len(line) == 11 for line in lines[:-1]), f"{path}: a line of {[x for x in lines[:-1] if len(x) != 11][:2]}"
            data = lines[-1]


def maps(path):
    """The kernel writes a map back in many requests at once, all by one handle."""
    size = 4 << 20
    with open(path, "w+b") as f:
        f.truncate(size)
        with mmap.mmap(f.fileno(), size) as m:
            for n in range(5):
                m[:] = bytes([n + 1]) * size
                m.flush()
    with open(path, "rb") as f:
        assert f.read() == bytes([5]) * size, f"{path}: a map was not written back"
    os.unlink(path)


def files(directory, i):
    """A tree of its own made, moved, read and removed again and again."""
    for n in range(ROUNDS // 5):
        top = f"{directory}/w{i}"
        os.makedirs(f"{top}/a/b")
        with open(f"{top}/a/b/f", "wb") as f:
            f.write(block(i, n))
        os.rename(f"{top}/a", f"{top}/c")
        with open(f"{top}/c/b/f", "rb") as f:
            os.unlink(f"{top}/c/b/f")
            whole(f.read(), "an unlinked file")
        os.removedirs(f"{top}/c/b")


def run(jobs, watchers, stop):
    ps = [mp.Process(target=f, args=a) for f, a in jobs]
    ws = [mp.Process(target=f, args=a) for f, a in watchers]
    for p in ws + ps:
        p.start()
    for p in ps:
        p.join()
    stop.set()
    for p in ws:
        p.join()
    bad = [p.exitcode for p in ps + ws if p.exitcode]
    assert not bad, f"{len(bad)} processes failed"


def main():
    d = sys.argv[1]
    stop = mp.Event()
    for name in ("over", "a", "b"):
        with open(f"{d}/{name}", "wb") as f:
            f.write(block(0, 0))
    open(f"{d}/log", "wb").close()
    with open(f"{d}/numbers", "wb") as f:
        f.write(bytes(4096 * PAGES))
    last = mp.Value("q", 0)
    jobs = [(replaces, (f"{d}/over", i)) for i in range(3)]
    jobs += [(exchanges, (f"{d}/a", f"{d}/b"))]
    jobs += [(appends, (f"{d}/log", i)) for i in range(4)]
    jobs += [(places, (f"{d}/places", i, 4)) for i in range(4)]
    jobs += [(numbers, (f"{d}/numbers", last))]
    jobs += [(maps, (f"{d}/map",))]
    jobs += [(files, (d, i)) for i in range(4)]
    watchers = [(reads, (f"{d}/over", stop)) for _ in range(6)]
    watchers += [(reads, (f"{d}/{n}", stop)) for n in "ab"]
    watchers += [(lists, (d, {"over", "a", "b", "log", "numbers"}, stop)) for _ in range(2)]
    watchers += [(follows, (f"{d}/numbers", last, stop)) for _ in range(2)]
    watchers += [(tails, (f"{d}/log", stop))]
    run(jobs, watchers, stop)
    lines = open(f"{d}/log", "rb").read().splitlines()
    assert sorted(lines) == sorted(b"%02d %08d" % (i, n) for i in range(4) for n in range(ROUNDS)), "appends were lost"
    for k in range(PLACES):
        data = open(f"{d}/places{k}", "rb").read()
        assert data == b"".join(bytes([k % 4]) * 1000 for k in range(4 * ROUNDS)), "writes were lost"
        os.unlink(f"{d}/places{k}")
    left = set(os.listdir(d)) - {"over", "a", "b", "log", "numbers"}
    assert not left, left


if __name__ == "__main__":
    main()
