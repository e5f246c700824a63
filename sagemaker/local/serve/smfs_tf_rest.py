"""TensorFlow Serving's REST API over the models of one directory."""
import json
import os
import re

import smfs_http as http
import smfs_tf_json as forms
import smfs_tf_session as tf

# HTTP status of each TensorFlow error code, as TensorFlow Serving maps them.
HTTP_STATUS = {1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409,
               11: 400, 12: 501, 13: 500, 14: 503, 15: 500, 16: 401}
NOT_FOUND, FAILED_PRECONDITION = 5, 9
DEFAULT_SIGNATURE = "serving_default"
METHOD_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:(predict|classify|regress)",
                         re.IGNORECASE)
MODEL_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata)?", re.IGNORECASE)
METHOD_NAME = "tensorflow/serving/"


def example_pb2():
    global _example_pb2
    if _example_pb2 is None:
        _example_pb2 = tf.protobuf("core.example.example_pb2")
    return _example_pb2


_example_pb2 = None


def find_versions(directory):
    """{model name: {version: path}}: a saved_model.pb in a directory that is a number.

    The model is the directory above the number; a number at the very top
    belongs to a model called `model`, as in the container.
    """
    models = {}
    for path, directories, files in os.walk(directory):
        directories.sort()
        number = os.path.basename(path)
        if "saved_model.pb" not in files or path == directory or not re.fullmatch(r"[0-9]+", number):
            continue
        parent = os.path.dirname(path)
        name = "model" if parent == directory else os.path.basename(parent)
        models.setdefault(name, {}).setdefault(int(number), path)
    return models


class Models:
    """All models and versions; those that do not load keep the reason why."""

    def __init__(self, directory):
        self.directory = directory
        self.paths = find_versions(directory)
        self.loaded = {}
        self.errors = {}

    def load(self):
        threads = [int(os.environ.get("SAGEMAKER_TFS_%s_OP_PARALLELISM" % which, "0") or 0)
                   for which in ("INTRA", "INTER")]
        for name, versions in self.paths.items():
            for number, path in sorted(versions.items()):
                self.load_version(name, number, path, threads)

    def load_version(self, name, number, path, threads):
        try:
            self.loaded[name, number] = tf.SavedModel(path, *threads)
            http.log("INFO", "loaded model %s version %d" % (name, number))
        except tf.TensorFlowError as error:
            shown = os.path.relpath(path, self.directory)
            self.errors[name, number] = error
            http.log("ERROR", "cannot load model '%s' version %d from '%s': %s"
                     % (name, number, shown, error))

    def find(self, name, number):
        if number is None:
            numbers = [n for m, n in self.loaded if m == name]
            if numbers:
                return self.loaded[name, max(numbers)]
            wanted = "Latest(%s)" % name
        else:
            if (name, number) in self.loaded:
                return self.loaded[name, number]
            wanted = "Specific(%s, %d)" % (name, number)
        raise tf.TensorFlowError(NOT_FOUND, "Servable not found for request: %s" % wanted)

    def status(self, name, number):
        """The protobuf JSON of GetModelStatusResponse, newest version first."""
        known = [n for n in self.paths.get(name, {}) if number in (None, n)]
        if not known:
            which = name if number is None else "%s version %d" % (name, number)
            raise tf.TensorFlowError(NOT_FOUND, "Could not find any versions of model %s" % which)
        states = []
        for n in sorted(known, reverse=True):
            error = self.errors.get((name, n))
            code = {3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 15: "DATA_LOSS"}.get(
                error.code, "UNKNOWN") if error else "OK"
            states.append({"version": str(n), "state": "END" if error else "AVAILABLE",
                           "status": {"error_code": code,
                                      "error_message": str(error) if error else ""}})
        return json.dumps({"model_version_status": states}, indent=1) + "\n"


def signature_of(model, document):
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise forms.invalid("JSON Value: %s not formatted correctly. 'signature_name' key must "
                            "be a string value." % forms.show(document))
    signature = model.signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise forms.invalid('Serving signature name: "%s" not found in signature def'
                            % (name or DEFAULT_SIGNATURE))
    return signature


