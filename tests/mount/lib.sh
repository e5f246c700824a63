# shellcheck shell=bash
# lib.sh: what every mount test shares: a private world (store, state, runtimes), a real mount on the local backend with an
# echo model server, results as lines, and a clean-up that also runs on failure. Sourced by bash with `set -euo pipefail`.
#
#   . "$(dirname "$0")/lib.sh"
#   mount_start                 # $MNT is a usable mount; options go after it: mount_start -o wait=5
#   deploy_echo iris            # models/iris (a TensorFlow-shaped directory), endpoints/iris InService
#   check 'name' command...     # counts ok / FAIL
#   check_out 'name' 'expected' command...
#   check_errno 'name' EBUSY command...   # the command fails and says that errno's text
#   done_testing                # last line "N passed, N failed", exit status
#
# Environment: SAGEMAKERFS (the executable), REAL=1 (real runtimes and model servers instead of the echo server).

TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TOP=$(dirname "$TESTS_DIR")
SAGEMAKERFS=${SAGEMAKERFS:-$TOP/build/sagemakerfs}
PASSED=0
FAILED=0
SERVERS=() # processes that end with the test
HERE=$(basename "$0" .sh)

WORLD=$(mktemp -d "${TMPDIR:-/tmp}/smfs-$HERE-XXXXXX")
MNT=$WORLD/mnt
STORE=$WORLD/store
DATA=$TESTS_DIR/data
mkdir -p "$MNT" "$WORLD/data" "$WORLD/state" "$WORLD/cache" "$WORLD/config" "$WORLD/tmp"
export XDG_CACHE_HOME_REAL=${XDG_CACHE_HOME:-$HOME/.cache}
export XDG_DATA_HOME=$WORLD/data XDG_STATE_HOME=$WORLD/state XDG_CACHE_HOME=$WORLD/cache XDG_CONFIG_HOME=$WORLD/config
export SAGEMAKERFS_FAULTS=1
# A developer's own AWS settings must not reach the tests.
for v in $(compgen -e | grep '^AWS_'); do
	unset "$v"
done
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null

# fake_runtime NAME-VERSION: a runtime whose python is the system's: enough for the echo server.
fake_runtime() {
	local dir=$WORLD/runtimes/$1
	mkdir -p "$dir/bin"
	ln -sfn "$(readlink -f /usr/bin/python3)" "$dir/bin/python"
	printf '{"framework":"%s","version":"%s","python":"3"}\n' "${1%%-*}" "${1#*-}" >"$dir/runtime.json"
}

if [ "${REAL:-}" ]; then
	: "${SAGEMAKERFS_RUNTIMES:=$HOME/.local/share/sagemakerfs/runtimes}"
	export SAGEMAKERFS_RUNTIMES
else
	fake_runtime tensorflow-2.19.0
	fake_runtime mxnet-1.9.1
	export SAGEMAKERFS_RUNTIMES=$WORLD/runtimes SAGEMAKERFS_SERVE_DIR=$DATA/echo-serve
fi

backend_pid() {
	jq -r .pid "$STORE/run.json" 2>/dev/null || :
}

# model_server NAME: a process of this test's backend whose command line has NAME in it.
model_server() {
	local p
	for p in $(ps -eo pid=,ppid= | awk -v top="$(backend_pid)" '{up[$1] = $2}
		END {for (p in up) for (q = p; q in up; q = up[q]) if (up[q] == top) {print p; break}}'); do
		if tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | grep -qF -- "$1"; then
			echo "$p"
			return
		fi
	done
}

# daemon_pid [MOUNTPOINT]: the process behind a mount of this test's store.
daemon_pid() {
	pgrep -f -- "local:$STORE ${1:-$MNT}( |\$)" | grep -vx "$(backend_pid)" | head -1
}

# daemon_dies [MOUNTPOINT]: kill -9 of the process behind a mount, and its end.
daemon_dies() {
	local pid
	pid=$(daemon_pid "$@")
	kill -KILL "$pid"
	wait_until 30 bash -c "! kill -0 $pid"
}

mounted() {
	grep -q " $1 fuse.sagemakerfs " /proc/self/mounts
}

# mount_at MOUNTPOINT [options]: one more mount of the same store.
mount_at() {
	local at=$1
	shift
	mkdir -p "$at" 2>/dev/null || : # a dead mount there is replaced
	"$SAGEMAKERFS" "local:$STORE" "$at" "$@"
}

mount_start() {
	mount_at "$MNT" "$@"
}

nothing_deleting() {
	[ -z "$(ls "$1/endpoints/.deleting")" ]
}

# mount_stop [MOUNTPOINT]: orderly, waits until the daemon has left. As slow as AWS, a deletion that a test has just begun is let end:
# unmount would go by without it and say so.
mount_stop() {
	[ "${SAGEMAKERFS_SERVE_PROFILE:-}" != aws ] || wait_until 15 nothing_deleting "${1:-$MNT}" || :
	"$SAGEMAKERFS" unmount "${1:-$MNT}"
}

cleanup() {
	local rc=$? at
	set +e
	rm -f "$STORE/faults.json"
	for at in "$MNT" "$WORLD"/mnt*; do
		if mounted "$at"; then
			timeout 30 "$SAGEMAKERFS" unmount "$at" >/dev/null 2>&1 || fusermount3 -uz "$at" 2>/dev/null || umount -l "$at"
		fi
	done
	local pid
	[ "${#SERVERS[@]}" -eq 0 ] || kill "${SERVERS[@]}" 2>/dev/null
	pid=$(backend_pid)
	if [ "$pid" ] && [ "$pid" != null ]; then
		kill "$pid" 2>/dev/null
		for _ in $(seq 100); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	fi
	if [ "${KEEP:-}" ]; then
		echo "kept: $WORLD" >&2
	else
		chmod -R u+w "$WORLD" 2>/dev/null # unpacked models are read-only where there are no namespaces
		rm -rf "$WORLD"
	fi
	exit "$rc"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

pass() {
	PASSED=$((PASSED + 1))
	echo "ok $HERE: $1"
}

fail() {
	FAILED=$((FAILED + 1))
	echo "FAIL $HERE: $1${2:+: $2}"
}

# check NAME COMMAND...: passes when the command succeeds.
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		pass "$name"
	else
		fail "$name" "exit $?: ${out:0:600}"
	fi
}

# check_not NAME COMMAND...: passes when the command fails.
check_not() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		fail "$name" "succeeded: ${out:0:300}"
	else
		pass "$name"
	fi
}

