#!/usr/bin/env bash
# What a mount leaves when it dies: other mounts of the account finish its deletions, show its orphans, and are not undone by it when it
# comes back. What was made without tags is said to be.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

OTHER=$WORLD/mnt2

# other_start [options]: a mount of the same store on another machine: with a state of its own.
other_start() {
	XDG_STATE_HOME=$WORLD/state2 XDG_CACHE_HOME=$WORLD/cache2 mount_at "$OTHER" "$@"
}

created() {
	api DescribeEndpoint "{\"EndpointName\":\"$1\"}" | jq .CreationTime
}

gone() {
	! api DescribeEndpoint "{\"EndpointName\":\"$1\"}" >/dev/null 2>&1
}

resources() {
	/usr/bin/python3 - "$STORE/store.db" "$1" <<'PY'
import sqlite3, sys
db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True, timeout=10)
for row in db.execute("SELECT kind, name FROM resource WHERE name LIKE ? ORDER BY kind", ("%" + sys.argv[2] + "%",)):
    print(*row)
PY
}

nothing_of() {
	[ -z "$(resources "$1")" ]
}

# aged NAME: the backend shows models and configurations of that name as made two hours ago.
aged() {
	/usr/bin/python3 - "$STORE/store.db" "$1" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
db.execute("UPDATE resource SET created = created - 7200 WHERE kind <> 'endpoint' AND name LIKE ?", (sys.argv[2],))
db.commit()
PY
}

mount_start
other_start
eval "$("$SAGEMAKERFS" env "$MNT")"
deploy_echo iris

# Deletions that nobody of the living was asked for.
tf_export "$WORLD/slow" && mkdir -p "$WORLD/slow/1/assets" && touch "$WORLD/slow/1/assets/ready-in-8"
for name in slow1 slow2; do
	cp -rT "$WORLD/slow" "$MNT/models/$name"
	mkdir "$MNT/endpoints/$name"
done
check 'both are being made' wait_until 20 bash -c "[ \"\$(cat '$MNT/endpoints/slow1/status' '$MNT/endpoints/slow2/status')\" = 'Creating
Creating' ]"
check_match 'the other mount has seen one' Creating cat "$OTHER/endpoints/slow1/status"
check 'rmdir while it is being made' rmdir "$MNT/endpoints/slow1" "$MNT/endpoints/slow2"
marked() {
	local arn
	arn=$(api DescribeEndpoint '{"EndpointName":"slow1"}' | jq -r .EndpointArn)
	api ListTags "{\"ResourceArn\":\"$arn\"}" | grep -q sagemakerfs:delete
}
check 'the wish is a tag of the endpoint' wait_until 10 marked
daemon_dies
check 'the other shows the deletion of the dead' wait_until 60 test -d "$OTHER/endpoints/.deleting/slow1"
check 'and finishes it' wait_until 60 gone slow1
check 'with configuration and model' wait_until 20 nothing_of slow1
check 'one that it never looked at, too' wait_until 90 gone slow2
check 'whole' wait_until 20 nothing_of slow2
check_out 'what nobody wanted away serves' InService cat "$OTHER/endpoints/iris/wait"

# A deletion of the past does not hit a present endpoint of the same name.
mount_start
deploy_echo again
fault '[{"operation":"DeleteEndpoint","nth":0,"action":"withhold"}]'
timeout 15 rmdir "$MNT/endpoints/again" || :
daemon_dies
fault '[]'
check 'the first is deleted elsewhere' wait_until 30 gone again
ls "$OTHER/endpoints" >/dev/null
wait_until 20 test ! -e "$OTHER/endpoints/again" || :
check 'and made anew there' wait_until 20 mkdir "$OTHER/endpoints/again"
check_out 'it serves' InService cat "$OTHER/endpoints/again/wait"
before=$(created again)
mount_start
check 'the mount that died ends its deletion' wait_until 30 bash -c "! test -e '$MNT/endpoints/.deleting/again'"
check_out 'the new one is not touched' "$before" created again
check_out 'and serves' InService cat "$MNT/endpoints/again/wait"
check_out 'its parts are there' 3 bash -c "$(declare -f resources); STORE=$STORE; resources again | wc -l"

