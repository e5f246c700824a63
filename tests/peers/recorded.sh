#!/usr/bin/env bash
# What our client says to AWS, request by request: mounts whose traffic goes through a recorder, then each request against botocore's
# models and signers, and against the policy that `doctor` prints.
#   RECORDED="NAME..."   the mount tests to record, besides a first day of our own; default: those that touch every call
set -euo pipefail
. "$(dirname "$0")/lib.sh"
VENV=$("$TESTS_DIR/venv" recorded boto3==1.44.5 crc32c regex)
export RECORDS=$WORLD/records RECORDER=$VENV/python RECORDED_PROGRAM=$SAGEMAKERFS
mkdir -p "$RECORDS"

# A mount of AWS, as far as it can tell: everything that one meets on a first day.
aws_mount() {
	local name=$RECORDS/aws
	start_server "$WORLD/serve.log" "$SAGEMAKERFS" serve --store "$STORE" --listen 127.0.0.1:0
	wait_until 30 test -e "$STORE/run.json"
	cp "$STORE/run.json" "$name.run"
	"$RECORDER" "$PEERS_DIR/record.py" "$(jq -r .url "$name.run")" "$(jq -r .pid "$name.run")" "$name.jsonl" >"$name.url" 2>>"$RECORDS/errors" &
	SERVERS+=($!)
	wait_until 30 test -s "$name.url"
	AWS_ENDPOINT_URL=$(cat "$name.url")
	AWS_ACCESS_KEY_ID=$(jq -r .access_key "$name.run") AWS_SECRET_ACCESS_KEY=$(jq -r .secret_key "$name.run")
	ROLE=$(jq -r .role "$name.run")
	export AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	check 'a mount of aws' "$SAGEMAKERFS" aws:us-east-1 "$MNT" -o "role=$ROLE,tag.Team=Ünits 1/2"
}

first_day() {
	tf_export "$WORLD/one" one
	tf_export "$WORLD/two" "$(head -c 40000000 /dev/urandom | base64 -w 0)" # more than one part
	check 'a model' cp -rT "$WORLD/one" "$MNT/models/first"
	check 'is published' sync "$MNT/models/first"
	check 'its next version, in parts' cp -rT "$WORLD/two" "$MNT/models/first"
	check 'is published too' sync "$MNT/models/first"
	check 'a default' write_to "$MNT/endpoints/.defaults/instance_count" 2
	check 'a deployment' mkdir "$MNT/endpoints/first"
	check_out 'serves' InService cat "$MNT/endpoints/first/wait"
	check 'predicts' bash -c "echo '[1]' >'$MNT/invoke/first' && cat '$MNT/invoke/first'"
	check_not 'refuses' bash -c "echo '{\"raise\": 400}' >'$MNT/invoke/none'"
	check_errno 'no such model' ENOENT mkdir "$MNT/endpoints/nothing"
	check 'is deleted' rmdir "$MNT/endpoints/first"
	check 'with its model' rm -r "$MNT/models/first"
	check "unmounts" mount_stop
}

# The mount tests as they are, on this program instead of the real one.
mount_tests() {
	local names
	read -ra names <<<"$RECORDED"
	env XDG_CACHE_HOME="$XDG_CACHE_HOME_REAL" SAGEMAKERFS="$PEERS_DIR/recorded" JOBS=3 "$TESTS_DIR/mount/run" "${names[@]}"
}

aws_mount
first_day
unset AWS_ENDPOINT_URL AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
: "${RECORDED:=endpoints invoke refusals job}"
count_lines mount_tests
check_out 'the recorder had no trouble' '' cat "$RECORDS/errors"

"$SAGEMAKERFS" doctor --policy deploy aws:us-east-1 -o "role=$ROLE" 2>/dev/null | sed 's/ACCOUNT/123456789012/g' >"$WORLD/policy.json"
count_lines "$VENV/python" "$PEERS_DIR/validate_requests.py" "$RECORDS" "$WORLD/policy.json" \
	GetCallerIdentity HeadBucket CreateBucket PutPublicAccessBlock PutObject GetObject HeadObject DeleteObject ListObjectsV2 \
	CreateMultipartUpload UploadPart CompleteMultipartUpload \
	CreateModel CreateEndpointConfig CreateEndpoint DescribeModel DescribeEndpointConfig DescribeEndpoint ListModels \
	ListEndpointConfigs ListEndpoints DeleteEndpoint DeleteEndpointConfig DeleteModel AddTags InvokeEndpoint
done_testing
