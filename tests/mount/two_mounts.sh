#!/usr/bin/env bash
# Two mounts share one local store: both show and use the same things.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

OTHER=$WORLD/mnt2
mount_start
check 'a second mount of the same store' mount_at "$OTHER"
deploy_echo iris
check_out 'the other sees the model' iris ls "$OTHER/models"
check_out 'and the endpoint' iris ls "$OTHER/endpoints"
check 'reads the model whole' diff -r "$WORLD/export-iris" "$OTHER/models/iris"
check_match 'asks the endpoint' '\[7\]' bash -c "echo '[7]' > '$OTHER/invoke/iris'; cat '$OTHER/invoke/iris'"
tf_export "$WORLD/export-two" two
cp -rT "$WORLD/export-two" "$OTHER/models/two"
mkdir "$OTHER/endpoints/two"
check_out 'made there' InService cat "$OTHER/endpoints/two/wait"
check_out 'shown here' "iris
two" ls "$MNT/endpoints"
check 'deleted here' rmdir "$MNT/endpoints/two"
cat "$MNT/endpoints/.deleting/two/wait" 2>/dev/null || :
check 'gone there' wait_until 15 bash -c "[ \"\$(ls '$OTHER/endpoints')\" = iris ]" # a listing may be a second old

# That there was none is not believed a moment later: another mount has made one. As slow as AWS, the service itself says for two
# seconds that there is none.
soon=()
[ "${SAGEMAKERFS_SERVE_PROFILE:-}" != aws ] || soon=(wait_until 10)
check_not 'there is none' test -e "$MNT/endpoints/two"
check 'made there again' mkdir "$OTHER/endpoints/two"
check 'found here at once' "${soon[@]}" test -d "$MNT/endpoints/two"
check 'and deleted here' rmdir "$MNT/endpoints/two"
check 'it is gone' wait_until 15 nothing_deleting "$MNT"
check 'and for the other, which took the deletion on' wait_until 15 nothing_deleting "$OTHER"

# What a refused mkdir could not undo hides no endpoint that another mount makes under that name.
denied='"nth":0,"action":"status","arg":400,"code":"AccessDeniedException","message":"denied"}'
fault '[{"operation":"CreateEndpoint",'"$denied"',{"operation":"DeleteModel",'"$denied]"
check_errno 'a refused deployment that is not undone either' EACCES mkdir "$MNT/endpoints/two"
fault '[{"operation":"DeleteModel",'"$denied]"
check 'another mount deploys it' mkdir "$OTHER/endpoints/two"
check 'it is found here' "${soon[@]}" test -d "$MNT/endpoints/two"
check_out 'and serves here' InService cat "$MNT/endpoints/two/wait"
check_out 'and listed' "iris
two" ls "$MNT/endpoints"
check_match 'and answers' '\[7\]' bash -c "echo '[7]' > '$MNT/invoke/two'; cat '$MNT/invoke/two'"
check 'and deleted here' rmdir "$MNT/endpoints/two"
check 'it is gone for both' wait_until 15 bash -c "! [ -e '$MNT/endpoints/two' ] && ! [ -e '$OTHER/endpoints/two' ]"
gone_for_the_service() {
	[[ $(api DescribeEndpoint '{"EndpointName":"two"}' 2>&1) == *'Could not find endpoint'* ]]
}
check 'and for the service' wait_until 20 gone_for_the_service
fault '[]'

# An endpoint made elsewhere (by the API) shows up, works, and is not ours to delete.
eval "$("$SAGEMAKERFS" env "$MNT")"
model=$(api ListModels '{}' | jq -r '.Models[0].ModelName')
api DescribeModel "{\"ModelName\":\"$model\"}" |
	jq '{ModelName:"theirs",ExecutionRoleArn,PrimaryContainer}' >"$WORLD/model.json"
api CreateModel "$(cat "$WORLD/model.json")" >/dev/null
api CreateEndpointConfig '{"EndpointConfigName":"theirs","ProductionVariants":[{"VariantName":"AllTraffic","ModelName":"theirs","InitialInstanceCount":1,"InstanceType":"ml.m5.large"}]}' >/dev/null
api CreateEndpoint '{"EndpointName":"theirs","EndpointConfigName":"theirs"}' >/dev/null
check 'an endpoint made by the API shows up' wait_until 10 test -d "$MNT/endpoints/theirs"
check_out 'and serves' InService cat "$MNT/endpoints/theirs/wait"
check_match 'and answers' '\[8\]' bash -c "echo '[8]' > '$MNT/invoke/theirs'; cat '$MNT/invoke/theirs'"
check_errno 'what others made is not deleted' EPERM rmdir "$MNT/endpoints/theirs"
check_match 'the sentence names the way' 'delete=any' cat "$MNT/endpoints/.error"
api DeleteEndpoint '{"EndpointName":"theirs"}'
check 'deleted elsewhere, it vanishes' wait_until 15 bash -c "! test -e '$MNT/endpoints/theirs'"

# While one is being made here, others make one of that name: rmdir of what failed does not say that the other is gone, nor deletes it.
cp -rT "$WORLD/export-two" "$MNT/models/late"
fault '[{"operation":"PutObject","nth":0,"action":"withhold"}]'
check 'a deployment that waits for an upload' mkdir "$MNT/endpoints/late"
api CreateEndpoint '{"EndpointName":"late","EndpointConfigName":"theirs"}' >/dev/null
fault '[]'
check 'fails, for the name is taken' wait_until 30 grep -q Failed "$MNT/endpoints/late/status"
check_errno 'rmdir clears it and says that there is another' EBUSY rmdir "$MNT/endpoints/late"
check_match 'in a sentence' 'another mount has made an endpoint' cat "$MNT/endpoints/.error"
check_out 'which stays' InService cat "$MNT/endpoints/late/wait"
check_errno 'and is not ours to delete' EPERM rmdir "$MNT/endpoints/late"
api DeleteEndpoint '{"EndpointName":"late"}'

# Both have just been told that there is none: the first one's publication is not overwritten, and the same content is no conflict.
for name in same other; do
	cp -rT "$WORLD/export-two" "$MNT/models/$name"
	[ "$name" = same ] || echo changed >"$WORLD/export-two/1/assets/note.txt"
	cp -rT "$WORLD/export-two" "$OTHER/models/$name"
	check "first publication of $name" sync "$MNT/models/$name"
	[ "$name" = other ] || check 'the same, from the other mount' sync "$OTHER/models/same"
done
check_errno 'other content is a conflict' EEXIST sync "$OTHER/models/other"
check_out 'the same content: one version' 1 bash -c "ls '$OTHER/models/same/.sagemaker/versions' | grep -c '^[0-9]'"
check_out 'and what is published is the first one' two cat "$MNT/models/other/1/assets/note.txt"

check 'unmount one' mount_stop "$OTHER"
check_match 'the other still works' '\[9\]' bash -c "echo '[9]' > '$MNT/invoke/iris'; cat '$MNT/invoke/iris'"
fault '[{"operation":"CreateEndpoint",'"$denied"',{"operation":"DeleteModel",'"$denied]"
check_errno 'one more refused deployment that is not undone' EACCES mkdir "$MNT/endpoints/same"
check_match 'unmount names what the refused deployment has left' "not finished: deploy of 'same'" mount_stop
check 'the backend ends by itself after its last mount' wait_until 30 test ! -e "$STORE/run.json"
done_testing
