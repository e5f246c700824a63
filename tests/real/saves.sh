#!/usr/bin/env bash
# The frameworks' own ways to save, straight into the mount: what they wrote is loaded from there, says the same, and is what the
# published archive holds. Needs the runtimes, and an index of packages for jupyter_server and numpy.
set -euo pipefail
export REAL=1
. "$(dirname "$0")/../mount/lib.sh"

runtime() { # FRAMEWORK: its python
	local all=("$SAGEMAKERFS_RUNTIMES/$1"-*/bin/python)
	echo "${all[-1]}"
}

cat >"$WORLD/save_tensorflow.py" <<'PY'
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
x = np.float32([[1, 2, 3, 4]])
class Net(tf.Module):
    def __init__(self):
        self.w = tf.Variable(np.arange(12, dtype="float32").reshape(4, 3))
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": x @ self.w}
net = Net()
for version in ("1", "2"): # a second one beside it, then the same again over it
    tf.saved_model.save(net, f"{sys.argv[1]}/{version}", signatures=net.__call__)
tf.saved_model.save(net, f"{sys.argv[1]}/2", signatures=net.__call__)
again = tf.saved_model.load(f"{sys.argv[1]}/2").signatures["serving_default"](x=tf.constant(x))["y"]
assert np.array_equal(again, net(x)["y"])
tf.train.Checkpoint(net=net).write(f"{sys.argv[1]}/../checkpoint/c")
PY
cat >"$WORLD/save_mxnet.py" <<'PY'
import json, sys
import mxnet as mx
d = sys.argv[1]
net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc"), name="softmax")
mod = mx.mod.Module(net)
mod.bind([("data", (1, 4))], [("softmax_label", (1,))])
mod.init_params(mx.init.One())
for epoch in (0, 3):
    mod.save_checkpoint(d + "/iris", epoch)
json.dump([{"name": "data", "shape": [1, 4]}], open(d + "/iris-shapes.json", "w"))
sym, arg, aux = mx.model.load_checkpoint(d + "/iris", 3)
assert (arg["fc_weight"].asnumpy() == 1).all()
PY
cat >"$WORLD/save_sklearn.py" <<'PY'
import os, pickle, sys
import joblib, numpy as np
from sklearn.linear_model import LogisticRegression
d = sys.argv[1]
x = np.random.rand(50, 4); y = (x[:, 0] > .5).astype(int)
m = LogisticRegression().fit(x, y)
joblib.dump(m, d + "/model.joblib", compress=3)
joblib.dump(m, d + "/model.joblib")
top = os.path.dirname(d)
joblib.dump(m, top + "/one.joblib")
with open(top + "/pickled.pkl", "wb") as f:
    pickle.dump(m, f)
for path in (d + "/model.joblib", top + "/one.joblib", top + "/one/one.joblib"):
    assert (joblib.load(path).predict(x) == m.predict(x)).all(), path
assert (joblib.load(d + "/model.joblib", mmap_mode="r").predict(x) == m.predict(x)).all()
PY
cat >"$WORLD/save_xgboost.py" <<'PY'
import os, sys
import numpy as np, xgboost as xgb
d = sys.argv[1]
x = np.random.rand(50, 4); y = (x[:, 0] > .5).astype(int)
m = xgb.train({"objective": "binary:logistic"}, xgb.DMatrix(x, y), 5)
for path in (d + "/model.json", os.path.dirname(d) + "/boosted.ubj", os.path.dirname(d) + "/boosted.ubj"):
    m.save_model(path)
    b = xgb.Booster(); b.load_model(path)
    assert np.array_equal(b.predict(xgb.DMatrix(x)), m.predict(xgb.DMatrix(x))), path
PY
cat >"$WORLD/save_pytorch.py" <<'PY'
import os, sys
import torch
d = sys.argv[1]
net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
x = torch.rand(2, 4)
torch.jit.script(net).save(d + "/model.pth")
torch.jit.save(torch.jit.trace(net, x), os.path.dirname(d) + "/traced.pt")
torch.save(net.state_dict(), os.path.dirname(d) + "/.state.pth.tmp")
net.load_state_dict(torch.load(os.path.dirname(d) + "/.state.pth.tmp"))
os.unlink(os.path.dirname(d) + "/.state.pth.tmp")
for path in (d + "/model.pth", os.path.dirname(d) + "/traced.pt"):
    assert torch.equal(torch.jit.load(path)(x), net(x)), path
