#!/usr/bin/env bash
# Exports of every framework that has a runtime, as the framework wrote them, on the real mount: their answers are the framework's
# own (expected.json) within 1e-5. Needs the runtimes of sklearn, xgboost, mxnet, pytorch and huggingface, and an index of packages for pip.
set -euo pipefail
export REAL=1
. "$(dirname "$0")/../mount/lib.sh"

# as_csv / as_json EXPECTED: the first request's body. compare EXPECTED ANSWER: all numbers, in order.
body() { # FORM EXPECTED
	/usr/bin/python3 - "$@" <<'PY'
import json, sys
body = json.load(open(sys.argv[2]))["requests"][0]["body"]
print(json.dumps(body) if sys.argv[1] == "json" else "\n".join(",".join(map(repr, row)) for row in body))
PY
}
compare() { # EXPECTED ANSWER
	/usr/bin/python3 - "$@" <<'PY'
import json, re, sys
def flat(x):
    if isinstance(x, (list, tuple)):
        for y in x:
            yield from flat(y)
    else:
        yield float(x)
want = list(flat(json.load(open(sys.argv[1]))["requests"][0]["output"]))
got = [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", open(sys.argv[2]).read())]
assert len(want) == len(got) and all(abs(a - b) <= 1e-5 for a, b in zip(want, got)), (want, got)
PY
}

PYTORCH_CODE='import os, torch
def model_fn(model_dir):
    layers = torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    model = torch.nn.Sequential(*layers)
    model.load_state_dict(torch.load(os.path.join(model_dir, "model.pth")))
    return model.eval()
'

# model | directory of tests/data | expected.json's | forms of the request
ROWS="
joblib sklearn-points/joblib sklearn-points json csv
packed sklearn-points/packed sklearn-points json
pickle sklearn-points/pickle sklearn-points csv
xgjson xgboost-points/json xgboost-points csv
xgubj xgboost-points/ubj xgboost-points csv
xgpickle xgboost-points/xgboost-model xgboost-points csv
lightgbm lightgbm-points/text lightgbm-points json csv
gluon mxnet-gluon/export mxnet-gluon json
script pytorch-points/script pytorch-points json csv
weights pytorch-points/weights pytorch-points json
onnx onnx-points/one onnx-points json csv
beside onnx-points/beside onnx-points json
"

mount_start
while read -r name dir data forms; do
	[ "$name" ] || continue
	cp -rT "$DATA/$dir" "$MNT/models/$name"
	if [ "$name" = weights ]; then
		mkdir "$MNT/models/weights/code"
		printf '%s' "$PYTORCH_CODE" >"$MNT/models/weights/code/inference.py"
	fi
	check "mkdir $name" mkdir "$MNT/endpoints/$name"
	check_out "$name serves" InService cat "$MNT/endpoints/$name/wait"
	for form in $forms; do
		body "$form" "$DATA/$data/expected.json" >"$MNT/invoke/$name.$form"
		cat "$MNT/invoke/$name.$form" >"$WORLD/answer" || :
		check "$name answers $form as its framework" compare "$DATA/$data/expected.json" "$WORLD/answer"
	done
	rmdir "$MNT/endpoints/$name"
done <<<"$ROWS"

# A ready archive and a single file of known kinds.
tar -czf "$MNT/models/ready.tar.gz" -C "$DATA/xgboost-points/json" .
cp "$DATA/sklearn-points/joblib/model.joblib" "$MNT/models/single.joblib"
# An archive that is complete, as it is and as a link: its container has code to be told of.
"$SAGEMAKERFS" pack "$DATA/sklearn-points/joblib" -o "$WORLD/packed.tar.gz" >/dev/null
cp "$WORLD/packed.tar.gz" "$MNT/models/whole.tar.gz"
sync "$MNT/models/whole"
ln -s "$(cat "$MNT/models/whole/.sagemaker/uri")" "$MNT/models/pointed"
for row in ready:xgboost-points:csv single:sklearn-points:json whole:sklearn-points:json pointed:sklearn-points:json; do
	IFS=: read -r name data form <<<"$row"
	check "mkdir $name" mkdir "$MNT/endpoints/$name"
	check_out "$name serves" InService cat "$MNT/endpoints/$name/wait"
	body "$form" "$DATA/$data/expected.json" >"$MNT/invoke/$name.$form"
	cat "$MNT/invoke/$name.$form" >"$WORLD/answer" || :
	check "$name answers" compare "$DATA/$data/expected.json" "$WORLD/answer"
	rmdir "$MNT/endpoints/$name"
done

# Hugging Face: what its own pipeline says of the same files.
runtime=$("$TOP/scripts/runtimes" --path huggingface)
HF_HUB_OFFLINE=1 "$runtime/bin/python" -B -c 'import json, sys
from transformers import pipeline
ask = pipeline("text-classification", model=sys.argv[1], tokenizer=sys.argv[1])
json.dump({"requests": [{"output": [row["score"] for row in ask("hello world")]}]}, open(sys.argv[2], "w"))' \
	"$DATA/huggingface-tiny/one" "$WORLD/expected.json"
cp -rT "$DATA/huggingface-tiny/one" "$MNT/models/hf"
check 'mkdir hf' mkdir "$MNT/endpoints/hf"
check_out 'hf serves' InService cat "$MNT/endpoints/hf/wait"
echo '{"inputs": "hello world"}' >"$MNT/invoke/hf"
jq '[.[].score]' "$MNT/invoke/hf" >"$WORLD/answer" || :
check 'hf answers as its framework' compare "$WORLD/expected.json" "$WORLD/answer"
rmdir "$MNT/endpoints/hf"
mount_stop
done_testing
