"""The model server for MXNet: AWS's own handlers, without the Java in front.

sagemaker-mxnet-inference decides how a model is loaded and asked, as in the
container; this file is what multi-model-server is there: it hands each request
over in MMS's form and turns what comes back into HTTP.
"""
import json
import os
import sys
import threading

import smfs_http as http

# What the container sets, when the user has not.
CONTAINER_ENVIRONMENT = {
    "MXNET_CPU_WORKER_NTHREADS": "1", "MXNET_CPU_PRIORITY_NTHREADS": "1",
    "MXNET_KVSTORE_REDUCTION_NTHREADS": "1", "OMP_NUM_THREADS": "1",
}
ERROR_TYPES = {404: "ResourceNotFoundException", 405: "MethodNotAllowedException",
               503: "InternalServerException", 507: "InternalServerException"}


class RequestProcessor:
    """MMS's view of one request: its headers, and its answer's status and type."""

    def __init__(self, headers):
        self.headers = headers
        self.status = 200
        self.phrase = None
        self.response_headers = {}

    def get_request_properties(self):
        return self.headers

    def get_request_property(self, key):
        return self.headers.get(key)

    def report_status(self, code, reason_phrase=None):
        self.status, self.phrase = code, reason_phrase

    def get_response_status_code(self):
        return self.status

    def get_response_status_phrase(self):
        return self.phrase

    def add_response_property(self, key, value):
        self.response_headers[key] = value

    def get_response_headers(self):
        return self.response_headers

    get_response_header = get_response_headers


class Context:
    """MMS's context: of the model, and of the one request being handled."""

    def __init__(self, model_dir, headers=None, request_id="0"):
        self.model_name = "model"
        self.manifest = {}
        self.metrics = None
        self.system_properties = {"model_dir": model_dir, "gpu_id": None, "batch_size": 1,
                                  "server_name": "MMS", "server_version": "1"}
        self.request_ids = {0: request_id}
        self.request_processor = [RequestProcessor(headers or {})]

    def get_request_id(self, idx=0):
        return self.request_ids.get(idx)

    def get_request_header(self, idx, key):
        return self.request_processor[idx].get_request_property(key)

    def get_all_request_header(self, idx):
        return self.request_processor[idx].get_request_properties()

    def set_response_content_type(self, idx, value):
        self.request_processor[idx].add_response_property("content-type", value)

    def get_response_content_type(self, idx):
        return self.request_processor[idx].get_response_headers().get("content-type")

    def set_response_header(self, idx, key, value):
        self.request_processor[idx].add_response_property(key, value)

    def get_response_headers(self, idx):
        return self.request_processor[idx].get_response_headers()

    def set_response_status(self, code=200, phrase="", idx=0):
        self.request_processor[idx].report_status(code, reason_phrase=phrase)

    def get_response_status(self, idx):
        processor = self.request_processor[idx]
        return processor.get_response_status_code(), processor.get_response_status_phrase()

    set_http_response_status = set_response_status
    get_http_response_status = get_response_status


def headers_of(environ):
    """The request's headers under the names that handlers look for."""
    headers = {}
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            headers[name[5:].replace("_", "-").title()] = value
    if environ.get("CONTENT_TYPE"):
        headers["Content-Type"] = environ["CONTENT_TYPE"]
    if environ.get("CONTENT_LENGTH"):
        headers["Content-Length"] = environ["CONTENT_LENGTH"]
    if "X-Amzn-Sagemaker-Custom-Attributes" in headers:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = headers.pop(
            "X-Amzn-Sagemaker-Custom-Attributes")
    return headers


def server_error(start_response, code, text):
    """An error of MMS's own, in its form."""
    body = json.dumps({"code": code, "type": ERROR_TYPES[code], "message": text}, indent=2)
    return http.reply(start_response, code, body)


def encoded(value):
    """What a handler returned, as bytes: bytes and str as they are, the rest as JSON."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("utf-8")
    return json.dumps(value).encode("utf-8")


def invocation(service, model_dir):
    """POST /invocations: one request at a time, as in one of MMS's workers."""
    lock = threading.Lock()

    def invoke(environ, start_response):
        body = http.body_of(environ)
        context = Context(model_dir, headers_of(environ))
        try:
            with lock:
                answers = service.handle([{"body": body}], context)
        except MemoryError:
            http.log_exception("System out of memory")
            return server_error(start_response, 507, "Out of resources")
        except Exception as error:
            http.log_exception("Invoking custom service failed: %s" % error)
            return server_error(start_response, 503, "Prediction failed")
        if not isinstance(answers, list):
            return server_error(start_response, 503, "Invalid model predict output")
        if len(answers) != 1:
            return server_error(start_response, 503, "number of batch response mismatched")
        return answer(start_response, context, answers[0])

    return invoke


def answer(start_response, context, value):
    status, phrase = context.get_response_status(0)
    if status >= 400:
        http.write(1, "%s\n" % (value if isinstance(value, str) else phrase))
    fields = dict(context.get_response_headers(0))
    content_type = fields.pop("content-type", None) or "text/plain"
    return http.reply(start_response, status, encoded(value), content_type,
                      [(name, str(text)) for name, text in fields.items()])


def prepare_environment():
    for name, value in CONTAINER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    sys.dont_write_bytecode = True
    if sys.version_info < (3, 12):
        # The standard distutils (MXNet asks it for a version) loads faster
        # than the copy that setuptools would put in its place.
        os.environ.setdefault("SETUPTOOLS_USE_DISTUTILS", "stdlib")


def import_service():
    """AWS's handler service. scipy.stats, which MXNet imports for quantizing
    only and does without, is kept out meanwhile: it costs 0.3 s."""
    sys.modules["scipy.stats"] = None
    try:
        import mxnet
        from sagemaker_mxnet_serving_container.handler_service import HandlerService
    finally:
        del sys.modules["scipy.stats"]
    wanted = os.environ.get("SAGEMAKERFS_FRAMEWORK_VERSION") or "any"
    http.log("INFO", "MXNet %s (asked for: %s)" % (mxnet.__version__, wanted))
    return HandlerService()


def load(model_dir):
    try:
        service = import_service()
    except Exception as error:
        http.log_exception("cannot load MXNet")
        http.fail("cannot load MXNet: %s: %s" % (type(error).__name__, error))
    # The user's module is looked for in code/, as MMS's workers do.
    code = os.path.join(model_dir, "code")
    sys.path.insert(0, code)
    hint = http.not_installed(code, "code")
    if hint:
        http.log("WARNING", hint)
    try:
        service.initialize(Context(model_dir))
    except BaseException as error:
        http.log_exception("cannot load the model")
        http.fail(http.with_hint("cannot load the model: %s: %s"
                                 % (type(error).__name__, reason(error)), hint))
    http.log("INFO", "Model %s loaded" % os.path.basename(model_dir))
    return service


def reason(error):
    """What went wrong, without MXNet's C++ stack around it."""
    text = str(error).split("Stack trace:")[0].strip()
    if "Traceback (most recent call last)" in text:
        text = text.rpartition("Error: ")[2]
    return text


def application(invoke):
    def app(environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/ping":
            return http.reply(start_response, 200)
        if path != "/invocations":
            return server_error(start_response, 404, "Requested resource is not found, please "
                                                     "refer to API document.")
        if method != "POST":
            return server_error(start_response, 405, "Requested method is not allowed, please "
                                                     "refer to API document.")
        return invoke(environ, start_response)

    return app


def main():
    prepare_environment()
    model_dir = http.model_dir()
    http.run(application(invocation(load(model_dir), model_dir)))


if __name__ == "__main__":
    http.start(main)
