"""What multi-model-server and TorchServe are in AWS's containers, without the Java.

AWS's toolkits (sagemaker-inference and those on top of it) bring a handler
service; serve() gives each request to it in MMS's form and turns what comes back
into HTTP.
"""
import json
import os
import sys
import uuid

import smfs_http as http
import smfs_packages as packages

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


class Metrics:
    """MMS's metrics of a request; there they become log lines of their own."""

    def ignore(self, *_, **__):
        pass

    add_counter = add_time = add_size = add_percent = add_metric = ignore


class Context:
    """MMS's context: of the model, and of the one request being handled. There is one for all requests, as handlers
    keep the one that they were initialized with."""

    def __init__(self, model_dir):
        self.model_name = "model"
        self.manifest = {}
        self.metrics = Metrics()
        self.system_properties = {"model_dir": model_dir, "gpu_id": None, "batch_size": 1,
                                  "server_name": "MMS", "server_version": "1"}
        self.begin({}, None)

    def begin(self, headers, start_response):
        """The next request."""
        self.request_ids = {0: str(uuid.uuid4())}
        self.request_processor = [RequestProcessor(headers)]
        self.start_response, self.pieces = start_response, None  # pieces: once an answer is streamed, what sends one

    def send(self, piece):
        """A part of the answer, before the handler has ended."""
        if self.pieces is None:
            fields = dict(self.get_response_headers(0))
            content_type = fields.pop("content-type", None) or "text/plain"
            self.pieces = self.start_response("200 OK", [("Content-Type", content_type)] +
                                              [(name, str(text)) for name, text in fields.items()])
        self.pieces(encoded(piece))

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
    body = json.dumps({"code": code, "type": ERROR_TYPES.get(code, "InternalServerException"), "message": text}, indent=2)
    return http.reply(start_response, code, body)


def encoded(value):
    """What a handler returned, as bytes: bytes and str as they are, the rest as JSON."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("utf-8")
    return json.dumps(value).encode("utf-8")


def invocation(service, context):
    """POST /invocations: one request at a time, as in one of MMS's workers."""
    turn = http.Turn(http.server_timeout("SAGEMAKER_TS_RESPONSE_TIMEOUT"))

    def invoke(environ, start_response):
        body = http.body_of(environ)
        with turn:
            context.begin(headers_of(environ), start_response)
            return handled(body, start_response)

    def handled(body, start_response):
        try:
            answers = service.handle([{"body": body}], context)
        except MemoryError:
            http.log_exception("System out of memory")
            return server_error(start_response, 507, "Out of resources")
        except Exception as error:
            http.log_exception("Invoking custom service failed: %s" % error)
            if context.pieces:
                raise  # the answer breaks off
            if hasattr(error, "error_code"):  # mms.service.PredictionException
                return server_error(start_response, error.error_code, error.message)
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
        http.write(1, http.cut(value if isinstance(value, str) else str(phrase)) + "\n")
        if context.pieces:
            raise RuntimeError("the handler failed after it had sent a part of its answer")
    if context.pieces:
        context.send(value)
        return []
    fields = dict(context.get_response_headers(0))
    content_type = fields.pop("content-type", None) or "text/plain"
    return http.reply(start_response, status, encoded(value), content_type,
                      [(name, str(text)) for name, text in fields.items()])


def send_intermediate_predict_response(values, request_ids, message, code, context=None):
    """TorchServe's: the first of values is a piece of the answer to the one request there is."""
    context.send(values[0])


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


def load(framework, import_service, reason=str, code=None):
    """The handler service with the model loaded, and its context. import_service brings it and the
    framework's version; reason makes an exception's text short; the user's module
    is in code, if that is not the model's code/."""
    model_dir = http.model_dir()
    code = code or os.path.join(model_dir, "code")
    packages.install(code)
    try:
        service, version = import_service()
    except Exception as error:
        http.log_exception("cannot load %s" % framework)
        http.fail("cannot load %s: %s: %s" % (framework, type(error).__name__, error))
    http.log_version(framework, version)
    # The user's module is looked for there, as MMS's workers do.
    sys.path.insert(0, code)
    try:
        context = Context(model_dir)
        service.initialize(context)
    except BaseException as error:
        http.log_exception("cannot load the model")
        http.fail("cannot load the model: %s: %s%s" % (
            type(error).__name__, reason(error), http.version_hint(framework.lower(), version)))
    http.log("INFO", "Model %s loaded" % os.path.basename(model_dir))
    return service, context


def serve(loaded):
    http.run(application(invocation(*loaded)))
