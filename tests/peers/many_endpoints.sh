#!/usr/bin/env bash
# An account with 10,000 endpoints, 50 ms away, whose lists are throttled now and then: what listing and looking around cost.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
N=10000

PORT=$(free_port)
URL=http://127.0.0.1:$PORT
start_server "$WORLD/stub.log" /usr/bin/python3 "$PEERS_DIR/many_endpoints_stub.py" "$PORT" "$N"
wait_for_port "$PORT"
export AWS_ENDPOINT_URL=$URL AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=secret

hold() { curl -sS -o /dev/null "$URL/_/hold/$1"; }
aws_mount() { "$SAGEMAKERFS" aws "$MNT"; }
aws_pid() { pgrep -f -- "sagemakerfs aws $MNT" | head -1; }
interrupted() {
	ls "$MNT/endpoints" >/dev/null 2>&1 &
	local pid=$! rc=0
	sleep 0.5
	kill -TERM "$pid"
	wait "$pid" || rc=$?
	[ "$rc" -eq 143 ]
}

check 'mount' aws_mount
count_lines /usr/bin/python3 "$PEERS_DIR/many_endpoints.py" "$MNT" "$URL" "$N"
rss=$(awk '/VmHWM/ { print $2 }' "/proc/$(aws_pid)/status")
check "no more than 10 KiB an endpoint ($rss KiB in all)" [ "$rss" -lt $((N * 10)) ]
check 'unmount' "$SAGEMAKERFS" unmount "$MNT"

# A service that has never answered: what would look like an empty account is an error.
rm -rf "${XDG_STATE_HOME:?}" "${XDG_CACHE_HOME:?}"
check 'mount again' aws_mount
hold 1
check 'a reader that waits can be interrupted' interrupted
check_errno 'a silent service is no empty listing' ETIMEDOUT ls "$MNT/endpoints"
check_match 'and why' 'list endpoints: the service has not answered' cat "$MNT/endpoints/.error"
hold 0
check 'it is listed when it answers again' bash -c "ls '$MNT/endpoints' | grep -qx ep-09999"
check 'unmount again' "$SAGEMAKERFS" unmount "$MNT"
done_testing
