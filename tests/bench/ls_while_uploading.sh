#!/usr/bin/env bash
# ls_while_uploading: ms of `ls` (every name looked at) and stat in every directory of a mount while a model is uploaded over a slow line
# (a proxy that lets RATE bytes a second through and is DELAY seconds late); goal: p99 <= 50 ms. Beside it: the same without an upload.
#   SIZE=bytes RATE=bytes/s DELAY=seconds tests/bench/ls_while_uploading.sh      default: 300 MB at 10 MB/s, 40 ms (30 s); the goal is
#   stated for SIZE=5368709120
set -euo pipefail
. "$(dirname "$0")/../peers/lib.sh"
SIZE=${SIZE:-300000000}
RATE=${RATE:-10000000}
DELAY=${DELAY:-0.04}

looks() { # LABEL WHILE-FILE...: until the command ends
	/usr/bin/python3 - "$@" <<'PY'
import os, subprocess, sys, time
label, mnt, status = sys.argv[1:4]
places = [".", "models", "models/big", "models/big/1", "models/big/1/assets", "models/small", "endpoints", "endpoints/.defaults", "invoke"]
took, errors = {p: [] for p in places}, 0
end = time.monotonic() + 8
while (status and time.monotonic() < end + 3600 and not open(mnt + "/models/big/.sagemaker/status").read().startswith("published")) or (not status and time.monotonic() < end):
    for p in places:
        t = time.perf_counter()
        for e in os.scandir(f"{mnt}/{p}"):
            e.stat(follow_symlinks=False)
        os.stat(f"{mnt}/{p}")
        took[p].append(1000 * (time.perf_counter() - t))
    time.sleep(0.02)
every = sorted(t for ts in took.values() for t in ts)
def at(ts, q):
    return sorted(ts)[min(len(ts) - 1, int(len(ts) * q))]
print(f"{label}: {len(every)} looks, ms: median {at(every, .5):.1f}, p99 {at(every, .99):.1f}, worst {every[-1]:.1f}")
for p, ts in took.items():
    print(f"    {p:22} median {at(ts, .5):6.1f}  p99 {at(ts, .99):6.1f}  worst {max(ts):6.1f}")
PY
}

serve_here
mkdir "$WORLD/line"
start_server "$WORLD/line/log" /usr/bin/python3 "$TESTS_DIR/faults/proxy.py" "$WORLD/line" 127.0.0.1 "${AWS_ENDPOINT_URL##*:}"
wait_until 30 test -s "$WORLD/line/port"
AWS_ENDPOINT_URL_S3=http://127.0.0.1:$(cat "$WORLD/line/port")
export AWS_ENDPOINT_URL_S3
"$SAGEMAKERFS" aws "$MNT" -o role=arn:aws:iam::123456789012:role/models
tf_export "$WORLD/export"
cp -rT "$WORLD/export" "$MNT/models/small"
cp -rT "$WORLD/export" "$MNT/models/big"
mkdir -p "$MNT/models/big/1/assets"
sync "$MNT/models/small" "$MNT/models/big"
looks 'nothing under way' "$MNT" ''
head -c "$SIZE" /dev/urandom >"$MNT/models/big/1/assets/blob.bin"
printf '{"rate": %s, "delay": %s}' "$RATE" "$DELAY" >"$WORLD/line/control"
begin=$SECONDS
# Most of it goes before the commit, while the model is "staged".
wait_until 30 grep -qE '^(staged|uploading)' "$MNT/models/big/.sagemaker/status"
looks "$SIZE bytes at $RATE bytes/s" "$MNT" uploading
echo "uploaded in $((SECONDS - begin)) s"
mount_stop
