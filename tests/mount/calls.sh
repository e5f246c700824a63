#!/usr/bin/env bash
# System calls on a model's files that no tool of the other tests makes, or that only a few file systems have: they work, or are
# refused with the errno that programs know how to live with.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start -o commit=explicit
mkdir "$MNT/models/calls"
cat >"$WORLD/calls.py" <<'PY'
import ctypes, errno, fcntl, os, shutil, stat, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4

def fails(no, call, *args, **kw):
    try:
        call(*args, **kw)
    except OSError as e:
        assert e.errno == no, (call, args, errno.errorcode[e.errno])
    else:
        raise AssertionError((call, args, "succeeded"))

def renameat2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags):
        raise OSError(ctypes.get_errno(), "renameat2")

def put(name, data=b"x"):
    with open(name, "wb") as f:
        f.write(data)

def get(name):
    with open(name, "rb") as f:
        return f.read()

def test_rename_flags():
    put("a", b"A"); put("b", b"B"); os.mkdir("d"); put("d/in")
    fails(errno.EEXIST, renameat2, "a", "b", NOREPLACE)
    renameat2("a", "c", NOREPLACE); renameat2("c", "a", NOREPLACE)
    ia, ib = os.stat("a").st_ino, os.stat("b").st_ino
    renameat2("a", "b", EXCHANGE)
    assert (get("a"), get("b")) == (b"B", b"A") and (os.stat("a").st_ino, os.stat("b").st_ino) == (ib, ia)
    renameat2("a", "d", EXCHANGE) # a file and a directory
    assert os.path.isfile("d") and get("a/in") == b"x"
    fails(errno.ENOENT, renameat2, "a", "none", EXCHANGE)
    fails(errno.EINVAL, renameat2, "a", "e", WHITEOUT)
    fails(errno.EISDIR, os.rename, "b", "a")
    fails(errno.EINVAL, os.rename, "a", "a/in2")

def test_open_files_without_a_name():
    with open("gone", "w+b") as f:
        f.write(b"before"); f.flush(); os.unlink("gone")
        f.write(b"after"); f.flush(); f.seek(0)
        assert f.read() == b"beforeafter" and os.fstat(f.fileno()).st_nlink == 0
        os.ftruncate(f.fileno(), 6); os.fchmod(f.fileno(), 0o600); os.utime(f.fileno(), (5, 6))
        st = os.fstat(f.fileno())
        assert st.st_size == 6 and st.st_mtime == 6 and stat.S_IMODE(st.st_mode) == 0o600
        with open(f"/proc/self/fd/{f.fileno()}", "rb") as again:
            assert again.read() == b"before"
    assert os.listdir(".") == []
    put("kept", b"old"); fd = os.open("kept", os.O_PATH); put("new", b"new!"); os.rename("new", "kept")
    with open(f"/proc/self/fd/{fd}", "rb") as f: # replaced, and never opened before
        assert f.read() == b"old"
    os.close(fd)
    assert get("kept") == b"new!"

def test_holes():
    with open("holes", "w+b") as f:
        f.truncate(1 << 22); f.seek(1 << 20); f.write(b"data"); f.flush()
        fd = f.fileno()
        assert os.lseek(fd, 0, os.SEEK_DATA) == 1 << 20 and os.lseek(fd, 1 << 20, os.SEEK_HOLE) == (1 << 20) + 4096
        fails(errno.ENXIO, os.lseek, fd, 2 << 20, os.SEEK_DATA)
        assert os.stat("holes").st_blocks * 512 < 1 << 20
        os.posix_fallocate(fd, 0, 8192)
        assert libc.fallocate(fd, 3, ctypes.c_long(1 << 20), ctypes.c_long(4096)) == 0 # punch
        assert os.pread(fd, 4, 1 << 20) == bytes(4) and os.path.getsize("holes") == 1 << 22
    shutil.copyfile("holes", "copy")
    assert get("copy") == bytes(1 << 22)

def test_ranges():
    put("from", os.urandom(300000))
    a, b = os.open("from", os.O_RDONLY), os.open("to", os.O_WRONLY | os.O_CREAT)
    done = 0
    while done < 300000:
        done += os.copy_file_range(a, b, 300000 - done)
    a2 = os.open("to2", os.O_RDWR | os.O_CREAT)
    assert os.sendfile(a2, a, 0, 300000) == 300000
    assert get("to") == get("from") == get("to2")
    for fd in a, b, a2:
        os.close(fd)

