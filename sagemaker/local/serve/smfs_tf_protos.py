"""Messages of TensorFlow Serving's gRPC API, and tensors as messages.

The package that has them (tensorflow-serving-api) wants gRPC and a TensorFlow of its own
version; the messages are few, and their fields are published (tensorflow_serving/apis).
"""
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2  # noqa: F401 (registers)

import smfs_tf_session as tf
import smfs_toolkit as toolkit

tensor_pb2 = tf.protobuf("core.framework.tensor_pb2")
example_pb2 = tf.protobuf("core.example.example_pb2")
TensorProto, Example = tensor_pb2.TensorProto, example_pb2.Example

PACKAGE = ".tensorflow.serving."
# message: its fields (name, number, type, "*": repeated, "{}": the values of a map by string)
MESSAGES = {
    "ModelSpec": (("name", 1, "string", ""), ("version", 2, ".google.protobuf.Int64Value", ""),
                  ("signature_name", 3, "string", "")),
    "PredictRequest": (("model_spec", 1, PACKAGE + "ModelSpec", ""), ("inputs", 2, ".tensorflow.TensorProto", "{}"),
                       ("output_filter", 3, "string", "*")),
    "PredictResponse": (("outputs", 1, ".tensorflow.TensorProto", "{}"), ("model_spec", 2, PACKAGE + "ModelSpec", "")),
    "ExampleList": (("examples", 1, ".tensorflow.Example", "*"),),
    "ExampleListWithContext": (("examples", 1, ".tensorflow.Example", "*"), ("context", 2, ".tensorflow.Example", "")),
    "Input": (("example_list", 1, PACKAGE + "ExampleList", ""),
              ("example_list_with_context", 2, PACKAGE + "ExampleListWithContext", "")),
    "Class": (("label", 1, "string", ""), ("score", 2, "float", "")),
    "Classifications": (("classes", 1, PACKAGE + "Class", "*"),),
    "ClassificationResult": (("classifications", 1, PACKAGE + "Classifications", "*"),),
    "ClassificationRequest": (("model_spec", 1, PACKAGE + "ModelSpec", ""), ("input", 2, PACKAGE + "Input", "")),
    "ClassificationResponse": (("result", 1, PACKAGE + "ClassificationResult", ""),
                               ("model_spec", 2, PACKAGE + "ModelSpec", "")),
}
ONEOFS = {"Input": "kind"}
# The modules of tensorflow_serving.apis that scripts import.
MODULES = {"model_pb2": ("ModelSpec",), "predict_pb2": ("PredictRequest", "PredictResponse"),
           "input_pb2": ("ExampleList", "ExampleListWithContext", "Input"),
           "classification_pb2": ("Class", "Classifications", "ClassificationResult", "ClassificationRequest",
                                  "ClassificationResponse")}
Field = descriptor_pb2.FieldDescriptorProto


def add_field(message, name, number, kind, many):
    field = message.field.add(name=name, number=number)
    field.label = Field.LABEL_REPEATED if many else Field.LABEL_OPTIONAL
    if many == "{}":
        entry = message.nested_type.add(name=name.title() + "Entry")
        entry.options.map_entry = True
        add_field(entry, "key", 1, "string", "")
        add_field(entry, "value", 2, kind, "")
        kind = PACKAGE + "%s.%s" % (message.name, entry.name)
    if kind.startswith("."):
        field.type, field.type_name = Field.TYPE_MESSAGE, kind
    else:
        field.type = {"string": Field.TYPE_STRING, "float": Field.TYPE_FLOAT}[kind]


def describe():
    file = descriptor_pb2.FileDescriptorProto(name="sagemakerfs/serving.proto", package="tensorflow.serving",
                                              syntax="proto3")
    file.dependency.extend(["tensorflow/core/framework/tensor.proto", "tensorflow/core/example/example.proto",
                            "google/protobuf/wrappers.proto"])
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            add_field(message, *field)
        if name in ONEOFS:
            message.oneof_decl.add(name=ONEOFS[name])
            for field in message.field:
                field.oneof_index = 0
    return file


def classes():
    pool = descriptor_pool.Default()
    pool.Add(describe()) if hasattr(pool, "Add") else pool.AddSerializedFile(describe().SerializeToString())
    return {name: class_of(pool.FindMessageTypeByName(PACKAGE[1:] + name)) for name in MESSAGES}


def class_of(descriptor):
    get = getattr(message_factory, "GetMessageClass", None)  # protobuf before 4.22 has only the factory
    return get(descriptor) if get else message_factory.MessageFactory().GetPrototype(descriptor)


API = classes()


def offer_names():
    modules = {name: toolkit.as_module("tensorflow_serving.apis." + name, **{kind: API[kind] for kind in kinds})
               for name, kinds in MODULES.items()}
    apis = toolkit.as_module("tensorflow_serving.apis", __path__=[], **modules)
    toolkit.as_module("tensorflow_serving", __path__=[], apis=apis)


def is_message(value, name):
    """By its name: a script's own TensorFlow may have made it with another class."""
    return getattr(getattr(value, "DESCRIPTOR", None), "full_name", "") == name


# ---- tensors ----

FIELDS = {"float": "float_val", "double": "double_val", "string": "string_val", "int64": "int64_val", "bool": "bool_val",
          "half": "half_val", "bfloat16": "half_val", "complex64": "scomplex_val", "complex128": "dcomplex_val",
          "uint32": "uint32_val", "uint64": "uint64_val"}


def field_of(dtype):
    return FIELDS.get(tf.DTYPES[dtype][0], "int_val")


def array_of(proto):
    """(dtype, array) of a TensorProto; missing values repeat the last one, as TensorFlow reads it."""
    dtype = proto.dtype
    if dtype not in tf.DTYPES:
        raise ValueError("a tensor of type %d cannot be read" % dtype)
    shape = [dim.size for dim in proto.tensor_shape.dim]
    kind, count = tf.DTYPES[dtype][1], int(np.prod(shape))
    if proto.tensor_content:
        return dtype, np.frombuffer(proto.tensor_content, kind).reshape(shape)
    values = list(getattr(proto, field_of(dtype)))
    if kind in (np.complex64, np.complex128):
        values = [complex(*pair) for pair in zip(values[::2], values[1::2])]
    values += values[-1:] * (count - len(values))
    if tf.DTYPES[dtype][0] in ("half", "bfloat16"):
        return dtype, np.array(values, np.uint16).view(kind).reshape(shape)
    array = np.empty(len(values), object) if kind is object else np.array(values, kind)
    if kind is object:
        array[:] = values
    return dtype, array.reshape(shape)


def put_tensor(proto, dtype, array):
    proto.dtype = dtype
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = array.reshape(-1)
    if array.dtype == np.float16:
        flat = flat.view(np.uint16)
    if array.dtype.kind == "c":
        flat = flat.view(np.float32 if array.dtype == np.complex64 else np.float64)
    getattr(proto, field_of(dtype)).extend(flat.tolist())
