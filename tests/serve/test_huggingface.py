"""The Hugging Face server: AWS's toolkit on the pipelines that the runtime's own Transformers makes of the same files."""
import json
import os
import shutil
import unittest

import harness

PYTHON = harness.runtime("huggingface")
ONE, SHARDS = (os.path.join(harness.DATA, "huggingface-tiny", name) for name in ("one", "shards"))
JSON, CSV = "application/json", "text/csv"


class HuggingFace(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if PYTHON is None:
            raise AssertionError("no Hugging Face runtime: run scripts/runtimes huggingface")
        trained = harness.trained(PYTHON, "huggingface_models.py")
        cls.addClassCleanup(shutil.rmtree, trained)
        expected = harness.load_json(os.path.join(trained, "expected.json"))
        cls.texts, cls.direct = expected["texts"], expected["answers"]

    def start(self, model=ONE, files=None, env=None):
        server = harness.Server(PYTHON, "huggingface_server.py", model, files, env)
        self.addCleanup(server.close)
        return server

    def near(self, one, other):
        self.assertTrue(harness.close_to(one, other), "%s != %s" % (one, other))

    def test_the_task_of_the_architecture(self):
        server = self.start()
        server.ready()
        for text, want in zip(self.texts, self.direct):
            answer = server.invoke({"inputs": text})
            self.assertEqual((answer.status, answer.type), (200, JSON), answer.text)
            self.near(answer.json, want)
        self.near(server.invoke({"inputs": self.texts}).json, [row for want in self.direct for row in want])
        self.near(server.invoke({"inputs": self.texts[0], "parameters": {"top_k": 2}}).json[0], self.direct[0][0])
        answer = server.invoke("inputs\n%s\n%s" % tuple(self.texts), CSV)
        self.near(answer.json, [row for want in self.direct for row in want])
        for body, kind, accept, said in (("x", "text/plain", JSON, "Content type text/plain is not supported"),
                                         ("{no", JSON, JSON, "Expecting property name"),
                                         ({"inputs": "a"}, JSON, "text/own", "Content type text/own is not supported")):
            answer = server.invoke(body, kind, Accept=accept)
            self.assertEqual((answer.status, answer.json["code"], answer.json["type"]), (400, 400, "InternalServerException"))
            self.assertIn(said, answer.json["message"])
        self.assertEqual(server.stop()[0], 0)

    def test_shards_and_a_task(self):
        server = self.start(SHARDS, env={"HF_TASK": "text-classification"})
        server.ready()
        answer = server.invoke({"inputs": self.texts[0]})
        self.assertEqual((answer.status, answer.json[0]["label"][:6]), (200, "LABEL_"), answer.text)

    def test_script(self):
        code = ("import json\nfrom transformers import pipeline\n"
                "def model_fn(directory, context=None):\n"
                "    return pipeline('text-classification', model=directory, tokenizer=directory)\n"
                "def predict_fn(data, model):\n    return [row['score'] for row in model(data['texts'])]\n")
        server = self.start(files={"code/inference.py": code})
        server.ready()
        self.near(server.invoke({"texts": self.texts}).json, [want[0]["score"] for want in self.direct])

    def test_load_failures(self):
        broken = json.dumps({"architectures": ["DistilBertModel"], "model_type": "distilbert"})
        for model, files, env, said in (
                (None, {"notes.txt": ""}, {}, "as env 'HF_TASK'"),
                (None, {"config.json": broken}, {}, "Task couldn't be inferenced from DistilBertModel"),
                (None, {"config.json": broken}, {"HF_TASK": "text-classification"}, "cannot load the model: "),
                (None, {}, {"HF_MODEL_ID": "gpt2", "HF_TASK": "text-generation"}, "put the model's files (save_pretrained) into model.tar.gz")):
            server = self.start(model, files, env)
            self.assertEqual(server.wait(60), 1)
            self.assertIn(said, server.last_error())
