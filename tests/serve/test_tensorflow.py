"""The TensorFlow server without code: the container's rules, the REST forms."""
import base64
import json
import os
import shutil
import struct
import subprocess
import tempfile
import threading
import unittest

import harness

PYTHON = harness.runtime("tensorflow")
ESTIMATOR = os.path.join(harness.DATA, "tensorflow-estimator")
KERAS = os.path.join(harness.DATA, "tensorflow-keras")
SHAPES = os.path.join(harness.DATA, "tensorflow-shapes")

CONVOLUTION = """
import sys, tensorflow as tf
class Net(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": tf.nn.conv2d(x, tf.ones([2, 2, 1, 1]), 1, "VALID")}
net = Net()
tf.saved_model.save(net, sys.argv[1], signatures=net.__call__)
"""


class Shared(unittest.TestCase):
    """One server for the tests of a class."""
    model = None
    env = None

    @classmethod
    def setUpClass(cls):
        if PYTHON is None:
            raise AssertionError("no TensorFlow runtime: run scripts/runtimes tensorflow")
        if cls.model:
            cls.server = harness.Server(PYTHON, "tensorflow_server.py", cls.model, env=cls.env)
            cls.addClassCleanup(cls.server.close)
            cls.server.ready()

    def ok(self, body, *arguments, **headers):
        answer = self.server.invoke(body, *arguments, **headers)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json

    def bad(self, text, body, *arguments, status=400, **headers):
        answer = self.server.invoke(body, *arguments, **headers)
        self.assertEqual(answer.status, status, answer.text)
        self.assertIn(text, answer.json["error"])

    def near(self, one, other):
        self.assertTrue(harness.close_to(one, other), "%s != %s" % (one, other))