def test_links():
    put("f"); fails(errno.EPERM, os.link, "f", "hard")
    os.symlink("f", "in"); os.symlink("/etc/passwd", "out"); os.symlink("nowhere", "broken")
    assert os.readlink("in") == "f" and get("in") == b"x" and os.path.islink("broken") and os.lstat("in").st_size == 1
    assert sorted(e.name for e in os.scandir(".") if e.is_symlink()) == ["broken", "in", "out"]
    os.utime("in", (1, 2), follow_symlinks=False); assert os.lstat("in").st_mtime == 2 and os.stat("f").st_mtime != 2
    fails(errno.ELOOP, os.open, "in", os.O_RDONLY | os.O_NOFOLLOW)
    os.rename("in", "in2"); os.unlink("out"); os.unlink("broken"); assert get("in2") == b"x"
    fails(errno.EPERM, os.mkfifo, "fifo"); fails(errno.EPERM, os.mknod, "dev", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod("plain", stat.S_IFREG | 0o640); assert stat.S_IMODE(os.stat("plain").st_mode) == 0o640

def test_attributes():
    put("f")
    os.setxattr("f", "user.note", b"v"); assert os.getxattr("f", "user.note") == b"v" and os.listxattr("f") == ["user.note"]
    fails(errno.EEXIST, os.setxattr, "f", "user.note", b"w", os.XATTR_CREATE)
    os.removexattr("f", "user.note"); fails(errno.ENODATA, os.getxattr, "f", "user.note")
    fails(errno.ENOTSUP, os.setxattr, "f", "trusted.x", b"v"); fails(errno.ENODATA, os.getxattr, "f", "system.posix_acl_access")
    os.chown("f", os.getuid(), os.getgid()); os.chown("f", -1, -1)
    os.utime("f", ns=(123456789, 987654321)); assert os.stat("f").st_mtime_ns == 987654321
    v = os.statvfs("."); assert v.f_namemax == 255 and v.f_blocks > v.f_bavail > 0
    fails(errno.EOPNOTSUPP, os.open, ".", os.O_TMPFILE | os.O_RDWR)

def test_names():
    long = "ü" * 127 + "x"
    put(long); assert os.listdir(".") == [long]
    fails(errno.ENAMETOOLONG, put, long + "y")
    fails(errno.ENOENT, os.mkdir, "no/such"); put("f"); fails(errno.ENOTDIR, os.mkdir, "f/x")
    for name in (" ", "-rf", "a\\b", "new\nline", "\x01", "'\"$`"):
        put(name, name.encode()); assert get(name) == name.encode()
        os.unlink(name)

def test_locks_and_sync():
    with open("f", "w+b") as f, open("f", "rb") as g:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB); fails(errno.EAGAIN, fcntl.flock, g, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(f, fcntl.LOCK_UN); fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        f.write(b"x"); os.fsync(f.fileno()); os.fdatasync(f.fileno())
        d = os.open(".", os.O_RDONLY); os.fsync(d); os.close(d) # as databases do; only models/NAME itself is published by it
    fd = os.open("f", os.O_WRONLY | os.O_SYNC | os.O_APPEND); os.write(fd, b"y"); os.close(fd)
    fd = os.open("f", os.O_RDONLY | os.O_TRUNC); assert os.read(fd, 9) == b""; os.close(fd)

for name, test in list(globals().items()):
    if name.startswith("test_"):
        os.mkdir(name); os.chdir(name)
        try:
            test(); print("ok", name[5:])
        except Exception as e:
            print("FAIL", name[5:], repr(e))
        os.chdir(".."); shutil.rmtree(name)
assert os.listdir(".") == [], os.listdir(".")
PY
while read -r result name rest; do
	if [ "$result" = ok ]; then pass "$name"; else fail "$name" "$rest"; fi
done < <(/usr/bin/python3 "$WORLD/calls.py" "$MNT/models/calls" 2>&1)
wait "$!" # it stands in the mount until it has ended
check 'unmount' mount_stop
done_testing
