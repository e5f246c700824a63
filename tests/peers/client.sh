#!/usr/bin/env bash
# S3, STS and the control plane as our client speaks them: against moto, and the same checks on our own backend, where each
# signature is verified.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
peer_venv

drive() {
	local who=$1
	shift
	"$DRIVERS/peer_client" "$@" | sed "s/^\(ok\|FAIL\) /\1 $who: /"
}

port=$(free_port)
start_server "$WORLD/moto.log" "$VENV/moto_server" -H 127.0.0.1 -p "$port"
wait_for_port "$port"
count_lines drive moto "http://127.0.0.1:$port"

start_server "$WORLD/serve.log" "$SAGEMAKERFS" serve --store "$STORE" --listen 127.0.0.1:0
wait_until 30 test -e "$STORE/run.json"
read -r url access secret < <(jq -r '"\(.url) \(.access_key) \(.secret_key)"' "$STORE/run.json")
export AWS_REGION=us-east-1
count_lines drive local "$url" "$access" "$secret"
done_testing
