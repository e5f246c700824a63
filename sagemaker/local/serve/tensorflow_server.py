"""The model server for TensorFlow: what Amazon's TensorFlow Serving container does.

Without code/inference.py, requests are turned into TensorFlow Serving's forms
by the container's rules; with it, its handlers get them, and a REST API of
TensorFlow Serving's on loopback to ask the model.
"""
import json
import os
import re
import sys

import smfs_http as http
import smfs_legacy as legacy
import smfs_packages as packages

ATTRIBUTES = "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES"
DAMAGED = (11, 15)  # OUT_OF_RANGE, DATA_LOSS
JSON_TYPES = ("application/json", "application/jsonlines", "application/jsons")


# ---- without code: from what was posted to what TensorFlow Serving takes

def instances_of_json(text):
    if re.search(r'"(instances|inputs|examples)"\s*:', text):
        return text
    if re.search(r"[}\]]\s*[\[{]", text):
        return instances_of_lines(text)
    if not re.match(r"\s*\[\s*\[", text):
        text = "[" + text + "]"
    return '{"instances":' + text + "}"


def instances_of_lines(text):
    """JSON lines; a single line stands for itself, as in the container."""
    lines = re.split(r"\r?\n", text.strip())
    joined = ",".join(line.strip() for line in lines if line.strip())
    if len(lines) == 1:
        return '{"instances":' + joined + "}"
    return '{"instances":[' + joined + "]}"


def instances_of_csv(text):
    """One row per line. Quoting follows the first field of the first row.

    Only the first quote and the first comma of a line are replaced: the
    container does that (JavaScript's replace), and so requests that work here
    work there.
    """
    quote = re.match(r'\s*("|[\d.Ee+\-]+.*)', text) is None
    rows = []
    for line in re.split(r"\r?\n", text.strip()):
        line = line.strip()
        if not line:
            continue
        row = line
        if quote:
            row = '"%s"' % line.replace('"', '\\"', 1).replace(",", '","', 1)
        rows.append("[%s]" % row if "," in line else row)
    return '{"instances":[' + ",".join(rows) + "]}"


def attributes_of(environ):
    """tfs-model-name, tfs-model-version and tfs-method of the header."""
    found = re.findall(r"(tfs-[a-z\-]+)=([^,=]+)(?=,|$)", environ.get(ATTRIBUTES, ""))
    return {name: value.strip() for name, value in found}


def model_path(attributes, default):
    path = "/v1/models/" + attributes.get("tfs-model-name", default)
    if "tfs-model-version" in attributes:
        path += "/versions/" + attributes["tfs-model-version"]
    return path


def plain_invocation(rest, models, default):
    """POST /invocations without code: a function (environ, start_response)."""

    def invoke(environ, start_response):
        content_type = environ.get("CONTENT_TYPE") or None
        text = http.body_of(environ).decode("utf-8", "replace")
        if content_type in JSON_TYPES:
            text = instances_of_json(text)
        elif content_type == "text/csv":
            text = instances_of_csv(text)
        else:
            problem = "Unsupported Media Type: " + (content_type or "Unknown")
            return http.reply(start_response, 415, '{"error": "%s"}' % problem)
        attributes = attributes_of(environ)
        path = model_path(attributes, default) + ":" + attributes.get("tfs-method", "predict")
        status, body = rest.answer(models, "POST", path, lambda: text)
        accepted = environ.get("HTTP_ACCEPT", "").strip().replace(" ", "", 1).split(",")
        reply_type = "application/json"
        if "application/jsonlines" in accepted or "application/json" in accepted:
            body, reply_type = body.replace("\n", ""), accepted[0]
        return http.reply(start_response, status, body, reply_type)

    return invoke


# ---- with code/inference.py

