"""The MXNet server: AWS's handlers on real checkpoints."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import harness

PYTHON = harness.runtime("mxnet")
DIGITS = os.path.join(harness.DATA, "mxnet-digits", "model")
IRIS = os.path.join(harness.DATA, "mxnet-iris", "model")
EMPTY_CODE = {"code/inference.py": ""}


def packed_iris():
    """The iris checkpoint under the names that the packer gives it."""
    target = tempfile.mkdtemp(prefix="serve-iris-")
    for name, packed in (("iris-symbol.json", "model-symbol.json"),
                         ("iris-0007.params", "model-0000.params"),
                         ("iris-shapes.json", "model-shapes.json")):
        shutil.copy(os.path.join(IRIS, name), os.path.join(target, packed))
    return target


# A network of two inputs and two outputs as Gluon exports it, and what it answers.
SEVERAL = """
import json, sys
import mxnet as mx
from mxnet import gluon, nd
class Net(gluon.HybridBlock):
    def __init__(self):
        super().__init__()
        self.a, self.b = gluon.nn.Dense(3), gluon.nn.Dense(2)
    def hybrid_forward(self, F, x, y):
        return self.a(x), self.b(F.concat(x, y, dim=1))
net = Net()
net.initialize(mx.init.Xavier())
net.hybridize()
x, y = nd.array([[1, 2, 3, 4], [4, 3, 2, 1]]), nd.array([[5, 6], [7, 8]])
answer = [z.asnumpy().tolist() for z in net(x, y)]
net.export(sys.argv[1] + "/model")
json.dump({"request": {"data0": x.asnumpy().tolist(), "data1": y.asnumpy().tolist()}, "answer": answer}, sys.stdout)
"""


class Mxnet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if PYTHON is None:
            raise AssertionError("no MXNet runtime: run scripts/runtimes mxnet")

    def start(self, model, files=None, env=None):
        server = harness.Server(PYTHON, "mxnet_server.py", model, files or EMPTY_CODE, env)
        self.addCleanup(server.close)
        return server

    def near(self, one, other):
        self.assertTrue(harness.close_to(one, other), "%s != %s" % (one, other))

    def iris(self, *arguments):
        model = packed_iris()
        self.addCleanup(shutil.rmtree, model, True)
        return self.start(model, *arguments)

    def test_generated_code_for_several_inputs_and_outputs(self):
        model = tempfile.mkdtemp(prefix="serve-several-")
        self.addCleanup(shutil.rmtree, model)
        made = json.loads(subprocess.run([PYTHON, "-c", SEVERAL, model], check=True, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL).stdout)
        with open(os.path.join(harness.ROOT, "sagemaker", "handler_gluon.py")) as file:
            code = file.read().replace('INPUTS = ""', 'INPUTS = "data0\\x0adata1"')
        server = self.start(model, {"code/inference.py": code})
        server.ready()
        request = made["request"]
        self.near(server.invoke(request).json, made["answer"])
        self.near(server.invoke([request["data0"], request["data1"]]).json, made["answer"])
        answer = server.invoke({"data0": request["data0"]})
        self.assertEqual(answer.status, 500)
        self.assertIn("the network takes data0 and data1: send application/json, ", answer.text)

    def test_digits(self):
        server = self.start(DIGITS)
        server.ready()
        for request in harness.expected("mxnet-digits"):
            answer = server.invoke(request["body"])
            self.assertEqual((answer.status, answer.type), (200, "application/json"), answer.text)
            self.near(answer.json, request["output"])

    def test_iris_in_every_type(self):
        server = self.iris()
        server.ready()
        for request in harness.expected("mxnet-iris"):
            self.near(server.invoke(request["body"]).json, request["output"])
            row = request["body"][0]
            answer = server.invoke(",".join(map(str, row)), "text/csv")
            self.near(answer.json, request["output"])
            self.near(server.invoke(harness.npy([row]), "application/x-npy").json, request["output"])
            answer = server.invoke(request["body"], Accept="text/csv")
            self.assertEqual(answer.type, "text/csv")
            self.near([float(x) for x in answer.text.split(",")], request["output"][0])

    def test_errors_are_the_toolkits(self):
        server = self.iris()
        server.ready()
        answer = server.invoke("x", "text/plain")
        self.assertEqual(answer.status, 500)
        self.assertIn("Content type text/plain is not supported by this framework.", answer.text)
        answer = server.invoke("{nonsense")
        self.assertEqual(answer.status, 500)
        self.assertIn("JSONDecodeError", answer.text)
        for body in ([[1, 2]], "[]", "3", '"word"', [["a", "b", "c", "d"]]):
            self.assertEqual(server.invoke(body).status, 500)
        self.assertEqual(server.invoke([[1, 2, 3, 4]], Accept="image/png").status, 500)
        self.assertEqual(server.request("GET", "/invocations").json["code"], 405)
        self.assertEqual(server.request("GET", "/x").json["type"], "ResourceNotFoundException")
        self.assertEqual(server.invoke([[1, 2, 3, 4]]).status, 200)
        self.assertEqual(server.request("GET", "/ping").body, b"")

    def test_users_module(self):
        code = ("import json\n"
                "def transform_fn(model, data, content_type, accept):\n"
                "    return json.dumps([content_type, data.upper()]), 'text/x-own'\n")
        server = self.iris({"code/entry.py": code}, {"SAGEMAKER_PROGRAM": "entry.py"})
        server.ready()
        answer = server.invoke('"hello"')
        self.assertEqual((answer.json, answer.type), (["application/json", '"HELLO"'], "text/x-own"))

    def test_default_accept_and_own_input_fn(self):
        code = ("import mxnet as mx\n"
                "def input_fn(data, content_type):\n"
                "    return mx.io.NDArrayIter(mx.nd.array([[float(x) for x in data.split()]]))\n")
        server = self.iris({"code/inference.py": code},
                           {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv"})
        server.ready()
        request = harness.expected("mxnet-iris")[0]
        answer = server.invoke(" ".join(map(str, request["body"][0])), "text/x-rows")
        self.assertEqual((answer.status, answer.type), (200, "text/csv"), answer.text)

    def test_requirements(self):
        code = "import colours\ndef transform_fn(model, data, kind, accept):\n    return colours.RED, 'text/x-own'\n"
        server = self.start(DIGITS, harness.packaged("colours", code))
        server.ready()
        self.assertEqual(server.invoke("").text, "red")
        self.assertIn("Successfully installed colours-1.0\n", server.output())  # and no other numpy

    def test_load_failures(self):
        bad = os.path.join(harness.DATA, "bad", "mxnet-no-shapes")
        server = self.start(bad)
        self.assertEqual(server.wait(), 1)
        self.assertIn("cannot load the model: ValueError: Failed to load model with default "
                      "model_fn: missing file model-symbol.json", server.last_error())
        server = self.start(DIGITS, {"notes": ""})
        self.assertEqual(server.wait(), 1)
        self.assertIn("No module named 'inference'", server.last_error())
        server = self.start(DIGITS, harness.packaged("no-such-package", ""))
        self.assertEqual((server.wait(), server.last_error()), (1, harness.NO_PACKAGE))
        server = self.start(DIGITS, {"code/inference.py": "", "model-0000.params": "nonsense"})
        self.assertEqual(server.wait(), 1)
        self.assertRegex(server.last_error(), "^cannot load the model: MXNetError: .+")

    def test_sigterm_and_kept_connection(self):
        server = self.start(DIGITS)
        server.ready()
        body = json.dumps(harness.expected("mxnet-digits")[0]["body"])
        server.invoke(body)
        port = server.connection.sock.getsockname()
        for _ in range(20):
            self.assertEqual(server.invoke(body).status, 200)
        self.assertEqual(server.connection.sock.getsockname(), port)
        code, seconds = server.stop()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 1)
