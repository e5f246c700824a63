#!/usr/bin/env bash
# Many clients ask a real model, by the model server's own HTTP and through the backend: no error, the backend adds at most 0.5 ms to
# one client's median, and at most 1.3 x to the 99th percentile of many.   tests/bench/invoke_load.sh [CLIENTS] [N]
set -euo pipefail
export REAL=1
. "$(dirname "$0")/../mount/lib.sh"
CLIENTS=${1:-64}
N=${2:-1000}

mount_start
cp -rT "$DATA/tensorflow-keras/iris" "$MNT/models/iris"
mkdir "$MNT/endpoints/iris"
cat "$MNT/endpoints/iris/wait" >/dev/null
# shellcheck disable=SC2046
cc -std=gnu17 -D_GNU_SOURCE -O2 -pthread "$TESTS_DIR/bench/invoke_load.c" -o "$WORLD/invoke_load" $(pkg-config --cflags --libs libcurl)
run=$STORE/run.json
AWS_ACCESS_KEY_ID=$(jq -r .access_key "$run")
AWS_SECRET_ACCESS_KEY=$(jq -r .secret_key "$run")
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
url=$(jq -r .url "$run")
# The backend holds the sockets that its model servers accept on; one of them is its own.
own=$(ss -ltnpH | grep "pid=$(backend_pid)," | grep -v "${url#http://} " | awk '{print $4; exit}')
body=$(jq -c '.requests[0].body' "$DATA/tensorflow-keras/expected.json")
load() {
	"$WORLD/invoke_load" "$1" "$2" "$body" "$(jq -r .region "$run")" "own=http://$own/invocations" \
		"backend=$url/endpoints/iris/invocations"
}
report() { # CLIENTS, lines of invoke_load
	awk -v clients="$1" '{e[$1] = $2; p50[$1] = $3; p99[$1] = $4; rate[$1] = $5}
		END {printf "%d clients: errors %d + %d; p50 %.2f ms own, %.2f ms backend (+%.2f ms, %.2f x); p99 %.2f, %.2f (%.2f x); %d/s, %d/s\n",
			clients, e["own"], e["backend"], p50["own"] / 1e3, p50["backend"] / 1e3, (p50["backend"] - p50["own"]) / 1e3,
			p50["backend"] / p50["own"], p99["own"] / 1e3, p99["backend"] / 1e3, p99["backend"] / p99["own"], rate["own"], rate["backend"]
			exit e["own"] + e["backend"] > 0}'
}
load 1 "$N" | report 1
load "$CLIENTS" "$N" | report "$CLIENTS"
rmdir "$MNT/endpoints/iris"
