"""What the backend runs before a model server whose code asks for packages: notes that it was, in the scratch directory that both see.

A requirements.txt that says `fail` cannot be installed.
"""
import os
import sys

base = os.path.join(os.environ["SAGEMAKER_BASE_DIR"], "model", "code", "requirements.txt")
with open(base, encoding="utf-8") as f:
    wanted = f.read().strip()
if wanted == "fail":
    print("cannot install the packages of code/requirements.txt", flush=True)
    sys.exit(1)
os.makedirs(os.path.join(os.environ["TMPDIR"], "packages"))
print("installed " + wanted, flush=True)
