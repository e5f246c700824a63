#!/usr/bin/env bash
# A deletion that the service does not take yet outlives the unmount: the process stays without its mount, hands over to the next
# mount when that comes, and can be told to end.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# slow_leaves [OPTIONS]: slow is being made, its rmdir was accepted here, and the mount is taken off; $OUT and $RC are what unmount said,
# $PID the process behind it.
slow_leaves() {
	[ -d "$MNT/models/slow" ] || cp -rT "$WORLD/slow" "$MNT/models/slow"
	mkdir "$MNT/endpoints/slow"
	wait_until 20 grep -qx Creating "$MNT/endpoints/slow/status" || :
	rmdir "$MNT/endpoints/slow"
	PID=$(cat "$MNT/.sagemakerfs/pid")
	STATE=$(cat "$MNT/.sagemakerfs/state")
	RC=0
	OUT=$("$SAGEMAKERFS" unmount "$MNT" 2>&1) || RC=$?
}

journal() {
	/usr/bin/python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1] + "/journal", timeout=10).execute("SELECT kind, name FROM operation"): print(*row)' "$STATE"
}

in_account() {
	/usr/bin/python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1], timeout=10).execute("SELECT kind, name FROM resource WHERE name LIKE ?", ("%" + sys.argv[2] + "%",)): print(*row)' "$STORE/store.db" "$1"
}

none_of() {
	[ -z "$(in_account "$1")" ]
}

has_left() {
	! kill -0 "$1" 2>/dev/null
}

tf_export "$WORLD/slow" && mkdir -p "$WORLD/slow/1/assets" && touch "$WORLD/slow/1/assets/ready-in-12"
"$SAGEMAKERFS" serve --store "$STORE" >"$WORLD/serve.out" 2>&1 &
wait_until 20 test -e "$STORE/run.json"

mount_start -o linger=600
slow_leaves
check_match 'unmount says what goes on' "not finished: delete of 'slow' \(goes on in the background\)" echo "$OUT"
check_out 'its exit status, too' 3 echo "$RC"
check_not 'the mount is off' mounted "$MNT"
check 'the process stays' kill -0 "$PID"
check 'until the service has taken the deletion' wait_until 60 none_of slow
check 'then it leaves' wait_until 30 has_left "$PID"
check_out 'and nothing is left to do' '' journal

mount_start -o linger=600,commit=explicit
tf_export "$WORLD/draft"
cp -rT "$WORLD/draft" "$MNT/models/draft"
slow_leaves
check 'the process stays' kill -0 "$PID"
check 'a mount of the same thing' mount_start -o linger=600,commit=explicit
check_out 'has the same state' "$STATE" cat "$MNT/.sagemakerfs/state"
check 'what was not published is there' diff -r "$WORLD/draft" "$MNT/models/draft"
check 'the process has handed over' wait_until 10 has_left "$PID"
check 'and the deletion with it' test -d "$MNT/endpoints/.deleting/slow"
check 'which ends' wait_until 60 none_of slow
check_match 'unmount' '^$' mount_stop

mount_start -o linger=600
slow_leaves
check 'the process stays' kill -0 "$PID"
kill -TERM "$PID"
check 'SIGTERM ends it' wait_until 20 has_left "$PID"
check_out 'the journal has what is left' 'delete slow' journal
check 'the next mount' mount_start
check 'ends it' wait_until 60 none_of slow
check 'unmount' mount_stop

mount_start -o linger=1
slow_leaves
check_out 'a short time is kept' 3 echo "$RC"
check 'and then it leaves' wait_until 30 has_left "$PID"
check_out 'with the journal' 'delete slow' journal
mount_start
check 'the next mount ends it' wait_until 60 none_of slow
check 'unmount' mount_stop
done_testing