class Keras(Shared):
    model = KERAS

    def test_expected(self):
        for request in harness.expected("tensorflow-keras"):
            self.near(self.ok(request["body"]), request["output"])

    def test_answer_is_formatted_as_tensorflow_serving_does(self):
        answer = self.server.invoke([6.4, 3.2, 4.5, 1.5])
        self.assertRegex(answer.text, r'\A\{\n    "predictions": \[\[0\.\d+, 0\.\d+, 0\.\d+\]\n    \]\n\}\Z')
        self.assertEqual(answer.type, "application/json")

    def test_csv(self):
        rows = self.ok({"instances": [[6.4, 3.2, 4.5, 1.5], [1, 2, 3, 4]]})
        self.near(self.ok("6.4,3.2,4.5,1.5\n1,2,3,4\n", "text/csv"), rows)

    def test_json_lines(self):
        rows = self.ok({"instances": [[6.4, 3.2, 4.5, 1.5], [1, 2, 3, 4]]})
        for kind in ("application/jsonlines", "application/jsons", "application/json"):
            self.near(self.ok("[6.4,3.2,4.5,1.5]\n[1,2,3,4]\n", kind), rows)

    def test_accept_takes_newlines_out(self):
        for accept in ("application/json", "application/jsonlines, text/csv"):
            answer = self.server.invoke([[1, 2, 3, 4]], Accept=accept)
            self.assertNotIn("\n", answer.text)
            self.assertEqual(answer.type, accept.split(",")[0])

    def test_unsupported_types(self):
        for kind in ("application/octet-stream", "application/json; charset=utf-8"):
            answer = self.server.invoke("[1]", kind)
            self.assertEqual(answer.status, 415)
            self.assertEqual(answer.text, '{"error": "Unsupported Media Type: %s"}' % kind)
        self.assertEqual(self.server.invoke("[1]", None).text,
                         '{"error": "Unsupported Media Type: Unknown"}')

    def test_bad_requests(self):
        self.bad("JSON Parse error: Invalid value. at offset:", "{nonsense")
        self.bad("No values in 'instances' array", "")
        self.bad("Missing 'inputs' or 'instances' key", {"examples": []})
        self.bad("expecting only one of", {"instances": [], "inputs": []})
        self.bad("is not of expected type: float", [["a", 1, 2, 3]])
        self.bad("Encountered list at unexpected size", [[[1, 2], [3]]])
        self.bad("incorrect level", {"instances": [[[1], 2]]})
        self.bad("Expecting tensor size: 4 but got: 3", [[1, 2, 3, 4], [1, 2, 3]])
        self.bad("at unexpected level", "[" * 70 + "1" + "]" * 70)
        self.bad("nested too deeply", "[" * 100000)
        self.bad("to be an list/array", '{"instances": "\\ud800"}')
        self.bad("found in signature def", {"signature_name": "x", "instances": [1]})

    def test_wrong_shape_is_tensorflows_own_error(self):
        for body in ([1, 2, 3], [[[1, 2, 3, 4]]], 5):
            answer = self.server.invoke(body)
            self.assertEqual(answer.status, 400, answer.text)
            self.assertTrue(answer.json["error"])
        self.ok([1, 2, 3, 4])

    def test_custom_attributes(self):
        name = "X-Amzn-SageMaker-Custom-Attributes"
        body = [[1, 2, 3, 4]]
        self.ok(body, **{name: "tfs-model-name=iris,tfs-model-version=1,tfs-method=predict"})
        self.bad("Servable not found for request: Latest(rose)", body, status=404,
                 **{name: "tfs-model-name=rose"})
        self.bad("Servable not found for request: Specific(iris, 9)", body, status=404,
                 **{name: "tfs-model-version=9"})
        self.bad("Malformed request: POST /v1/models/iris:guess", body, **{name: "tfs-method=guess"})
        self.bad("Expected classification signature", {"examples": [{"x": 1.0}]},
                 **{name: "tfs-method=classify"})

    def test_other_paths(self):
        self.assertEqual(self.server.request("GET", "/").text, '{"error": "Not Found"}')
        answer = self.server.request("GET", "/ping")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_connection_is_kept(self):
        self.server.invoke([[1, 2, 3, 4]])
        port = self.server.connection.sock.getsockname()
        for _ in range(20):
            self.server.invoke([[1, 2, 3, 4]])
        self.assertEqual(self.server.connection.sock.getsockname(), port)

    def test_chunked_and_large_bodies(self):
        rows = b"[" + b",".join([b"[6.4,3.2,4.5,1.5]"] * 200000) + b"]"
        answer = self.server.request("POST", "/invocations", iter([rows[:100], rows[100:]]),
                                     {"Content-Type": "application/json"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(answer.json["predictions"]), 200000)


class Shapes(Shared):
    model = SHAPES

    def test_expected(self):
        for request in harness.expected("tensorflow-shapes"):
            self.near(self.ok(request["body"]), request["output"])

    def test_strings_and_bytes(self):
        body = {"signature_name": "words",
                "instances": ["abc", {"b64": base64.b64encode(b"\xffquite long, beyond a small string")
                              .decode()}]}
        first, second = self.ok(body)["predictions"]
        self.assertEqual(first, {"upper": "ABC", "raw_bytes": {"b64": "YWJj"}, "long": False})
        self.assertEqual(base64.b64decode(second["raw_bytes"]["b64"])[:1], b"\xff")
        self.bad("Unable to base64 decode", {"signature_name": "words", "instances": [{"b64": "%"}]})
        self.bad("is not of expected type: string", {"signature_name": "words", "instances": [1]})

    def test_not_finite_numbers(self):
        answer = self.server.invoke({"signature_name": "inverse", "inputs": [0, -0.0, 3e38, 4]})
        self.assertIn("Infinity", answer.text)
        self.assertIn("-Infinity", answer.text)
        self.assertIn("0.25", answer.text)
        answer = self.server.invoke('{"signature_name": "inverse", "inputs": [NaN]}')
        self.assertIn("NaN", answer.text)

    def test_a_scalar_stays_one(self):
        answer = self.server.invoke({"signature_name": "inverse", "inputs": 4})
        self.assertEqual(answer.text, '{\n    "outputs": 0.25\n}')

    def test_versions(self):
        name = "X-Amzn-SageMaker-Custom-Attributes"
        old = self.ok({"inputs": [2.0]}, **{name: "tfs-model-version=1"})
        self.assertEqual(old, {"outputs": [0.5]})
        self.bad("Missing named input: n", {"inputs": {"x": [[1, 2]]}})
        self.bad("inputs is a plain value/list", {"inputs": [1]})

    def test_types_and_names(self):
        self.bad("is not of expected type: int64", {"inputs": {"x": [[1, 2]], "n": [1.5]}})
        self.bad("does not have named input: y", {"instances": [{"x": [1, 2], "n": 1, "y": 1}]})
        self.bad("keys must be equal to: n,x", {"instances": [{"x": [1, 2]}]})
        self.bad("is not of expected type: int64", {"inputs": {"x": [[1, 2]], "n": [1 << 63]}})
        self.bad("is not of expected type: int64", {"inputs": {"x": [[1, 2]], "n": [True]}})
        self.assertEqual(self.ok({"inputs": {"x": [[1, 2]], "n": [-(1 << 62)]}})["outputs"]["next"],
                         [1 - (1 << 62)])
        self.bad("without loss of precision", {"inputs": {"x": [[123456789, 2]], "n": [1]}})
        self.bad("expecting list of objects", {"instances": [[1, 2]]})


class Estimator(Shared):
    """The post's model: its REST forms; bare lists need the generated handler."""
    model = ESTIMATOR
    classify = {"X-Amzn-SageMaker-Custom-Attributes": "tfs-method=classify"}

    def test_classify(self):
        requests = harness.expected("tensorflow-estimator")
        examples = [{"inputs": [float(x) for x in r["body"]]} for r in requests]
        results = self.ok({"examples": examples}, **self.classify)["results"]
        for row, request in zip(results, requests):
            self.assertEqual([label for label, _ in row], ["0", "1", "2"])
            self.near([score for _, score in row], request["probabilities"])

    def test_classify_context_and_errors(self):
        row = [6.4, 3.2, 4.5, 1.5]
        self.ok({"context": {"inputs": row}, "examples": [{}, {}]}, **self.classify)
        self.bad("Unexpected element type in feature: inputs", {"examples": [{"inputs": [1.5, 1]}]},
                 **self.classify)
        answer = self.server.invoke({"examples": [{"inputs": [6, 3, 4, 1]}]}, **self.classify)
        self.assertEqual(answer.status, 400)
        self.assertIn("Data types don't match", answer.text)
        self.bad("'examples' value is an empty array", {"examples": []}, **self.classify)

    def test_predict_takes_serialized_examples(self):
        request = harness.expected("tensorflow-estimator")[0]
        example = base64.b64encode(serialized_example(request["body"])).decode()
        answer = self.ok({"signature_name": "predict", "instances": [{"b64": example}]})
        self.near(answer["predictions"][0]["probabilities"], request["probabilities"])

    def test_bare_list_without_handler_is_an_error(self):
        self.bad("is not of expected type: string", [6.4, 3.2, 4.5, 1.5])


def serialized_example(row):
    """tf.Example {inputs: float_list} in protobuf's wire form."""
    def field(number, data):
        return bytes([number << 3 | 2, len(data)]) + data
    floats = field(2, field(1, struct.pack("<4f", *row)))
    return field(1, field(1, field(1, b"inputs") + field(2, floats)))


class Life(Shared):
    def start(self, *arguments, **options):
        server = harness.Server(PYTHON, "tensorflow_server.py", *arguments, **options)
        self.addCleanup(server.close)
        return server

    def test_sigterm_lets_requests_end(self):
        server = self.start(KERAS)
        server.ready()
        rows = json.dumps([[6.4, 3.2, 4.5, 1.5]] * 300000)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.invoke(rows)))
        thread.start()
        threading.Event().wait(0.25)  # the request is there, its answer is not
        code, _ = server.stop()
        thread.join()
        self.assertEqual((code, answers[0].status), (0, 200))
        self.assertIn("stopped", server.output())

    def test_sigterm_is_quick_when_idle(self):
        server = self.start(KERAS)
        server.ready()
        code, seconds = server.stop()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 1)

    def test_number_at_the_top_is_called_model(self):
        server = self.start(os.path.join(KERAS, "iris"))
        server.ready()
        self.assertIn("using default model name: model", server.output())

    def test_too_few_dimensions(self):
        """oneDNN's convolutions end the process on them: they are refused before."""
        model = tempfile.mkdtemp(prefix="serve-conv-")
        self.addCleanup(shutil.rmtree, model)
        subprocess.run([PYTHON, "-c", CONVOLUTION, model + "/1"], check=True, stderr=subprocess.DEVNULL)
        server = self.start(model)
        server.ready()
        self.assertEqual(server.invoke({"instances": [[[[1.0], [2]], [[3], [4]]]]}).json, {"predictions": [[[[10.0]]]]})
        for rows in ([[1, 2]], [1], [[[1, 2], [3, 4]]]):
            answer = server.invoke({"instances": rows})
            self.assertEqual(answer.status, 400)
            self.assertIn("the model takes [-1, 2, 2, 1] (-1: any size)", answer.json["error"])
        self.assertIsNone(server.process.poll())

    def test_many_models_and_the_default(self):
        files = {"notes.txt": "", "code/helper.py": ""}
        server = self.start(SHAPES, files=files, env={"SAGEMAKER_TFS_DEFAULT_MODEL_NAME": "rose"})
        self.assertEqual(server.wait(), 1)
        self.assertEqual(server.last_error(),
                         "SAGEMAKER_TFS_DEFAULT_MODEL_NAME is 'rose', but the models are: shapes")

    def test_bad_setting(self):
        server = self.start(KERAS, env={"SAGEMAKER_TFS_INTRA_OP_PARALLELISM": "many"})
        self.assertEqual(server.wait(), 1)
        self.assertIn("the model server cannot start: ValueError", server.last_error())

    def test_no_model(self):
        server = self.start(files={"saved_model.pb": ""})
        self.assertEqual(server.wait(), 1)
        self.assertIn("no SavedModel bundles found!", server.last_error())

    def test_damaged_models(self):
        for name, reason in (("tensorflow-truncated", "truncated or damaged"),
                             ("tensorflow-truncated-variables", "truncated or damaged"),
                             ("tensorflow-no-variables", "variables.data-00000-of-00001; No such file")):
            server = self.start(os.path.join(harness.DATA, "bad", name))
            self.assertEqual(server.wait(), 1)
            self.assertRegex(server.last_error(),
                             r"^cannot load model 'iris' version 1 from 'iris/1': .+" + reason)

    def test_port_without_inherited_socket(self):
        server = self.start(KERAS, env={"SAGEMAKERFS_LISTEN_FD": "", "SAGEMAKER_BIND_TO_PORT": "0"})
        while "serving on 127.0.0.1:" not in server.output() and server.process.poll() is None:
            threading.Event().wait(0.02)
        server.port = int(server.output().split("serving on 127.0.0.1:")[1].split()[0])
        self.assertEqual(server.invoke([1, 2, 3, 4]).status, 200)
