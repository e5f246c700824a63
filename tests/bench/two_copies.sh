#!/usr/bin/env bash
# Two instances answer twice as much as one, where the machine has the processors: a model that keeps its process busy for 5 ms a
# request (CPU time, one request at a time).   tests/bench/two_copies.sh [CLIENTS] [N]
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"
. "$(dirname "$0")/load.sh"
CLIENTS=${1:-16}
N=${2:-20}

unset SAGEMAKERFS_FAULTS
mount_start
deploy_echo iris
load_prepare
body='{"busy": 0.005}'
backend_headers "$WORLD/backend" iris "$body"
measure() {
	"$WORLD/invoke_load" "$CLIENTS" "$N" 5 "$body" "backend:${URL##*:}:$WORLD/backend" -- "backend:$(backend_pid)"
}
variant() { api DescribeEndpoint '{"EndpointName": "iris"}' | jq -r ".ProductionVariants[0].$1"; }
scale() {
	api UpdateEndpointWeightsAndCapacities "{\"EndpointName\": \"iris\", \"DesiredWeightsAndCapacities\":
		[{\"VariantName\": \"$(variant VariantName)\", \"DesiredInstanceCount\": $1}]}" >/dev/null
	until [ "$(variant CurrentInstanceCount)" = "$1" ]; do sleep 0.1; done
}
one=$(measure)
scale 2
two=$(measure)
printf '1: %s\n2: %s\n' "$one" "$two"
awk -v a="$(value rate "$one")" -v b="$(value rate "$two")" -v cpus="$(nproc)" \
	'BEGIN {printf "%d processors: 1 copy %d/s, 2 copies %d/s (%.2f x)\n", cpus, a, b, b / a}'
! grep -v ' errors=0 ' <<<"$one"$'\n'"$two"
rmdir "$MNT/endpoints/iris"
