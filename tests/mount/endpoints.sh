#!/usr/bin/env bash
# Deployments that fail, are interrupted or overtaken; deletions that the service refuses, of others, over a remount.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# at_service NAME: what the account has of our parts for this endpoint: "MODELS CONFIGS".
at_service() {
	echo "$(api ListModels "{\"NameContains\":\"smfs-$1\"}" | jq '.Models|length')" \
		"$(api ListEndpointConfigs "{\"NameContains\":\"smfs-$1\"}" | jq '.EndpointConfigs|length')"
}
nothing_at_service() {
	[ "$(at_service "$1")" = "0 0" ]
}
gone() {
	cat "$MNT/endpoints/.deleting/$1/wait" 2>/dev/null || :
}
published() { # NAME: a model that is published
	tf_export "$WORLD/export-$1" "$1"
	cp -rT "$WORLD/export-$1" "$MNT/models/$1"
	sync "$MNT/models/$1"
}
crash() {
	daemon_dies
	fault '[]'
	"$SAGEMAKERFS" "local:$STORE" "$MNT"
}

mount_start
check_out '.deleting is there and empty' "" ls -A "$MNT/endpoints/.deleting"
check_out 'ls -a shows what can be set' ". .. .defaults .deleting .error .orphans" bash -c "echo \$(ls -a '$MNT/endpoints')"
check_out 'the default count' 1 cat "$MNT/endpoints/.defaults/instance_count"
published iris

fault '[{"operation":"CreateEndpoint","nth":0,"action":"status","arg":400,"code":"ValidationException","message":"refused"}]'
check_not 'a refused CreateEndpoint fails mkdir' mkdir "$MNT/endpoints/iris"
check_match 'with the step and the name' "endpoint 'iris': create endpoint" cat "$MNT/endpoints/.error"
check_out 'no directory is left' "" ls "$MNT/endpoints"
check 'and nothing at the service' nothing_at_service iris
fault '[]'

check 'mkdir' mkdir "$MNT/endpoints/iris"
check_errno 'another case of the same name' EEXIST mkdir "$MNT/endpoints/IRIS"
check_match 'names the one that is there' "endpoint 'iris' exists" cat "$MNT/endpoints/.error"
check_out 'wait' InService cat "$MNT/endpoints/iris/wait"
check_out 'one model and one configuration' "1 1" at_service iris
check_match 'the model is part of config' 'ModelDataUrl' jq -r '.Model|keys[]' "$MNT/endpoints/iris/config"
check_out 'tags' iris bash -c "$(declare -f api); SAGEMAKERFS='$SAGEMAKERFS' MNT='$MNT'
	api ListTags \"{\\\"ResourceArn\\\":\\\"\$(cat '$MNT/endpoints/iris/arn')\\\"}\" | jq -r '.Tags[]|select(.Key==\"sagemakerfs:endpoint\").Value'"
check_match 'status names it' 'endpoint iris .*InService.*ml.m5.large' "$SAGEMAKERFS" status "$MNT"
check 'unlinking an attribute changes nothing' rm -f "$MNT/endpoints/iris/status"
check_out 'it is still there' InService cat "$MNT/endpoints/iris/status"
check 'rm -r deletes' rm -r "$MNT/endpoints/iris"
gone iris
check 'with its model and configuration' nothing_at_service iris
check_not 'and it is gone' test -e "$MNT/endpoints/iris"

# Several at once; two readers wait.
published two
mkdir "$MNT/endpoints/iris" "$MNT/endpoints/two"
cat "$MNT/endpoints/iris/wait" >"$WORLD/w1" &
cat "$MNT/endpoints/two/wait" >"$WORLD/w2" &
wait
check_out 'both waits end' "InService InService" bash -c "echo \$(cat '$WORLD/w1' '$WORLD/w2')"
rmdir "$MNT/endpoints/two"
cat "$MNT/endpoints/iris/wait" >/dev/null
gone two

# -o delete=none.
mount_stop || : # deletions of endpoints still Creating go on later
mount_start -o delete=none
check_errno 'delete=none refuses' EPERM rmdir "$MNT/endpoints/iris"
check 'it is still there' test -d "$MNT/endpoints/iris"
mount_stop || : # deletions of endpoints still Creating go on later
mount_start -o delete=any
api DescribeModel "{\"ModelName\":\"$(api ListModels '{}' | jq -r '.Models[0].ModelName')\"}" |
	jq '{ModelName:"theirs",ExecutionRoleArn,PrimaryContainer}' >"$WORLD/model.json"
