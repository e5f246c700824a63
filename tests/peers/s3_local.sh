#!/usr/bin/env bash
# S3 as boto3 and plain HTTP see it, on our backend: tests/s3, case by case.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
peer_venv awscrt

start_server "$WORLD/serve.log" "$SAGEMAKERFS" serve --store "$STORE" --listen 127.0.0.1:0
wait_until 30 test -e "$STORE/run.json"
read -r url access secret < <(jq -r '"\(.url) \(.access_key) \(.secret_key)"' "$STORE/run.json")
count_lines "$PYTHON" "$TESTS_DIR/s3/main.py" "$url" "$access" "$secret"
done_testing
