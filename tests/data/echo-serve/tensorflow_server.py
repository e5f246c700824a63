"""A model server that echoes: for tests of the backend, in place of a framework.

It keeps the contract of sagemaker/local/serve (socket, environment, /ping,
/invocations, SIGTERM) with the standard library alone, and starts in 0.1 s.
POST /invocations answers {"echo": BODY, "content_type": TYPE}, but for a body
that is a JSON object with control words:
  {"sleep": S}                   first waits S seconds (with any other word)
  {"busy": S}                    first computes S seconds, one request at a time as Python does
  {"status": N, "text": "..."}   answers with this status and text
  {"bytes": N}                   answers N bytes of 'x' (application/octet-stream)
  {"exit": N}                    ends the process with N
  {"env": true}                  answers the process's environment
  {"print": [S, ...]}            prints these lines
  {"files": true}                answers the model's files, {path: size}; {"files": "code"} those of the code beside it
  {"run": CODE}                  runs this Python and answers what it leaves in `out`
  {"stream": [S, ...]}           answers each text as a chunk of its own, with "pause" seconds between; "break": true: no end
A model with a file `crash-at-start` anywhere exits 3 at start; one with
`never-ready` answers /ping with 503 for ever, one with `ready-in-N` for N seconds.
"""
import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, TCPServer


def log(text):
    os.write(1, (text + "\n").encode("utf-8", "backslashreplace"))


def model_files(which="model"):
    base = os.path.join(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"), which)
    paths = [os.path.join(at, f) for at, _, files in os.walk(base) for f in files]
    return {os.path.relpath(p, base): os.path.getsize(p) for p in paths}


def model_has(name):
    return any(os.path.basename(path) == name for path in model_files())


def slowness():
    """Seconds that the model wants to take until it is ready."""
    base = os.path.join(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"), "model")
    names = [f for _, _, files in os.walk(base) for f in files if f.startswith("ready-in-")]
    return float(names[0][len("ready-in-"):]) if names else 0


def get_ready():
    Handler.ready = True


def listening_socket():
    if os.environ.get("SAGEMAKERFS_LISTEN_FD"):
        return socket.socket(fileno=int(os.environ["SAGEMAKERFS_LISTEN_FD"]))
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))))
    sock.listen(128)
    return sock


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ready = True
    running = 0
    lock = threading.Lock()

    def setup(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", content_type="application/json"):
        """Head and body in one send, so that no delayed ACK stands between."""
        head = "HTTP/1.1 %d X\r\nContent-Length: %d\r\n" % (status, len(body))
        if body:
            head += "Content-Type: %s\r\n" % content_type
        self.wfile.write(head.encode() + b"\r\n" + body)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            data += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return data

    def do_GET(self):
        if self.path != "/ping":
            self.answer(404, b'{"error": "Not Found"}')
        else:
            self.answer(200 if self.ready else 503)

    def do_POST(self):
        body = self.body()
        with self.lock:
            Handler.running += 1
        try:
            if self.path != "/invocations":
                self.answer(404, b'{"error": "Not Found"}')
            else:
                self.invoke(body)
        finally:
            with self.lock:
                Handler.running -= 1

    def invoke(self, body):
        words = control_words(body)
        log('POST /invocations %d bytes' % len(body))
        for line in words.get("print", ()):
            log(line)
        if "sleep" in words:
            time.sleep(float(words["sleep"]))
        began = time.thread_time()
        while time.thread_time() - began < float(words.get("busy", 0)):
            pass
        if "exit" in words:
            log("exit %s was asked for" % words["exit"])
            os._exit(int(words["exit"]))
        if "bytes" in words:
            self.answer(200, b"x" * int(words["bytes"]), "application/octet-stream")
        elif "status" in words:
            self.answer(int(words["status"]), str(words.get("text", "")).encode(), "text/plain")
        elif "files" in words:
            self.answer(200, json.dumps(model_files("code" if words["files"] == "code" else "model")).encode())
        elif "run" in words:
            names = {"out": None}
            exec(words["run"], names)
            self.answer(200, json.dumps(names["out"]).encode())
        elif "stream" in words:
            self.stream(words)
        elif "env" in words:
            self.answer(200, json.dumps(dict(os.environ)).encode())
        else:
            text = {"echo": body.decode("utf-8", "replace"),
                    "content_type": self.headers.get("Content-Type")}
            self.answer(200, json.dumps(text).encode())


    def stream(self, words):
        self.wfile.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n")
        for text in words["stream"]:
            data = text.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            time.sleep(words.get("pause", 0))
        if words.get("break"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(b"0\r\n\r\n")


def control_words(body):
    try:
        words = json.loads(body)
    except ValueError:
        return {}
    return words if isinstance(words, dict) else {}


class Server(ThreadingMixIn, TCPServer):
    daemon_threads = True

    def __init__(self, sock):
        TCPServer.__init__(self, None, Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock

    def handle_error(self, *_):
        pass  # a client that went away


def leave(server):
    server.shutdown()
    while Handler.running:
        time.sleep(0.002)
    log("stopped")
    os._exit(0)


def main():
    if model_has("crash-at-start"):
        log("starting")
        sys.stderr.write("the model asked for a crash at start\n")
        sys.exit(3)
    slow = slowness()
    Handler.ready = not slow and not model_has("never-ready")
    if slow:
        threading.Timer(slow, get_ready).start()
    server = Server(listening_socket())
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=leave, args=(server,)).start())
    log("echo server is ready")
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
    threading.Event().wait()
