#!/usr/bin/env bash
# A mount of `aws` without network comes up, says why each call fails, and works when AWS is back; files that were written
# meanwhile are found again, and never by another account. Keys that are refused end the mount at once.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

serve() {
	"$SAGEMAKERFS" serve --store "$STORE" --listen "127.0.0.1:$port" >"$WORLD/serve.log" 2>&1 &
	SERVER=$!
	SERVERS=("$SERVER")
	wait_until 20 test -e "$STORE/run.json"
	wait_until 20 grep -q '^export AWS_SECRET_ACCESS_KEY' "$WORLD/serve.log"
}

stop_serving() {
	kill "$SERVER"
	wait "$SERVER" || :
	# shellcheck disable=SC2034 # lib.sh ends them
	SERVERS=()
	rm -f "$STORE/run.json"
}

take_keys() {
	AWS_ACCESS_KEY_ID=$(jq -r .access_key "$STORE/run.json")
	AWS_SECRET_ACCESS_KEY=$(jq -r .secret_key "$STORE/run.json")
	AWS_REGION=$(jq -r .region "$STORE/run.json")
	SAGEMAKER_ROLE_ARN=$(jq -r .role "$STORE/run.json")
	export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION SAGEMAKER_ROLE_ARN
}

aws_mount() {
	"$SAGEMAKERFS" aws "$MNT" "$@"
}

state_of() {
	cat "$MNT/.sagemakerfs/state"
}

export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_MAX_ATTEMPTS=1 AWS_EC2_METADATA_DISABLED=true
serve
take_keys
account=$(jq -r .account "$STORE/run.json")
stop_serving

# The first mount ever, and nobody to ask.
check 'a mount without network comes up' aws_mount -o commit=explicit
check_match 'the mount says from the start that nobody was asked' 'AWS is asked again when needed' cat "$MNT/.error"
check_errno 'a listing says why it cannot be had' ECONNREFUSED ls "$MNT/models"
check_match 'and in full' 'could not connect to 127.0.0.1' cat "$MNT/models/.error"
check_match 'the account is not known' 'account +not known yet' cat "$MNT/README"
nobody=$(state_of)
tf_export "$WORLD/export-late" late
check 'files can be written' cp -rT "$WORLD/export-late" "$MNT/models/late"
check_errno 'but not published' ECONNREFUSED sync "$MNT/models/late"

serve
take_keys
check 'when the network is back, listing works' wait_until 20 ls "$MNT/models"
check 'and publishing' wait_until 20 sync "$MNT/models/late"
check 'and deploying' mkdir "$MNT/endpoints/late"
check_out 'until it serves' InService cat "$MNT/endpoints/late/wait"
check_match 'and invoking' '"echo"' bash -c "echo '[1]' > '$MNT/invoke/late'; cat '$MNT/invoke/late'"
check_match 'the account is known now' "account +$account" cat "$MNT/README"
cp -rT "$WORLD/export-late" "$MNT/models/kept"
mount_stop

# The directory is the account's from now on, whether AWS can be asked or not.
aws_mount -o commit=explicit
check_not 'the state has the name of its account' [ "$(state_of)" = "$nobody" ]
known=$(state_of)
check 'what was written before is there' diff -r "$WORLD/export-late" "$MNT/models/kept"
mount_stop
stop_serving
aws_mount -o commit=explicit
check_out 'without network the same state is found' "$known" state_of
mount_stop
serve
take_keys

# Files of another account are not shown to these keys as theirs, nor published with them.
for file in "$WORLD"/state/sagemakerfs/account-*; do
	echo 999999999999 >"$file"
done
stop_serving
aws_mount -o commit=explicit
check_not 'another account has another state' [ "$(state_of)" = "$known" ]
cp -rT "$WORLD/export-late" "$MNT/models/theirs"
serve
take_keys
check 'when AWS can be asked again' wait_until 20 bash -c "sync '$MNT/models/theirs' || grep -q 'these keys' '$MNT/models/theirs/.sagemaker/error'"
check_errno 'keys of another account are refused' EACCES sync "$MNT/models/theirs"
check_match 'with a sentence' "these keys are of account $account, but .* files of account 999999999999" \
	cat "$MNT/models/theirs/.sagemaker/error"
mount_stop

AWS_SECRET_ACCESS_KEY=wrong
check_match 'wrong keys end the mount at once' 'cannot use .aws:.*SignatureDoesNotMatch, HTTP 403' aws_mount
check_not 'and nothing is mounted' mounted "$MNT"
AWS_ACCESS_KEY_ID=AKIDUNKNOWN
check_match 'so do unknown ones' 'cannot use .aws:' aws_mount
done_testing
