#!/usr/bin/env bash
# What a mount made is there for the next one: after an orderly end, SIGTERM, kill -9 of the daemon, kill -9 of the backend.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

no_daemon() {
	[ -z "$(daemon_pid)" ]
}

mount_start
deploy_echo iris
mount_stop
check_not 'unmounted' mounted "$MNT"
mount_start
# Nothing was asked about it yet: what an attribute says is learnt when it is opened.
check_out 'an attribute before anything was listed' ml.m5.large cat "$MNT/endpoints/iris/instance_type"
check_out 'the endpoint is back' iris ls "$MNT/endpoints"
check_out 'and serves' InService cat "$MNT/endpoints/iris/wait"
check_match 'and answers' '"echo"' bash -c "echo '[1]' > '$MNT/invoke/iris'; cat '$MNT/invoke/iris'"
check 'the model is the same' diff -r "$WORLD/export-iris" "$MNT/models/iris"

kill -TERM "$(daemon_pid)"
check 'SIGTERM ends the mount' wait_until 15 bash -c "! grep -q ' $MNT ' /proc/self/mounts"
rm -rf "$WORLD/state" && mkdir "$WORLD/state"
mount_start
check 'without any local state the published model is read from S3' diff -r "$WORLD/export-iris" "$MNT/models/iris"
check_out 'generated files are not shown' "1" ls "$MNT/models/iris"

daemon_dies
check 'a dead mount is replaced' mount_start
check_out 'and works' InService cat "$MNT/endpoints/iris/wait"

kill -KILL "$(backend_pid)"
check 'a killed backend comes back, and its endpoint with it' wait_until 30 bash -c "echo '[2]' > '$MNT/invoke/iris' && grep -q 2 '$MNT/invoke/iris'"

# Written, not committed, and the daemon is killed: nothing is lost.
mount_stop
mount_start -o commit=explicit
tf_export "$WORLD/export-late" late
cp -rT "$WORLD/export-late" "$MNT/models/late"
daemon_dies
mount_start
check 'staged bytes survive kill -9' diff -r "$WORLD/export-late" "$MNT/models/late"
check_out 'and deploy' InService bash -c "mkdir '$MNT/endpoints/late' && cat '$MNT/endpoints/late/wait'"

fusermount3 -u "$MNT"
check 'fusermount3 -u ends it' wait_until 15 no_daemon
mount_start
check_out 'both endpoints are there' "iris
late" ls "$MNT/endpoints"
for e in iris late; do
	rmdir "$MNT/endpoints/$e"
	cat "$MNT/endpoints/.deleting/$e/wait" 2>/dev/null || :
done
rm -r "$MNT/models/iris" "$MNT/models/late"
mount_stop
mount_start
check_out 'deleted stays deleted: endpoints' "" ls "$MNT/endpoints"
check_out 'deleted stays deleted: models' "" ls "$MNT/models"
check 'unmount' mount_stop
done_testing
