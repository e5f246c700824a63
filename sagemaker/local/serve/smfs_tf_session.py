"""SavedModels through TensorFlow's C API.

TensorFlow Serving loads a SavedModel into a session and runs the tensors that
its signatures name; so do these calls, on the same C++ code, for exports of
TensorFlow 1 and 2 alike. `import tensorflow` is not needed for that: it takes
seconds and hundreds of megabytes, dlopen of its library 0.3 s.
"""
import ctypes
import importlib.util
import os
import sys
import types

import numpy as np

STRING = 7
BFLOAT16 = 14
# DataType of tensorflow/core/framework/types.proto: name and numpy type.
DTYPES = {
    1: ("float", np.float32), 2: ("double", np.float64), 3: ("int32", np.int32),
    4: ("uint8", np.uint8), 5: ("int16", np.int16), 6: ("int8", np.int8),
    7: ("string", object), 8: ("complex64", np.complex64), 9: ("int64", np.int64),
    10: ("bool", np.bool_), 14: ("bfloat16", np.uint16), 17: ("uint16", np.uint16),
    18: ("complex128", np.complex128), 19: ("half", np.float16), 22: ("uint32", np.uint32),
    23: ("uint64", np.uint64),
}
SIZEOF_TSTRING = 24


class TensorFlowError(Exception):
    """A TF_Status that is not OK: code as in tensorflow/core/protobuf/error_codes.proto."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t),
                ("deallocator", ctypes.c_void_p)]


POINTER, INT, SIZE, LONG, TEXT = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t,
                                  ctypes.c_int64, ctypes.c_char_p)
DEALLOCATOR = ctypes.CFUNCTYPE(None, POINTER, SIZE, POINTER)
FUNCTIONS = {
    "TF_NewStatus": (POINTER,), "TF_DeleteStatus": (None, POINTER),
    "TF_GetCode": (INT, POINTER), "TF_Message": (TEXT, POINTER),
    "TF_NewGraph": (POINTER,), "TF_NewSessionOptions": (POINTER,),
    "TF_DeleteSessionOptions": (None, POINTER),
    "TF_SetConfig": (None, POINTER, TEXT, SIZE, POINTER),
    "TF_NewBuffer": (ctypes.POINTER(Buffer),), "TF_DeleteBuffer": (None, ctypes.POINTER(Buffer)),
    "TF_LoadSessionFromSavedModel": (POINTER, POINTER, POINTER, TEXT, ctypes.POINTER(TEXT), INT,
                                     POINTER, ctypes.POINTER(Buffer), POINTER),
    "TF_GraphOperationByName": (POINTER, POINTER, TEXT),
    "TF_SessionRun": (None, POINTER, POINTER, ctypes.POINTER(Output), ctypes.POINTER(POINTER), INT,
                      ctypes.POINTER(Output), ctypes.POINTER(POINTER), INT, POINTER, INT, POINTER,
                      POINTER),
    "TF_NewTensor": (POINTER, INT, ctypes.POINTER(LONG), INT, POINTER, SIZE, DEALLOCATOR, POINTER),
    "TF_AllocateTensor": (POINTER, INT, ctypes.POINTER(LONG), INT, SIZE),
    "TF_DeleteTensor": (None, POINTER), "TF_TensorData": (POINTER, POINTER),
    "TF_TensorType": (INT, POINTER), "TF_NumDims": (INT, POINTER),
    "TF_Dim": (LONG, POINTER, INT), "TF_TensorByteSize": (SIZE, POINTER),
    "TF_StringInit": (None, POINTER), "TF_StringCopy": (None, POINTER, TEXT, SIZE),
    "TF_StringDealloc": (None, POINTER), "TF_StringGetSize": (SIZE, POINTER),
    "TF_StringGetDataPointer": (POINTER, POINTER), "TF_Version": (TEXT,),
}


def package_dir():
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.origin:
        raise TensorFlowError(12, "this runtime has no TensorFlow package")
    return os.path.dirname(spec.origin)


def open_library():
    path = os.path.join(package_dir(), "libtensorflow_cc.so.2")
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
        for name, (result, *arguments) in FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise TensorFlowError(12, "this runtime's TensorFlow cannot be used: %s" % error)
    return library


def protobuf(name):
    """A generated module such as `core.protobuf.meta_graph_pb2`, by itself.

    Importing it by its name runs tensorflow/__init__.py, which imports
    everything else. A bare package object in its place prevents that; it is
    taken away again, so a handler that imports tensorflow gets the real one.
    """
    package = types.ModuleType("tensorflow")
    package.__path__ = [package_dir()]
    before = {k: v for k, v in sys.modules.items() if k.split(".")[0] == "tensorflow"}
    sys.modules["tensorflow"] = package
    try:
        return importlib.import_module("tensorflow." + name)
    finally:
        for key in [k for k in sys.modules if k.split(".")[0] == "tensorflow"]:
            del sys.modules[key]
        sys.modules.update(before)


class Status:
    """A TF_Status for the calls of one block; raises what they reported."""

    def __enter__(self):
        self.pointer = library.TF_NewStatus()
        return self

    def check(self):
        code = library.TF_GetCode(self.pointer)
        if code:
            raise TensorFlowError(code, library.TF_Message(self.pointer).decode("utf-8", "replace"))

    def __exit__(self, *_):
        library.TF_DeleteStatus(self.pointer)


library = open_library()
meta_graph_pb2 = protobuf("core.protobuf.meta_graph_pb2")
version = library.TF_Version().decode()
# The memory of string tensors belongs to TensorFlow until it says otherwise,
# which may be after the run, from a thread of its own.
_strings = {}


@DEALLOCATOR
def _free_strings(data, length, _argument):
    for offset in range(0, length, SIZEOF_TSTRING):
        library.TF_StringDealloc(data + offset)
    _strings.pop(data, None)


def _string_tensor(array, dims):
    values = array.reshape(-1).tolist()
    memory = ctypes.create_string_buffer(max(1, SIZEOF_TSTRING * len(values)))
    address = ctypes.addressof(memory)
    for number, value in enumerate(values):
        item = address + SIZEOF_TSTRING * number
        library.TF_StringInit(item)
        library.TF_StringCopy(item, value, len(value))
    _strings[address] = memory
    return library.TF_NewTensor(STRING, dims, array.ndim, address, SIZEOF_TSTRING * len(values),
                                _free_strings, None)


def make_tensor(array, dtype):
    """A TF_Tensor from a numpy array (of bytes objects for strings)."""
    dims = (LONG * max(1, array.ndim))(*array.shape)
    if dtype == STRING:
        return _string_tensor(array, dims)
    array = np.asarray(array, order="C")  # ascontiguousarray would make a scalar a vector
    tensor = library.TF_AllocateTensor(dtype, dims, array.ndim, array.nbytes)
    if not tensor:
        raise TensorFlowError(8, "no memory for a tensor of %d bytes" % array.nbytes)
    ctypes.memmove(library.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
    return tensor


def read_tensor(tensor):
    """(dtype, numpy array) of a TF_Tensor; strings as an array of bytes."""
    dtype = library.TF_TensorType(tensor)
    shape = [library.TF_Dim(tensor, i) for i in range(library.TF_NumDims(tensor))]
    if dtype not in DTYPES:
        raise TensorFlowError(3, "Failed to write JSON value for tensor type: %d" % dtype)
    data = library.TF_TensorData(tensor)
    if dtype != STRING:
        raw = ctypes.string_at(data, library.TF_TensorByteSize(tensor)) if data else b""
        return dtype, np.frombuffer(raw, DTYPES[dtype][1]).reshape(shape)
    array = np.empty(int(np.prod(shape)), object)
    for number in range(array.size):
        item = data + SIZEOF_TSTRING * number
        size = library.TF_StringGetSize(item)
        array[number] = ctypes.string_at(library.TF_StringGetDataPointer(item), size)
    return dtype, array.reshape(shape)


def session_config(intra, inter):
    """A serialized ConfigProto: fields 2 and 5, both int32."""
    config = b""
    for field, number in ((2, intra), (5, inter)):
        if 0 < number < 128:
            config += bytes((field << 3, number))
    return config


# Operations that end the process, by a failed CHECK of oneDNN's kernels, when a tensor has too few dimensions.
ABORTING = ("Conv", "DepthwiseConv", "MaxPool", "AvgPool", "FusedBatchNorm")


def node_lists(graph):
    yield graph.node
    for function in graph.library.function:
        yield function.node_def


class SavedModel:
    """One version of a model, loaded once; run() may be called by many threads."""

    def __init__(self, path, intra=0, inter=0):
        self.path = path
        self.graph = library.TF_NewGraph()
        self.operations = {}
        options = library.TF_NewSessionOptions()
        meta = library.TF_NewBuffer()
        tags = (TEXT * 1)(b"serve")
        config = session_config(intra, inter)
        try:
            with Status() as status:
                library.TF_SetConfig(options, config, len(config), status.pointer)
                status.check()
                self.session = library.TF_LoadSessionFromSavedModel(
                    options, None, os.fsencode(path), tags, 1, self.graph, meta, status.pointer)
                status.check()
            graph = meta_graph_pb2.MetaGraphDef.FromString(
                ctypes.string_at(meta.contents.data, meta.contents.length))
        finally:
            library.TF_DeleteBuffer(meta)
            library.TF_DeleteSessionOptions(options)
        self.signatures = dict(graph.signature_def)
        self.needs_rank = any(node.op.startswith(ABORTING) for nodes in node_lists(graph.graph_def) for node in nodes)

    def output(self, name):
        """The TF_Output of a tensor name such as `dense/BiasAdd:0`."""
        operation, _, index = name.partition(":")
        pointer = self.operations.get(operation)
        if pointer is None:
            pointer = library.TF_GraphOperationByName(self.graph, operation.encode())
            if not pointer:
                raise TensorFlowError(5, "Tensor %s, specified in either feed_devices or "
                                         "fetch_devices was not found in the Graph" % name)
            self.operations[operation] = pointer
        return Output(pointer, int(index or 0))

    def run(self, feeds, fetches):
        """feeds: [(tensor name, dtype, array)]; returns [(dtype, array)] of the fetches."""
        inputs = (Output * max(1, len(feeds)))(*[self.output(f[0]) for f in feeds])
        outputs = (Output * len(fetches))(*[self.output(name) for name in fetches])
        values = (POINTER * max(1, len(feeds)))()
        results = (POINTER * len(fetches))()
        try:
            for number, (_, dtype, array) in enumerate(feeds):
                values[number] = make_tensor(array, dtype)
            with Status() as status:
                library.TF_SessionRun(self.session, None, inputs, values, len(feeds), outputs,
                                      results, len(fetches), None, 0, None, status.pointer)
                status.check()
            return [read_tensor(result) for result in results]
        finally:
            for tensor in [*values, *results]:
                if tensor:
                    library.TF_DeleteTensor(tensor)
