#!/usr/bin/env bash
# upload: 1 GiB of a model's weights in 4 files, from a local directory to S3: `cp` into the mount + `sync`, against what the
# SDK does (Python's tarfile "w:gz" + boto3 upload_file), side by side against the same local backend; then the same for data
# that shrinks by 30 % and more. Prints seconds, CPU seconds, the ratio, and the daemon's RSS at rest and at its highest.
#   MIB=1024 ROUNDS=1 KINDS="noise shrinks" tests/bench/upload.sh
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"
MIB=${MIB:-1024}
ROUNDS=${ROUNDS:-1}
KINDS=${KINDS:-noise shrinks}
VENV=${XDG_CACHE_HOME_REAL:-$HOME/.cache}/sagemakerfs-tests/bench
if [ ! -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -c 'import boto3, numpy' 2>/dev/null; then
	/usr/bin/python3 -m venv "$VENV" && "$VENV/bin/pip" -q install boto3 numpy
fi

# A whole SavedModel around the weights, so that the checks run as for a user: weights as extra assets in 4 files.
make() { # KIND DIR
	tf_export "$2"
	mkdir -p "$2/1/assets"
	"$VENV/bin/python" - "$1" "$2/1/assets" "$MIB" <<'PY'
import sys, numpy as np
kind, out, mib = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(7)
for i in range(4):
    with open(f"{out}/weights-{i}.bin", "wb") as f:
        for _ in range(mib // 4 // 16):
            a = rng.standard_normal(4 << 20, dtype=np.float32)
            if kind == "shrinks":  # pruned and rounded: a third of zeros, 12 bits of mantissa
                a[rng.random(a.size) < 0.3] = 0
                a = (a.view(np.uint32) & np.uint32(0xFFFFF000)).view(np.float32)
            f.write(a.tobytes())
PY
}

rss() { # FIELD of the daemon, MiB
	awk -v f="$1:" '$1 == f {printf "%d", $2 / 1024}' "/proc/$(daemon_pid)/status"
}

cpu() { # user + system seconds of a process
	awk -v hz="$(getconf CLK_TCK)" '{print ($14 + $15) / hz}' "/proc/$1/stat"
}

mount_start
eval "$("$SAGEMAKERFS" env "$MNT")"
echo "RSS at rest: $(rss VmRSS) MiB (goal 64)"
for kind in $KINDS; do
	make $kind "$WORLD/src-$kind"
	for round in $(seq "$ROUNDS"); do
		daemon=$(daemon_pid)
		before=$(cpu "$daemon")
		start=$(date +%s.%N)
		cp -rT "$WORLD/src-$kind" "$MNT/models/bench-$kind-$round"
		copied=$(date +%s.%N)
		sync "$MNT/models/bench-$kind-$round"
		end=$(date +%s.%N)
		after=$(cpu "$daemon")
		echo "$start $copied $end $before $after" |
			awk -v k=$kind '{printf "%s: sagemakerfs cp %.2f s + sync %.2f s = %.2f s, %.2f CPU s in the daemon\n", k, $2-$1, $3-$2, $3-$1, $5-$4}'
		echo "$start $end" | awk '{print $2 - $1}' >"$WORLD/ours"
		"$VENV/bin/python" - "$WORLD/src-$kind" "$WORLD/sdk.tar.gz" >"$WORLD/theirs" <<'PY'
import os, resource, sys, tarfile, time, boto3
src, out = sys.argv[1:]
s3 = boto3.client("s3")
try: s3.create_bucket(Bucket="bench")
except Exception: pass
t = time.time()
with tarfile.open(out, "w:gz") as tar: tar.add(src, arcname="export/Servo")
packed = time.time()
s3.upload_file(out, "bench", "model/model.tar.gz")
u = resource.getrusage(resource.RUSAGE_SELF)
print(f"{time.time() - t:.2f} pack {packed - t:.2f} s + upload {time.time() - packed:.2f} s, {u.ru_utime + u.ru_stime:.2f} CPU s")
PY
		echo "$kind: tarfile w:gz + boto3: $(cut -d' ' -f2- "$WORLD/theirs")"
		echo "$(cat "$WORLD/ours") $(cut -d' ' -f1 "$WORLD/theirs")" | awk -v k=$kind '{printf "%s: %.1fx faster (goal 8)\n", k, $2 / $1}'
		rm -f "$WORLD/sdk.tar.gz"
		rm -r "$MNT/models/bench-$kind-$round"
	done
	rm -rf "$WORLD/src-$kind"
done
echo "RSS highest while uploading: $(rss VmHWM) MiB (goal 256)"
mount_stop
