#!/usr/bin/env bash
# The subcommands, as a user types them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

check_match '--version' '^sagemakerfs [0-9]' "$SAGEMAKERFS" --version
check_match '--help names the commands' 'unmount' "$SAGEMAKERFS" --help
check_not 'no arguments is an error' "$SAGEMAKERFS"
check_match 'a mistyped command' 'no such command' "$SAGEMAKERFS" statsu
tf_export "$WORLD/export"
check_match 'pack shows the archive' 'export/Servo/1/saved_model.pb' "$SAGEMAKERFS" pack "$WORLD/export"
check_match 'pack shows the framework' 'tensorflow' "$SAGEMAKERFS" pack "$WORLD/export"
check_match 'pack of a file says what it takes' 'is a file: put it into a directory' "$SAGEMAKERFS" pack "$WORLD/export/1/saved_model.pb"
check_match 'serve names the options that it has' 'it has --store .*--create-delay' "$SAGEMAKERFS" serve --create-delai 1
check_not 'pack refuses a directory that is no model' "$SAGEMAKERFS" pack "$WORLD/tmp"
check_match 'pack says what is wrong' 'shapes.json' "$SAGEMAKERFS" pack "$DATA/bad/mxnet-no-shapes"
check_match 'doctor finds the runtimes' 'tensorflow' "$SAGEMAKERFS" doctor
check_not 'doctor is content (with all but other mounts of this machine)' bash -c "'$SAGEMAKERFS' doctor | grep -v ' mounts ' | grep FAIL"

mount_start
deploy_echo iris
check_match 'status shows the endpoint' 'iris.*InService|InService.*iris' "$SAGEMAKERFS" status "$MNT"
check_match 'status shows its type' 'ml.m5.large' "$SAGEMAKERFS" status "$MNT"
check_match 'status begins with where' 'local' bash -c "'$SAGEMAKERFS' status '$MNT' | head -3"
check_match 'status without a mount finds it' 'iris' "$SAGEMAKERFS" status
check_match 'env prints exports' '^export AWS_ENDPOINT_URL=' "$SAGEMAKERFS" env "$MNT"
check_match 'also by the store' '^export AWS_ENDPOINT_URL=' "$SAGEMAKERFS" env --store "$STORE"
odd=(AWS_SESSION_TOKEN=x AWS_ENDPOINT_URL_S3=http://192.0.2.1 AWS_PROFILE=none http_proxy=http://127.0.0.1:9 no_proxy=example.com)
check_out 'what would lead elsewhere is unset, the loopback spared the proxy' \
	'unset AWS_SESSION_TOKEN;unset AWS_PROFILE;unset AWS_ENDPOINT_URL_S3;no_proxy=example.com,127.0.0.1' \
	env "${odd[@]}" bash -c '"$1" env "$2" | sed -n "/^unset /p" | tr "\n" ";"; eval "$("$1" env "$2")"; [ ! "${AWS_SESSION_TOKEN+x}" ] && echo "no_proxy=$no_proxy"' - "$SAGEMAKERFS" "$MNT"
check_match 'df shows the source' "local:" df "$MNT"
mkdir "$MNT/endpoints/none" 2>/dev/null || :
check_match 'error shows the last failure' 'none' "$SAGEMAKERFS" error "$MNT/endpoints"
check_match 'error of a file in a directory that has one' 'none' "$SAGEMAKERFS" error "$MNT/endpoints/none"
check_match 'the root has the newest' 'none' cat "$MNT/.error"

# Secrets: neither in the mount's files, nor logs, nor command lines, nor the environment of the model.
eval "$("$SAGEMAKERFS" env "$MNT")"
secret=$AWS_SECRET_ACCESS_KEY
check 'env gives a secret key' test "${#secret}" -ge 20
printf '%s\n' "$secret" >"$WORLD/secret"
check_out 'it is not in the mount' "" bash -c "grep -rlFf '$WORLD/secret' '$MNT' 2>/dev/null || :"
check_out 'nor in logs and state' "" bash -c "grep -rlFf '$WORLD/secret' '$WORLD/state' '$STORE'/log* '$STORE'/endpoints '$STORE'/logs 2>/dev/null || :"
check_out 'nor in a command line' "" bash -c "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -Ff '$WORLD/secret' || :"
check_out 'the store is closed to others' 700 stat -c %a "$STORE"
check_out 'run.json too' 600 stat -c %a "$STORE/run.json"
server=$(model_server echo-serve/tensorflow_server.py)
check 'the model server runs' test "$server"
check_out 'no AWS_ variable in its environment' "" bash -c "tr '\0' '\n' <'/proc/$server/environ' | grep '^AWS_' || :"
check_match 'no new privileges' 'NoNewPrivs:[[:space:]]*1' cat "/proc/$server/status"

mount_at "$WORLD/mnt3" -o ro
check_errno 'a read-only mount refuses' EROFS mkdir "$WORLD/mnt3/endpoints/x"
check 'it is unmounted' mount_stop "$WORLD/mnt3"
(cd "$MNT/models" && sleep 30) &
holder=$!
wait_until 30 test "/proc/$holder/cwd" -ef "$MNT/models"
check_not 'unmount of a busy mount fails' "$SAGEMAKERFS" unmount "$MNT"
check 'and leaves it mounted' mounted "$MNT"
kill "$holder"
wait "$holder" 2>/dev/null || :
check_match 'a mount within a mount is refused' 'lies in the mount' "$SAGEMAKERFS" "local:$STORE" "$MNT/models"
check 'unmount' mount_stop
check 'mounted again' mount_start
check_match 'status shows what runs though nobody has looked' 'iris.*InService' "$SAGEMAKERFS" status "$MNT"
check 'and unmounted' mount_stop
check_not 'unmount of what is not mounted fails' "$SAGEMAKERFS" unmount "$MNT"

# serve by hand; a mount joins it and does not end it.
"$SAGEMAKERFS" serve --store "$WORLD/store2" --listen 127.0.0.1:0 >"$WORLD/serve.out" 2>&1 &
serving=$!
check 'serve says that it is ready' wait_until 15 grep -q 'http://127.0.0.1' "$WORLD/serve.out"
mkdir -p "$WORLD/mnt4"
check 'a mount joins it' "$SAGEMAKERFS" "local:$WORLD/store2" "$WORLD/mnt4"
check_out 'the same process serves' "$serving" jq -r .pid "$WORLD/store2/run.json"
check 'unmount it' mount_stop "$WORLD/mnt4"
check 'serve goes on' kill -0 "$serving"
mkdir -p "$WORLD/full/left"
check_match 'a mount over files says that it hides them' 'is not empty: what lies in it is hidden' "$SAGEMAKERFS" "local:$WORLD/store2" "$WORLD/full"
check 'they are there again' bash -c "'$SAGEMAKERFS' unmount '$WORLD/full' && test -d '$WORLD/full/left'"
kill -TERM "$serving"
check_wait 'serve ends on SIGTERM' "$serving"
done_testing
