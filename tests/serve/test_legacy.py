"""The containers of TensorFlow up to 1.10 and MXNet up to 1.3: the image's version chooses their contract."""
import json
import os
import shutil
import struct
import tempfile
import unittest

import harness
from test_tensorflow import ESTIMATOR, KERAS, SHAPES, serialized_example

TENSORFLOW, MXNET = harness.runtime("tensorflow"), harness.runtime("mxnet")
JSON, CSV, OCTETS = "application/json", "text/csv", "application/octet-stream"
ROW = [6.4, 3.2, 4.5, 1.5]
SCRIPT = {"SAGEMAKER_PROGRAM": "entry.py", "SAGEMAKER_SUBMIT_DIRECTORY": "s3://bucket/sourcedir.tar.gz"}


def field(number, data):
    """A field of bytes in protobuf's wire form."""
    return bytes([number << 3 | 2, len(data)]) + data


def below_servo(model):
    """The model's versions in export/Servo, where the old container looks."""
    target = tempfile.mkdtemp(prefix="serve-servo-")
    shutil.copytree(model, os.path.join(target, "export", "Servo"))
    return target


class Old(unittest.TestCase):
    python, script, version = None, None, None

    def start(self, model, code=None, env=None, version=None):
        files = {} if code is None else {"../code/entry.py": code}
        variables = dict({"SAGEMAKERFS_FRAMEWORK_VERSION": version or self.version}, **SCRIPT if code is not None else {})
        server = harness.Server(self.python, self.script, model, files, dict(variables, **env or {}))
        self.addCleanup(server.close)
        return server

    def served(self, *arguments, **options):
        server = self.start(*arguments, **options)
        server.ready()
        return server

    def near(self, one, other):
        self.assertTrue(harness.close_to(one, other), "%s != %s" % (one, other))

    def fails(self, said, *arguments, **options):
        server = self.start(*arguments, **options)
        self.assertEqual(server.wait(), 1)
        self.assertIn(said, server.last_error())


