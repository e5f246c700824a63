#!/usr/bin/env bash
# Many clients ask a real model, by the model server's own HTTP and through the backend, in turn: no error; what the backend adds to the
# median of one client and to the 99th percentile of many, and what a request costs in CPU time: client, backend, model server.
#   tests/bench/invoke_load.sh [CLIENTS] [N] [ROUNDS]     N: requests of each client in each round
set -euo pipefail
export REAL=1
. "$(dirname "$0")/../mount/lib.sh"
. "$(dirname "$0")/load.sh"
CLIENTS=${1:-64}
N=${2:-200}
ROUNDS=${3:-5}

unset SAGEMAKERFS_FAULTS
mount_start
cp -rT "$DATA/tensorflow-keras/iris" "$MNT/models/iris"
mkdir "$MNT/endpoints/iris"
cat "$MNT/endpoints/iris/wait" >/dev/null
load_prepare
body=$(jq -c '.requests[0].body' "$DATA/tensorflow-keras/expected.json")
own_headers "$WORLD/own"
backend_headers "$WORLD/backend" iris "$body"
load() { # CLIENTS N
	"$WORLD/invoke_load" "$1" "$2" "$ROUNDS" "$body" "own:$(model_port):$WORLD/own" "backend:${URL##*:}:$WORLD/backend" -- \
		"backend:$(backend_pid)" "model:$(model_server tensorflow_server.py)" | tee "$WORLD/load"
	local own backend
	own=$(head -1 "$WORLD/load") backend=$(tail -1 "$WORLD/load")
	awk -v c="$1" -v a="$(value p50 "$own")" -v b="$(value p50 "$backend")" -v x="$(value p99 "$own")" -v y="$(value p99 "$backend")" \
		'BEGIN {printf "%d clients: p50 +%.2f ms (%.2f x), p99 %.2f x\n", c, (b - a) / 1e3, b / a, y / x}'
	! grep -v ' errors=0 ' "$WORLD/load"
}
load 1 "$((N * 5))"
load "$CLIENTS" "$N"
rmdir "$MNT/endpoints/iris"
