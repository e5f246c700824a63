"""TensorFlow Serving's JSON: tensors from requests, and replies as it writes them.

The forms, the checks and the sentences are those of TensorFlow Serving's REST
API, so that what works here works in the container and what fails there, fails
here in the same words.
"""
import base64
import binascii
import json
import math

import numpy as np

import smfs_tf_session as tf

INVALID_ARGUMENT, UNIMPLEMENTED = 3, 12
INDENT = "    "
MAX_RANK = 31  # numpy's limit, less one for the batch
# Bits of the JSON integers that are taken for a type; small ones wrap around.
INTEGER_RANGES = {
    "int32": 32, "int16": 32, "int8": 32, "uint8": 32, "uint16": 32, "int64": 64,
}


def invalid(text):
    return tf.TensorFlowError(INVALID_ARGUMENT, text)


def show(value):
    return json.dumps(value, indent=4, ensure_ascii=False)


def json_type(value):
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    for kind, name in ((dict, "Object"), (list, "Array"), (str, "String")):
        if isinstance(value, kind):
            return name
    return "Number"


def parse(text):
    """The request's object."""
    if not text:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(text)
    except UnicodeDecodeError as error:
        raise invalid("JSON Parse error: Invalid encoding in string. at offset: %d" % error.start)
    except RecursionError:
        raise invalid("JSON Parse error: the document is nested too deeply")
    except ValueError as error:
        raise invalid("JSON Parse error: Invalid value. at offset: %d" % getattr(error, "pos", 0))
    if not isinstance(document, dict):
        raise invalid("JSON Value: %s Is not object" % show(document))
    return document


def is_base64(value):
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def decode_base64(value):
    if not is_base64(value):
        raise invalid("JSON Value: %s not formatted correctly for base64 data" % show(value))
    text = value["b64"].replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode")


# ---- requests: JSON values to tensors

def shape_of(value):
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > MAX_RANK:
        raise invalid("Encountered list at unexpected level: %d expected < %d"
                      % (len(shape), MAX_RANK))
    return shape


def type_error(value, name):
    return invalid("JSON Value: %s Type: %s is not of expected type: %s"
                   % (show(value), json_type(value), name))


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_decimal(value, name):
    digits, largest = (24, 3.4028234663852886e38) if name == "float" else (53, math.inf)
    if isinstance(value, int):
        lossless = abs(value) <= (1 << digits) - 1
    else:
        lossless = not math.isfinite(value) or abs(value) <= largest
    if not lossless:
        raise invalid("Cannot convert JSON value: %s to %s without loss of precision."
                      % (show(value), name))
    return value


def integer_range(name):
    if name in ("uint32", "uint64"):
        return 0, (1 << int(name[4:])) - 1
    high = (1 << (INTEGER_RANGES[name] - 1)) - 1
    return -high - 1, high


def check_integer(value, name):
    if not isinstance(value, int) or isinstance(value, bool):
        raise type_error(value, name)
    low, high = integer_range(name)
    if not low <= value <= high:
        raise type_error(value, name)
    return value


def scalar(value, dtype):
    """One JSON value as dtype, by the rules of TensorFlow Serving."""
    name = tf.DTYPES[dtype][0]
    if isinstance(value, dict):
        if name == "string":
            return decode_base64(value)
        raise type_error(value, name)
    if name in ("float", "double", "half"):
        if not is_number(value):
            raise type_error(value, name)
        return check_decimal(value, name if name != "half" else "float")
    if name == "string":
        if not isinstance(value, str):
            raise type_error(value, name)
        return value.encode("utf-8", "surrogatepass")
    if name == "bool":
        if not isinstance(value, bool):
            raise type_error(value, name)
        return value
    if name in INTEGER_RANGES or name in ("uint32", "uint64"):
        return check_integer(value, name)
    raise tf.TensorFlowError(UNIMPLEMENTED, "Conversion of JSON Value: %s to type: %s"
                             % (show(value), name))


def fill(value, level, shape, dtype, out):
    """Appends the scalars of value to out, checking every list's place and size."""
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid("JSON Value: %s found at incorrect level: %d in the JSON DOM. "
                          "Expected at level: %d" % (show(value), level + 1, len(shape)))
        out.append(scalar(value, dtype))
        return
    if level >= len(shape):
        raise invalid("Encountered list at unexpected level: %d expected < %d"
                      % (level, len(shape)))
    if len(value) != shape[level]:
        raise invalid("Encountered list at unexpected size: %d at level: %d expected size: %d"
                      % (len(value), level, shape[level]))
    for item in value:
        fill(item, level + 1, shape, dtype, out)


def flat_numbers(value, shape, types):
    """The scalars of a regular nest of lists, all of these types, else None."""
    flat = [value]
    for size in shape:
        if any(type(item) is not list or len(item) != size for item in flat):
            return None
        flat = [leaf for item in flat for leaf in item]
    return flat if set(map(type, flat)) <= types else None


