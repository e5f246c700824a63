"""What invoke.sh asks of Python: python3 invoke.py CASE FILE. Ends with 1 and a traceback when it is not so."""
import errno
import json
import mmap
import os
import pathlib
import shutil
import signal
import sys
import threading
import time


def echo(text):
    return json.loads(text)["echo"]


def raises(no, work, *args):
    try:
        work(*args)
    except OSError as e:
        assert e.errno == no, (errno.errorcode[e.errno], errno.errorcode[no])
    else:
        raise AssertionError("no error, %s expected" % errno.errorcode[no])


def write_close(name, data):
    fd = os.open(name, os.O_WRONLY | os.O_TRUNC)
    try:
        while data:
            data = data[os.write(fd, data):]
    finally:
        os.close(fd)


def conversation(name):
    """One O_RDWR handle: write and read go on from offset to offset."""
    fd = os.open(name, os.O_RDWR)
    for i in range(5):
        os.write(fd, b"[%d]" % i)
        assert echo(os.read(fd, 65536)) == "[%d]" % i
        os.pwrite(fd, b"[%d, 0]" % i, 0)
        assert echo(os.pread(fd, 65536, 0)) == "[%d, 0]" % i
    os.close(fd)


def buffered(name):
    with open(name, "r+") as f:
        f.write('{"a": 1}')
        f.seek(0)
        assert echo(f.read()) == '{"a": 1}'
    with open(name, "w+b", buffering=0) as f:
        f.write(b"[7]")
        assert echo(f.read()) == "[7]"


def whole_files(name):
    path = pathlib.Path(name)
    path.write_text("[1, 2]")
    assert echo(path.read_text()) == "[1, 2]"
    path.write_bytes(b"[3]")
    assert echo(path.read_bytes()) == "[3]"
    with open(name) as f:
        json.load(f)
    shutil.copy(name, "/dev/null")
    with open(name, "rb") as f, mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as m:
        assert echo(m[:]) == "[3]"


def exact_sizes(name):
    write_close(name, b"[1]")
    with open(name, "rb") as f:
        data = f.read()
    st = os.stat(name)
    assert st.st_size == len(data) and st.st_blocks == (len(data) + 511) // 512, st
    assert abs(st.st_mtime - time.time()) < 5


def one_answer_a_handle(name):
    """A handle keeps the answer it opened with."""
    write_close(name, b"[1]")
    with open(name, "rb", buffering=0) as f:
        write_close(name, b"[2]")
        assert echo(f.read()) == "[1]"
        f.seek(0)
        assert echo(f.read()) == "[1]"
    assert echo(open(name).read()) == "[2]"


def threads(name):
    """Each thread reads its own answer by separate opens, as it does by one handle."""
    wrong = []

    def work(i):
        for n in range(5):
            body = b"[%d, %d]" % (i, n)
            write_close(name, body)
            with open(name, "rb") as f:
                got = echo(f.read())
            if got != body.decode():
                wrong.append((body, got))

    all_threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in all_threads:
        t.start()
    for t in all_threads:
        t.join()
    assert not wrong, wrong


def big(name):
    body = b"[" + b"1" * (20 << 20) + b"]"
    write_close(name, body)
    with open(name, "rb") as f:
        got = f.read()
    assert len(got) > len(body) and echo(got).encode() == body
    write_close(name, b'{"bytes": 20000000}')
    assert os.stat(name).st_size == 20000000
    with open(name, "rb") as f:
        assert f.read() == b"x" * 20000000


def too_big(name):
    raises(errno.EFBIG, write_close, name, b"[" + b"1" * 26214400)
    with open(name, "rb", buffering=0) as f:
        raises(errno.EFBIG, f.read)
    assert "26214400" in open(os.path.join(os.path.dirname(name), ".error")).read()
    write_close(name, b"[1]")
    assert echo(open(name).read()) == "[1]"


def failures(name):
    """An errno at close and at every read until the next request; the sentence in .error, the endpoint's error, an xattr."""
    here = os.path.dirname(name)
    for status, no in ((400, errno.EBADMSG), (404, errno.EBADMSG), (500, errno.EREMOTEIO), (503, errno.EREMOTEIO)):
        text = "the container says %d" % status
        raises(no, write_close, name, json.dumps({"status": status, "text": text}).encode())
        for _ in range(2):
            with open(name, "rb", buffering=0) as f:
                raises(no, f.read)
        with open(os.path.join(here, ".error")) as f:
            assert text in f.read()
        assert text in os.getxattr(name, "user.sagemaker.error").decode()
        with open(os.path.join(here, "..", "endpoints", os.path.basename(name), "error")) as f:
            assert text in f.read()
    fd = os.open(name, os.O_RDWR)
    os.write(fd, b'{"status": 400, "text": "no"}')
    raises(errno.EBADMSG, os.read, fd, 100)
    raises(errno.EBADMSG, os.pread, fd, 100, 0)
    os.pwrite(fd, b"[1]", 0)
    assert echo(os.pread(fd, 1000, 0)) == "[1]"
    os.close(fd)
    raises(errno.ENODATA, os.getxattr, name, "user.sagemaker.error")


def crash(name):
    raises(errno.EREMOTEIO, write_close, name, b'{"exit": 3}')
    with open(name, "rb", buffering=0) as f:
        raises(errno.EREMOTEIO, f.read)


def interrupted(name):
    """A signal ends a waiting read, and a waiting close, at once; nothing of it is taken for an answer later."""

    class Stop(Exception):
        pass

    def handler(*_):
        raise Stop

    signal.signal(signal.SIGALRM, handler)
    fd = os.open(name, os.O_RDWR)
    os.write(fd, b'{"sleep": 30}')
    begin = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        os.read(fd, 100)
        raise AssertionError("read was not interrupted")
    except Stop:
        pass
    assert time.monotonic() - begin < 10
    os.pwrite(fd, b"[1]", 0)
    assert echo(os.pread(fd, 1000, 0)) == "[1]"
    os.close(fd)


def harmless_signal(name):
    """A signal that means nothing: the read is tried again, and it is the same invocation."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    fd = os.open(name, os.O_RDWR)
    os.write(fd, b'{"sleep": 1}')
    assert echo(os.read(fd, 1000)) == '{"sleep": 1}'
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(fd)


def nothing_invokes(name):
    """What changes nothing but attributes, or nothing at all."""
    os.chmod(name, 0o600)
    os.chown(name, os.getuid(), os.getgid())
    os.utime(name)
    os.truncate(name, 0)
    os.setxattr(name, "user.note", b"x")
    with open(name, "r+b") as f:
        f.truncate(0)
        f.truncate(100)
        os.fsync(f.fileno())
    with open(name, "wb"), open(name, "ab"):
        pass
    with open(name, "wb", buffering=0) as f:
        f.write(b"[1]")
        f.truncate(0)


cases = {f.__name__: f for f in (conversation, buffered, whole_files, exact_sizes, one_answer_a_handle, threads, big, too_big, failures,
                                 crash, interrupted, harmless_signal, nothing_invokes)}
cases[sys.argv[1]](sys.argv[2])
