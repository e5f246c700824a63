#!/usr/bin/env bash
# The same cases of tests/s3 on versitygw: they say what S3 does, not what our backend does. Where versitygw differs from AWS is
# listed in tests/s3/deviations.py.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
peer_venv awscrt

gateway=$("$TESTS_DIR/versitygw")
port=$(free_port)
mkdir -p "$WORLD/gateway"
start_server "$WORLD/versitygw.log" "$gateway" --access suite --secret suite-secret --region us-east-1 --port "127.0.0.1:$port" \
	--virtual-domain "localhost:$port" posix "$WORLD/gateway"
wait_for_port "$port"
count_lines "$PYTHON" "$TESTS_DIR/s3/main.py" "http://127.0.0.1:$port" suite suite-secret --peer versitygw
done_testing
