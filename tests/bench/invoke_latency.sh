#!/usr/bin/env bash
# One invocation on a kept-open handle of invoke/NAME against the same request by libcurl on a kept-open connection to the same
# backend and model server, in turns. Goal: ratio <= 2.   tests/bench/invoke_latency.sh [ROUNDS]
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"

mount_start
deploy_echo iris
# shellcheck disable=SC2046
cc -std=gnu17 -D_GNU_SOURCE -O2 "$TESTS_DIR/bench/invoke_latency.c" -o "$WORLD/invoke_latency" $(pkg-config --cflags --libs libcurl)
run=$STORE/run.json
AWS_ACCESS_KEY_ID=$(jq -r .access_key "$run") AWS_SECRET_ACCESS_KEY=$(jq -r .secret_key "$run") \
	"$WORLD/invoke_latency" "$MNT/invoke/iris" "$(jq -r .url "$run")/endpoints/iris/invocations" "$(jq -r .region "$run")" "${1:-2000}"
rmdir "$MNT/endpoints/iris"