def fast_numbers(value, shape, dtype):
    """The array of a regular nest of plain numbers, or None: then fill() decides."""
    name, kind = tf.DTYPES[dtype]
    if name in ("float", "double"):
        flat = flat_numbers(value, shape, {float, int})
    elif name in INTEGER_RANGES or name in ("uint32", "uint64"):
        flat = flat_numbers(value, shape, {int})
    else:
        return None
    if not flat:
        return None
    try:
        array = np.array(flat, np.float64 if name in ("float", "double") else None)
    except OverflowError:
        return None
    if array.dtype.kind == "f":
        finite = np.abs(array[np.isfinite(array)])
        fits = not finite.size or finite.max() <= (1 << 24) - 1
    else:
        fits = array.dtype.kind in "iu" and in_range(array, name)
    return array.astype(kind).reshape(shape) if fits else None


def in_range(array, name):
    low, high = integer_range(name)
    return low <= int(array.min()) and int(array.max()) <= high


def to_array(value, dtype):
    """The tensor of a JSON value: a scalar or nested lists of equal sizes."""
    shape = shape_of(value)
    array = fast_numbers(value, shape, dtype)
    if array is not None:
        return array
    flat = []
    fill(value, 0, shape, dtype, flat)
    if dtype != tf.STRING:
        return np.array(flat).astype(tf.DTYPES[dtype][1]).reshape(shape)
    array = np.empty(len(flat), object)
    array[:] = flat
    return array.reshape(shape)


# ---- requests: the forms of predict

def tensors_of_predict(document, inputs):
    """(is row format, {input name: array}) of a predict request."""
    row, column = "instances" in document, "inputs" in document
    if row and column:
        raise invalid("JSON Value: %s Not formatted correctly expecting only one of 'inputs' "
                      "or 'instances' keys to exist " % show(document))
    if row:
        return True, tensors_of_instances(document, inputs)
    if column:
        return False, tensors_of_inputs(document["inputs"], inputs)
    raise invalid("Missing 'inputs' or 'instances' key")


def tensors_of_inputs(value, inputs):
    if not isinstance(value, dict) or is_base64(value):
        if len(inputs) > 1:
            raise invalid("inputs is a plain value/list, but expecting an object as multiple "
                          "input tensors required as per tensorinfo_map")
        name, info = next(iter(inputs.items()))
        return {name: to_array(value, info.dtype)}
    arrays = {}
    for name, info in inputs.items():
        if name not in value:
            raise invalid("Missing named input: %s in 'inputs' object." % name)
        arrays[name] = to_array(value[name], info.dtype)
    return arrays


def is_object(value):
    return isinstance(value, dict) and not is_base64(value)


def tensors_of_instances(document, inputs):
    instances = document["instances"]
    if not isinstance(instances, list):
        raise invalid("JSON Value: %s Excepting 'instances' to be an list/array" % show(document))
    if not instances:
        raise invalid("JSON Value: %s No values in 'instances' array" % show(document))
    if not isinstance(instances[0], dict) and len(inputs) > 1:
        raise invalid("instances is a plain list, but expecting list of objects as multiple "
                      "input tensors required as per tensorinfo_map")
    if is_object(instances[0]):
        return stack(named_instances(instances, inputs), inputs)
    return stack(plain_instances(instances, inputs), inputs)


def plain_instances(instances, inputs):
    name, info = next(iter(inputs.items()))
    array = fast_numbers(instances, shape_of(instances), info.dtype)
    if array is not None:
        return {name: array}
    arrays = []
    for number, item in enumerate(instances):
        if is_object(item):
            raise invalid("Expecting value/list but got object at item %d of input list" % number)
        arrays.append(instance_item(item, info, arrays, "element: %d of" % number))
    return {name: arrays}


def named_instances(instances, inputs):
    columns = {name: [] for name in inputs}
    for number, item in enumerate(instances):
        if not is_object(item):
            raise invalid("Expecting object but got list at item %d of input list" % number)
        for name, value in item.items():
            where = "element: %d key: %s of" % (number, name)
            if name not in inputs:
                raise failed(where, "JSON object: does not have named input: %s" % name)
            columns[name].append(instance_item(value, inputs[name], columns[name], where))
        if set(item) != set(inputs):
            raise invalid("Failed to process element: %d of 'instances' list. JSON object: %s "
                          "keys must be equal to: %s"
                          % (number, show(item), ",".join(sorted(inputs))))
    return columns


def failed(where, text):
    return invalid("Failed to process %s 'instances' list. Error: INVALID_ARGUMENT: %s"
                   % (where, text))


def instance_item(value, info, before, where):
    """The tensor of one instance: of the same shape as those before it."""
    try:
        array = to_array(value, info.dtype)
    except tf.TensorFlowError as error:
        raise failed(where, str(error))
    if before and before[0].size != array.size:
        raise failed(where, "Expecting tensor size: %d but got: %d" % (before[0].size, array.size))
    if before and before[0].shape != array.shape:
        shapes = ["[%s]" % ",".join(map(str, a.shape)) for a in (before[0], array)]
        raise failed(where, "Expecting shape %s but got: %s" % tuple(shapes))
    return array