PY
cat >"$WORLD/arrays.py" <<'PY'
import os, sys
import numpy as np
os.chdir(sys.argv[1])
a = np.arange(100000, dtype="float32").reshape(100, 1000)
np.save("a.npy", a); np.savez("z.npz", a=a); np.savez_compressed("c.npz", a=a)
m = np.lib.format.open_memmap("m.npy", mode="w+", dtype="float32", shape=a.shape)
m[:] = a; m[3] = 7; m.flush(); del m
m = np.load("m.npy", mmap_mode="r+"); m[4] = 8; del m
b = a.copy(); b[3] = 7; b[4] = 8
assert np.array_equal(np.load("m.npy"), b) and np.array_equal(np.load("c.npz")["a"], a)
a.tofile("raw.bin"); assert np.array_equal(np.memmap("raw.bin", "float32", "r"), a.ravel())
from jupyter_server.services.contents.fileio import atomic_writing
for n in range(3):
    with atomic_writing("notebook.ipynb") as f:
        f.write('{"n": %d}' % n)
assert open("notebook.ipynb").read() == '{"n": 2}'
try:
    with atomic_writing("notebook.ipynb") as f:
        f.write("half"); raise KeyError
except KeyError:
    pass
assert open("notebook.ipynb").read() == '{"n": 2}' and not [x for x in os.listdir(".") if "~" in x], os.listdir(".")
PY
cat >"$WORLD/compare.py" <<'PY'
# Each file of the model is in the archive byte for byte, under its own name at least.
import os, sys, tarfile
top, archive = sys.argv[1:]
have = {}
with tarfile.open(archive, "r:*") as t:
    for m in t:
        if m.isfile():
            have.setdefault(os.path.basename(m.name), []).append(t.extractfile(m).read())
n = 0
for d, _, files in os.walk(top):
    for f in files:
        data = open(os.path.join(d, f), "rb").read()
        names = [f] if f in have else [x for x in have if data in have[x]] # layouts rename
        assert any(data in have[x] for x in names), f"{d}/{f} is not in the archive as it is: {sorted(have)}"
        n += 1
assert n, "no files"
PY

# published NAME
published() {
	check "$1 is published" sync "$MNT/models/$1"
	published_archive "$1" "$WORLD/archive" || :
	check "$1: the archive holds what was saved" /usr/bin/python3 "$WORLD/compare.py" "$MNT/models/$1" "$WORLD/archive"
}

mount_start -o commit=explicit
unset PYTHONPATH
mkdir "$MNT/models/checkpoint"
for framework in tensorflow mxnet sklearn xgboost pytorch; do
	mkdir "$MNT/models/$framework"
	check "$framework saves into the mount, and loads it" "$(runtime "$framework")" "$WORLD/save_$framework.py" "$MNT/models/$framework"
done
rm "$MNT/models/mxnet/iris-0000.params" # older epochs are not packed
rm -r "$MNT/models/tensorflow/1"
for name in tensorflow mxnet sklearn one pickled xgboost boosted pytorch traced; do
	published "$name"
done
mkdir "$MNT/models/arrays"
echo '{"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/own:1"}' >"$MNT/models/arrays/sagemaker.json"
check 'numpy and jupyter_server' "$("$TESTS_DIR/venv" saves 'numpy<2.3' jupyter_server)/python" "$WORLD/arrays.py" "$MNT/models/arrays"
mv "$MNT/models/arrays/sagemaker.json" "$WORLD/"
cp -r "$MNT/models/arrays" "$WORLD/arrays.d" && cp "$WORLD/sagemaker.json" "$MNT/models/arrays/"
check 'arrays are published' sync "$MNT/models/arrays"
published_archive arrays "$WORLD/archive" || :
check 'arrays: the archive holds what was saved' /usr/bin/python3 "$WORLD/compare.py" "$WORLD/arrays.d" "$WORLD/archive"
check 'unmount' mount_stop
done_testing
