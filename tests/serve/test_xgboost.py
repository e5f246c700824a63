"""The XGBoost server: boosters that the runtime itself trained, by themselves and with a script."""
import json
import struct
import subprocess

import harness

SCRIPT = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
MODEL_FN = ("import os, xgboost\n"
            "def model_fn(model_dir):\n"
            "    booster = xgboost.Booster()\n"
            "    booster.load_model(os.path.join(model_dir, 'xgboost-model'))\n"
            "    return booster\n")
JSON, LINES, CSV, RECORDS = "application/json", "application/jsonlines", "text/csv", "application/x-recordio-protobuf"
# [[1.5, 0, -2], [0, 3, 0]] with labels, as SageMaker's SDK writes it (sagemaker.amazon.common) in float32, float64 and int.
SDK_ROWS = (
    "0a23d7ce300000000a1a0a0676616c7565731210120e0a0c0000c03f00000000000000c012120a0676616c756573120812060a040000803f"
    "0a23d7ce300000000a1a0a0676616c7565731210120e0a0c00000000000040400000000012120a0676616c756573120812060a0400000000",
    "0a23d7ce3c0000000a260a0676616c756573121c1a1a0a18000000000000f83f000000000000000000000000000000c012120a0676616c75"
    "6573120812060a040000803f0a23d7ce3c0000000a260a0676616c756573121c1a1a0a180000000000000000000000000000084000000000"
    "0000000012120a0676616c756573120812060a0400000000",
    "0a23d7ce300000000a1a0a0676616c75657312103a0e0a0c0100feffffffffffffffff0112120a0676616c756573120812060a040000803f"
    "0a23d7ce270000000a110a0676616c75657312073a050a0300030012120a0676616c756573120812060a040000000000")


