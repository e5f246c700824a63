"""What the runtime's own Transformers says of the tiny model of tests/data, in the layout of the other frameworks' scripts.

usage: huggingface_models.py OUT      writes OUT/model (a copy) and OUT/expected.json
"""
import json
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

from transformers import pipeline  # noqa: E402 (after the variable)

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "huggingface-tiny", "one")
TEXTS = ["hello world", "the model"]


def main(out):
    shutil.copytree(MODEL, os.path.join(out, "model"))
    ask = pipeline("text-classification", model=MODEL, tokenizer=MODEL)
    with open(os.path.join(out, "expected.json"), "w") as file:
        json.dump({"framework": "huggingface", "texts": TEXTS, "answers": [ask(text) for text in TEXTS]}, file)


main(sys.argv[1])
