"""handler_check.py INFERENCE.py CASES: run a generated handler against a stand-in for `requests`; used by test_handler.c."""
import base64
import collections
import importlib.util
import io
import json
import struct
import sys
import types

Context = collections.namedtuple(
    "Context", "model_name model_version method rest_uri grpc_port channel custom_attributes"
    " request_content_type accept_header content_length")
Reply = collections.namedtuple("Reply", "status_code content text")
sent = {}


def post(uri, data=None):
    sent["uri"], sent["body"] = uri, json.loads(data)
    return sent["reply"]


def load(path):
    sys.modules["requests"] = types.SimpleNamespace(post=post)
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("inference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(module, body, kind="application/json", method="predict", accept="*/*"):
    """(method asked, body sent), or the exception's text."""
    sent.clear()
    sent["reply"] = Reply(200, b'{\n "ok": 1\n}', '{\n "ok": 1\n}')
    uri = "http://localhost:8501/v1/models/Servo:" + method
    body = body if isinstance(body, str) else json.dumps(body)
    context = Context("Servo", None, method, uri, None, None, None, kind, accept, len(body))
    try:
        answer, kind = module.handler(io.BytesIO(body.encode("utf-8")), context)
    except ValueError as e:
        return str(e)
    assert answer in (b'{\n "ok": 1\n}', b'{ "ok": 1}'), answer
    assert kind == "application/json", kind
    return sent["uri"].rpartition(":")[2], sent["body"]


def expect(got, want):
    assert json.dumps(got) == json.dumps(want), "got %s, want %s" % (json.dumps(got), json.dumps(want))


def refused(got, says):
    assert isinstance(got, str) and says in got, got


def examples(*rows):
    return ["classify", {"examples": list(rows)}]


def as_is(module, body, **more):
    expect(ask(module, body, **more), ["predict", body])


def iris(m):
    """One feature `inputs` of four floats, classify."""
    row = {"inputs": [6.4, 3.2, 4.5, 1.5]}
    whole = {"inputs": [6.0, 3.0, 4.0, 1.0]}
    expect(ask(m, [6.4, 3.2, 4.5, 1.5]), examples(row))
    expect(ask(m, [6, 3, 4, 1]), examples(whole))
    expect(ask(m, "[6.4, 3.2, 4.5, 1.5]\n"), examples(row))
    expect(ask(m, [[6.4, 3.2, 4.5, 1.5], [6, 3, 4, 1]]), examples(row, whole))
    expect(ask(m, {"inputs": [6.4, 3.2, 4.5, 1.5]}), examples(row))
    expect(ask(m, {"inputs": [[6.4, 3.2], [4.5, 1.5]]}), examples(row))
    expect(ask(m, [{"inputs": [6, 3, 4, 1]}, {"inputs": [6.4, 3.2, 4.5, 1.5]}]), examples(whole, row))
    expect(ask(m, [6, 3, 4, 1], method="classify"), examples(whole))
    expect(ask(m, "6.4,3.2,4.5,1.5\n6,3,4,1\n", kind="text/csv"), examples(row, whole))
    expect(ask(m, "[6.4,3.2,4.5,1.5]\n[6,3,4,1]\n", kind="application/jsonlines"), examples(row, whole))
    expect(ask(m, '{"inputs": [6,3,4,1]}\n{"inputs": [6,3,4,1]}', kind="application/jsons"), examples(whole, whole))
    expect(ask(m, [6, 3, 4, 1], kind="application/json; charset=utf-8"), examples(whole))
    as_is(m, {"instances": [{"b64": "CgA="}]})
    as_is(m, {"inputs": [{"b64": "CgA="}]})
    as_is(m, {"inputs": {"b64": "CgA="}})
    as_is(m, {"instances": ["x"], "signature_name": "predict"})
    expect(ask(m, {"examples": [row]}), ["classify", {"examples": [row]}])
    expect(ask(m, {"examples": [row]}, method="regress"), ["regress", {"examples": [row]}])
    expect(ask(m, {"other": "text"}), ["predict", {"instances": [{"other": "text"}]}])
    expect(ask(m, '{"other": {"b64": "CgA="}}\n{"other": "x"}'),
           ["predict", {"instances": [{"other": {"b64": "CgA="}}, {"other": "x"}]}])
    refused(ask(m, {"other": 1}), "the model has no feature 'other', it has 'inputs'")
    refused(ask(m, '{"other": 1}\n{"other": 2}'), "no feature 'other'")
    expect(ask(m, "\ufeff6,3,4,1\n", kind="text/csv"), examples(whole))
    refused(ask(m, "[6, 3, 4, 1e39]"), "takes values of type float, not 1e+39")
    refused(ask(m, "a,b,c,d\n", kind="text/csv"), "takes values of type float, not \"a\"")
    refused(ask(m, []), "the request holds no values")
    refused(ask(m, "\n", kind="text/csv"), "the request holds no values")
    refused(ask(m, [1, 2, 3]), "feature 'inputs' takes 4 values, not 3")
    refused(ask(m, ["a", 2, 3, 4]), "takes values of type float")
    refused(ask(m, "x", kind="image/png"), "Unsupported Media Type: image/png")
    refused(ask(m, ""), "empty")
    refused(ask(m, "[1, 2"), "the request is not JSON: ")
    refused(ask(m, "[" * 100000), "the request is not JSON: ")
    answer = ask(m, [6, 3, 4, 1], accept="application/json")
    expect(answer, examples(whole))


def upstream(m):
    """What TensorFlow Serving refuses is raised with its text."""
    global post
    sent["reply"] = Reply(400, b"", '{"error": "no such signature"}')
    context = Context("Servo", None, "predict", "http://x/v1/models/Servo:predict", None, None, None, None, None, 1)
    try:
        m.handler(io.BytesIO(b"[1,2,3,4]"), context)
    except ValueError as e:
        assert str(e) == "no such signature"
    else:
        raise AssertionError("nothing raised")


def scalars(m):
    """a: float, "b\\"": int64, c: string, each one value; predict."""
    expect(decoded(ask(m, [1, 2, "x"])), [{"a": [1.0], 'b"': [2], "c": ["x"]}])
    expect(decoded(ask(m, [[1, 2, "x"], [3.5, -1, "\u00e4"]])),
           [{"a": [1.0], 'b"': [2], "c": ["x"]}, {"a": [3.5], 'b"': [-1], "c": ["\u00e4"]}])
    expect(decoded(ask(m, {"a": 1, "c": {"b64": "eA=="}})), [{"a": [1.0], "c": ["x"]}])
    expect(decoded(ask(m, "1,2,x\n", kind="text/csv")), [{"a": [1.0], 'b"': [2], "c": ["x"]}])
    expect(decoded(ask(m, "1,2.0,007\n", kind="text/csv")), [{"a": [1.0], 'b"': [2], "c": ["007"]}])
    expect(decoded(ask(m, {})), [{}])
    expect(ask(m, ["x", "y"]), ["predict", {"instances": [["x", "y"]]}])
    refused(ask(m, [1, 2]), "the model takes 3 values, of 'a', 'b\"', 'c', not 2")
    refused(ask(m, [[1, 2], [3, 4]]), "takes 3 values")
    refused(ask(m, "1,2\n", kind="text/csv"), "takes 3 values")
    refused(ask(m, "null"), "takes 3 values")
    refused(ask(m, [{"a": 1}, 5]), "takes 3 values")
    refused(ask(m, {"a": 1, "typo": "x"}), "the model has no feature 'typo', it has 'a', 'b\"', 'c'")
    refused(ask(m, {'b"': 1 << 63}), "feature 'b\"' takes values of type int64")
    refused(ask(m, '{"b\\"": NaN}'), "feature 'b\"' takes values of type int64, not NaN")
    refused(ask(m, {"a": None}), "feature 'a' takes values of type float, not null")
    refused(ask(m, [1, 2.5, "x"]), "type int64")
    refused(ask(m, {"c": 1}), "type string")


def one_scalar(m):
    """x: one float, regress; y would be any number."""
    expect(ask(m, [1, 2, 3]), ["regress", {"examples": [{"x": [1.0]}, {"x": [2.0]}, {"x": [3.0]}]}])
    expect(ask(m, "5"), ["regress", {"examples": [{"x": [5.0]}]}])
    expect(ask(m, "1\n2\n", kind="text/csv"), ["regress", {"examples": [{"x": [1.0]}, {"x": [2.0]}]}])


def decoded(got):
    """The Examples of a predict request, read from the wire format."""
    method, body = got
    assert method == "predict", got
    return [read_example(base64.b64decode(i["b64"])) for i in body["instances"]]


def fields(data):
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        assert tag & 7 == 2
        n, at = read_varint(data, at)
        yield tag >> 3, data[at:at + n]
        at += n


def read_varint(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return n, at


def read_example(data):
    out = {}
    (_, features), = fields(data)
    for _, entry in fields(features):
        entry = dict(fields(entry))
        (kind, values), = fields(entry[2])
        out[entry[1].decode("utf-8")] = READ[kind](values)
    return out


def ints(values):
    (_, packed), = fields(values)
    out, at = [], 0
    while at < len(packed):
        n, at = read_varint(packed, at)
        out.append(n - (1 << 64) if n >> 63 else n)
    return out


READ = {
    1: lambda v: [x.decode("utf-8") for _, x in fields(v)],
    2: lambda v: [x[0] for x in struct.iter_unpack("<f", dict(fields(v))[1])],
    3: ints,
}

if __name__ == "__main__":
    for case in sys.argv[2:]:
        globals()[case](load(sys.argv[1]))
