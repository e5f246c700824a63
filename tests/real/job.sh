#!/usr/bin/env bash
# The issue of the whole product: real models on the real mount, asked with echo and cat, twice, under `set -e`.
# Predictions equal the framework's own (expected.json, made where the models were trained) within 1e-5.
set -euo pipefail
export REAL=1
. "$(dirname "$0")/../mount/lib.sh"

# compare EXPECTED_JSON INDEX ANSWER_FILE: every number of the framework's own answer, in order, within 1e-5.
compare() {
	/usr/bin/python3 - "$@" <<'PY'
import json, sys
row = json.load(open(sys.argv[1]))["requests"][int(sys.argv[2])]
got = json.load(open(sys.argv[3]))
def flat(x):
    if isinstance(x, dict):
        for k in x: yield from flat(x[k])
    elif isinstance(x, list):
        if len(x) == 2 and isinstance(x[0], str) and isinstance(x[1], float): yield x[1]   # [label, score]
        else:
            for y in x: yield from flat(y)
    elif isinstance(x, (int, float)) and not isinstance(x, bool): yield float(x)
want = row.get("probabilities", row.get("output"))
a, b = list(flat(want)), list(flat(got))
assert len(a) == len(b), (a, b)
worst = max(abs(x - y) for x, y in zip(a, b))
assert worst <= 1e-5, (worst, a, b)
PY
}

body() { # EXPECTED_JSON INDEX
	/usr/bin/python3 -c 'import json,sys; print(json.dumps(json.load(open(sys.argv[1]))["requests"][int(sys.argv[2])]["body"]))' "$@"
}

# predict NAME EXPECTED_JSON: every request of it, by plain redirection.
predict() {
	local n i
	n=$(jq '.requests | length' "$2")
	for i in $(seq 0 $((n - 1))); do
		body "$2" "$i" >"$MNT/invoke/$1"
		cat "$MNT/invoke/$1" >"$WORLD/answer"
		check "$3: $1 request $i equals the framework's own" compare "$2" "$i" "$WORLD/answer"
	done
}

# model | directory as the framework wrote it | expected.json
ROWS="
iris tensorflow-estimator/export tensorflow-estimator
keras tensorflow-keras/iris tensorflow-keras
mxiris mxnet-iris/model mxnet-iris
digits mxnet-digits/model mxnet-digits
"

mount_start
for round in 1 2; do
	while read -r name dir data; do
		[ "$name" ] || continue
		cp -rT "$DATA/$dir" "$MNT/models/$name"
		check "$round: mkdir $name" mkdir "$MNT/endpoints/$name"
	done <<<"$ROWS"
	while read -r name dir data; do
		[ "$name" ] || continue
		check_out "$round: $name serves" InService cat "$MNT/endpoints/$name/wait"
		predict "$name" "$DATA/$data/expected.json" "$round"
	done <<<"$ROWS"
	check "$round: the post's request" bash -c "echo '[6.4,3.2,4.5,1.5]' > '$MNT/invoke/iris'; cat '$MNT/invoke/iris' > '$WORLD/answer'"
	check "$round: the post's answer" compare "$DATA/tensorflow-estimator/expected.json" 0 "$WORLD/answer"
	check_errno "$round: invalid JSON" EBADMSG bash -c "echo '{\"instances\": oops}' > '$MNT/invoke/keras'; cat '$MNT/invoke/keras'"
	check_match "$round: the container's words" '.' cat "$MNT/invoke/.error"
	check_errno "$round: a shape the model does not take" EBADMSG bash -c "echo '{\"instances\": [[1,2]]}' > '$MNT/invoke/keras'; cat '$MNT/invoke/keras'"
	predict keras "$DATA/tensorflow-keras/expected.json" "$round, after the errors"
	if [ "$round" = 1 ]; then
		mount_stop
		mount_start
		check_out 'remounted: still there' InService cat "$MNT/endpoints/iris/wait"
		check_out 'remounted: MXNet too' InService cat "$MNT/endpoints/digits/wait"
		check_out 'remounted: and the rest' InService cat "$MNT/endpoints/keras/wait"
		predict iris "$DATA/tensorflow-estimator/expected.json" remounted
	fi
	while read -r name dir data; do
		[ "$name" ] || continue
		rmdir "$MNT/endpoints/$name" 2>"$WORLD/stderr" || fail "$round: rmdir $name" "$(cat "$WORLD/stderr")"
		cat "$MNT/endpoints/.deleting/$name/wait" 2>/dev/null || :
		check "$round: rm -r $name" rm -r "$MNT/models/$name"
	done <<<"$ROWS"
