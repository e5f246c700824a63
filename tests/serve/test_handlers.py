"""code/inference.py with the TensorFlow server: the container's contract."""
import os
import threading
import unittest

import harness
from test_tensorflow import ESTIMATOR, KERAS, PYTHON

# What a handler for an export that parses tf.Examples has to do: it reaches
# :classify through the URI of the context.
CLASSIFY = '''
import json
import requests

def handler(data, context):
    rows = json.loads(data.read().decode("utf-8"))
    if not isinstance(rows[0], list):
        rows = [rows]
    body = json.dumps({"examples": [{"inputs": [float(x) for x in row]} for row in rows]})
    response = requests.post(context.rest_uri.replace(":predict", ":classify"), data=body)
    if response.status_code != 200:
        raise ValueError(response.content.decode("utf-8"))
    return response.content, context.accept_header
'''
PAIR = '''
import json
import helper

def input_handler(data, context):
    assert context.request_content_type == "application/x-rows", context
    return json.dumps({"instances": helper.rows(data.read().decode("utf-8"))})

def output_handler(response, context):
    return response.content.decode("utf-8").replace("predictions", context.custom_attributes or "p"), "text/x-answer"
'''
HELPER = '''
import fromlib

def rows(text):
    return [[float(x) for x in line.split()] for line in text.splitlines()]
'''
CONTEXT = '''
import json

def handler(data, context):
    fields = context._asdict()
    fields["body"] = data.read().decode()
    return json.dumps(fields), "application/json"
'''
FAILING = '''
def handler(data, context):
    raise KeyError("no such flower")
'''
SLOW = '''
import time, requests

def handler(data, context):
    time.sleep(0.4)
    return requests.post(context.rest_uri, data=data.read()).content, "application/json"
'''


STATUS = '''
import requests

print("printed while imported")

def handler(data, context):
    uri = context.rest_uri.rpartition(":")[0] + data.read().decode()
    print("asking", uri.rpartition("/")[2])
    response = requests.get(uri)
    return response.content, response.headers["Content-Type"]
'''


