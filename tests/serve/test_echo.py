"""The echo server that the backend's tests use in place of a framework."""
import os
import threading
import time
import unittest

import harness

ECHO = os.path.join(harness.DATA, "echo-serve")


class Echo(unittest.TestCase):
    def server(self, script="tensorflow_server.py", **options):
        server = harness.Server(harness.PYTHON, script, serve=ECHO, **options)
        self.addCleanup(server.close)
        return server

    def test_echoes_and_obeys(self):
        server = self.server("mxnet_server.py")
        self.assertLess(server.ready(), 2)
        self.assertEqual(server.invoke("hä", "text/csv").json, {"echo": "hä", "content_type": "text/csv"})
        answer = server.invoke({"status": 418, "text": "teapot"})
        self.assertEqual((answer.status, answer.text), (418, "teapot"))
        self.assertEqual(len(server.invoke({"bytes": 3000000}).body), 3000000)
        begin = time.monotonic()
        server.invoke({"sleep": 0.2})
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)

    def test_exit(self):
        server = self.server()
        server.ready()
        with self.assertRaises(Exception):
            server.invoke({"exit": 7})
        self.assertEqual(server.wait(), 7)

    def test_crash_at_start(self):
        server = self.server(files={"deep/crash-at-start": ""})
        self.assertEqual(server.wait(), 3)
        self.assertEqual(server.last_error(), "the model asked for a crash at start")

    def test_never_ready(self):
        server = self.server(files={"never-ready": ""})
        self.assertEqual(server.request("GET", "/ping").status, 503)

    def test_sigterm_lets_the_request_end(self):
        server = self.server()
        server.ready()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.invoke({"sleep": 0.5})))
        thread.start()
        time.sleep(0.2)
        code, _ = server.stop()
        thread.join()
        self.assertEqual((code, answers[0].status), (0, 200))
