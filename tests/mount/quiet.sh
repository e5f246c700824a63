#!/usr/bin/env bash
# Nothing blocks, invokes or deploys by being listed, read, searched, copied or archived.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
deploy_echo iris
tf_export "$WORLD/slow" && mkdir -p "$WORLD/slow/1/assets" && touch "$WORLD/slow/1/assets/never-ready"
cp -rT "$WORLD/slow" "$MNT/models/slow" && mkdir "$MNT/endpoints/slow"

# The echo server writes one line for every invocation into the endpoint's log in the store.
invocations() {
	cat "$STORE"/logs/*/*/*/log 2>/dev/null | grep -c 'POST /invocations' || :
}
echo '[1]' >"$MNT/invoke/iris"
check_match 'an invocation counts' '[1-9]' invocations
before=$(invocations)
check 'grep -r ends' timeout 60 bash -c "grep -r . '$MNT' >/dev/null || [ \$? -le 2 ]"
check 'find ends' timeout 60 bash -c "find '$MNT' -ls >/dev/null"
check 'du ends' timeout 60 du -a "$MNT"
check 'tar ends' timeout 60 bash -c "tar -cf - -C '$MNT' . 2>/dev/null | cat >/dev/null"
check 'ls -laR ends' timeout 60 ls -laR "$MNT"
check 'cp -r ends' timeout 60 bash -c "cp -r '$MNT' '$WORLD/copy' 2>/dev/null || :"
check 'rsync -a ends' timeout 60 bash -c "rsync -a '$MNT/' '$WORLD/copy2/' >/dev/null 2>&1 || :"
check 'stat, touch, chmod of invoke/NAME' bash -c "stat '$MNT/invoke/iris' && touch '$MNT/invoke/iris' && chmod 600 '$MNT/invoke/iris'"
check 'truncation alone' bash -c ": > '$MNT/invoke/iris'"
check_out 'nothing of that invoked' "$before" invocations
check_out 'what blocks is not listed' "" bash -c "ls -a '$MNT/endpoints/iris' | grep -x -e wait -e events || :"
check_out '.sagemaker is not listed' "" bash -c "ls -a '$MNT/models/iris' | grep sagemaker || :"
check_out 'endpoints are as before' "iris
slow" ls "$MNT/endpoints"
rmdir "$MNT/endpoints/slow" "$MNT/endpoints/iris"
check_match 'unmount tells what is not finished' 'slow' mount_stop
check_not 'and is done' mounted "$MNT"
done_testing