done

# Without an archive: the files as objects below a prefix, with the generated code of the one and the empty code of the other.
cp -rT "$DATA/tensorflow-estimator/export" "$MNT/models/tffiles"
cp -rT "$DATA/mxnet-digits/model" "$MNT/models/mxfiles"
for name in tffiles mxfiles; do
	echo '{"packaging":"none"}' >"$MNT/models/$name/sagemaker.json"
	mkdir "$MNT/endpoints/$name"
done
for name in tffiles mxfiles; do
	check_out "without an archive: $name serves" InService cat "$MNT/endpoints/$name/wait"
	check_match "without an archive: $name is a prefix" '/$' cat "$MNT/models/$name/.sagemaker/uri"
done
predict tffiles "$DATA/tensorflow-estimator/expected.json" 'without an archive'
predict mxfiles "$DATA/mxnet-digits/expected.json" 'without an archive'
for name in tffiles mxfiles; do
	rmdir "$MNT/endpoints/$name"
	cat "$MNT/endpoints/.deleting/$name/wait" 2>/dev/null || :
done

# Two framework versions side by side: each image's contract on the nearest runtime, both answering.
cp -rT "$DATA/tensorflow-keras/iris" "$MNT/models/a"
cp -rT "$DATA/tensorflow-keras/iris" "$MNT/models/b"
echo 2.16 >"$MNT/models/a/.sagemaker/framework_version"
echo 2.19 >"$MNT/models/b/.sagemaker/framework_version"
mkdir "$MNT/endpoints/a" "$MNT/endpoints/b"
for name in a b; do
	check_out "version side by side: $name" InService cat "$MNT/endpoints/$name/wait"
	predict "$name" "$DATA/tensorflow-keras/expected.json" versions
done
rmdir "$MNT/endpoints/a" "$MNT/endpoints/b"

# Containers of the post's time take code from S3, and TensorFlow's a bare list as an Example.
cp -rT "$DATA/tensorflow-estimator/export" "$MNT/models/old-iris"
cp -rT "$DATA/mxnet-digits/model" "$MNT/models/old-digits"
cat >"$MNT/models/old-iris/iris_dnn_classifier.py" <<'PY'
import json

def output_fn(response, accept):
    return json.dumps([c.score for c in response.result.classifications[0].classes])
PY
echo 1.10 >"$MNT/models/old-iris/.sagemaker/framework_version"
echo 1.2 >"$MNT/models/old-digits/.sagemaker/framework_version"
mkdir "$MNT/endpoints/old-iris" "$MNT/endpoints/old-digits"
for name in old-iris old-digits; do
	check_out "old containers: $name" InService cat "$MNT/endpoints/$name/wait"
done
echo '[6.4, 3.2, 4.5, 1.5]' >"$MNT/invoke/old-iris"
cat "$MNT/invoke/old-iris" >"$WORLD/answer"
check "old containers: the script's answer to a bare list" compare "$DATA/tensorflow-estimator/expected.json" 0 "$WORLD/answer"
predict old-digits "$DATA/mxnet-digits/expected.json" 'old containers'
rmdir "$MNT/endpoints/old-iris" "$MNT/endpoints/old-digits"
check 'unmount' mount_stop
done_testing
