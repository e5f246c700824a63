#!/usr/bin/env bash
# Models that do not start, runtimes that are not there, invocations too early.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
tf_export "$WORLD/crash" && touch "$WORLD/crash/1/assets.extra-crash"
mkdir -p "$WORLD/crash/1/assets" && touch "$WORLD/crash/1/assets/crash-at-start"
rm -f "$WORLD/crash/1/assets.extra-crash"
cp -rT "$WORLD/crash" "$MNT/models/crash"
check 'mkdir of a model whose server will crash' mkdir "$MNT/endpoints/crash"
check_errno 'wait fails' EREMOTEIO cat "$MNT/endpoints/crash/wait"
check_match 'the newest failure of all is that one' "^endpoint 'crash': Failed: " cat "$MNT/.error"
check_out 'status' Failed cat "$MNT/endpoints/crash/status"
check_match 'error has the health check and the last lines of the server' 'health check|crash' cat "$MNT/endpoints/crash/error"
check_match 'the last lines are there' 'crash-at-start|crash at start' cat "$MNT/endpoints/crash/error"
check_errno 'invoking a failed endpoint' EREMOTEIO sh -c "cat > '$MNT/invoke/crash' </dev/null"
check 'rmdir clears it' rmdir "$MNT/endpoints/crash"
cat "$MNT/endpoints/.deleting/crash/wait" 2>/dev/null || :
check_out 'gone' "" ls "$MNT/endpoints"

tf_export "$WORLD/slow" && mkdir -p "$WORLD/slow/1/assets" && touch "$WORLD/slow/1/assets/never-ready"
cp -rT "$WORLD/slow" "$MNT/models/slow"
mkdir "$MNT/endpoints/slow"
check_match 'still creating' 'Creating' cat "$MNT/endpoints/slow/status"
check_errno 'invoking before InService' EBUSY sh -c "cat > '$MNT/invoke/slow' </dev/null"
check_match 'invoke/.error says so' 'Creating|InService' cat "$MNT/invoke/.error"
check 'rmdir while Creating is taken and goes on' rmdir "$MNT/endpoints/slow"
check_not 'it is not in endpoints/ any more' test -e "$MNT/endpoints/slow"
check 'it is in .deleting/' test -d "$MNT/endpoints/.deleting/slow"
check_errno 'the name is busy' EBUSY mkdir "$MNT/endpoints/slow"
check 'status shows the deletion' bash -c "'$SAGEMAKERFS' status '$MNT' | grep -q slow"

deploy_echo ok
check_errno 'invalid request to the container (400)' EBADMSG write_to "$MNT/invoke/ok" '{"status": 400, "text": "no such tensor"}'
check_match "the container's words are in .error" 'no such tensor' cat "$MNT/invoke/.error"
check_match "and in the endpoint's error" 'no such tensor' cat "$MNT/endpoints/ok/error"
check_errno 'the container fails (500)' EREMOTEIO write_to "$MNT/invoke/ok" '{"status": 500, "text": "tensor exploded"}'
check_match 'its words are there' 'tensor exploded' cat "$MNT/invoke/.error"
check_errno 'the model server dies in a request' EREMOTEIO write_to "$MNT/invoke/ok" '{"exit": 3}'
check 'and is started again' wait_until 20 write_to "$MNT/invoke/ok" '{"again": 1}'
check_errno 'echo, then cat shows the error too' EBADMSG bash -c "echo '{\"status\": 404}' > '$MNT/invoke/ok'; cat '$MNT/invoke/ok'"

# No runtime: Failed, with the command that installs one.
check_match 'unmount tells what goes on without it' "delete.*slow" mount_stop
pid=$(backend_pid)
kill "$pid" && wait_until 15 bash -c "! kill -0 $pid"
mkdir "$WORLD/none"
SAGEMAKERFS_RUNTIMES=$WORLD/none mount_start
cp -rT "$WORLD/export-ok" "$MNT/models/lost"
mkdir "$MNT/endpoints/lost"
check_errno 'no runtime: the deployment fails' EREMOTEIO cat "$MNT/endpoints/lost/wait"
check_match 'and names the command' 'scripts/runtimes' cat "$MNT/endpoints/lost/error"
check_match 'doctor does too' 'runtimes' env SAGEMAKERFS_RUNTIMES="$WORLD/none" "$SAGEMAKERFS" doctor
check 'rmdir' rmdir "$MNT/endpoints/lost"
mount_stop || : # a deletion may still go on
check_not 'unmount' mounted "$MNT"
done_testing
