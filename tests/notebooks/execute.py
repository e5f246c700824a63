"""Executes notebooks in the Python it runs in: one line each, then the sum.

usage: execute.py NOTEBOOK...
"""
import os
import sys
import time

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


def output_text(cell):
    parts = []
    for output in cell.get("outputs", []):
        parts.append(output.get("text") or "\n".join(output.get("traceback", [])))
    return "".join(parts)


def execute(path):
    """The outputs of the notebook's code cells, and the error or None."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    if any(cell.get("outputs") for cell in notebook.cells):
        return "", "it is committed with outputs: clear them"
    client = NotebookClient(notebook, timeout=300, kernel_name="python3",
                            resources={"metadata": {"path": os.path.dirname(path)}})
    error = None
    try:
        client.execute()
    except CellExecutionError as failure:
        error = str(failure)
    return "".join(output_text(cell) for cell in notebook.cells), error


def main(paths):
    failed = 0
    for path in paths:
        begin = time.monotonic()
        text, error = execute(os.path.abspath(path))
        failed += error is not None
        print(text)
        print("%-4s %s (%.1f s)%s" % ("FAIL" if error else "ok", os.path.basename(path),
                                      time.monotonic() - begin, "\n" + error if error else ""),
              flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
