"""The packages of code/requirements.txt, installed before the model is loaded, as AWS's containers do it.

They go into an overlay: a venv in the scratch directory that sees the runtime's own
packages, so that what fits is not installed again and the runtime stays as it is.
The backend runs this file as a program before each model server whose code asks for
packages: in the same sandbox but for the network, which the model itself does not
have. What pip prints is log. A model server that finds no overlay (started by hand)
makes it itself. Each process of an endpoint installs for itself, as each container.
"""
import importlib
import os
import subprocess
import sys
import venv

import smfs_http as http
import smfs_legacy as legacy

PR_SET_PDEATHSIG, SIGKILL = 1, 9


def die_with_parent():
    """In the child: pip goes when the model server goes, however that ends."""
    import ctypes
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


BASE = os.path.join(os.environ.get("TMPDIR", "/tmp"), "packages")
SITE = os.path.join(BASE, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
DONE = os.path.join(BASE, "installed")


def overlay():
    """The venv, empty; its Python and where its packages go."""
    venv.create(BASE, with_pip=False, symlinks=True)
    below = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    with open(os.path.join(SITE, "runtime.pth"), "w") as file:
        file.write("\n".join(below) + "\n")
    return os.path.join(BASE, "bin", "python")


def settings():
    """pip's environment: the settings that scripts/runtimes kept, else what the system and the model say."""
    env = dict(os.environ)
    kept = os.path.join(sys.prefix, "pip.conf")
    if os.access(kept, os.R_OK):
        env.setdefault("PIP_CONFIG_FILE", kept)
    return env


def run_pip(python, code, name):
    """pip's exit code and the last line that is an error, else its last line."""
    pip = subprocess.Popen([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
                            "--no-cache-dir", "-r", name],
                           cwd=code, env=settings(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
    pip.stdin.close()  # not /dev/null: on some systems that is root's alone
    said = ""
    for line in pip.stdout:
        text = line.decode("utf-8", "replace").rstrip()
        http.write(1, text + "\n")
        if text.startswith("ERROR:") or (text and not said.startswith("ERROR:")):
            said = text
    return pip.wait(), said


def make(code):
    """The overlay with what the code asks for; ends the process when pip cannot."""
    name = requirements()
    http.log("INFO", "installing the packages of code/%s" % name)
    status, said = run_pip(overlay(), code, name)
    if status != 0:
        http.fail("cannot install the packages of code/%s (pip ended with %d): %s" % (name, status, said))


def requirements():
    """The file's name; the oldest containers install only one that the Environment names."""
    framework = os.environ.get("SAGEMAKERFS_FRAMEWORK", "")
    if framework in legacy.CONTAINER_SUPPORT_UNTIL and legacy.uses_container_support(framework):
        return os.environ.get("SAGEMAKER_REQUIREMENTS", "")
    return "requirements.txt"


def is_asked_for(code):
    return os.path.isfile(os.path.join(code, requirements()))


def install(code):
    """What code/requirements.txt asks for, if there is one, can be imported from here on."""
    if not is_asked_for(code):
        return
    if not os.path.exists(DONE):
        make(code)
    sys.path.insert(0, SITE)
    # For the Pythons that a script starts.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [SITE, os.environ.get("PYTHONPATH")]))
    importlib.invalidate_caches()


def main():
    base = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
    for code in (os.path.join(base, "model", "code"), os.path.join(base, "code")):
        if is_asked_for(code):
            make(code)
    with open(DONE, "w", encoding="ascii"):
        pass


if __name__ == "__main__":
    main()
