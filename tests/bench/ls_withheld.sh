#!/usr/bin/env bash
# ls_withheld: milliseconds of `ls` in every directory while the backend withholds its reply to an upload, to CreateEndpoint and
# to DeleteEndpoint (goal 50; in endpoints/ itself 2 s at most while its own mkdir or rmdir is unanswered).
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"

measure() { # LABEL
	/usr/bin/python3 - "$1" "$MNT" <<'PY'
import os, sys, time
label, mnt = sys.argv[1:]
cells = []
for d in (".", "models", "models/first", "endpoints", "endpoints/first", "invoke"):
    t = time.perf_counter()
    for e in os.scandir(f"{mnt}/{d}"): e.stat(follow_symlinks=False)
    cells.append(f"{d} {1000 * (time.perf_counter() - t):.1f}")
print(f"{label}: ms of ls -l: " + ", ".join(cells))
PY
}

mount_start
deploy_echo first
measure 'nothing withheld'
fault '[{"operation":"PutObject","nth":0,"action":"withhold"},{"operation":"UploadPart","nth":0,"action":"withhold"}]'
tf_export "$WORLD/export-up" "$(head -c 5000 /dev/urandom | base64)"
cp -rT "$WORLD/export-up" "$MNT/models/up"
sync "$MNT/models/up" &
syncing=$!
sleep 0.5
measure 'upload withheld'
fault '[]'
wait "$syncing"
fault '[{"operation":"CreateEndpoint","nth":0,"action":"withhold"}]'
mkdir "$MNT/endpoints/up" &
making=$!
sleep 0.2
measure 'CreateEndpoint withheld, mkdir unanswered'
wait "$making"
measure 'CreateEndpoint withheld, mkdir answered'
fault '[]'
cat "$MNT/endpoints/up/wait" >/dev/null
fault '[{"operation":"DeleteEndpoint","nth":0,"action":"withhold"}]'
rmdir "$MNT/endpoints/up"
measure 'DeleteEndpoint withheld, rmdir answered'
fault '[]'
mount_stop
