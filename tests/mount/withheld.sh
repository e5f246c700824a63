#!/usr/bin/env bash
# While the backend withholds a reply, everything else answers; nothing waits for the network in a FUSE worker.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# all_answer NAME [EXCEPT]: ls in every directory returns although a reply is withheld. 15 s is no measure: only "not for ever".
all_answer() {
	local d
	for d in . models models/first models/first/1 endpoints invoke endpoints/.defaults endpoints/first; do
		check "$1: ls $d answers" timeout 15 ls -la "$MNT/$d"
	done
	check "$1: an attribute answers" timeout 15 cat "$MNT/endpoints/first/status"
	check "$1: another model can be written" timeout 15 cp -r "$WORLD/export-first" "$MNT/models/second-$RANDOM"
	check "$1: another endpoint predicts" timeout 15 bash -c "echo '[1]' > '$MNT/invoke/first' && cat '$MNT/invoke/first'"
}

mount_start
deploy_echo first
tf_export "$WORLD/export-big" "$(head -c 20000 /dev/urandom | base64)"

fault '[{"operation":"PutObject","nth":0,"action":"withhold"},{"operation":"UploadPart","nth":0,"action":"withhold"}]'
cp -rT "$WORLD/export-big" "$MNT/models/big"
# By quiet time: while a `sync` of it is unanswered the kernel keeps that one directory locked.
check 'status says that it uploads' wait_until 15 grep -qi uploading "$MNT/models/big/.sagemaker/status"
all_answer 'an upload withheld'
check 'mkdir that needs the upload answers' timeout 15 mkdir "$MNT/endpoints/big"
check_match 'its status tells' 'Uploading' cat "$MNT/endpoints/big/status"
sync "$MNT/models/big" >/dev/null 2>&1 &
syncing=$!
sleep 0.3
all_answer 'a sync unanswered'
check 'sync still waits' kill -0 "$syncing"
fault '[]'
check_wait 'sync ends well when the reply comes' "$syncing"
check_out 'and the deployment goes on' InService cat "$MNT/endpoints/big/wait"

fault '[{"operation":"CreateEndpoint","nth":0,"action":"withhold"}]'
tf_export "$WORLD/export-made" made
cp -rT "$WORLD/export-made" "$MNT/models/made" && sync "$MNT/models/made"
check 'mkdir returns although CreateEndpoint is withheld' timeout 15 mkdir "$MNT/endpoints/made"
all_answer 'CreateEndpoint withheld'
check_match 'the new endpoint is there and Creating' 'Creating' cat "$MNT/endpoints/made/status"
fault '[]'
check_out 'and it serves when the reply comes' InService cat "$MNT/endpoints/made/wait"

fault '[{"operation":"DeleteEndpoint","nth":0,"action":"withhold"}]'
check 'rmdir returns although DeleteEndpoint is withheld' timeout 15 rmdir "$MNT/endpoints/made"
all_answer 'DeleteEndpoint withheld'
check 'the deletion is shown' timeout 15 ls "$MNT/endpoints/.deleting/made"
cat "$MNT/endpoints/.deleting/made/wait" >"$WORLD/waited" 2>/dev/null &
waiting=$!
fault '[]'
check_wait 'its wait ends when the reply comes' "$waiting"
check_not 'and it is gone' test -e "$MNT/endpoints/.deleting/made"

fault '[{"operation":"InvokeEndpoint","nth":0,"action":"withhold"}]'
echo '[1]' >"$MNT/invoke/big" 2>/dev/null &
asking=$!
for d in . models endpoints invoke; do
	check "an invocation withheld: ls $d answers" timeout 15 ls -la "$MNT/$d"
done
kill -INT "$asking" 2>/dev/null || :
fault '[]'
wait "$asking" || :

fault '[{"operation":"CreateEndpoint","nth":0,"action":"status","arg":400,"code":"ResourceLimitExceeded","message":"the limit is 0"}]'
tf_export "$WORLD/export-undone" undone
cp -rT "$WORLD/export-undone" "$MNT/models/undone" && sync "$MNT/models/undone"
mkdir "$MNT/endpoints/undone" 2>/dev/null || :
fault '[]'
check 'a create that fails leaves a sentence' bash -c "grep -q . '$MNT/endpoints/.error'"
rmdir "$MNT/endpoints/undone" 2>/dev/null || :
undone_left() {
	eval "$("$SAGEMAKERFS" env "$MNT")"
	curl -fsS --aws-sigv4 "aws:amz:$AWS_REGION:sagemaker" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
		-H 'Content-Type: application/x-amz-json-1.1' -H "X-Amz-Target: SageMaker.$1" -d '{"NameContains":"undone"}' "$AWS_ENDPOINT_URL/" | jq -r ".$2 | length"
}
check 'and nothing in the account: models' wait_until 20 bash -c "$(declare -f undone_left); MNT='$MNT' SAGEMAKERFS='$SAGEMAKERFS'; [ \"\$(undone_left ListModels Models)\" = 0 ]"
check_out 'nor configurations' 0 undone_left ListEndpointConfigs EndpointConfigs
check 'unmount' mount_stop
# Names that were never told are not none.
mkdir "$WORLD/mnt-late"
fault '[{"operation":"ListEndpoints","nth":0,"action":"withhold"}]'
mount_at "$WORLD/mnt-late"
check_errno 'a listing that never came is no empty one' ETIMEDOUT timeout 15 ls "$WORLD/mnt-late/endpoints"
fault '[{"operation":"ListEndpoints","nth":0,"action":"withhold"},{"operation":"DescribeEndpoint","nth":0,"action":"withhold"}]'
check_errno 'a name that nobody tells of is not absent' ETIMEDOUT timeout 15 mkdir "$WORLD/mnt-late/endpoints/unheard"
check_match 'and the sentence says so' "'unheard'.*not answered" cat "$WORLD/mnt-late/endpoints/.error"
fault '[]'
check 'and comes when it can' wait_until 20 ls "$WORLD/mnt-late/endpoints"
done_testing