api CreateModel "$(cat "$WORLD/model.json")" >/dev/null
api CreateEndpointConfig '{"EndpointConfigName":"theirs","ProductionVariants":[{"VariantName":"AllTraffic","ModelName":"theirs","InitialInstanceCount":1,"InstanceType":"ml.c5.large"}]}' >/dev/null
api CreateEndpoint '{"EndpointName":"theirs","EndpointConfigName":"theirs"}' >/dev/null
check "others' endpoint comes to be seen" wait_until 15 test -d "$MNT/endpoints/theirs"
check_out "others' endpoint serves" InService cat "$MNT/endpoints/theirs/wait"
check_out 'its instance type' ml.c5.large cat "$MNT/endpoints/theirs/instance_type"
check_out 'it runs our archive' ../../models/iris readlink "$MNT/endpoints/theirs/model"
check 'delete=any deletes it' rmdir "$MNT/endpoints/theirs"
gone theirs
check_match 'but not its configuration' theirs api DescribeEndpointConfig '{"EndpointConfigName":"theirs"}'
mkdir "$WORLD/race" && check 'rmdir of one that has just vanished' bash -c "! test -d '$MNT/endpoints/theirs'"

# The daemon dies while CreateEndpoint is on its way: the next mount takes the endpoint over.
fault '[{"operation":"CreateEndpoint","nth":0,"action":"withhold"}]'
published late
mkdir "$MNT/endpoints/late"
check_out 'Creating' Creating cat "$MNT/endpoints/late/status"
crash
cat "$MNT/endpoints/late/wait" >"$WORLD/late" 2>&1 || :
check_match 'taken over, or undone and said so' '^InService|before it was created' cat "$WORLD/late"
rmdir "$MNT/endpoints/late"
gone late
check 'and nothing of it stays' wait_until 10 nothing_at_service late

# It dies while CreateModel is on its way: undone, shown as Failed, cleared by rmdir.
fault '[{"operation":"CreateEndpointConfig","nth":0,"action":"withhold"}]'
published cut
mkdir "$MNT/endpoints/cut"
crash
check_errno 'an interrupted deployment is Failed' EREMOTEIO cat "$MNT/endpoints/cut/wait"
check_out 'status' Failed cat "$MNT/endpoints/cut/status"
check_match 'error says what to do' 'rmdir' cat "$MNT/endpoints/cut/error"
check 'nothing is at the service' wait_until 10 nothing_at_service cut
check_errno 'it is in the way' EEXIST mkdir "$MNT/endpoints/cut"
check 'rmdir clears it' rmdir "$MNT/endpoints/cut"
check_out 'InService after a new mkdir' InService bash -c "mkdir '$MNT/endpoints/cut' && cat '$MNT/endpoints/cut/wait'"

# Deleting while Creating, over the death of the daemon.
tf_export "$WORLD/slow" && mkdir -p "$WORLD/slow/1/assets" && touch "$WORLD/slow/1/assets/never-ready"
cp -rT "$WORLD/slow" "$MNT/models/slow" && sync "$MNT/models/slow"
mkdir "$MNT/endpoints/slow"
check 'rmdir while Creating' rmdir "$MNT/endpoints/slow"
check '.deleting says why it waits' wait_until 10 grep -q 'while it is being created' "$MNT/endpoints/.deleting/slow/error"
crash
check_out 'the deletion is still wanted' slow ls "$MNT/endpoints/.deleting"
check_not 'and it is not back' test -e "$MNT/endpoints/slow"
check_errno 'its name is taken' EBUSY mkdir "$MNT/endpoints/slow"

# A deletion whose reply is withheld goes on in the next mount.
fault '[{"operation":"DeleteEndpoint","nth":0,"action":"withhold"}]'
check 'rmdir although nobody answers' timeout 15 rmdir "$MNT/endpoints/cut"
crash
gone cut
check_not 'it is gone' test -e "$MNT/endpoints/cut"
check 'with its parts' wait_until 30 nothing_at_service cut
check_out 'the other endpoint is as it was' InService cat "$MNT/endpoints/iris/wait"

# An account whose rate others use up: the call was not acted on, so it is made when there is room.
fault '[{"operation":"CreateModel","nth":0,"action":"status","arg":400,"code":"ThrottlingException","message":"Rate exceeded"}]'
check 'mkdir of a throttled account' mkdir "$MNT/endpoints/cut"
sleep 4 # longer than one call is sent again
fault '[]'
check_out 'it is made all the same' InService cat "$MNT/endpoints/cut/wait"
mount_stop || : # deletions of endpoints still Creating go on later
done_testing