def check_rank(name, info, array):
    """A refusal where TensorFlow would abort, and take the other requests along."""
    shape = info.tensor_shape
    if not shape.unknown_rank and len(shape.dim) != array.ndim:
        raise forms.invalid("input '%s' has the shape %s: the model takes %s (-1: any size)"
                            % (name, list(array.shape), [dim.size for dim in shape.dim]))


def run_signature(model, signature, arrays):
    """{output name: (dtype, array)} of a signature, by the names of its inputs."""
    for name, array in arrays.items() if model.needs_rank else ():
        check_rank(name, signature.inputs[name], array)
    feeds = [(signature.inputs[name].name, signature.inputs[name].dtype, array)
             for name, array in arrays.items()]
    names = sorted(signature.outputs)
    results = model.run(feeds, [signature.outputs[name].name for name in names])
    return dict(zip(names, results))


def predict(model, document):
    signature = signature_of(model, document)
    allowed = [METHOD_NAME + m for m in ("predict", "classify", "regress")]
    if signature.method_name not in allowed:
        raise forms.invalid("Expected prediction signature method_name to be one of {%s}. Was: %s"
                            % (", ".join(allowed), signature.method_name))
    if not signature.inputs:
        raise forms.invalid("Failed to get input map for signature: %s"
                            % (document.get("signature_name") or "DEFAULT"))
    row, arrays = forms.tensors_of_predict(document, signature.inputs)
    outputs = run_signature(model, signature, arrays)
    return forms.row_reply(outputs) if row else forms.column_reply(outputs)


# ---- classify and regress: tf.Examples from JSON

def feature_value(feature, name, value):
    """Adds a JSON value to a Feature, whose first value decides its kind."""
    if isinstance(value, (bool, int)):
        kind = "int64_list"
        if not -1 << 63 <= value < 1 << 63:
            raise forms.invalid("Feature: %s has uint64 element. Only int64 is supported." % name)
        value = int(value)
    elif isinstance(value, float):
        kind, value = "float_list", forms.check_decimal(value, "float")
    elif isinstance(value, str):
        kind, value = "bytes_list", value.encode("utf-8", "surrogatepass")
    elif forms.is_base64(value):
        kind, value = "bytes_list", forms.decode_base64(value)
    else:
        raise forms.invalid("Feature: %s has element with unexpected JSON type: %s"
                            % (name, forms.json_type(value)))
    present = feature.WhichOneof("kind")
    if present not in (None, kind):
        raise forms.invalid("Unexpected element type in feature: %s expecting type: %s"
                            % (name, present.split("_")[0]))
    getattr(feature, kind).value.append(value)


def example_of(value):
    if not isinstance(value, dict):
        raise forms.invalid("Example must be JSON object but got JSON %s" % forms.json_type(value))
    example = example_pb2().Example()
    for name, content in value.items():
        feature = example.features.feature[name]
        for item in content if isinstance(content, list) else [content]:
            feature_value(feature, name, item)
    return example.SerializeToString()


def examples_of(document, method):
    """The serialized tf.Examples, each merged with the request's context."""
    context = example_of(document["context"]) if "context" in document else b""
    examples = document.get("examples")
    if "examples" not in document:
        raise forms.invalid("JSON Value: %s When method is %s, key 'examples' is expected and "
                            "was not found" % (forms.show(document), method))
    if not isinstance(examples, list):
        raise forms.invalid("JSON Value: %s Expecting 'examples' value to be an list/array"
                            % forms.show(document))
    if not examples:
        raise forms.invalid("JSON Value: %s 'examples' value is an empty array"
                            % forms.show(document))
    return [context + example_of(example) for example in examples]


def run_serialized(model, signature, method, kind, examples):
    """{output name: (dtype, array)} of a signature that takes serialized tf.Examples."""
    if signature.method_name != METHOD_NAME + method:
        raise forms.invalid("Expected %s signature method_name to be %s. Was: %s"
                            % (kind, METHOD_NAME + method, signature.method_name))
    if "inputs" not in signature.inputs:
        raise tf.TensorFlowError(FAILED_PRECONDITION,
                                 "No %s inputs found in SignatureDef" % kind)
    arrays = {"inputs": forms.np.array(examples + [None], object)[:-1]}
    return run_signature(model, signature, arrays)


