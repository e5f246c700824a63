#!/usr/bin/env bash
# What `sagemakerfs pack` says of a directory, .sagemaker/check says of the same files in a mount; what it refuses is not published.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start -o commit=explicit

# same NAME DIR: check and pack agree but for the model's name, which is in the sentence.
same() {
	"$SAGEMAKERFS" pack "$2" 2>/dev/null | grep -v '^digest' >"$WORLD/said" || :
	grep -v '^digest' "$MNT/models/$1/.sagemaker/check" | diff "$WORLD/said" -
}

# model | directory of tests/data | errno of sync, or -
ROWS="
words tensorflow-words/words -
joblib sklearn-points/joblib -
booster xgboost-points/ubj -
trees lightgbm-points/text -
onnx onnx-points/beside -
tiny huggingface-tiny/shards -
script pytorch-points/script -
gluon mxnet-gluon/export -
weights pytorch-points/weights EINVAL
half bad/mxnet-truncated ENODATA
"
while read -r name dir errno; do
	[ "$name" ] || continue
	mkdir -p "$WORLD/copies"
	cp -r "$DATA/$dir" "$WORLD/copies/$name"
	cp -rT "$DATA/$dir" "$MNT/models/$name"
	check "$name: check says what pack says" same "$name" "$WORLD/copies/$name"
	if [ "$errno" = - ]; then
		check "$name: is published" sync "$MNT/models/$name"
		check "$name: its framework is kept" grep -q . "$MNT/models/$name/.sagemaker/framework"
	else
		check_errno "$name: is not published" "$errno" sync "$MNT/models/$name"
		check "$name: error has check's sentence" grep -qF "$(sed -n 's/^complete: no: //p' "$MNT/models/$name/.sagemaker/check")" "$MNT/models/$name/.sagemaker/error"
	fi
done <<<"$ROWS"

# Ignored files stay with their writer and are not in the archive.
printf '{"ignore": ["*.log"]}' >"$MNT/models/joblib/sagemaker.json"
echo x >"$MNT/models/joblib/train.log"
check 'sync with an ignored file' sync "$MNT/models/joblib"
check_match 'check names it' 'left out: train.log' cat "$MNT/models/joblib/.sagemaker/check"
mount_at "$WORLD/mnt2"
check 'another mount has the model' cmp "$DATA/sklearn-points/joblib/model.joblib" "$WORLD/mnt2/models/joblib/model.joblib"
check_not 'and not what is ignored' ls "$WORLD/mnt2/models/joblib/train.log"
mount_stop "$WORLD/mnt2"
mount_stop
done_testing
