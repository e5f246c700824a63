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
check 'gone there' wait_until 5 bash -c "[ \"\$(ls '$OTHER/endpoints')\" = iris ]" # a listing may be a second old

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

check 'unmount one' mount_stop "$OTHER"
check_match 'the other still works' '\[9\]' bash -c "echo '[9]' > '$MNT/invoke/iris'; cat '$MNT/invoke/iris'"
check 'unmount' mount_stop
check 'the backend ends by itself after its last mount' wait_until 30 test ! -e "$STORE/run.json"
done_testing