# A deletion that never reached the service, of an endpoint that another mount then deleted and made anew.
fault '[{"operation":"DeleteEndpoint","nth":0,"action":"reset","before":true}]'
timeout 20 rmdir "$MNT/endpoints/again" 2>/dev/null &
check 'a deletion is begun' wait_until 20 test -d "$MNT/endpoints/.deleting/again"
daemon_dies
wait || :
fault '[]'
check 'deleted by the other' rmdir "$OTHER/endpoints/again"
check 'gone' wait_until 30 gone again
check 'made anew by the other' wait_until 20 mkdir "$OTHER/endpoints/again"
check_out 'the newest serves' InService cat "$OTHER/endpoints/again/wait"
before=$(created again)
mount_start
check 'nothing is left to delete' wait_until 30 bash -c "! test -e '$MNT/endpoints/.deleting/again'"
check_out 'the newest is not touched' "$before" created again

# Keys that expire while a deletion waits for the service, and while it removes what the endpoint was made of: it waits for other keys.
tf_export "$WORLD/brief" && mkdir -p "$WORLD/brief/1/assets" && touch "$WORLD/brief/1/assets/ready-in-2"
cp -rT "$WORLD/brief" "$MNT/models/brief" && mkdir "$MNT/endpoints/brief"
wait_until 20 grep -q Creating "$MNT/endpoints/brief/status" || :
check 'rmdir while it is being made, with keys that are about to expire' rmdir "$MNT/endpoints/brief"
expired='"nth":0,"action":"status","arg":400,"code":"ExpiredTokenException","message":"The security token included in the request is expired"'
fault "[{\"operation\":\"DeleteEndpoint\",$expired},{\"operation\":\"DeleteModel\",$expired}]"
made() {
	[ "$(api DescribeEndpoint '{"EndpointName":"brief"}' | jq -r .EndpointStatus)" = InService ]
}
check 'it is made' wait_until 30 made
check 'expired: said' wait_until 20 grep -q "'brief'.*is expired.*ExpiredTokenException" "$MNT/endpoints/.error"
check 'the deletion is not given up' test -d "$MNT/endpoints/.deleting/brief"
fault "[{\"operation\":\"DeleteModel\",$expired}]"
check 'with other keys it goes on' wait_until 60 gone brief
check 'what it was made of resists' wait_until 20 grep -q "remove model.*is expired" "$MNT/endpoints/.error"
fault '[]'
check 'and goes, too' wait_until 60 nothing_of brief

# Every reply to DeleteEndpoint is lost: the endpoint goes, and with it what it was made of.
deploy_echo unanswered
fault '[{"operation":"DeleteEndpoint","nth":0,"action":"reset"}]'
check 'rmdir, never answered' rmdir "$MNT/endpoints/unanswered"
fault '[]'
check 'the endpoint is gone' wait_until 30 gone unanswered
check 'and so is what it was made of' wait_until 30 nothing_of unanswered

# A model is removed while what its endpoint was made of resists (something in between refuses, without a code of AWS's): the archive
# goes when that does, in this mount.
deploy_echo freed
fault '[{"operation":"DeleteModel","nth":0,"action":"status","arg":403,"code":"","message":"blocked"}]'
check 'rmdir of the endpoint' rmdir "$MNT/endpoints/freed"
check 'rm -r of its model' rm -r "$MNT/models/freed"
check_match 'its archive stays while a model names it' model.tar.gz account "SELECT key FROM object WHERE CAST(key AS TEXT) LIKE 'model/freed/%'"
fault '[]'
no_objects() {
	[ -z "$(account "SELECT key FROM object WHERE CAST(key AS TEXT) LIKE 'model/$1/%'")" ]
}
check 'and goes later' wait_until 60 no_objects freed

# The reply to the removal of a manifest is lost, and its repetition refused.
tf_export "$WORLD/lost" lost && cp -rT "$WORLD/lost" "$MNT/models/lost" && sync "$MNT/models/lost"
fault '[{"operation":"DeleteObject","nth":1,"action":"reset"},{"operation":"DeleteObject","nth":2,"action":"status","arg":403,"code":"AccessDenied"}]'
check 'rm -r of a model, its reply lost' rm -r "$MNT/models/lost"
fault '[]'
check 'nothing is left of it' wait_until 20 no_objects lost