class Handlers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if PYTHON is None:
            raise AssertionError("no TensorFlow runtime: run scripts/runtimes tensorflow")

    def start(self, code, model=KERAS, env=None, **files):
        files = {"code/" + name.replace("__", "/") + ".py": text for name, text in files.items()}
        files["code/inference.py"] = code
        server = harness.Server(PYTHON, "tensorflow_server.py", model, files, env)
        self.addCleanup(server.close)
        return server

    def test_classify_with_requests(self):
        server = self.start(CLASSIFY, ESTIMATOR)
        server.ready()
        for request in harness.expected("tensorflow-estimator"):
            answer = server.invoke(request["body"])
            self.assertEqual((answer.status, answer.type), (200, "application/json"), answer.text)
            scores = [score for _, score in answer.json["results"][0]]
            self.assertTrue(harness.close_to(scores, request["probabilities"]))
        answer = server.invoke([1, 2])
        self.assertEqual(answer.status, 500)
        self.assertIn("Key: inputs", answer.json["error"])

    def test_input_and_output_handler(self):
        server = self.start(PAIR, helper=HELPER, lib__fromlib="")
        server.ready()
        answer = server.invoke("6.4 3.2 4.5 1.5\n1 2 3 4", "application/x-rows",
                               X_Amzn_SageMaker_Custom_Attributes="tfs-model-name=iris")
        self.assertEqual((answer.status, answer.type), (200, "text/x-answer"), answer.text)
        self.assertEqual(len(answer.json["tfs-model-name=iris"]), 2)
        self.assertEqual(server.invoke("1", "text/csv").status, 500)

    def test_context(self):
        server = self.start(CONTEXT)
        server.ready()
        fields = server.invoke("body", "text/x").json
        self.assertRegex(fields["rest_uri"], r"^http://127\.0\.0\.1:\d+/v1/models/iris:predict$")
        self.assertEqual(fields["request_content_type"], "text/x")
        self.assertEqual((fields["content_length"], fields["body"]), (4, "body"))
        self.assertIsNone(fields["model_name"])
        fields = server.invoke("", None, X_Amzn_SageMaker_Custom_Attributes=
                               "tfs-model-name=a,tfs-model-version=3,tfs-method=regress").json
        self.assertTrue(fields["rest_uri"].endswith("/v1/models/a/versions/3:regress"))
        self.assertEqual(fields["request_content_type"], "application/json")

    def test_status_and_metadata_of_the_model(self):
        server = self.start(STATUS)
        server.ready()
        self.assertIn("printed while imported\n", server.output())
        states = server.invoke("").json["model_version_status"]
        self.assertEqual([(s["version"], s["state"]) for s in states], [("1", "AVAILABLE")])
        self.assertIn("asking iris\n", server.output())
        signatures = server.invoke("/metadata").json["metadata"]["signature_def"]["signature_def"]
        shape = signatures["serving_default"]["inputs"]
        self.assertEqual([d["size"] for d in next(iter(shape.values()))["tensor_shape"]["dim"]],
                         ["-1", "4"])
        self.assertIn("Malformed request", server.invoke("/nonsense").json["error"])

    def test_exception_is_500(self):
        server = self.start(FAILING)
        server.ready()
        answer = server.invoke("x")
        self.assertEqual((answer.status, answer.json), (500, {"error": "'no such flower'"}))
        self.assertIn("KeyError", server.output())

    def test_requests_run_side_by_side(self):
        server = self.start(SLOW)
        server.ready()
        answers = []

        def ask():
            connection = harness.http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.request("POST", "/invocations", '{"instances": [[1, 2, 3, 4]]}')
            answers.append(connection.getresponse().status)
            connection.close()

        threads = [threading.Thread(target=ask) for _ in range(24)]
        begin = harness.time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 24)
        self.assertLess(harness.time.monotonic() - begin, 3)

    def test_one_of_the_pair_alone(self):
        server = self.start("def input_handler(data, context): pass")
        self.assertEqual(server.wait(), 1)
        self.assertEqual(server.last_error(), "cannot import code/inference.py: NotImplementedError: "
                                              "Handlers are not implemented correctly in user script.")

    def test_broken_code(self):
        server = self.start("import no_such_module")
        self.assertEqual(server.wait(), 1)
        self.assertEqual(server.last_error(), "cannot import code/inference.py: ModuleNotFoundError: "
                                              "No module named 'no_such_module': put it into code/, or "
                                              "name its package in code/requirements.txt")

    def test_requirements(self):
        code = ("import colours, sys\n"
                "def handler(data, context):\n    return colours.RED + str('packages' in colours.__file__), 'text/plain'\n")
        files = harness.packaged("colours", code)
        server = harness.Server(PYTHON, "tensorflow_server.py", KERAS, files)
        self.addCleanup(server.close)
        server.ready()
        self.assertEqual(server.invoke("").text, "redTrue")
        self.assertIn("Successfully installed colours-1.0\n", server.output())  # and no other numpy
        files["code/lib/colours.py"] = "RED = 'rot'"
        server = harness.Server(PYTHON, "tensorflow_server.py", KERAS, files)
        self.addCleanup(server.close)
        server.ready()
        self.assertEqual(server.invoke("").text, "rotFalse")
        server = harness.Server(PYTHON, "tensorflow_server.py", KERAS, harness.packaged("no-such-package", code))
        self.addCleanup(server.close)
        self.assertEqual((server.wait(), server.last_error()), (1, harness.NO_PACKAGE))

    def test_read_only_model(self):
        server = self.start(CONTEXT, helper="")
        server.ready()
        self.assertFalse(os.path.exists(os.path.join(server.base, "model", "code", "__pycache__")))


