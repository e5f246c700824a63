#!/usr/bin/env bash
# Keys that must be fetched, here by a program that a profile names: while they are, nothing of the mount waits but the calls
# that need them, and those end at once when they are interrupted. A login that is over is told, and the mount goes on after it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$SAGEMAKERFS" serve --store "$STORE" --listen 127.0.0.1:0 >"$WORLD/serve.log" 2>&1 &
SERVERS+=($!)
wait_until 20 test -e "$STORE/run.json"
wait_until 20 grep -q '^export AWS_SECRET_ACCESS_KEY' "$WORLD/serve.log"
read -r url secret < <(jq -r '"\(.url) \(.secret_key)"' "$STORE/run.json")

cat >"$WORLD/keys.sh" <<'END'
cd "$(dirname "$0")"
echo run >>runs
while [ -e hold ]; do sleep 0.05; done
[ ! -e over ] || { printf 'starting\nthe session of %s is over\n' me >&2; exit 4; }
jq -c '{Version: 1, AccessKeyId: .access_key, SecretAccessKey: .secret_key}' store/run.json
END

# new_login N: a profile that is not the same as before, so that its keys are fetched anew.
new_login() {
	printf '[profile tool]\ncredential_process = sh %s/keys.sh %s\nregion = %s\nendpoint_url = %s\n' "$WORLD" "$1" \
		"$(jq -r .region "$STORE/run.json")" "$url" >"$WORLD/aws.new"
	mv "$WORLD/aws.new" "$WORLD/aws"
}

# shellcheck disable=SC2317 # called by check_out
runs() {
	wc -l <"$WORLD/runs"
}

export AWS_CONFIG_FILE=$WORLD/aws AWS_EC2_METADATA_DISABLED=true
SAGEMAKER_ROLE_ARN=$(jq -r .role "$STORE/run.json")
export SAGEMAKER_ROLE_ARN
new_login 1
check 'a mount with keys of a program' "$SAGEMAKERFS" aws "$MNT" -o profile=tool
check 'it works' deploy_echo iris
check_match 'it says where the keys are from' "keys +of profile 'tool' by credential_process" cat "$MNT/.sagemakerfs/config"
check_not 'and not which they are' grep -rqF "$secret" "$MNT/.sagemakerfs" "$MNT/README" "$WORLD/state"
check_out 'the program ran once' 1 runs

touch "$WORLD/hold"
new_login 2
pids=()
for _ in $(seq 8); do
	write_to "$MNT/invoke/iris" '[1]' >/dev/null 2>&1 &
	pids+=($!)
done
wait_until 20 bash -c "[ \$(wc -l <'$WORLD/runs') -eq 2 ]"
check 'while keys are fetched, the rest of the mount answers' timeout 20 cat "$MNT/README"
check 'calls wait for them' kill -0 "${pids[@]}"
kill "${pids[@]}" # TERM: bash lets its background jobs ignore INT
for pid in "${pids[@]}"; do
	wait "$pid" || :
done
check 'and end when they are interrupted, while the program still runs' test -e "$WORLD/hold"
check_out 'for all of them it ran once' 2 runs
rm "$WORLD/hold"
check 'when it has ended, all is well' write_to "$MNT/invoke/iris" '[1]'
check_out 'with the keys of that run' 2 runs

touch "$WORLD/over"
new_login 3
check_errno 'a login that is over is an error' EACCES write_to "$MNT/invoke/iris" '[1]'
check_match 'with a sentence' "get the AWS keys of profile 'tool' by credential_process: it failed with exit code 4: the session of me is over" \
	cat "$MNT/invoke/.error"
rm "$WORLD/over"
check 'after the next login the mount goes on' write_to "$MNT/invoke/iris" '[1]'
rmdir "$MNT/endpoints/iris"
mount_stop "$MNT"

touch "$WORLD/over"
check_match 'a login that is over ends a mount at once' 'the session of me is over' "$SAGEMAKERFS" aws "$MNT" -o profile=tool
check_not 'and nothing is mounted' mounted "$MNT"
done_testing
