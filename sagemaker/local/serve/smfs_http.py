"""What the model servers share: socket, log, HTTP server, the end by SIGTERM.

A server is a WSGI application behind waitress. run() returns never: the process
leaves with 0 when SIGTERM came and the requests in flight are answered.
Modules here are called smfs_* so that a user's modules never clash with them.
"""
import json
import os
import re
import signal
import socket
import sys
import threading
import time

LISTEN_FD_VARIABLE = "SAGEMAKERFS_LISTEN_FD"
# A backend that proxies keeps connections open: as many as it likes, and for
# longer than any pause between two requests of a notebook.
CONNECTIONS = 4096
IDLE_SECONDS = 24 * 3600
# Where requests run. Waiting ones (a handler that sleeps or asks another
# service) must not keep the others out; computing ones share the cores anyway.
THREADS = 32
DRAIN_SECONDS = 60
# The largest request of SageMaker (25 MiB) stays in memory, in few reads.
MEMORY_BYTES = 64 << 20
RECEIVE_BYTES = 256 << 10
# Of one event in the log; an exception's message may be a whole request.
LINE_CHARACTERS = 8192

REASONS = {
    200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 409: "Conflict",
    413: "Payload Too Large", 415: "Unsupported Media Type",
    429: "Too Many Requests", 499: "Client Closed Request",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 507: "Insufficient Storage",
}


def one_line(text):
    text = " ".join(str(text)[:2 * LINE_CHARACTERS].split())
    return text if len(text) <= LINE_CHARACTERS else text[:LINE_CHARACTERS] + "..."


def cut(text):
    """Of what may be as long as a request, what a log takes."""
    return text.rstrip("\n") if len(text) <= 8 * LINE_CHARACTERS else text[:8 * LINE_CHARACTERS] + "..."


def log(level, text):
    """One event, one line, one write: lines of several threads do not mix."""
    line = "%s:%s: %s\n" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()), level,
                            one_line(text))
    write(1, line)


