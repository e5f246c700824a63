"""The containers of TensorFlow 1.4 to 1.10: what tf_container is there.

Requests become TensorFlow Serving's gRPC messages, answers are these messages as JSON or
bytes; between them the user's input_fn and output_fn, or transform_fn instead of all.
The model is the newest version in export/Servo, asked by its signature serving_default.
"""
import csv
import io
import json
import os
import sys

import smfs_http as http
import smfs_legacy as legacy
import smfs_packages as packages
import smfs_toolkit as toolkit

MODEL, SIGNATURE, INPUTS = "generic_model", "serving_default", "inputs"
SAYS_MODEL_FROM = {"tensorflow": (1, 5)}  # the first TensorFlow Serving whose answers name the model


class Client:
    """The model behind the requests that TensorFlow Serving takes."""

    def __init__(self, rest, model, version):
        import smfs_tf_protos as protos
        self.rest, self.protos, self.model, self.version = rest, protos, model, version
        self.signature = model.signatures.get(SIGNATURE)
        self.method = self.signature.method_name if self.signature else ""
        self.calls = {rest.METHOD_NAME + "predict": ("PredictRequest", self.predict),
                      rest.METHOD_NAME + "classify": ("ClassificationRequest", self.classify)}

    def call(self):
        if self.method not in self.calls:
            raise NotImplementedError("This prediction service type is not supported by SageMaker yet: method_name of the "
                                      "signature %s is '%s'" % (SIGNATURE, self.method))
        return self.calls[self.method]

    def parse(self, data):
        """The request message of the signature's kind."""
        return self.protos.API[self.call()[0]].FromString(data)

    def request(self, data):
        return self.call()[1](data)

    def answer(self, kind):
        message = self.protos.API[kind]()
        if not legacy.is_before("tensorflow", SAYS_MODEL_FROM):
            message.model_spec.name, message.model_spec.signature_name = MODEL, SIGNATURE
            message.model_spec.version.value = self.version
        return message

    # -- predict

    def tensor(self, value):
        """The array of a tensor message, or of what numpy makes an array of, in the type of the first input."""
        if self.protos.is_message(value, "tensorflow.TensorProto"):
            return self.protos.array_of(value)
        np, tf = self.rest.forms.np, self.rest.tf
        dtype = next(iter(self.signature.inputs.values())).dtype
        kind = tf.DTYPES[dtype][1]
        try:
            array = np.asarray(value)
            if kind is not object:
                return dtype, array.astype(kind)
            texts = [text if isinstance(text, bytes) else text.encode() for text in array.reshape(-1).tolist()]
            return dtype, np.array(texts + [None], object)[:-1].reshape(array.shape)
        except Exception:
            raise ValueError("Unable to convert value to TensorProto: %s. \n        Valid formats: tensor_pb2.TensorProto, "
                             "list, numpy.ndarray" % (value,))

    def tensors(self, data):
        if self.protos.is_message(data, "tensorflow.serving.PredictRequest"):
            return {name: self.protos.array_of(proto) for name, proto in data.inputs.items()}, list(data.output_filter)
        named = data if isinstance(data, dict) else {INPUTS: data}
        return {name: self.tensor(value) for name, value in named.items()}, []

    def predict(self, data):
        given, wanted = self.tensors(data)
        self.check(given)
        outputs = self.rest.run_signature(self.model, self.signature, {name: array for name, (_, array) in given.items()})
        message = self.answer("PredictResponse")
        for name in wanted or sorted(outputs):
            if name not in outputs:
                raise self.rest.forms.invalid("output tensor alias not found in signature: %s" % name)
            self.protos.put_tensor(message.outputs[name], *outputs[name])
        return message

    def check(self, given):
        """TensorFlow Serving's own checks of names and types."""
        inputs = self.signature.inputs
        for name, (dtype, _) in given.items():
            if name not in inputs:
                raise self.rest.forms.invalid("input tensor alias not found in signature: %s. Inputs expected to be in the "
                                              "set {%s}." % (name, ",".join(sorted(inputs))))
            if dtype != inputs[name].dtype:
                raise self.rest.forms.invalid("input %s is of type %s, the signature's of %s" % (
                    name, self.rest.tf.DTYPES[dtype][0], self.rest.tf.DTYPES[inputs[name].dtype][0]))
        if len(given) != len(inputs):
            raise self.rest.forms.invalid("input size does not match signature: %d != %d" % (len(given), len(inputs)))

    # -- classify

    def feature(self, feature, value):
        """By the type of the first value; integers stay integers, and mismatch a feature of floats, as there."""
        values = value if isinstance(value, list) else [value]
        kind = type(values[0]) if values else None
        if kind is int:
            feature.int64_list.value.extend(values)
        elif kind is float:
            feature.float_list.value.extend(values)
        elif kind in (str, bytes):
            feature.bytes_list.value.extend(x if isinstance(x, bytes) else str(x).encode() for x in values)
        else:
            raise ValueError("Unsupported request data format: %s, %s. Valid formats: float, int, str any object that "
                             "implements __iter__ or classification_pb2.ClassificationRequest" % (value, type(value)))

    def examples(self, data):
        """The serialized tf.Examples of a dict, a list of dicts, or one list of values for the feature `inputs`."""
        if self.protos.is_message(data, "tensorflow.serving.ClassificationRequest"):
            listed = data.input.example_list_with_context
            context = listed.context.SerializeToString()
            found = listed.examples or data.input.example_list.examples
            return [context + example.SerializeToString() for example in found]
        if isinstance(data, dict):
            data = [data]
        elif not (isinstance(data, list) and all(isinstance(row, dict) for row in data)):
            data = [{INPUTS: data if isinstance(data, list) else [data]}]
        examples = []
        for row in data:
            example = self.protos.Example()
            for name, value in row.items():
                self.feature(example.features.feature[name], value)
            examples.append(example.SerializeToString())
        return examples

    def classify(self, data):
        examples = self.examples(data)
        outputs = self.rest.run_serialized(self.model, self.signature, "classify", "classification", examples)
        found = {name: array.tolist() for name, (_, array) in self.rest.classified(outputs, len(examples)).items()}
        message = self.answer("ClassificationResponse")
        message.result.SetInParent()
        for number, row in enumerate(next(iter(found.values()))):
            classes = message.result.classifications.add().classes
            for column in range(len(row)):
                one = classes.add()
                if "classes" in found:
                    one.label = found["classes"][number][column].decode("utf-8", "replace")
                if "scores" in found:
                    one.score = found["scores"][number][column]
        return message