def stack(columns, inputs):
    """One batch per input from the tensors of its instances."""
    batches = {}
    for name, arrays in columns.items():
        if isinstance(arrays, np.ndarray):
            batches[name] = arrays
            continue
        batch = np.empty((len(arrays),) + arrays[0].shape, tf.DTYPES[inputs[name].dtype][1])
        for number, array in enumerate(arrays):
            batch[number] = array if array.shape else array[()]
        batches[name] = batch
    return batches


# ---- replies

def decimals(array):
    """Floats in as few digits as %g has, or in as many as bring the value back."""
    digits = 17 if array.dtype == np.float64 else 9
    values = array.reshape(-1)
    numbers = values.tolist()
    texts = ["%g" % number for number in numbers]
    with np.errstate(all="ignore"):
        inexact = np.array([float(t) for t in texts]).astype(array.dtype) != values
    for index in np.flatnonzero(inexact):
        texts[index] = "%.*g" % (digits, numbers[index])
    return [decimal(text) for text in texts]


def decimal(text):
    if "." in text or "e" in text:
        return text
    special = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return special.get(text) or text + ".0"


def string_text(value):
    return json.dumps(value.decode("utf-8", "replace"), ensure_ascii=False)


def base64_text(value):
    return '{ "b64": "%s" }' % base64.b64encode(value).decode()


def leaves(name, dtype, array):
    """The JSON text of every element."""
    kind = tf.DTYPES[dtype][0]
    if dtype == tf.STRING:
        write = base64_text if name.endswith("_bytes") else string_text
        return [write(value) for value in array.reshape(-1)]
    if dtype == tf.BFLOAT16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if kind in ("float", "double", "half", "bfloat16"):
        return decimals(array if kind != "half" else array.astype(np.float32))
    if kind == "bool":
        return ["true" if value else "false" for value in array.reshape(-1)]
    if kind.startswith("complex"):
        raise invalid("Failed to write JSON value for tensor type: %s" % kind)
    return list(map(str, array.reshape(-1).tolist()))


def nested(texts, shape):
    """Texts of the elements as nested lists of this shape."""
    for size in reversed(shape[1:]):
        if size == 0:
            return empty_nest(shape)
        texts = [texts[i:i + size] for i in range(0, len(texts), size)]
    return texts if shape else texts[0]


def empty_nest(shape):
    if not shape:
        return []
    return [empty_nest(shape[1:]) for _ in range(shape[0])]


def single_line(value):
    if isinstance(value, str):
        return value
    return "[%s]" % ", ".join(map(single_line, value))


def many_lines(value, depth):
    """Every element on a line of its own, depth levels in."""
    if isinstance(value, str) or not value:
        return value if isinstance(value, str) else "[]"
    inner = "\n" + INDENT * (depth + 1)
    items = ("," + inner).join(many_lines(item, depth + 1) for item in value)
    return "[%s%s\n%s]" % (inner, items, INDENT * depth)


def top(key, text):
    return '{\n%s"%s": %s\n}' % (INDENT, key, text)


def row_reply(outputs):
    """{"predictions": [...]}: outputs = {name: (dtype, array)}, batches of one size."""
    size = None
    for name, (_, array) in outputs.items():
        if not array.shape:
            raise invalid("Tensor name: %s has no shape information " % name)
        if size is not None and array.shape[0] != size:
            raise invalid("Tensor name: %s has inconsistent batch size: %d expecting: %d"
                          % (name, array.shape[0], size))
        size = array.shape[0]
    columns = {name: nested(leaves(name, *pair), pair[1].shape) for name, pair in outputs.items()}
    if len(columns) == 1:
        rows = ", ".join(map(single_line, next(iter(columns.values()))))
        return top("predictions", "[%s\n%s]" % (rows, INDENT))
    rows = []
    for number in range(size):
        fields = ",\n".join('%s%s: %s' % (INDENT * 3, json.dumps(name), single_line(column[number]))
                            for name, column in columns.items())
        rows.append("\n%s{\n%s\n%s}" % (INDENT * 2, fields, INDENT * 2))
    return top("predictions", "[%s\n%s]" % (",".join(rows), INDENT) if rows else "[]")


def column_reply(outputs):
    """{"outputs": ...}: the value of a single output, else an object by name."""
    texts = {name: nested(leaves(name, *pair), pair[1].shape) for name, pair in outputs.items()}
    if len(texts) == 1:
        return top("outputs", many_lines(next(iter(texts.values())), 1))
    fields = ",\n".join("%s%s: %s" % (INDENT * 2, json.dumps(name), many_lines(text, 2))
                        for name, text in texts.items())
    return top("outputs", "{\n%s\n%s}" % (fields, INDENT))


def classify_reply(labels, scores):
    """{"results": [[[label, score], ...], ...]} of two lists of rows of texts."""
    rows = (single_line([[label, score] for label, score in zip(*row)])
            for row in zip(labels, scores))
    return top("results", "[%s\n%s]" % (", ".join(rows), INDENT))


def regress_reply(values):
    return top("results", single_line(values))


def error_reply(text):
    return top("error", json.dumps(text, ensure_ascii=False))
