#!/usr/bin/env bash
# The line to S3 is slow, is cut in the middle of an upload, and comes back: the mount answers all the time, what was sent is not sent
# again, and the archive is the source.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
serve_here
mkdir "$WORLD/line"
start_server "$WORLD/line/log" /usr/bin/python3 "$FAULTS_DIR/proxy.py" "$WORLD/line" 127.0.0.1 "${AWS_ENDPOINT_URL##*:}"
wait_until 30 test -s "$WORLD/line/port"
faults_run network.py
check 'unmount' mount_stop
done_testing