def write(fd, text):
    try:
        os.write(fd, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # a log that nobody reads any more is no reason to stop serving


def log_exception(text):
    """The traceback on stdout, for the log, below one line that says what."""
    import traceback
    log("ERROR", text)
    write(1, cut(traceback.format_exc()) + "\n")


def flush():
    """What was printed, if the model's code has left something to print to."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def with_advice(text):
    """What the container lacks can be installed, unless it is the model's own script."""
    lacks = re.search(r"No module named '(\w+)[^']*'", text)
    script = os.environ.get("SAGEMAKER_PROGRAM", "inference").partition(".")[0]
    if not lacks or lacks.group(1) in (script, "inference"):
        return text
    # what else was to be said, that another version of the framework may do, is not what is wrong
    return "%s: put it into code/, or name its package in code/requirements.txt" % text[:lacks.end()]


def fail(text):
    """Ends the process; the last line of stderr becomes the FailureReason."""
    text = with_advice(text)
    flush()
    write(2, one_line(text) + "\n")
    os._exit(1)


class Turn:
    """One request at a time, as in one worker of the container, which ends a worker that takes too long: so
    does this, and the backend starts the server again. `with Turn(seconds): ...` around each request."""

    def __init__(self, seconds):
        self.seconds, self.lock, self.begins = seconds, threading.Lock(), threading.Condition()
        self.until, self.idle = None, False  # when the one that runs is late; whether nobody watches
        threading.Thread(target=self.watch, daemon=True).start()

    def __enter__(self):
        self.lock.acquire()
        self.until = time.monotonic() + self.seconds
        if self.idle:
            with self.begins:
                self.begins.notify()

    def __exit__(self, *_):
        self.until = None
        self.lock.release()

    def watch(self):
        """Wakes once in `seconds` while requests come, not at all while none do."""
        while True:
            until = self.until
            if until is None:
                self.wait_for_one()
            elif time.monotonic() < until:
                time.sleep(max(0, until - time.monotonic()))
            elif self.until == until:
                fail("a request took longer than %g s: the model server ends, to be started again" % self.seconds)

    def wait_for_one(self):
        with self.begins:
            self.idle = True
            if self.until is None:
                self.begins.wait()
            self.idle = False


def server_timeout(*names):
    """Seconds of the first of the container's variables that is set, else its default."""
    for name in (*names, "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS", "SAGEMAKER_MODEL_SERVER_TIMEOUT"):
        try:
            return max(0.001, float(os.environ[name]))
        except (KeyError, ValueError):
            pass
    return 60


def log_version(framework, version):
    """Which version serves, beside the one that the image asked for."""
    wanted = os.environ.get("SAGEMAKERFS_FRAMEWORK_VERSION") or "any"
    log("INFO", "%s %s (asked for: %s)" % (framework, version, wanted))


def version_hint(name, version):
    """What to add when a model does not load: it may be another version's than the runtime's."""
    wanted = os.environ.get("SAGEMAKERFS_FRAMEWORK_VERSION", "")
    if not wanted or re.findall(r"\d+", wanted)[:2] == re.findall(r"\d+", version)[:2]:
        return ""
    return ("; the image has %s %s, this runtime %s, and a model may need its own version: "
            "'scripts/runtimes %s==VERSION' installs one" % (name, wanted, version, name))


def base_dir():
    return os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")


def model_dir():
    return os.path.join(base_dir(), "model")


def listening_socket():
    """The socket that the runner opened, else one on loopback."""
    fd = os.environ.get(LISTEN_FD_VARIABLE)
    if fd:
        try:
            sock = socket.socket(fileno=int(fd))
        except (OSError, ValueError) as error:
            fail("%s=%s is not a listening socket: %s" % (LISTEN_FD_VARIABLE, fd, error))
        sock.set_inheritable(False)
        return sock
    port = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")
    try:
        return bound_socket(int(port))
    except (OSError, ValueError, OverflowError) as error:
        fail("cannot listen on 127.0.0.1:%s: %s" % (port, error))


def bound_socket(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(1024)
    return sock


def reply(start_response, status, body=b"", content_type="application/json", headers=()):
    """A complete answer as a WSGI result; body is str or bytes."""
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    if not isinstance(body, (bytes, bytearray)):
        raise TypeError("the answer is %s: it must be text or bytes" % type(body).__name__)
    fields = [("Content-Length", str(len(body)))]
    if body and content_type:
        fields.append(("Content-Type", content_type))
    fields.extend(headers)
    start_response("%d %s" % (status, REASONS.get(status, "Unknown")), fields)
    return [body]


def error_json(text):
    return json.dumps({"error": text})


def body_of(environ):
    return environ["wsgi.input"].read()


def logged(app):
    """The access line of each request but the pings that went well."""

    def wrapped(environ, start_response):
        begin = time.monotonic()
        seen = []

        def start(status, headers, exc_info=None):
            seen[:] = [status.split(" ", 1)[0]]
            return start_response(status, headers)

        try:
            return app(environ, start)
        except BaseException as error:  # the client gets an answer, whatever broke; sys.exit() ends no server
            log_exception("exception handling request: %s: %s" % (type(error).__name__, error))
            if seen:
                raise  # a part of the answer is sent: it breaks off
            return reply(start, 500, error_json(str(error) or type(error).__name__))
        finally:
            if environ["PATH_INFO"] != "/ping" or seen[:1] != ["200"]:
                log("INFO", '"%s %s" %s %.1f ms' % (
                    environ["REQUEST_METHOD"], environ["PATH_INFO"], (seen or ["-"])[0],
                    (time.monotonic() - begin) * 1000))

    return wrapped


def make_server(app, sock, channels):
    import logging
    import waitress.server
    # Requests that wait for a thread are no event for the endpoint's log.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # expose_tracebacks off, no Server header: answers carry what the
    # container's would carry and no more.
    return waitress.server.create_server(
        app, map=channels, sockets=[sock], threads=THREADS, ident=None,
        connection_limit=CONNECTIONS, channel_timeout=IDLE_SECONDS,
        asyncore_use_poll=True, backlog=1024, cleanup_interval=3600, recv_bytes=RECEIVE_BYTES,
        inbuf_overflow=MEMORY_BYTES, outbuf_overflow=MEMORY_BYTES)


def serve_beside(app, sock):
    """Serves in a thread of its own; returns the port."""
    server = make_server(app, sock, {})
    threading.Thread(target=server.run, daemon=True).start()
    return sock.getsockname()[1]


def run(app):
    """Serves app on the listening socket until SIGTERM."""
    sock = listening_socket()
    server = make_server(logged(app), sock, {})
    stop = threading.Event()
    threading.Thread(target=drain, args=(server, stop), daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log("INFO", "serving on %s:%d" % sock.getsockname()[:2])
    server.run()


def idle(server):
    """No request is queued, running, or still being sent."""
    return not any(channel.requests or channel.total_outbufs_len
                   for channel in list(server.active_channels.values()))


def drain(server, stop):
    """Waits for SIGTERM, lets what is in flight end, then leaves at once.

    os._exit, because tearing down a framework takes longer than serving with it.
    """
    stop.wait()
    log("INFO", "stopping")
    server.accepting = False  # connections that exist are still served
    deadline = time.monotonic() + DRAIN_SECONDS
    while not idle(server) and time.monotonic() < deadline:
        time.sleep(0.002)
    log("INFO", "stopped")
    flush()
    os._exit(0)


def start(main):
    """Runs a server's main; whatever it raises is the reason why it failed."""
    sys.stdout.reconfigure(line_buffering=True)  # what users print is log, too
    try:
        main()
    except Exception as error:
        log_exception("the model server cannot start")
        fail("the model server cannot start: %s: %s" % (type(error).__name__, error))
