#!/usr/bin/env bash
# upload_link: a model to S3 over a line of RATE bytes/s and a round trip of LATENCY seconds (tests/faults/proxy.py in front of the local
# backend's S3): MIB of noise by `cp -r` and `sync`, and beside it boto3's upload_file of a ready tar of the same bytes. Printed: the share
# of the line, that is the archive's bytes / RATE over the time from the first byte on the line to ready; the goal is 90 %. Then a model
# of 50 KiB, all round trips: seconds from sync to ready and which requests were made.
#   MIB=256 RATE=25000000 LATENCY=0.04 ROUNDS=3 tests/bench/upload_link.sh      two minutes; docs/packaging.md has numbers
set -euo pipefail
. "$(dirname "$0")/../peers/lib.sh"
export MIB=${MIB:-256} RATE=${RATE:-25000000} LATENCY=${LATENCY:-0.04} ROUNDS=${ROUNDS:-3}
BENCH=$TESTS_DIR/bench
peer_venv numpy

serve_here
mkdir "$WORLD/line"
start_server "$WORLD/line/log" /usr/bin/python3 "$TESTS_DIR/faults/proxy.py" "$WORLD/line" 127.0.0.1 "${AWS_ENDPOINT_URL##*:}"
wait_until 30 test -s "$WORLD/line/port"
AWS_ENDPOINT_URL_S3=http://127.0.0.1:$(cat "$WORLD/line/port")
export AWS_ENDPOINT_URL_S3
"$SAGEMAKERFS" aws "$MNT" -o role=arn:aws:iam::123456789012:role/models
tf_export "$WORLD/src-small"
"$PYTHON" "$BENCH/upload_data.py" C "$WORLD/src-small/1/assets" 1
tf_export "$WORLD/src-big"
mkdir "$WORLD/src-big/1/assets"
head -c "${MIB}M" /dev/urandom >"$WORLD/src-big/1/assets/noise.bin"
tar -C "$WORLD/src-big" -cf "$WORLD/noise.tar" 1
"$PYTHON" "$BENCH/upload_link.py" "$WORLD" "$MNT"
mount_stop
