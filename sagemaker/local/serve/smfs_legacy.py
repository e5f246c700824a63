"""What AWS's older containers have in common: code that is downloaded from S3, and Flask in front.

Up to TensorFlow 1.10 and MXNet 1.2 that is container_support (sagemaker-containers 1.x):
transform() answers, errors are an empty 500 and their reason is in the log. The user's
module is optional: SAGEMAKER_PROGRAM in what SAGEMAKER_SUBMIT_DIRECTORY names.
"""
import json
import os
import re

import smfs_http as http
import smfs_toolkit as toolkit

# The first version of each framework whose container is another one: without
# container_support, and without code that comes from S3.
CONTAINER_SUPPORT_UNTIL = {"tensorflow": (1, 11), "mxnet": (1, 3)}
DOWNLOADS_UNTIL = {"tensorflow": (1, 11), "mxnet": (1, 4), "pytorch": (1, 2)}

OCTET_STREAM = "application/octet-stream"


def is_before(framework, table):
    """Whether the image that was asked for is older than the table's version."""
    wanted = re.findall(r"\d+", os.environ.get("SAGEMAKERFS_FRAMEWORK_VERSION", ""))
    return bool(wanted) and tuple(map(int, wanted[:2])) < table[framework]


def uses_container_support(framework):
    return is_before(framework, CONTAINER_SUPPORT_UNTIL)


def downloads_code(framework):
    return is_before(framework, DOWNLOADS_UNTIL)


class UnsupportedContentTypeError(Exception):
    def __init__(self, what):
        super().__init__("Requested unsupported ContentType: %s" % what)


class UnsupportedAcceptTypeError(Exception):
    def __init__(self, what):
        super().__init__("Requested unsupported ContentType in Accept: %s" % what)


class UnsupportedInputShapeError(Exception):
    def __init__(self, inputs):
        super().__init__("Model can have only 1 input data, but it has: %s" % inputs)


STATUS = {UnsupportedContentTypeError: 415, UnsupportedAcceptTypeError: 406, UnsupportedInputShapeError: 412}


def offer_names():
    """container_support.serving, which scripts import for its types and errors."""
    serving = toolkit.as_module(
        "container_support.serving", JSON_CONTENT_TYPE=toolkit.JSON, CSV_CONTENT_TYPE=toolkit.CSV,
        OCTET_STREAM_CONTENT_TYPE=OCTET_STREAM, ANY_CONTENT_TYPE=toolkit.ANY,
        UTF8_CONTENT_TYPES=list(toolkit.UTF8_TYPES), **{kind.__name__: kind for kind in STATUS})
    toolkit.as_module("container_support", serving=serving, __path__=[])


def warn_of_settings():
    missing = [name for name in ("SAGEMAKER_CONTAINER_LOG_LEVEL", "SAGEMAKER_REGION") if name not in os.environ]
    if missing:
        http.log("WARNING", "%s not in the model's Environment: AWS's container does not start without" % ", ".join(missing))


def user_module():
    """The user's module, or None when the model brings none."""
    warn_of_settings()
    offer_names()
    if not toolkit.program():
        return None
    if os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "").startswith("s3://"):
        return toolkit.import_user_module()
    http.fail("SAGEMAKER_PROGRAM is '%s', but SAGEMAKER_SUBMIT_DIRECTORY of the model's Environment is no s3:// URL: "
              "this container takes code only from a tar.gz in S3" % os.environ["SAGEMAKER_PROGRAM"])


def invocation(transform):
    """POST /invocations: transform(content, content type, accept) returns (body, content type)."""
    turn = http.Turn(http.server_timeout())

    def invoke(environ, start_response):
        try:
            request = toolkit.request_of(environ)
            with turn:
                body, content_type = transform(*request)
            if not isinstance(body, (str, bytes, bytearray)):
                raise TypeError("the answer is %s: it must be text or bytes" % type(body).__name__)
            return http.reply(start_response, 200, body, toolkit.flask_type(content_type))
        except BaseException as error:
            http.log_exception("Exception on /invocations [POST]: %s" % error)
            status = STATUS.get(type(error))
            if status is None:
                return http.reply(start_response, 500)
            return http.reply(start_response, status, json.dumps(str(error)))

    return invoke


def run(transform):
    http.run(toolkit.application(invocation(transform)))
