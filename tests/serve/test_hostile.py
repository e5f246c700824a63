"""Models whose code misbehaves: what of it a client sees, what the log has, and that the next request is answered."""
import os
import signal
import threading
import unittest

import harness
from test_tensorflow import KERAS

TENSORFLOW, SKLEARN, MXNET = (harness.runtime(name) for name in ("tensorflow", "sklearn", "mxnet"))
DIGITS = os.path.join(harness.DATA, "mxnet-digits", "model")
# What the request asks for happens; the answer to anything else is its own text.
MISCHIEF = '''
import os, sys, subprocess, threading, time

class Odd:
    def __str__(self):
        raise RuntimeError("no text")

def do(text):
    if text == "print":
        for n in range(100000):
            print("line %d of what nobody asked for" % n)
        print("no end of line", end="")
        sys.stderr.write("\\u20ac " * 1000)
    if text == "exit":
        sys.exit("enough")
    if text == "interrupt":
        raise KeyboardInterrupt
    if text == "unicode":
        raise ValueError("\\u00fc \\ud800 \\x00 \\U0001f600")
    if text == "long":
        raise ValueError("x" * 5000000)
    if text == "deep":
        return do(text)
    if text == "fork":
        if os.fork() == 0:
            os._exit(7)
        return os.wait()[1] >> 8
    if text == "child":
        return subprocess.run(["echo", "out"], check=True).returncode
    if text == "thread":
        threading.Thread(target=lambda: 1 / 0).start()
    if text == "close":
        sys.stdout.close()
        sys.stderr.close()
        os.close(1)
    if text == "type":
        return {"no": Odd()}
    if text == "set":
        return {1, 2}
    if text == "large":
        return "x" * (30 << 20)
    if text == "slow":
        time.sleep(600)
    if text == "die":
        os._exit(3)
    return text
'''
FAILS = ("exit", "interrupt", "unicode", "long", "deep", "type", "set", "fork", "child")
WORKS = ("print", "thread", "large", "close", "after all")


class Hostile(unittest.TestCase):
    def start(self, python, script, model, code, env=None):
        server = harness.Server(python, script, model, {"code/inference.py": MISCHIEF + code}, env)
        self.addCleanup(server.close)
        server.ready()
        return server

    def tensorflow(self, env=None):
        return self.start(TENSORFLOW, "tensorflow_server.py", KERAS,
                          "def handler(data, context):\n    return do(data.read().decode()), 'text/plain'\n", env)

    def sklearn(self, env=None):
        code = ("def model_fn(directory):\n    return 1\n"
                "def transform_fn(model, data, kind, accept):\n    return do(data.decode()), 'text/plain'\n")
        return self.start(SKLEARN, "sklearn_server.py", None, code, dict(
            env or {}, SAGEMAKER_PROGRAM="inference.py", SAGEMAKER_SUBMIT_DIRECTORY="/opt/ml/model/code"))

    def mxnet(self, env=None):
        code = "def transform_fn(model, data, kind, accept):\n    return do(data.decode()), 'text/plain'\n"
        return self.start(MXNET, "mxnet_server.py", DIGITS, code, env)

    def misbehave(self, server, fails=FAILS):
        """Every kind of it; the server stays and ends when it is told to."""
        for word in fails:
            answer = server.invoke(word, "text/plain")
            self.assertGreaterEqual(answer.status, 500, word)
        for word in WORKS:
            answer = server.invoke(word, "text/plain")
            self.assertEqual(answer.status, 200, (word, answer.body[:300]))
            self.assertEqual(answer.body, b"x" * (30 << 20) if word == "large" else word.encode())
        self.assertEqual(server.stop()[0], 0)
        log = server.output()
        self.assertIn("line 99999 of what nobody asked for", log)
        self.assertLess(max(map(len, log.splitlines())), 70000)
        return log

    def test_tensorflow(self):
        log = self.misbehave(self.tensorflow())
        self.assertIn("exception handling request: enough", log)

    def test_sklearn(self):
        log = self.misbehave(self.sklearn())
        self.assertIn("Exception on /invocations [POST]: enough", log)

    def test_mxnet(self):
        """AWS's handler service makes JSON of a number; the rest is the same."""
        self.misbehave(self.mxnet(), [word for word in FAILS if word not in ("fork", "child")])

    def test_what_dies_takes_its_request_along(self):
        for start in (self.tensorflow, self.sklearn, self.mxnet):
            server = start()
            with self.assertRaises((OSError, harness.http.client.HTTPException)):
                server.invoke("die", "text/plain")
            self.assertEqual(server.wait(), 3)

    def test_a_request_that_takes_too_long_ends_the_server(self):
        """As the container ends its worker; those that wait behind it go with it."""
        for start in (self.sklearn, self.mxnet):
            server = start({"SAGEMAKER_MODEL_SERVER_TIMEOUT": "1"})
            with self.assertRaises((OSError, harness.http.client.HTTPException)):
                server.invoke("slow", "text/plain")
            self.assertEqual(server.wait(), 1)
            self.assertEqual(server.last_error(), "a request took longer than 1 s: the model server ends, to be started again")

    def test_others_are_answered_while_one_is_slow(self):
        server = self.tensorflow()
        thread = threading.Thread(target=lambda: self.assertRaises(Exception, server.invoke, "slow", "text/plain"), daemon=True)
        thread.start()
        other = harness.http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        other.request("POST", "/invocations", b"quick", {"Content-Type": "text/plain"})
        self.assertEqual(other.getresponse().read(), b"quick")
        other.close()
        server.process.send_signal(signal.SIGKILL)
        server.wait()
        thread.join(30)

    def test_streamed_answers(self):
        """The pieces of a worker.Response come as they are made."""
        code = ("from sagemaker_containers.beta.framework import worker\n"
                "def model_fn(directory):\n    return 1\n"
                "def transform_fn(model, data, kind, accept):\n"
                "    return worker.Response(iter(['one ', b'two ', 'dr\\u00fci']), mimetype='text/plain')\n")
        answer = self.start(SKLEARN, "sklearn_server.py", None, code, {
            "SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}).invoke("", "text/plain")
        self.assertEqual((answer.status, answer.text), (200, "one two dr\u00fci"))

    def test_import_that_never_ends_or_exits(self):
        """The socket takes no one in before the model is there; what exits while it is imported is a failure with its name."""
        for script, python, env in (("tensorflow_server.py", TENSORFLOW, {}), ("mxnet_server.py", MXNET, {}), ("sklearn_server.py", SKLEARN, {
                "SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"})):
            model = {MXNET: DIGITS, TENSORFLOW: KERAS}.get(python)
            server = harness.Server(python, script, model, {"code/inference.py": "import sys\nsys.exit(0)\n"}, env)
            self.addCleanup(server.close)
            self.assertEqual(server.wait(), 1)
            self.assertIn("SystemExit: 0", server.last_error())