class Tensorflow(Old):
    python, script, version = TENSORFLOW, "tensorflow_server.py", "1.8.0"

    def servo(self, model):
        target = below_servo(model)
        self.addCleanup(shutil.rmtree, target, True)
        return target

    def scores(self, answer, row=0):
        self.assertEqual(answer.status, 200, answer.text)
        return [c["score"] for c in answer.json["result"]["classifications"][row]["classes"]]

    def test_what_is_classified(self):
        """A list is one Example with the key inputs, so are a dict, a CSV's first row and a scalar."""
        server = self.served(ESTIMATOR)
        for request in harness.expected("tensorflow-estimator"):
            self.near(self.scores(server.invoke([float(x) for x in request["body"]])), request["probabilities"])
        want = harness.expected("tensorflow-estimator")[0]["probabilities"]
        answer = server.invoke(ROW)
        self.assertEqual([c["label"] for c in answer.json["result"]["classifications"][0]["classes"]], ["0", "1", "2"])
        spec = answer.json["modelSpec"]
        self.assertEqual((spec["name"], spec["signatureName"]), ("generic_model", "serving_default"))
        self.near(self.scores(server.invoke({"inputs": ROW})), want)
        self.near(self.scores(server.invoke("6.4,3.2,4.5,1.5\n1,1,1,1\n", CSV)), want)
        self.near(self.scores(server.invoke([{"inputs": [1.0, 1.0, 1.0, 1.0]}, {"inputs": ROW}]), 1), want)
        self.assertEqual(server.invoke(ROW, Accept="*/*").type, JSON)

    def test_errors_are_empty_and_logged(self):
        server = self.served(ESTIMATOR)
        for body, said in (([6, 3, 4, 1], "Data types don't match"), ([1.5, 2.5], "Key: inputs"), ("{nonsense", "JSONDecodeError"),
                           ([[6.4, 3.2]], "Unsupported request data format"), (None, "Unsupported request data format")):
            answer = server.invoke(body)
            self.assertEqual((answer.status, answer.body), (500, b""))
            self.assertIn(said, server.output())
        self.assertEqual(server.invoke(ROW, "text/plain").json,
                         "Requested unsupported ContentType: Unsupported content-type text/plain")
        answer = server.invoke(ROW, Accept="image/png")
        self.assertEqual((answer.status, answer.json),
                         (406, "Requested unsupported ContentType in Accept: invalid accept type image/png"))
        self.assertEqual(server.request("GET", "/other").status, 404)
        self.assertEqual(self.scores(server.invoke(ROW))[1] > 0.9, True)

    def test_messages_as_bytes(self):
        """ClassificationRequest and ClassificationResponse in protobuf's wire form."""
        request = field(2, field(1, field(1, serialized_example(ROW))))
        server = self.served(ESTIMATOR)
        self.near(self.scores(server.invoke(request, OCTETS, Accept=JSON)), self.scores(server.invoke(ROW)))
        answer = server.invoke(request, OCTETS, Accept=OCTETS)
        self.assertEqual(answer.type, OCTETS)
        label = field(1, b"1") + bytes([2 << 3 | 5])
        at = answer.body.index(label) + len(label)
        self.near(struct.unpack("<f", answer.body[at:at + 4])[0], self.scores(server.invoke(ROW))[1])

    def test_the_first_version_names_no_model(self):
        self.assertNotIn("modelSpec", self.served(ESTIMATOR, version="1.4.1").invoke(ROW).json)

    def test_what_is_predicted(self):
        """Tensors by name; a list is the tensor inputs; a tensor message as JSON; the answer has tensor messages."""
        server = self.served(self.servo(os.path.join(KERAS, "iris")))
        request = harness.expected("tensorflow-keras")[0]
        rows = request["output"]["predictions"]
        body = request["body"]["instances"] if isinstance(request["body"], dict) else [request["body"]]
        answer = server.invoke(body)
        self.assertEqual(answer.status, 500)
        name = server.output().split("Inputs expected to be in the set {")[1].split("}")[0]
        answer = server.invoke({name: body})
        self.assertEqual(answer.status, 200, server.output())
        [(_, tensor)] = answer.json["outputs"].items()
        self.assertEqual(tensor["dtype"], "DT_FLOAT")
        self.assertEqual([int(d["size"]) for d in tensor["tensorShape"]["dim"]], [len(rows), 3])
        self.near(tensor["floatVal"], [x for row in rows for x in row])

    def test_types_of_tensors(self):
        code = ("import numpy as np\n"
                "from tensorflow_serving.apis import predict_pb2\n"
                "def input_fn(data, kind):\n"
                "    request = predict_pb2.PredictRequest()\n"
                "    request.model_spec.name = 'generic_model'\n"
                "    x, n = request.inputs['x'], request.inputs['n']\n"
                "    x.dtype, n.dtype = 1, 9\n"
                "    for size in (1, 2): x.tensor_shape.dim.add(size=size)\n"
                "    n.tensor_shape.dim.add(size=1)\n"
                "    x.tensor_content = np.array([1, 2], 'float32').tobytes()\n"
                "    n.int64_val.append(41)\n"
                "    return request\n"
                "def output_fn(response, accept):\n"
                "    return str(response.outputs['next'].int64_val[0])\n")
        server = self.served(self.servo(os.path.join(SHAPES, "shapes")), code)
        answer = server.invoke(b"")
        self.assertEqual((answer.status, answer.text), (200, "42"), server.output())

    def test_functions_of_the_script(self):
        code = ("import json\n"
                "def input_fn(data, kind):\n"
                "    assert kind == 'text/rows', kind\n"
                "    return [float(x) for x in data.decode().split(';')]\n"
                "def output_fn(response, accept):\n"
                "    best = max(response.result.classifications[0].classes, key=lambda c: c.score)\n"
                "    return 'klasse \\u00fc' + best.label\n")
        answer = self.served(ESTIMATOR, code).invoke("6.4;3.2;4.5;1.5", "text/rows", Accept="text/plain")
        self.assertEqual((answer.status, answer.text, answer.type), (200, "klasse \u00fc1", "text/plain; charset=utf-8"))
        code = "def transform_fn(data, kind, accept):\n    return data[::-1]\n"
        self.assertEqual(self.served(ESTIMATOR, code).invoke("abc", CSV).text, "cba")
        code = "import os\ndef estimator_fn(*_):\n    raise RuntimeError('hosting trains nothing')\n"
        self.near(self.scores(self.served(ESTIMATOR, code).invoke(ROW)),
                  harness.expected("tensorflow-estimator")[0]["probabilities"])

    def test_what_cannot_start(self):
        self.fails("there is no export/Servo/NUMBER/saved_model.pb", KERAS)
        self.fails("ModuleNotFoundError: No module named 'no_such'", ESTIMATOR, "import no_such\n")
        self.fails("is no s3:// URL", ESTIMATOR, env={"SAGEMAKER_PROGRAM": "x.py"})

    def test_packages(self):
        """Only what SAGEMAKER_REQUIREMENTS names is installed, of what the script came with."""
        named = {"SAGEMAKERFS_FRAMEWORK": "tensorflow", "SAGEMAKER_REQUIREMENTS": "needs.txt"}
        code = "import colours\ndef transform_fn(data, kind, accept):\n    return colours.RED\n"
        files = {name.replace("code/", "../code/").replace("requirements.txt", "needs.txt"): data
                 for name, data in harness.packaged("colours", code).items()}
        files["../code/requirements.txt"] = "no-such-package\n"
        files["../code/entry.py"] = files.pop("../code/inference.py")
        server = harness.Server(self.python, self.script, ESTIMATOR, files,
                                dict(SCRIPT, SAGEMAKERFS_FRAMEWORK_VERSION="1.8.0", **named))
        self.addCleanup(server.close)
        server.ready()
        self.assertEqual(server.invoke("", CSV).text, "red")