# ---- requests and answers ----

def json_input(client, text):
    """A dict that is a tensor message is one, everything else is itself."""
    from google.protobuf import json_format
    data = json.loads(text)
    if isinstance(data, dict):
        try:
            return json_format.ParseDict(data, client.protos.TensorProto())
        except json_format.ParseError:
            pass
    return data


def csv_input(text):
    """The first row; further ones are ignored, as there."""
    return [float(cell) for cell in next(csv.reader(io.StringIO(text)))]


def default_input(client):
    def input_fn(data, content_type):
        if content_type == toolkit.JSON:
            return json_input(client, data)
        if content_type == toolkit.CSV:
            return csv_input(data)
        if content_type == legacy.OCTET_STREAM:
            return client.parse(data)
        raise legacy.UnsupportedContentTypeError("Unsupported content-type %s" % content_type)

    return input_fn


def default_output(message, accept):
    from google.protobuf import json_format
    if accept in (toolkit.JSON, toolkit.ANY):
        return json_format.MessageToJson(message)
    if accept == legacy.OCTET_STREAM:
        return message.SerializeToString()
    raise legacy.UnsupportedAcceptTypeError("invalid accept type %s" % accept)


def transformer(client, module):
    """transform(content, content type, accept) of the user's functions, where there are some, and the container's."""
    own = {name: getattr(module, name, None) for name in ("transform_fn", "input_fn", "output_fn")}
    if own["transform_fn"]:
        return lambda data, content_type, accept: (own["transform_fn"](data, content_type, accept), accept)
    input_fn = own["input_fn"] or default_input(client)
    output_fn = own["output_fn"] or default_output

    def transform(data, content_type, accept):
        return output_fn(client.request(input_fn(data, content_type)), accept), accept

    return transform


# ---- the server ----

def load():
    """The client of the newest version in export/Servo, or the end."""
    directory = http.model_dir()
    below = os.path.join(directory, "export", "Servo")
    try:
        import smfs_tf_rest as rest
    except Exception as error:
        http.fail("cannot load TensorFlow: %s" % error)
    versions = rest.find_versions(below).get("model")
    if not versions:
        http.fail("this container takes the model from export/Servo: there is no export/Servo/NUMBER/saved_model.pb")
    version = max(versions)
    try:
        model = rest.tf.SavedModel(versions[version])
    except rest.tf.TensorFlowError as error:
        http.fail("cannot load export/Servo/%d: %s" % (version, error))
    http.log_version("TensorFlow", rest.tf.version)
    http.log("INFO", "loaded %s version %d" % (MODEL, version))
    return Client(rest, model, version)


def main():
    sys.dont_write_bytecode = True
    packages.install(toolkit.code_dir())
    client = load()
    client.protos.offer_names()
    if not client.signature:
        http.log("WARNING", "the model has no signature %s: every request will fail" % SIGNATURE)
    legacy.run(transformer(client, legacy.user_module()))
