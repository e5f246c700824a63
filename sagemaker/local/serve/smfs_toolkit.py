"""What sagemaker-containers is in AWS's scikit-learn and XGBoost containers.

The user's module comes from SAGEMAKER_PROGRAM and SAGEMAKER_SUBMIT_DIRECTORY; its
functions and the container's own make the answer, in Flask's form. The package
itself needs a compiler, an old Flask and boto3; only its contract is kept here.
"""
import csv
import functools
import importlib
import io
import json
import os
import sys
import tarfile
import textwrap
import types

import smfs_http as http

JSON, CSV, NPY, ANY = "application/json", "text/csv", "application/x-npy", "*/*"
UTF8_TYPES = (JSON, CSV)
# Flask's page for what nobody caught: the reason is in the log only.
ERROR_PAGE = ("<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n"
              "<h1>Internal Server Error</h1>\n<p>The server encountered an internal error and was "
              "unable to complete your request. Either the server is overloaded or there is an "
              "error in the application.</p>\n")
NO_MODEL_FN = "Please provide a model_fn implementation.\nSee documentation for model_fn at " \
              "https://github.com/aws/sagemaker-python-sdk"


class ClientError(Exception):
    """An error of the user's code or data."""


class UnsupportedFormatError(Exception):
    def __init__(self, content_type):
        super().__init__(textwrap.dedent("""Content type %s is not supported by this framework.

            Please implement input_fn to to deserialize the request data or an output_fn to
            serialize the response. For more information, see the SageMaker Python SDK README."""
                                         % content_type))


class Response:
    """An answer as handlers may make it: of Flask's, the arguments that are used."""

    def __init__(self, response=None, accept=None, status=200, headers=None, mimetype=None,
                 content_type=None):
        self.body = b"" if response is None else response
        self.status = int(status)
        self.headers = list(dict(headers or {}).items())
        self.type = content_type or flask_type(mimetype or JSON)


def flask_type(mimetype):
    """Flask says the charset of text."""
    if mimetype.startswith("text/") and "charset" not in mimetype:
        return mimetype + "; charset=utf-8"
    return mimetype


# ---- arrays and their forms ----

def npy_to_numpy(data):
    import numpy
    return numpy.load(io.BytesIO(data), allow_pickle=True)


def json_to_numpy(text, dtype=None):
    import numpy
    return numpy.array(json.loads(text), dtype=dtype)


def csv_to_numpy(text, dtype=None):
    """As the container: one row or one column becomes a vector; what is no number stays text."""
    import numpy
    try:
        rows = list(csv.reader(io.StringIO(text), strict=True))
        array = numpy.array(rows).squeeze()
    except Exception as error:
        raise ClientError("Error while decoding csv: %s" % error)
    try:
        return array.astype(dtype)
    except ValueError as error:
        if dtype is not None:
            raise ClientError("Error while writing numpy array: %s. dtype is: %s" % (error, dtype))
        return array


def array_to_npy(array):
    import numpy
    out = io.BytesIO()
    numpy.save(out, array)
    return out.getvalue()


def array_to_json(array):
    def plain(value):
        if hasattr(value, "tolist"):
            return value.tolist()
        raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)

    return json.dumps(array, default=plain)


def array_to_csv(array):
    import numpy
    array = numpy.array(array)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    out = io.StringIO()
    try:
        csv.writer(out, lineterminator="\n", strict=True).writerows(array)
    except csv.Error as error:
        raise ClientError("Error while encoding csv: %s" % error)
    return out.getvalue()


DECODERS = {NPY: npy_to_numpy, CSV: csv_to_numpy, JSON: json_to_numpy}
ENCODERS = {NPY: array_to_npy, CSV: array_to_csv, JSON: array_to_json}


def decode(data, content_type):
    if content_type not in DECODERS:
        raise UnsupportedFormatError(content_type)
    return DECODERS[content_type](data)


def encode(array, content_type):
    if content_type not in ENCODERS:
        raise UnsupportedFormatError(content_type)
    return ENCODERS[content_type](array)


# ---- the user's module ----

def as_module(name, **members):
    """A module that users' scripts import by the container's name for it."""
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module
    return module


def offer_names():
    """sagemaker_containers.beta.framework, as far as handlers use it."""
    top = "sagemaker_containers.beta.framework"
    parts = {
        "content_types": {"JSON": JSON, "CSV": CSV, "NPY": NPY, "ANY": ANY, "UTF8_TYPES": UTF8_TYPES,
                          "OCTET_STREAM": "application/octet-stream"},
        "encoders": {f.__name__: f for f in (decode, encode, npy_to_numpy, json_to_numpy, csv_to_numpy,
                                             array_to_npy, array_to_json, array_to_csv)},
        "errors": {"ClientError": ClientError, "UnsupportedFormatError": UnsupportedFormatError},
        "worker": {"Response": Response},
        "env": {"model_dir": http.model_dir(), "code_dir": os.path.join(http.base_dir(), "code")},
        # Imported by AWS's examples, which use nothing of them.
        "modules": {}, "transformer": {},
    }
    for package in ("sagemaker_containers", "sagemaker_containers.beta", top):
        as_module(package, __path__=[])
    for name, members in parts.items():
        setattr(sys.modules[top], name, as_module("%s.%s" % (top, name), **members))


def program():
    """The name of the user's module, or "" when the model brings none."""
    name = os.environ.get("SAGEMAKER_PROGRAM", "")
    return name[:-3] if name.endswith(".py") else name


def here(path):
    """A path of the container's, where its /opt/ml is."""
    return http.base_dir() + path[len("/opt/ml"):] if path.startswith("/opt/ml/") else path


