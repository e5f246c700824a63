"""RecordIO of aialgs.data.Record messages, SageMaker's form of tables: read into rows, written from them.

A record is a magic word, its length, its bytes, and zeros up to four; data that holds the magic word
goes as several. Of the message (Amazon's published schema) only tensors are read, by protobuf's wire form.
"""
import struct

MAGIC = 0xCED7230A
WHOLE, FIRST, LAST = 0, 1, 3  # the upper three bits of the length
FEATURES, LABEL = 1, 2        # of Record: maps of names and Values
TENSORS = {2: "<f4", 3: "<f8", 7: None}  # of Value: float32, float64, int32 (varints)
VALUES, KEYS, SHAPE = 1, 2, 3  # of a tensor


def records(data):
    """The bytes of each record."""
    at, parts = 0, []
    while at < len(data):
        if len(data) - at < 8:
            raise ValueError("the last record is cut short")
        magic, length = struct.unpack_from("<II", data, at)
        if magic != MAGIC:
            raise ValueError("no record begins at byte %d" % at)
        kind, size = length >> 29, length & (1 << 29) - 1
        if at + 8 + size > len(data):
            raise ValueError("the record at byte %d is cut short" % at)
        if kind in (WHOLE, FIRST):
            parts = []
        parts.append(data[at + 8:at + 8 + size])
        if kind in (WHOLE, LAST):
            yield struct.pack("<I", MAGIC).join(parts)
        at += 8 + (size + 3) // 4 * 4


def varint(data, at):
    """(value, where it ends)"""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of a message's fields; what has a length as bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                size, at = varint(data, at)
            if size is None or at + size > len(data):
                raise ValueError("a record is no protobuf message")
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def varints(data):
    at, values = 0, []
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


def numbers(data, kind):
    """Values of one packed field, or one that came unpacked."""
    import numpy
    if kind is not None:
        return numpy.frombuffer(data, kind)
    # a negative int32 is ten bytes of its 64 bits
    whole = [data] if isinstance(data, int) else varints(data)
    return numpy.array([value - (1 << 64) if value >> 63 else value for value in whole])


def tensor(data, kind):
    """(values, keys, shape) of a tensor; keys are of a sparse one."""
    import numpy
    found = {VALUES: [], KEYS: [], SHAPE: []}
    for number, value in fields(data):
        if number in found:
            found[number].append(numbers(value, kind if number == VALUES else None))
    values, keys, shape = (numpy.concatenate(parts) if parts else [] for parts in found.values())
    return values, [int(k) for k in keys], [int(s) for s in shape]


def values_of(record):
    """The tensor `values` among a record's features."""
    for number, entry in fields(record):
        if number != FEATURES:
            continue
        named = dict(fields(entry))
        if named.get(1) == b"values":
            for kind, content in fields(named.get(2, b"")):
                if kind in TENSORS:
                    return tensor(content, TENSORS[kind])
    raise ValueError("a record has no tensor 'values'")


def rows(data):
    """A dense array, or a sparse matrix when the first record is sparse."""
    import numpy
    found = [values_of(record) for record in records(data)]
    if not found:
        raise ValueError("there is no record")
    if not found[0][1]:
        return numpy.vstack([values for values, _, _ in found])
    from scipy.sparse import csr_matrix
    width = max(shape[-1] if shape else max(keys, default=0) + 1 for _, keys, shape in found)
    at = [number for number, (_, keys, _) in enumerate(found) for _ in keys]
    return csr_matrix((numpy.concatenate([values for values, _, _ in found]),
                       (at, [key for _, keys, _ in found for key in keys])), shape=(len(found), width))


# ---- writing ----

def length_of(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number, data):
    return bytes([number << 3 | 2]) + length_of(len(data)) + data


def written(labels):
    """Records of one dict each: name to a number or numbers, as float32 labels."""
    out = []
    for row in labels:
        record = b""
        for name, value in row.items():
            floats = value if isinstance(value, list) else [value]
            content = field(2, field(VALUES, struct.pack("<%df" % len(floats), *floats)))
            record += field(LABEL, field(1, name.encode()) + field(2, content))
        out.append(struct.pack("<II", MAGIC, len(record)) + record + b"\0" * (-len(record) % 4))
    return b"".join(out)