def import_handlers(path):
    """The handler of the user's module, or one made of its two halves."""
    import importlib.util
    spec = importlib.util.spec_from_file_location("inference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if hasattr(module, "handler"):
        return module.handler
    if not (hasattr(module, "input_handler") and hasattr(module, "output_handler")):
        raise NotImplementedError("Handlers are not implemented correctly in user script.")
    import requests

    def handler(data, context):
        response = requests.post(context.rest_uri, data=module.input_handler(data, context))
        return module.output_handler(response, context)

    return handler


def prepare_path(code):
    """code/ importable, and as in the container the modules of code/lib, else the packages of requirements.txt."""
    sys.dont_write_bytecode = True
    lib = os.path.join(code, "lib")
    if os.path.isdir(lib):
        http.log("INFO", "loading modules in 'code/lib', ignoring requirements.txt")
        sys.path.insert(0, lib)
    else:
        packages.install(code)
    sys.path.insert(0, code)


def context_maker(default, port):
    from collections import namedtuple
    kind = namedtuple("Context", "model_name, model_version, method, rest_uri, grpc_port, channel, "
                                 "custom_attributes, request_content_type, accept_header, "
                                 "content_length")

    def make(environ):
        attributes = attributes_of(environ)
        uri = "http://127.0.0.1:%d%s:%s" % (port, model_path(attributes, default),
                                            attributes.get("tfs-method", "predict"))
        length = environ.get("CONTENT_LENGTH")
        # No gRPC here: grpc_port and channel are None.
        return kind(attributes.get("tfs-model-name"), attributes.get("tfs-model-version"),
                    attributes.get("tfs-method"), uri, None, None, environ.get(ATTRIBUTES),
                    environ.get("CONTENT_TYPE") or "application/json",
                    environ.get("HTTP_ACCEPT") or "application/json",
                    int(length) if length else None)

    return make


def rest_port():
    """A port for the REST API: of the range asked for, else a free one."""
    low = os.environ.get("SAGEMAKER_SAFE_PORT_RANGE", "").split("-")[0]
    if low:
        try:
            return http.bound_socket(int(low) + 1)
        except (OSError, ValueError, OverflowError) as error:
            http.log("WARNING", "SAGEMAKER_SAFE_PORT_RANGE: %s; using a free port" % error)
    return http.bound_socket(0)


def handler_invocation(handler, make_context):
    """POST /invocations through the user's handler."""

    def invoke(environ, start_response):
        try:
            body, content_type = handler(environ["wsgi.input"], make_context(environ))
            return http.reply(start_response, 200, body if body is not None else b"",
                              content_type or "application/json")
        except BaseException as error:  # whatever the user's code raises, as the container does
            http.log_exception("exception handling request: %s" % error)
            return http.reply(start_response, 500, json.dumps({"error": str(error) or type(error).__name__}))

    return invoke


# ---- the server

def default_model(models):
    if not models.paths:
        http.fail("no SavedModel bundles found! A saved_model.pb must be in a directory whose name "
                  "is a number, such as export/Servo/1")
    name = os.environ.get("SAGEMAKER_TFS_DEFAULT_MODEL_NAME", "None")
    if name == "None":
        name = next(iter(models.paths))
        http.log("INFO", "using default model name: %s" % name)
    elif name not in models.paths:
        http.fail("SAGEMAKER_TFS_DEFAULT_MODEL_NAME is '%s', but the models are: %s"
                  % (name, ", ".join(models.paths)))
    return name


def load(directory):
    """(the REST module, the models, the name of the default one), or the end."""
    try:
        import smfs_tf_rest as rest
    except Exception as error:
        http.fail("cannot load TensorFlow: %s" % error)
    models = rest.Models(directory)
    name = default_model(models)
    models.load()
    try:
        models.find(name, None)
    except rest.tf.TensorFlowError:
        number = max(n for m, n in models.errors if m == name)
        error = models.errors[name, number]
        hint = " (a file of it is truncated or damaged)" if error.code in DAMAGED else ""
        http.fail("cannot load model '%s' version %d from '%s': %s%s" % (
            name, number, os.path.relpath(models.paths[name][number], directory), error, hint))
    http.log_version("TensorFlow", rest.tf.version)
    return rest, models, name


def user_invocation(rest, models, name, code):
    """Imports the user's code; it may use the REST API while it is imported."""
    port = http.serve_beside(rest.application(models), rest_port())
    try:
        handler = import_handlers(os.path.join(code, "inference.py"))
    except BaseException as error:
        http.log_exception("cannot import code/inference.py")
        http.fail("cannot import code/inference.py: %s: %s" % (type(error).__name__, error))
    return handler_invocation(handler, context_maker(name, port))


def application(invoke):
    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/ping":
            return http.reply(start_response, 200)
        if path != "/invocations":
            return http.reply(start_response, 404, '{"error": "Not Found"}')
        if environ["REQUEST_METHOD"] != "POST":
            return http.reply(start_response, 405, '{"error": "Method Not Allowed"}',
                              headers=[("Allow", "POST")])
        return invoke(environ, start_response)

    return app


def main():
    if legacy.uses_container_support("tensorflow"):
        import smfs_tf_legacy
        smfs_tf_legacy.main()
        return
    directory = http.model_dir()
    code = os.path.join(directory, "code")
    has_code = os.path.isfile(os.path.join(code, "inference.py"))
    http.log("INFO", "PYTHON SERVICE: %s" % has_code)
    if has_code:
        prepare_path(code)
    rest, models, name = load(directory)
    if has_code:
        invoke = user_invocation(rest, models, name, code)
    else:
        invoke = plain_invocation(rest, models, name)
    http.run(application(invoke))


if __name__ == "__main__":
    http.start(main)
