#!/usr/bin/env bash
# reading: a published model back onto a local disk: `cp -r` out of a mount that has nothing cached, against what the SDK does
# (boto3 download_file + tarfile.extractall), side by side against the same local backend. Weights in 4 files, and many small files.
# Then what only the mount does: grep -r of what is cached, and the first 100 bytes of a large file.
#   MIB=1024 FILES=2000 ROUNDS=3 tests/bench/reading.sh
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"
MIB=${MIB:-1024}
FILES=${FILES:-2000}
ROUNDS=${ROUNDS:-3}
VENV=${XDG_CACHE_HOME_REAL:-$HOME/.cache}/sagemakerfs-tests/bench
if [ ! -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -c 'import boto3, numpy' 2>/dev/null; then
	/usr/bin/python3 -m venv "$VENV" && "$VENV/bin/pip" -q install boto3 numpy
fi

make_weights() {
	tf_export "$1"
	mkdir -p "$1/1/assets"
	"$VENV/bin/python" - "$1/1/assets" "$MIB" <<'PY'
import sys, numpy as np
rng = np.random.default_rng(7)
for i in range(4):
    with open(f"{sys.argv[1]}/weights-{i}.bin", "wb") as f:
        for _ in range(max(int(sys.argv[2]) // 4 // 16, 1)):
            f.write(rng.standard_normal(4 << 20, dtype=np.float32).tobytes())
PY
}

make_small() {
	tf_export "$1"
	mkdir -p "$1/1/assets"
	"$VENV/bin/python" - "$1/1/assets" "$FILES" <<'PY'
import os, sys
for i in range(int(sys.argv[2])):
    open(f"{sys.argv[1]}/{i}", "wb").write(os.urandom(100 << 10))
PY
}

seconds() { # COMMAND...: how long it took
	local start end
	start=$(date +%s.%N)
	"$@" >/dev/null
	end=$(date +%s.%N)
	echo "$start $end" | awk '{printf "%.3f", $2 - $1}'
}

fresh() { # the mount with nothing cached
	mount_stop
	rm -rf "$WORLD/cache"
	mkdir "$WORLD/cache"
	mount_start
	eval "$("$SAGEMAKERFS" env "$MNT")"
}

sdk() { # MODEL TO
	"$VENV/bin/python" - "$(cat "$MNT/models/$1/.sagemaker/uri")" "$2" <<'PY'
import sys, tarfile, boto3
bucket, key = sys.argv[1][5:].split("/", 1)
boto3.client("s3").download_file(bucket, key, sys.argv[2] + ".tar.gz")
with tarfile.open(sys.argv[2] + ".tar.gz") as t:
    t.extractall(sys.argv[2])
PY
}

mount_start
for kind in weights small; do
	make_$kind "$WORLD/src-$kind"
	cp -rT "$WORLD/src-$kind" "$MNT/models/$kind"
	sync "$MNT/models/$kind"
	: >"$WORLD/rows"
	for _ in $(seq "$ROUNDS"); do
		fresh
		ours=$(seconds cp -r "$MNT/models/$kind" "$WORLD/ours")
		theirs=$(seconds sdk $kind "$WORLD/theirs")
		mount_stop # what the kernel has cached goes, what the mount has stays
		mount_start
		again=$(seconds grep -rc 'no such line' "$MNT/models/$kind" || :)
		diff -r "$WORLD/src-$kind" "$WORLD/ours"
		rm -rf "$WORLD/ours" "$WORLD/theirs" "$WORLD/theirs.tar.gz"
		echo "$ours $theirs $again" >>"$WORLD/rows"
	done
	sort -n "$WORLD/rows" | awk -v k=$kind '{r[NR] = $2 / $1; o[NR] = $1; t[NR] = $2; a[NR] = $3}
		END {m = int((NR + 1) / 2); printf "%s: cp -r %.2f s, boto3 + tarfile %.2f s (%.1f times), grep -r of the cached %.2f s (medians of %d)\n", k, o[m], t[m], r[m], a[m], NR}'
done
fresh
ls "$MNT/models/weights" >/dev/null
echo "the first 100 bytes of a large file: $(seconds head -c 100 "$MNT/models/weights/1/assets/weights-2.bin") s"
