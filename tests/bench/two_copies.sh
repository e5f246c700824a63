#!/usr/bin/env bash
# Two instances answer twice as much as one, where the machine has the processors: a model that keeps its process busy for 5 ms a
# request (CPU time, one request at a time).   tests/bench/two_copies.sh [CLIENTS] [N]
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"
CLIENTS=${1:-16}
N=${2:-60}

mount_start
deploy_echo iris
# shellcheck disable=SC2046
cc -std=gnu17 -D_GNU_SOURCE -O2 -pthread "$TESTS_DIR/bench/invoke_load.c" -o "$WORLD/invoke_load" $(pkg-config --cflags --libs libcurl)
run=$STORE/run.json
AWS_ACCESS_KEY_ID=$(jq -r .access_key "$run")
AWS_SECRET_ACCESS_KEY=$(jq -r .secret_key "$run")
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
measure() {
	"$WORLD/invoke_load" "$CLIENTS" "$N" '{"busy": 0.005}' "$(jq -r .region "$run")" \
		"backend=$(jq -r .url "$run")/endpoints/iris/invocations"
}
one=$(measure)
variant() { api DescribeEndpoint '{"EndpointName": "iris"}' | jq -r ".ProductionVariants[0].$1"; }
api UpdateEndpointWeightsAndCapacities "{\"EndpointName\": \"iris\", \"DesiredWeightsAndCapacities\":
	[{\"VariantName\": \"$(variant VariantName)\", \"DesiredInstanceCount\": 2}]}" >/dev/null
until [ "$(variant CurrentInstanceCount)" = 2 ]; do sleep 0.1; done
two=$(measure)
awk -v one="$one" -v two="$two" -v cpus="$(nproc)" 'BEGIN {split(one, a, " "); split(two, b, " ")
	printf "%d processors: 1 copy %d/s, 2 copies %d/s (%.2f x), errors %d + %d\n", cpus, a[5], b[5], b[5] / a[5], a[2], b[2]
	exit a[2] + b[2] > 0}'
rmdir "$MNT/endpoints/iris"