def run_examples(model, document, method, kind):
    signature = signature_of(model, document)
    examples = examples_of(document, method)
    return len(examples), run_serialized(model, signature, method, kind, examples)


def classified(outputs, count):
    """What of classes and scores there is, checked: {name: (dtype, array)}."""
    found = {name: outputs[name] for name in ("classes", "scores") if name in outputs}
    for name, (_, array) in found.items():
        check_rows(array, count, name)
    if not found:
        raise tf.TensorFlowError(FAILED_PRECONDITION,
                                 "Expected classification signature outputs to contain at least "
                                 "one of classes, scores")
    return found


def classify(model, document):
    count, outputs = run_examples(model, document, "classify", "classification")
    texts = {name: forms.nested(forms.leaves(name, dtype, array), array.shape)
             for name, (dtype, array) in classified(outputs, count).items()}
    known = next(iter(texts.values()))
    labels = texts.get("classes") or [['""'] * len(row) for row in known]
    scores = texts.get("scores") or [["0.0"] * len(row) for row in known]
    return forms.classify_reply(labels, scores)


def check_rows(array, count, name):
    if array.ndim != 2 or array.shape[0] != count:
        raise forms.invalid("Expected Tensor shape: [batch_size num_classes] for %s but got %s"
                            % (name, list(array.shape)))


def regress(model, document):
    count, outputs = run_examples(model, document, "regress", "regression")
    if "outputs" not in outputs:
        raise tf.TensorFlowError(FAILED_PRECONDITION, "No regression outputs found in SignatureDef")
    dtype, array = outputs["outputs"]
    if array.shape not in ((count,), (count, 1)):
        raise forms.invalid("Expected output batch size to be %d. Got shape: %s"
                            % (count, list(array.shape)))
    return forms.regress_reply(forms.leaves("outputs", dtype, array))


METHODS = {"predict": predict, "classify": classify, "regress": regress}


def signature_json(signature):
    from google.protobuf import json_format
    options = {"preserving_proto_field_name": True}
    try:
        return json_format.MessageToDict(signature, always_print_fields_with_no_presence=True,
                                         **options)
    except TypeError:  # protobuf before 5.26
        return json_format.MessageToDict(signature, including_default_value_fields=True, **options)


def metadata(models, name, number):
    """The signatures of a version as GetModelMetadataResponse in JSON."""
    model = models.find(name, number)
    if number is None:
        number = max(n for m, n in models.loaded if m == name)
    signatures = {key: signature_json(value) for key, value in model.signatures.items()}
    document = {"@type": "type.googleapis.com/tensorflow.serving.SignatureDefMap",
                "signature_def": signatures}
    return json.dumps({"model_spec": {"name": name, "signature_name": "", "version": str(number)},
                       "metadata": {"signature_def": document}}, indent=1) + "\n"


def answer(models, method, path, body):
    """(status, JSON text) of a request to /v1/models/...; body is a function."""
    try:
        return 200, dispatch(models, method, path, body)
    except tf.TensorFlowError as error:
        return HTTP_STATUS.get(error.code, 500), forms.error_reply(str(error))
    except RecursionError:  # a message that shows a deeply nested value
        return 400, forms.error_reply("JSON Parse error: the document is nested too deeply")


def dispatch(models, method, path, body):
    match = METHOD_PATH.fullmatch(path) if method == "POST" else None
    if match:
        name, number, action = match.groups()
        model = models.find(name, int(number) if number else None)
        return METHODS[action.lower()](model, forms.parse(body()))
    match = MODEL_PATH.fullmatch(path) if method == "GET" else None
    if not match:
        raise forms.invalid("Malformed request: %s %s" % (method, path))
    name, number, wants_metadata = match.groups()
    number = int(number) if number else None
    return metadata(models, name, number) if wants_metadata else models.status(name, number)


def application(models):
    """The REST API as a WSGI application, for handlers."""

    def app(environ, start_response):
        status, text = answer(models, environ["REQUEST_METHOD"], environ["PATH_INFO"],
                              lambda: http.body_of(environ))
        return http.reply(start_response, status, text)

    return app