class Mxnet(Old):
    python, script, version = MXNET, "mxnet_server.py", "1.2.1"
    digits = os.path.join(harness.DATA, "mxnet-digits", "model")

    def digit(self):
        return harness.expected("mxnet-digits")[0]

    def flat(self, value):
        return [x for row in value for x in self.flat(row)] if isinstance(value, list) else [value]

    def test_an_empty_script(self):
        for version in ("1.2.1", "1.3.0"):
            server = self.served(self.digits, "", version=version)
            for request in harness.expected("mxnet-digits"):
                answer = server.invoke(request["body"])
                self.assertEqual((answer.status, answer.type), (200, JSON), server.output())
                self.near(answer.json, request["output"])
            row = ",".join(map(str, self.flat(self.digit()["body"])))
            answer = server.invoke(row, CSV, Accept=CSV)
            self.assertEqual(answer.status, 200, server.output())
            self.near([float(x) for x in answer.text.strip().split(",")], self.flat(self.digit()["output"]))

    def test_rows_of_zeros_fill_a_batch(self):
        server = self.served(self.digits, "", {"SAGEMAKER_DEFAULT_MODEL_FIRST_DIMENSION_SIZE": "4"})
        self.near(server.invoke(self.digit()["body"]).json, self.digit()["output"])

    def test_functions_to_1_2(self):
        """The model comes first, answers are pairs with their type."""
        code = ("import json\n"
                "def input_fn(model, data, kind):\n    return json.loads(data)['n']\n"
                "def predict_fn(model, data):\n    return len(model.data_shapes) + data\n"
                "def output_fn(data, accept):\n    return 'sum %d' % data, 'text/plain'\n")
        answer = self.served(self.digits, code).invoke({"n": 41})
        self.assertEqual((answer.status, answer.text), (200, "sum 42"))
        code = "def transform_fn(model, data, kind, accept):\n    return data.upper(), kind\n"
        self.assertEqual(self.served(self.digits, code).invoke("abc", CSV).text, "ABC")

    def test_functions_of_1_3(self):
        code = ("import json\n"
                "def input_fn(data, kind):\n    return json.loads(data)['n']\n"
                "def predict_fn(data, model):\n    return data + 1\n"
                "def output_fn(data, accept):\n    return str(data), 'text/plain'\n")
        self.assertEqual(self.served(self.digits, code, version="1.3.0").invoke({"n": 41}).text, "42")

    def test_errors(self):
        server = self.served(self.digits, "")
        answer = server.invoke("x", "text/plain")
        self.assertEqual((answer.status, answer.json), (415, "Requested unsupported ContentType: text/plain"))
        answer = server.invoke(self.digit()["body"], Accept="image/png")
        self.assertEqual((answer.status, answer.json), (406, "Requested unsupported ContentType in Accept: image/png"))
        answer = server.invoke("nonsense")
        self.assertEqual((answer.status, answer.body), (500, b""))
        self.fails("runs no model without a script", self.digits)
        self.fails("missing model-symbol.json file", None, "")
        self.fails("Unsupported model type: str", self.digits, "def model_fn(directory):\n    return 'model'\n")
        self.fails("ZeroDivisionError", self.digits, "1 / 0\n", version="1.3.0")
