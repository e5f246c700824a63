"""The packages of code/requirements.txt, installed before the model is loaded, as AWS's containers do it.

They go into an overlay: a venv in the scratch directory that sees the runtime's own
packages, so that what fits is not installed again and the runtime stays as it is.
pip runs as the model will, in its sandbox and within its time to start; what it
prints is log. Each process of an endpoint installs for itself, as each container.
"""
import importlib
import os
import subprocess
import sys
import venv

import smfs_http as http

PR_SET_PDEATHSIG, SIGKILL = 1, 9


def die_with_parent():
    """In the child: pip goes when the model server goes, however that ends."""
    import ctypes
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


def overlay():
    """The venv, empty; its Python and where its packages go."""
    base = os.path.join(os.environ.get("TMPDIR", "/tmp"), "packages")
    venv.create(base, with_pip=False, symlinks=True)
    site = os.path.join(base, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    below = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    with open(os.path.join(site, "runtime.pth"), "w") as file:
        file.write("\n".join(below) + "\n")
    return os.path.join(base, "bin", "python"), site


def settings():
    """pip's environment: the settings that scripts/runtimes kept, else what the system and the model say."""
    env = dict(os.environ)
    kept = os.path.join(sys.prefix, "pip.conf")
    if os.access(kept, os.R_OK):
        env.setdefault("PIP_CONFIG_FILE", kept)
    return env


def run_pip(python, code):
    """pip's exit code and the last line that is an error, else its last line."""
    pip = subprocess.Popen([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
                            "--no-cache-dir", "-r", "requirements.txt"],
                           cwd=code, env=settings(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
    said = ""
    for line in pip.stdout:
        text = line.decode("utf-8", "replace").rstrip()
        http.write(1, text + "\n")
        if text.startswith("ERROR:") or (text and not said.startswith("ERROR:")):
            said = text
    return pip.wait(), said


def install(code):
    """Installs what code/requirements.txt asks for, if there is one; ends the process when pip cannot."""
    if not os.path.exists(os.path.join(code, "requirements.txt")):
        return
    http.log("INFO", "installing the packages of code/requirements.txt")
    python, site = overlay()
    status, said = run_pip(python, code)
    if status != 0:
        http.fail("cannot install the packages of code/requirements.txt (pip ended with %d): %s" % (status, said))
    sys.path.insert(0, site)
    # For the Pythons that a script starts.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [site, os.environ.get("PYTHONPATH")]))
    importlib.invalidate_caches()
