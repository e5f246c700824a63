# shellcheck shell=bash disable=SC2034
# lib.sh: what the tests against other people's software share, besides all of tests/mount/lib.sh: servers of their own, and
# programs that print "ok ..." and "FAIL ..." lines. Sourced by bash with `set -euo pipefail`.
#
#   . "$(dirname "$0")/lib.sh"
#   peer_venv                          # $PYTHON with botocore, boto3, moto; $VENV its bin directory
#   port=$(free_port)
#   start_server LOG COMMAND...        # in the background, ended by pid at the end
#   wait_for_port PORT
#   serve_here                         # our local backend, its environment exported
#   saved_model ARCHIVE                # enough for the echo model server
#   count_lines COMMAND...             # its lines count; one that ends badly or prints none is a failure
#   done_testing

# shellcheck source=../mount/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../mount/lib.sh"
PEERS_DIR=$TESTS_DIR/peers
BUILD=${BUILD:-$TOP/build}
DRIVERS=$BUILD/tests/unit

# crc32c: without it moto computes CRC-32 and calls it CRC-32C
peer_venv() {
	VENV=$("$TESTS_DIR/venv" peers boto3==1.44.5 'moto[server]' crc32c "$@")
	PYTHON=$VENV/python
}

free_port() {
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start_server() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null &
	SERVERS+=($!)
}

# serve_here: the local backend alone, and the environment that it prints for other people's programs.
serve_here() {
	start_server "$WORLD/serve.out" "$SAGEMAKERFS" serve --store "$STORE"
	wait_until 30 grep -q '^export SAGEMAKER_USER_CONFIG_OVERRIDE' "$WORLD/serve.out"
	eval "$(cat "$WORLD/serve.out")"
	export AWS_EC2_METADATA_DISABLED=true
}

saved_model() {
	mkdir -p "$WORLD/saved_model/export/Servo/1"
	echo graph >"$WORLD/saved_model/export/Servo/1/saved_model.pb"
	tar -C "$WORLD/saved_model" -czf "$1" export
}

wait_for_port() {
	wait_until "${2:-60}" bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" || {
		fail "a server listens on port $1"
		return 1
	}
}

count_lines() {
	local line n=0 rc=0 out
	out=$(mktemp "$WORLD/lines-XXXXXX")
	"$@" >"$out" || rc=$?
	while IFS= read -r line; do
		case $line in
		"ok "*) PASSED=$((PASSED + 1)) n=$((n + 1)) ;;
		"FAIL "*) FAILED=$((FAILED + 1)) n=$((n + 1)) ;;
		esac
		printf '%s\n' "$line"
	done <"$out"
	if [ "$n" -eq 0 ] || { [ "$rc" -ne 0 ] && ! grep -q '^FAIL ' "$out"; }; then
		fail "$(basename "$1") runs to its end" "exit $rc after $n checks"
	fi
}