# check_out NAME EXPECTED COMMAND...: output (stdout) equals EXPECTED.
check_out() {
	local name=$1 want=$2 out
	shift 2
	out=$("$@" 2>"$WORLD/stderr") || {
		fail "$name" "exit $?: $(head -c 500 "$WORLD/stderr")"
		return 0
	}
	if [ "$out" = "$want" ]; then
		pass "$name"
	else
		fail "$name" "got '${out:0:400}', not '${want:0:400}'"
	fi
}

# check_match NAME PATTERN COMMAND...: output (both streams) matches the extended regular expression; exit status is not looked at.
check_match() {
	local name=$1 pattern=$2 out
	shift 2
	out=$("$@" 2>&1) || :
	if grep -qE -- "$pattern" <<<"$out"; then
		pass "$name"
	else
		fail "$name" "'${out:0:600}' does not match '$pattern'"
	fi
}

# check_errno NAME ERRNO COMMAND...: the command fails with the text of that errno.
check_errno() {
	local name=$1 errno=$2 text out
	shift 2
	text=$(/usr/bin/python3 -c "import errno,os,sys; print(os.strerror(getattr(errno, sys.argv[1])))" "$errno")
	if out=$("$@" 2>&1); then
		fail "$name" "succeeded, $errno expected: ${out:0:300}"
	elif grep -qF -- "$text" <<<"$out"; then
		pass "$name"
	else
		fail "$name" "not $errno ('$text'): ${out:0:400}"
	fi
}

# check_wait NAME PID: a background job of this shell ended well.
check_wait() {
	local rc=0
	wait "$2" || rc=$?
	if [ "$rc" -eq 0 ]; then pass "$1"; else fail "$1" "exit $rc"; fi
}

# write_to FILE TEXT: one write and a checked close (shell builtins ignore errors of close).
write_to() {
	/usr/bin/python3 - "$1" "$2" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.write(fd, sys.argv[2].encode())
os.close(fd)
PY
}

# wait_until SECONDS COMMAND...: true as soon as the command succeeds.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# tf_export DIR [TEXT]: a small whole SavedModel (the Keras one of the test data) as DIR/1.
tf_export() {
	mkdir -p "$1"
	cp -r "$(dirname "$(find "$DATA/tensorflow-keras" -name saved_model.pb | head -1)")" "$1/1"
	if [ "${2:-}" ]; then
		mkdir -p "$1/1/assets" && printf '%s' "$2" >"$1/1/assets/note.txt"
	fi
}

# deploy_echo NAME: models/NAME and a serving endpoints/NAME.
deploy_echo() {
	[ -e "$MNT/models/$1" ] || {
		tf_export "$WORLD/export-$1"
		cp -rT "$WORLD/export-$1" "$MNT/models/$1"
	}
	mkdir "$MNT/endpoints/$1"
	cat "$MNT/endpoints/$1/wait" >/dev/null
}

# api CALL JSON: one call of the control plane, past the mount (any that is there).
api() {
	[ "${AWS_ENDPOINT_URL:-}" ] || eval "$("$SAGEMAKERFS" env "$MNT")"
	local reply
	while :; do # as SDKs do: a call too many is sent again
		reply=$(curl --fail-with-body -sS --aws-sigv4 "aws:amz:$AWS_REGION:sagemaker" \
			--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -H 'Content-Type: application/x-amz-json-1.1' \
			-H "X-Amz-Target: SageMaker.$1" -d "$2" "$AWS_ENDPOINT_URL/") && break
		grep -q ThrottlingException <<<"$reply" || {
			printf '%s\n' "$reply" >&2
			return 22
		}
		sleep 0.3
	done
	printf '%s' "$reply"
}

# published_archive NAME FILE: what S3 has of models/NAME.
published_archive() {
	local uri
	uri=$(cat "$MNT/models/$1/.sagemaker/uri")
	[ "${AWS_ENDPOINT_URL:-}" ] || eval "$("$SAGEMAKERFS" env "$MNT")"
	curl -fsS -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --aws-sigv4 "aws:amz:$AWS_REGION:s3" \
		--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$AWS_ENDPOINT_URL/${uri#s3://}" -o "$2"
}

# fault ROWS: the backend's fault table (JSON array), "[]" for none (docs/local-backend.md).
fault() {
	printf '%s\n' "$1" >"$STORE/faults.json.new"
	mv "$STORE/faults.json.new" "$STORE/faults.json"
	sleep 0.3
}

done_testing() {
	echo "$PASSED passed, $FAILED failed"
	[ "$FAILED" -eq 0 ]
	exit
}

# account QUERY...: rows of the backend's own database: what is really there, whoever shows it.
account() {
	/usr/bin/python3 - "$STORE/store.db" "$@" <<'PY'
import sqlite3, sys
db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True, timeout=10)
for sql in sys.argv[2:]:
    for row in db.execute(sql):
        print(*[c.decode() if isinstance(c, bytes) else c for c in row])
PY
}