def message(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


def record(values, keys=b"", shape=b""):
    """A record of a float32 tensor; keys and shape of a sparse one are numbers below 128."""
    tensor = message(1, struct.pack("<%df" % len(values), *values))
    tensor += message(2, keys) + message(3, shape) if shape else b""
    data = message(1, message(1, b"values") + message(2, message(2, tensor)))
    return struct.pack("<II", 0xCED7230A, len(data)) + data + b"\0" * (-len(data) % 4)


class Xgboost(harness.Trained):
    framework = "xgboost"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.libsvm = "\n".join(" ".join("%d:%s" % pair for pair in enumerate(row)) for row in cls.rows)

    def same(self, answer, numbers):
        """Answers in CSV: what Python prints of each prediction, with commas."""
        self.assertEqual((answer.status, answer.type), (200, "text/csv; charset=utf-8"), answer.text)
        self.near(json.loads("[%s]" % answer.text), numbers)

    def test_content_types(self):
        for model in ("model", "pickled"):
            server = self.served(model)
            rows = self.expected["rows"]
            for body, content_type in (
                    (self.csv, CSV), (self.csv, "text/csv; label_size=0"), (self.csv, "TEXT/CSV"),
                    (self.csv.replace(",", ";") + "\n", CSV), (self.libsvm, "text/libsvm"),
                    (self.libsvm, "text/x-libsvm"), (self.libsvm, None),
                    ("\n".join("1 " + line for line in self.libsvm.split("\n")), "text/libsvm")):
                self.same(server.invoke(body, content_type), self.expected["probabilities"])
            self.same(server.invoke(",".join(map(str, rows[0])), CSV), self.expected["probabilities"][:1])

    def test_accepts(self):
        server = self.served()
        scores = [{"score": p} for p in self.expected["probabilities"]]
        self.same(server.invoke(self.csv, CSV, Accept="*/*"), self.expected["probabilities"])
        answer = server.invoke(self.csv, CSV, Accept=JSON)
        self.assertEqual((answer.status, answer.type), (200, JSON))
        self.near(answer.json, {"predictions": scores})
        answer = server.invoke(self.csv, CSV, Accept=LINES)
        self.near([json.loads(line) for line in answer.text.splitlines()], scores)
        answer = server.invoke(self.csv, CSV, Accept="image/png")
        self.assertEqual(answer.status, 406)
        self.assertIn("Accept type image/png is not supported.", answer.text)

    def test_records(self):
        """RecordIO-protobuf in, dense and sparse, and out."""
        server = self.served("pickled")
        dense = b"".join(record(row) for row in self.rows)
        sparse = b"".join(record(row, b"\0\1\2\3", b"\4") for row in self.rows)
        for body in (dense, sparse):
            self.same(server.invoke(body, RECORDS), self.expected["probabilities"])
        answer = server.invoke(dense, RECORDS, Accept=RECORDS)
        self.assertEqual((answer.status, answer.type), (200, RECORDS))
        head = answer.body[:8]
        self.assertEqual(head, struct.pack("<II", 0xCED7230A, 27))
        self.assertEqual(answer.body[8:23], b"\x12\x19\x0a\x05score\x12\x10\x12\x0e\x0a\x0c"[:15])
        self.near(list(struct.unpack("<3f", answer.body[23:35])), self.expected["probabilities"][0])
        for body, said in ((dense[:-20], "is cut short"), (b"x" * 40, "no record begins at byte 0"), (dense[:12], "is cut short"),
                           (record(self.rows[0]) + record([1, 2]), "ValueError"),
                           (struct.pack("<II", 0xCED7230A, 4) + b"\xff\xff\xff\xff", "IndexError")):
            answer = server.invoke(body, RECORDS)
            self.assertEqual(answer.status, 415)
            self.assertIn("Loading recordio-protobuf data failed", answer.text)
            self.assertIn(said, answer.text)
        self.assertEqual(server.invoke(record([1, 2]), RECORDS).status, 400)

    def test_records_of_the_sdk(self):
        code = ("import sys; sys.path.insert(0, sys.argv[1]); import json, smfs_recordio as r\n"
                "print(json.dumps([r.rows(bytes.fromhex(text)).tolist() for text in sys.argv[2:]]))")
        said = subprocess.run([self.python, "-B", "-c", code, harness.SERVE, *SDK_ROWS], check=True, capture_output=True).stdout
        self.assertEqual(json.loads(said), [[[1.5, 0, -2], [0, 3, 0]]] * 2 + [[[1, 0, -2], [0, 3, 0]]])

    def test_errors_are_the_containers(self):
        server = self.served("pickled")
        for body, content_type, status, said in (
                ("", CSV, 204, ""),
                (self.csv, JSON, 415, "Content-type application/json is not supported."),
                ("a,b,c,d", CSV, 415, "Loading csv data failed with Exception"),
                ("1,2,3\n1,2", CSV, 415, "Loading csv data failed with Exception"),
                ("x:y", "text/libsvm", 415, "Loading libsvm data failed with Exception"),
                ("1,2", CSV, 400, "Feature size of csv inference data 2 is not consistent with feature size of "
                                  "trained model 4."),
                ("1 9:1", "text/libsvm", 400, "Feature size of libsvm inference data 10 is larger"),
                ("1" * (7 << 20), CSV, 413, "capacity limit")):
            answer = server.invoke(body, content_type)
            self.assertEqual(answer.status, status, answer.text)
            self.assertIn(said, answer.text)
        self.assertEqual(server.request("GET", "/x").status, 404)
        self.assertEqual(server.request("GET", "/execution-parameters").json["MaxPayloadInMB"], 6)
        self.same(server.invoke(self.csv, CSV), self.expected["probabilities"])

    def test_several_files_are_averaged(self):
        one, other = self.expected["regressions"]
        self.same(self.served("two").invoke(self.csv, CSV), [(a + b) / 2 for a, b in zip(one, other)])
        server = self.served("two", None, {"SAGEMAKER_INFERENCE_ENSEMBLE": "false", "SAGEMAKER_BATCH": "true"})
        answer = server.invoke(self.csv, CSV)
        self.assertTrue(answer.text.endswith("\n"))
        self.near([float(line) for line in answer.text.splitlines()], one)

    def test_selected_output(self):
        keys = {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label, probabilities,labels"}
        best = [max(p) for p in self.expected["probabilities"]]
        answer = self.served("model", None, keys).invoke(self.csv, CSV, Accept=JSON)
        self.near(answer.json, {"predictions": [
            {"predicted_label": p.index(b), "probabilities": p, "labels": [0, 1, 2]}
            for p, b in zip(self.expected["probabilities"], best)]})
        binary = self.served("binary", None, dict(keys, SAGEMAKER_INFERENCE_OUTPUT="predicted_label,probability,nothing"))
        answer = binary.invoke(self.csv, CSV)
        lines = [line.split(",") for line in answer.text.splitlines()]
        self.assertEqual([line[0] for line in lines], [str(int(p > 0.5)) for p in self.expected["binary"]])
        self.near([float(line[1]) for line in lines], self.expected["binary"])
        self.assertEqual([line[2] for line in lines], ["nan"] * 3)

    def test_script(self):
        server = self.served("model", {"code/inference.py": MODEL_FN}, SCRIPT)
        for body, content_type in ((self.csv, CSV), (self.libsvm, "text/libsvm")):
            answer = server.invoke(body, content_type, Accept=JSON)
            self.assertEqual((answer.status, answer.type), (200, JSON), answer.text)
            self.near(answer.json, self.expected["probabilities"])
        answer = server.invoke(self.csv, "text/plain")
        self.assertEqual(answer.status, 500)
        self.assertIn("Content type text/plain is not supported by this framework.", answer.text)
        own = ("from sagemaker_xgboost_container import encoder as xgb_encoders\n"
               "def input_fn(body, kind):\n    return xgb_encoders.libsvm_to_dmatrix(body)\n"
               "def output_fn(prediction, accept):\n    return str(prediction.argmax(1).tolist())\n")
        server = self.served("model", {"code/inference.py": MODEL_FN + own}, SCRIPT)
        best = [p.index(max(p)) for p in self.expected["probabilities"]]
        self.assertEqual(server.invoke(self.libsvm, "text/own").json, best)

    def test_requirements(self):
        code = MODEL_FN + ("import colours\ndef transform_fn(model, data, kind, accept):\n"
                           "    return colours.RED, 'text/x-own'\n")
        server = self.served("model", harness.packaged("colours", code), SCRIPT)
        self.assertEqual(server.invoke("").text, "red")
        self.assertEqual(server.output().count("Successfully installed colours-1.0\n"), 1)

    def test_load_failures(self):
        rows = (
            (None, None, {}, "there is no file at the top of the model"),
            (None, {"xgboost-model": "nonsense"}, {}, "xgboost-model cannot be loaded: "),
            (None, {"xgboost-model": "nonsense"}, {"SAGEMAKERFS_FRAMEWORK_VERSION": "1.7-1"},
             "; the image has xgboost 1.7-1, this runtime "),
            ("model", {"code/inference.py": ""}, SCRIPT, "Please provide a model_fn implementation."),
            ("model", None, SCRIPT, "No module named 'inference'"),
        )
        for model, files, env, said in rows:
            server = self.start(model, files, env)
            self.assertEqual(server.wait(), 1)
            self.assertRegex(server.last_error(), "^cannot (load the model|import the user's module)")
            self.assertIn(said, server.last_error())

    def test_sigterm(self):
        server = self.served()
        server.invoke(self.csv, CSV)
        self.assertEqual(server.stop()[0], 0)