# Orphans.
check_out 'no orphans' '' ls "$MNT/endpoints/.orphans"
model=$(api ListModels '{"NameContains":"smfs-iris-"}' | jq -r '.Models[0].ModelName')
api DescribeModel "{\"ModelName\":\"$model\"}" | jq '{ExecutionRoleArn,PrimaryContainer}' >"$WORLD/model.json"
# orphan NAME TAGS: model and configuration as an attempt leaves them.
orphan() {
	jq -c ". + {ModelName:\"$1\",Tags:$2}" "$WORLD/model.json" >"$WORLD/orphan.json"
	api CreateModel "$(cat "$WORLD/orphan.json")" >/dev/null
	api CreateEndpointConfig "{\"EndpointConfigName\":\"$1\",\"Tags\":$2,\"ProductionVariants\":[{\"VariantName\":\"AllTraffic\",\"ModelName\":\"$1\",\"InitialInstanceCount\":1,\"InstanceType\":\"ml.m5.large\"}]}" >/dev/null
}
orphan smfs-lost-aaaabbbb '[{"Key":"sagemakerfs:endpoint","Value":"lost"},{"Key":"sagemakerfs:attempt","Value":"aaaabbbb"}]'
orphan smfs-plain-ccccdddd '[]'
orphan smfs-taken-eeeeffff '[{"Key":"sagemakerfs:endpoint","Value":"taken"},{"Key":"sagemakerfs:attempt","Value":"eeeeffff"}]'
api CreateEndpoint '{"EndpointName":"by-hand","EndpointConfigName":"smfs-taken-eeeeffff"}' >/dev/null
sleep 1.1
check_out 'what is young may be an attempt under way' '' ls "$MNT/endpoints/.orphans"
check_not 'and is not removed' rmdir "$MNT/endpoints/.orphans/smfs-lost-aaaabbbb"
aged 'smfs-%'
sleep 1.1
check_out 'orphans are listed' 'smfs-lost-aaaabbbb
smfs-plain-ccccdddd
smfs-taken-eeeeffff' ls "$MNT/endpoints/.orphans"
check_out 'what is one' 'endpoint configuration and model, 2 h old, costs nothing' cat "$MNT/endpoints/.orphans/smfs-lost-aaaabbbb/status"
check_match 'status lists them' 'orphan +smfs-lost-aaaabbbb .*2 h old' "$SAGEMAKERFS" status "$MNT"
check_match 'and says how to remove them' 'rmdir endpoints/.orphans/NAME' "$SAGEMAKERFS" status "$MNT"
check 'rmdir removes ours' rmdir "$MNT/endpoints/.orphans/smfs-lost-aaaabbbb"
check_out 'whole' '' resources smfs-lost
check_errno 'without tags only on request' EPERM rmdir "$MNT/endpoints/.orphans/smfs-plain-ccccdddd"
check_match 'the sentence names it' 'delete=any' cat "$MNT/endpoints/.error"
check_errno 'what an endpoint of another name runs on stays' EBUSY rmdir "$MNT/endpoints/.orphans/smfs-taken-eeeeffff"
check_match 'the sentence says so' 'in use' cat "$MNT/endpoints/.error"
check 'unmount the other' mount_stop "$OTHER"
other_start -o delete=any
check 'on request' rmdir "$OTHER/endpoints/.orphans/smfs-plain-ccccdddd"
check_out 'gone' '' resources smfs-plain
api DeleteEndpoint '{"EndpointName":"by-hand"}' || :

# Tags.
mount_stop "$OTHER"
other_start -o tag.team=vision,tag.cost=4711
tf_export "$WORLD/tagged"
cp -rT "$WORLD/tagged" "$OTHER/models/tagged" && mkdir "$OTHER/endpoints/tagged"
cat "$OTHER/endpoints/tagged/wait" >/dev/null
check_out 'tags of the user are put beside ours' 'cost=4711
sagemakerfs:endpoint=tagged
team=vision' bash -c "$(declare -f api); api ListTags '{\"ResourceArn\":\"'\$(cat '$OTHER/endpoints/tagged/arn')'\"}' | jq -r '.Tags[] | .Key + \"=\" + .Value' | grep -v -e attempt -e digest"
rmdir "$OTHER/endpoints/tagged"
cat "$OTHER/endpoints/.deleting/tagged/wait" >/dev/null 2>&1 || :
fault '[{"operation":"CreateModel","nth":1,"action":"status","arg":400,"code":"AccessDeniedException","message":"User: u is not authorized to perform: sagemaker:AddTags on resource: r"}]'
check 'where tags are not permitted it is done without' mkdir "$OTHER/endpoints/tagged"
fault '[]'
check_out 'it serves' InService cat "$OTHER/endpoints/tagged/wait"
check_match 'status says so' 'endpoint tagged .*without tags \(sagemaker:AddTags is not permitted\)' "$SAGEMAKERFS" status "$OTHER"
check_out 'it is no error' '' cat "$OTHER/endpoints/tagged/error"
check 'rmdir' rmdir "$OTHER/endpoints/tagged" "$OTHER/endpoints/iris" "$OTHER/endpoints/again"
check 'unmount' mount_stop "$OTHER"
check 'unmount the first' mount_stop
done_testing
