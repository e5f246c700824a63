"""The PyTorch server: AWS's handlers on a TorchScript that the runtime itself trained."""
import io
import json
import struct
import zipfile

import harness

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
MODEL_FN = ("import os, torch\n"
            "def model_fn(model_dir):\n"
            "    layers = torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)\n"
            "    model = torch.nn.Sequential(*layers)\n"
            "    model.load_state_dict(torch.load(os.path.join(model_dir, 'iris.pth')))\n"
            "    return model\n")


def read_npy(data):
    """The numbers of a float64 array, without numpy."""
    size = struct.unpack("<H", data[8:10])[0]
    assert b"'<f8'" in data[10:10 + size], data[:128]
    return list(struct.unpack("<%dd" % ((len(data) - 10 - size) // 8), data[10 + size:]))


def npz(rows):
    """A sparse matrix as scipy.sparse.save_npz writes it is what the toolkit means by npz: here in CSR."""
    def vector(code, kind, values):
        head = ("{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }" % (kind, len(values))).ljust(117) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack(
            "<%d%s" % (len(values), code), *values)

    def scalar(text):
        head = ("{'descr': '|S%d', 'fortran_order': False, 'shape': (), }" % len(text)).ljust(117) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + text

    width = len(rows[0])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("format.npy", scalar(b"csr"))
        archive.writestr("shape.npy", vector("q", "<i8", [len(rows), width]))
        archive.writestr("data.npy", vector("f", "<f4", [x for row in rows for x in row]))
        archive.writestr("indices.npy", vector("i", "<i4", list(range(width)) * len(rows)))
        archive.writestr("indptr.npy", vector("i", "<i4", [i * width for i in range(len(rows) + 1)]))
    return out.getvalue()


class Pytorch(harness.Trained):
    framework = "pytorch"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scores = cls.expected["scores"]

    def test_content_types(self):
        server = self.served()
        flat = [x for row in self.scores for x in row]
        answers = ((None, JSON, lambda a: [x for row in a.json for x in row]),
                   (CSV, CSV, lambda a: [float(x) for x in a.text.replace("\n", ",").strip(",").split(",")]),
                   (NPY, NPY, lambda a: read_npy(a.body)))
        for body, kind in ((json.dumps(self.rows), JSON), (self.csv, CSV), (harness.npy(self.rows), NPY)):
            for accept, answered, read in answers:
                answer = server.invoke(body, kind, **({"Accept": accept} if accept else {}))
                self.assertEqual((answer.status, answer.type), (200, answered), answer.body[:300])
                self.near(read(answer), flat)

    def test_sparse_for_a_script(self):
        """The toolkit reads npz as a sparse matrix, which torch.from_numpy does not take: scripts do."""
        code = ("import torch\nfrom sagemaker_inference import decoder\n"
                "def input_fn(data, kind):\n    return torch.from_numpy(decoder.decode(data, kind).toarray())\n")
        answer = self.served("model", {"code/inference.py": code}).invoke(npz(self.rows), "application/x-npz")
        self.assertEqual(answer.status, 200, answer.text)
        self.near(answer.json, self.scores)

    def test_errors_are_the_toolkits(self):
        server = self.served()
        for body, kind, accept, said in (
                ("x", "text/plain", JSON, "Content type text/plain is not supported by this framework."),
                (json.dumps(self.rows), JSON, "image/png", "Content type image/png is not supported"),
                ("{nonsense", JSON, JSON, "JSONDecodeError"),
                ("[[1, 2]]", JSON, JSON, "mat1 and mat2 shapes cannot be multiplied")):
            answer = server.invoke(body, kind, Accept=accept)
            self.assertEqual(answer.status, 500)
            self.assertIn(said, answer.text)
        self.assertEqual(server.request("GET", "/invocations").json["code"], 405)
        self.assertEqual(server.request("GET", "/x").json["type"], "ResourceNotFoundException")
        self.near(server.invoke(self.rows).json, self.scores)

    def test_the_only_file(self):
        self.near(self.served("only").invoke(self.rows).json, self.scores)

    def test_script(self):
        code = MODEL_FN + ("def predict_fn(data, model, context):\n"
                           "    with torch.no_grad():\n        return torch.softmax(model(data), 1)\n")
        server = self.served("weights", {"code/entry.py": code}, {"SAGEMAKER_PROGRAM": "entry.py"})
        self.near(server.invoke(self.rows).json, self.expected["probabilities"])
        code = "def transform_fn(model, data, kind, accept):\n    return data.upper(), 'text/x-own'\n"
        answer = self.served("model", {"code/inference.py": code}).invoke('"a"')
        self.assertEqual((answer.text, answer.type), ('"A"', "text/x-own"))

    def test_containers_before_1_2(self):
        """sagemaker-containers: a script from S3 with a model_fn, errors as Flask's page."""
        old = {"SAGEMAKERFS_FRAMEWORK_VERSION": "1.1.0", "SAGEMAKER_PROGRAM": "entry.py",
               "SAGEMAKER_SUBMIT_DIRECTORY": "s3://bucket/sourcedir.tar.gz"}
        server = self.served("weights", {"../code/entry.py": MODEL_FN}, old)
        for body, kind in ((json.dumps(self.rows), JSON), (self.csv, CSV), (harness.npy(self.rows), NPY)):
            self.near(server.invoke(body, kind).json, self.scores)
        self.assertEqual(server.invoke(self.rows, "text/plain").status, 500)
        self.assertEqual(server.invoke(self.rows, Accept="image/png").status, 500)
        self.assertIn("Internal Server Error", server.invoke("nonsense").text)
        server = self.start("weights", None, {"SAGEMAKERFS_FRAMEWORK_VERSION": "1.1.0"})
        self.assertEqual(server.wait(), 1)
        self.assertIn("run no model without a script", server.last_error())

    def test_context(self):
        """A handler's context is the request's: its headers, its answer's status and type."""
        code = ("def transform_fn(model, data, kind, accept, context):\n"
                "    context.set_response_status(code=207, phrase='so so')\n"
                "    context.set_response_header(0, 'x-own', context.get_request_id())\n"
                "    return str(context.get_request_header(0, 'X-Amzn-SageMaker-Custom-Attributes')) + data, 'text/x-own'\n")
        server = self.served("model", {"code/inference.py": code})
        for said in ("a=1", "b=2"):
            answer = server.invoke('"!"', **{"X-Amzn-SageMaker-Custom-Attributes": said})
            self.assertEqual((answer.status, answer.text, answer.type), (207, said + '"!"', "text/x-own"))

    def test_pieces_before_the_end(self):
        """TorchServe's streaming: the first piece is there while the handler still waits for a file."""
        code = ("import os, time\n"
                "from ts.handler_utils.utils import send_intermediate_predict_response\n"
                "def transform_fn(model, data, kind, accept, context):\n"
                "    context.set_response_content_type(0, 'text/x-own')\n"
                "    send_intermediate_predict_response(['one '], context.request_ids, 'piece', 200, context)\n"
                "    while not os.path.exists(os.environ['TMPDIR'] + '/go'):\n        time.sleep(0.01)\n"
                "    if 'break' in data:\n        raise ValueError('no more')\n"
                "    send_intermediate_predict_response([b'two '], context.request_ids, 'piece', 200, context)\n"
                "    return 'three'\n")
        server = self.served("model", {"code/inference.py": code})
        connection = harness.http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/invocations", '""', {"Content-Type": JSON})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.getheader("Content-Type"), answer.read(4)), (200, "text/x-own", b"one "))
        harness.write_files(server.base, {"go": ""})
        self.assertEqual(answer.read(), b"two three")
        connection.close()
        with self.assertRaises(harness.http.client.IncompleteRead):
            server.invoke('"break"')
        self.assertEqual(server.invoke('""').text, "one two three")

    def test_requirements(self):
        code = "import colours\ndef transform_fn(model, data, kind, accept):\n    return colours.RED, 'text/x-own'\n"
        server = self.served("model", harness.packaged("colours", code))
        self.assertEqual(server.invoke("").text, "red")
        self.assertIn("Successfully installed colours-1.0\n", server.output())  # and no other numpy

    def test_load_failures(self):
        rows = (
            (None, None, "Exactly one .pth or .pt file is required for PyTorch models: []"),
            ("model", {"other.pt": "", "code/inference.py": ""}, None),
            ("weights", None, "Please ensure model is saved using torchscript."),
            (None, {"model.pt": "nonsense"}, "Please ensure model is saved using torchscript."),
            ("model", harness.packaged("no-such-package", ""), harness.NO_PACKAGE),
        )
        for model, files, said in rows:
            server = self.start(model, files, {"SAGEMAKERFS_FRAMEWORK_VERSION": "1.5.0"})
            if said is None:  # model.pt is taken whatever else is there
                server.ready()
                continue
            self.assertEqual(server.wait(), 1)
            self.assertIn(said, server.last_error())
            if "cannot load the model" in server.last_error():
                self.assertIn("; the image has pytorch 1.5.0, this runtime ", server.last_error())

    def test_sigterm(self):
        server = self.served()
        server.invoke(self.rows)
        self.assertEqual(server.stop()[0], 0)
