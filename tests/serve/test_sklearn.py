"""The scikit-learn server: users' scripts on a real pipeline, trained by the runtime itself."""
import io
import json
import os
import shutil
import struct
import tarfile
import tempfile

import harness

MODEL_FN = ("import os, joblib\n"
            "def model_fn(model_dir):\n"
            "    return joblib.load(os.path.join(model_dir, 'model.joblib'))\n")
SCRIPT = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}


def read_npy(data):
    """The numbers of a one-dimensional array of int64, without numpy."""
    size = struct.unpack("<H", data[8:10])[0]
    assert b"'<i8'" in data[10:10 + size], data[:128]
    return list(struct.unpack("<%dq" % ((len(data) - 10 - size) // 8), data[10 + size:]))


def generated():
    """The handler that the packer adds to a model without code."""
    with open(os.path.join(harness.ROOT, "sagemaker", "handler_sklearn.py")) as file:
        return file.read().replace('MODEL = ""', 'MODEL = "model.joblib"')


class Sklearn(harness.Trained):
    framework = "sklearn"

    def start(self, code, env=SCRIPT, files=None):
        """A script beside the model, or none."""
        files = dict(files or {}, **({"code/inference.py": code} if code is not None else {}))
        return super().start("model", files, env)

    def test_content_types(self):
        server = self.served(MODEL_FN)
        rows, labels = self.expected["rows"], self.expected["labels"]
        text = "\n".join(",".join(map(str, row)) for row in rows)
        bodies = ((json.dumps(rows), "application/json"), (text, "text/csv"),
                  (harness.npy(rows), "application/x-npy"), (json.dumps(rows), None))
        answers = ((None, "application/json", lambda a: a.json),
                   ("*/*", "application/json", lambda a: a.json),
                   ("text/csv", "text/csv; charset=utf-8", lambda a: [int(x) for x in a.text.split()]),
                   ("application/x-npy", "application/x-npy", lambda a: read_npy(a.body)))
        for body, content_type in bodies:
            for accept, answered, read in answers:
                answer = server.invoke(body, content_type, **({"Accept": accept} if accept else {}))
                with self.subTest(content_type=content_type, accept=accept):
                    self.assertEqual((answer.status, answer.type), (200, answered), answer.body[:200])
                    self.assertEqual(read(answer), labels)

    def test_errors_are_the_containers(self):
        server = self.served(MODEL_FN)
        rows = self.expected["rows"]
        answer = server.invoke(rows, Accept="image/png")
        self.assertEqual((answer.status, answer.type), (500, "text/html; charset=utf-8"))
        self.assertIn("Content type image/png is not supported by this framework.", server.output())
        for body, kind in (("x", "text/plain"), ("{nonsense", "application/json"), ("a,b,c,d\ne,f,g,h", "text/csv"),
                           ("1,2,3,4", "text/csv"),  # one row is a vector there, too
                           (b"no npy", "application/x-npy"), ("[[1, 2]]", "application/json")):
            answer = server.invoke(body, kind)
            self.assertEqual((answer.status, answer.type), (500, "text/html; charset=utf-8"), body)
            self.assertIn("Internal Server Error", answer.text)
        self.assertIn("Content type text/plain is not supported by this framework.", server.output())
        self.assertIn("Expected 2D array, got 1D array instead", server.output())
        self.assertEqual(server.request("GET", "/invocations").status, 405)
        self.assertEqual(server.request("GET", "/x").status, 404)
        self.assertEqual(server.request("GET", "/ping").body, b"")
        self.assertEqual(server.invoke(rows).json, self.expected["labels"])

    def test_numbers_in_csv(self):
        """As numpy prints them in their own type, not as doubles."""
        code = ("import numpy\ndef model_fn(directory):\n    return 1\n"
                "def predict_fn(data, model):\n    return numpy.array([[1e-9, 0.1], [3e20, 2]], 'float32')\n")
        answer = self.served(code).invoke([[1]], Accept="text/csv")
        self.assertEqual(answer.text, "1e-09,0.1\n3e+20,2.0\n")

    def test_users_functions(self):
        code = MODEL_FN + ("def predict_fn(data, model):\n    return model.predict_proba(data)\n")
        answer = self.served(code).invoke(self.expected["rows"])
        self.assertTrue(harness.close_to(answer.json, self.expected["probabilities"]), answer.text)
        code = MODEL_FN + ("def transform_fn(model, data, content_type, accept):\n"
                           "    return content_type + accept + data, 'text/x-own'\n")
        answer = self.served(code).invoke("!", "text/csv", Accept="a/b")
        self.assertEqual((answer.text, answer.type), ("text/csva/b!", "text/x-own; charset=utf-8"))

    def generated(self, model):
        server = harness.Trained.start(self, model, {"code/inference.py": generated()}, SCRIPT)
        server.ready()
        return server

    def test_generated_handler(self):
        """Arrays, named columns and texts, each as the model was trained with them."""
        records, rows, texts = self.expected["records"], self.expected["rows"], self.expected["texts"]
        names = list(records[0])
        lists = [list(record.values()) for record in records]
        backwards = [dict(reversed(list(record.items()))) for record in records]
        lines = [",".join(map(str, row)) for row in lists]
        head = ",".join(names)
        csv = ["\n".join([head] + lines), "\n".join(lines), "\ufeff" + "\r\n".join([head] + lines) + "\r\n",
               "\n".join(["," + head] + ["%d,%s" % row for row in enumerate(lines)])]  # pandas' own index first
        column = {name: [record[name] for record in records] for name in names}
        numbers = "\n".join(",".join(map(str, row)) for row in rows)
        quoted = "\n".join('"%s"' % text for text in texts)
        table = (
            ("model", self.expected["labels"], [rows, {"instances": rows}, [[str(x) for x in row] for row in rows]],
             [numbers, "a,b,c,d\n" + numbers]),
            ("columns", self.expected["people"], [records, backwards, lists, {"inputs": lists}, column,
                                                  {"columns": names, "data": lists}], csv),
            ("texts", self.expected["moods"], [texts, {"instances": texts}, [[text] for text in texts]],
             ["\n".join(texts), quoted]),
        )
        for model, labels, documents, sheets in table:
            server = self.generated(model)
            for body, kind in [(json.dumps(d), "application/json") for d in documents] + [(s, "text/csv") for s in sheets]:
                with self.subTest(model=model, body=body[:60]):
                    answer = server.invoke(body, kind)
                    self.assertEqual((answer.status, answer.status == 200 and answer.json), (200, labels), server.last_error())

    def test_generated_handler_says_why(self):
        server = self.generated("columns")
        for body, kind, said in (([{"age": 1}], "application/json", "ValueError: the model takes the columns age, city, income, not age"),
                                 ([[1, 2]], "application/json", "ValueError: X has 2 features, but ColumnTransformer is expecting 3"),
                                 ("{", "application/json", "JSONDecodeError: Expecting property name"),
                                 ("", "text/csv", "ValueError: the request is empty"), ([], "application/json", "ValueError: the request is empty"),
                                 ("x", "text/plain", "ValueError: content type text/plain is not supported: send application/json, ")):
            answer = server.invoke(body, kind)
            self.assertEqual(answer.status, 400, body)
            self.assertIn(said, answer.text)
        self.assertIn("Traceback", server.output(1))

    def test_generated_handler_refuses_what_cannot_predict(self):
        code = generated().replace("    model = load(", "    model = {}  # ")
        server = self.start(code)
        self.assertEqual(server.wait(), 1)
        self.assertIn("model.joblib holds a dict, which has neither predict nor transform", server.last_error())

    def test_the_containers_names(self):
        """As AWS's examples for inference pipelines do it."""
        code = MODEL_FN + ("from sagemaker_containers.beta.framework import (\n"
                           "    content_types, encoders, env, modules, transformer, worker)\n"
                           "def output_fn(prediction, accept):\n"
                           "    assert accept == content_types.CSV\n"
                           "    return worker.Response(encoders.encode(prediction, accept), mimetype=accept)\n")
        answer = self.served(code).invoke(self.expected["rows"], Accept="text/csv")
        self.assertEqual([int(x) for x in answer.text.split()], self.expected["labels"])

    def test_where_the_script_is(self):
        """code/ beside the model is what a source in S3 becomes; a tar file is unpacked."""
        rows, labels = self.expected["rows"], self.expected["labels"]
        env = dict(SCRIPT, SAGEMAKER_PROGRAM="entry.py", SAGEMAKER_SUBMIT_DIRECTORY="s3://bucket/sourcedir.tar.gz")
        server = self.start(None, env, {"../code/entry.py": MODEL_FN})
        server.ready()
        self.assertEqual(server.invoke(rows).json, labels)
        archive = tempfile.mkdtemp(prefix="serve-source-")
        self.addCleanup(shutil.rmtree, archive)
        shutil.copytree(os.path.join(self.trained, "model"), os.path.join(archive, "model"))
        with tarfile.open(os.path.join(archive, "model", "source.tar.gz"), "w:gz") as tar:
            entry = tarfile.TarInfo("entry.py")
            entry.size = len(MODEL_FN)
            tar.addfile(entry, io.BytesIO(MODEL_FN.encode()))
        env["SAGEMAKER_SUBMIT_DIRECTORY"] = "/opt/ml/model/source.tar.gz"
        server = harness.Server(self.python, "sklearn_server.py", os.path.join(archive, "model"), {}, env)
        self.addCleanup(server.close)
        server.ready()
        self.assertEqual(server.invoke(rows).json, labels)

    def test_requirements(self):
        code = MODEL_FN + ("import colours\ndef transform_fn(model, data, kind, accept):\n"
                           "    return colours.RED, 'text/x-own'\n")
        server = self.served(None, SCRIPT, harness.packaged("colours", code))
        self.assertEqual(server.invoke("").text, "red")
        self.assertIn("Successfully installed colours-1.0\n", server.output())  # and no other numpy

    def test_load_failures(self):
        rows = (
            (None, {}, "runs no model without a script"),
            ("", SCRIPT, "cannot load the model: NotImplementedError: Please provide a model_fn implementation."),
            ("import no_such_module", SCRIPT, "cannot import the user's module 'inference' of "),
            (None, SCRIPT, "No module named 'inference'"),
            ("def model_fn(d):\n    import no_such.part", dict(SCRIPT, SAGEMAKERFS_FRAMEWORK_VERSION="0.23-1"),
             "No module named 'no_such': put it into code/, or name its package in code/requirements.txt"),
            ("def model_fn(d):\n    raise ValueError('not mine')", SCRIPT,
             "cannot load the model: ValueError: not mine"),
            ("def model_fn(d):\n    raise ValueError('not mine')", dict(SCRIPT, SAGEMAKERFS_FRAMEWORK_VERSION="0.23-1"),
             "ValueError: not mine; the image has sklearn 0.23-1, this runtime "),
            (MODEL_FN + "transform_fn = predict_fn = len", SCRIPT, "Cannot use transform_fn implementation with"),
        )
        for code, env, said in rows:
            server = self.start(code, env)
            self.assertEqual(server.wait(), 1)
            self.assertIn(said, server.last_error())
        server = self.start(None, SCRIPT, harness.packaged("no-such-package", MODEL_FN))
        self.assertEqual((server.wait(), server.last_error()), (1, harness.NO_PACKAGE))

    def test_sigterm(self):
        server = self.served(MODEL_FN)
        server.invoke(self.expected["rows"])
        self.assertEqual(server.stop()[0], 0)