@functools.lru_cache(maxsize=None)
def code_dir():
    """Where the user's module is. What SAGEMAKER_SUBMIT_DIRECTORY names in S3 has been unpacked into
    code/ of the base directory, before the server began."""
    submitted = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    if not submitted or submitted.startswith("s3://"):
        return os.path.join(http.base_dir(), "code")
    path = here(submitted)
    if not os.path.isfile(path):
        return path
    target = os.path.join(os.environ.get("TMPDIR", "/tmp"), "code")
    with tarfile.open(path) as archive:
        members = [m for m in archive.getmembers() if m.isfile() or m.isdir()]
        for member in members:
            if member.name.startswith("/") or ".." in member.name.split("/"):
                http.fail("'%s' of SAGEMAKER_SUBMIT_DIRECTORY has an entry outside: '%s'"
                          % (submitted, member.name))
        archive.extractall(target, members)
    return target


def import_user_module():
    """Ends the process without one. Its packages are installed already."""
    name, code = program(), code_dir()
    sys.path.insert(0, code)
    try:
        return importlib.import_module(name)
    except BaseException as error:
        http.log_exception("cannot import the user's module '%s'" % name)
        http.fail("cannot import the user's module '%s' of '%s': %s: %s"
                  % (name, code, type(error).__name__, error))


class Handlers:
    """The functions that answer: the user's, where the module has them, else the container's. `loaded` among
    the container's is told the model, when that makes a difference to the others."""

    def __init__(self, module, defaults):
        own = {name: getattr(module, name, None)
               for name in ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")}
        if own["transform_fn"] and (own["input_fn"] or own["predict_fn"] or own["output_fn"]):
            raise ClientError("Cannot use transform_fn implementation with input_fn, predict_fn, "
                              "and/or output_fn")
        self.functions = {name: own[name] or defaults.get(name) for name in own}
        if not self.functions["model_fn"]:
            raise NotImplementedError(NO_MODEL_FN)
        self.model = self.functions["model_fn"](http.model_dir())
        if not own["transform_fn"] and "loaded" in defaults:
            defaults["loaded"](self.model)

    def transform(self, content, content_type, accept):
        call = self.functions
        if call["transform_fn"]:
            return call["transform_fn"](self.model, content, content_type, accept)
        # Whatever one of them raises becomes a ClientError there, a type that is not supported included: Flask's 500.
        data = call["input_fn"](content, content_type)
        return call["output_fn"](call["predict_fn"](data, self.model), accept)


def load_handlers(defaults, hint):
    """The handlers with the model loaded; hint is added to the reason when it cannot be."""
    module = import_user_module()
    try:
        handlers = Handlers(module, defaults)
    except BaseException as error:
        http.log_exception("cannot load the model")
        http.fail("cannot load the model: %s: %s%s" % (type(error).__name__, error, hint))
    http.log("INFO", "Model loaded by %s" % module.__name__)
    return handlers


# ---- HTTP ----

def request_of(environ):
    """Content, its type and the type that is wanted, as the worker's Request gives them."""
    content_type = (environ.get("HTTP_CONTENTTYPE") or environ.get("CONTENT_TYPE") or JSON)
    accept = environ.get("HTTP_ACCEPT", "")
    if not accept or accept == ANY:
        accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON)
    body = http.body_of(environ)
    if content_type in UTF8_TYPES:
        body = body.decode("utf-8", "replace")
    return body, content_type, accept


def respond(start_response, result):
    """What a handler returned, by Flask's rules."""
    if isinstance(result, tuple):
        result = Response(result[0], mimetype=result[1])
    elif isinstance(result, (str, bytes, bytearray)):
        result = Response(result, mimetype="text/html")
    elif isinstance(result, (dict, list)):
        result = Response(json.dumps(result), mimetype=JSON)
    elif not isinstance(result, Response):
        raise TypeError("the handler returned %s: it must return text, bytes, a pair of these with "
                        "their content type, or a worker.Response" % type(result).__name__)
    if hasattr(result.body, "__next__"):
        return streamed(start_response, result)
    return http.reply(start_response, result.status, result.body, result.type, result.headers)


def streamed(start_response, result):
    """The pieces of an iterator, each sent as it comes."""
    def pieces():
        for piece in result.body:
            yield piece.encode("utf-8") if isinstance(piece, str) else piece

    start_response("%d %s" % (result.status, http.REASONS.get(result.status, "Unknown")),
                   [("Content-Type", result.type)] + result.headers)
    return pieces()


def invocation(handlers):
    """POST /invocations: one request at a time, as in one of the container's workers."""
    turn = http.Turn(http.server_timeout())

    def invoke(environ, start_response):
        request = request_of(environ)
        try:
            with turn:
                result = handlers.transform(*request)
            return respond(start_response, result)
        except BaseException as error:
            http.log_exception("Exception on /invocations [POST]: %s" % error)
            return http.reply(start_response, 500, ERROR_PAGE, "text/html; charset=utf-8")

    return invoke


def application(invoke, execution_parameters=None):
    """nginx and Flask in one: three paths, everything else is an empty 404."""

    def app(environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/ping":
            return http.reply(start_response, 200)
        if path == "/execution-parameters" and execution_parameters:
            return respond(start_response, execution_parameters())
        if path != "/invocations":
            return http.reply(start_response, 404, "{}")
        if method != "POST":
            return http.reply(start_response, 405, "", headers=[("Allow", "OPTIONS, POST")])
        return invoke(environ, start_response)

    return app


def serve(framework, version, defaults, hint=""):
    """The user's script with the container's own functions where it has none, until SIGTERM."""
    http.log_version(framework, version)
    offer_names()
    handlers = load_handlers(defaults, hint)
    http.run(application(invocation(handlers), getattr(sys.modules[program()], "execution_parameters_fn", None)))
