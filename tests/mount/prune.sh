#!/usr/bin/env bash
# Old versions of a model: what nothing uses goes after a day, all but five; what something uses, or may be about to, never does.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

OTHER=$WORLD/mnt2

# archives NAME: keys of its archives. versions NAME: how many its manifest has; the archives it names, sorted: named NAME.
archives() {
	account "SELECT key FROM object WHERE CAST(key AS TEXT) LIKE 'model/$1/%.tar.gz' ORDER BY key"
}

manifest() {
	curl -fsS --aws-sigv4 "aws:amz:$AWS_REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
		-H "x-amz-content-sha256: $(sha256sum </dev/null | cut -d' ' -f1)" "$AWS_ENDPOINT_URL/$BUCKET/model/$1/manifest.json"
}

named() {
	manifest "$1" | jq -r '.versions[].key' | sort -u
}

versions() {
	manifest "$1" | jq '.versions | length'
}

has_versions() {
	[ "$(versions "$1")" = "$2" ] && [ "$(named "$1")" = "$(archives "$1")" ]
}

no_archives() {
	[ -z "$(archives "$1")" ]
}

# publish NAME TEXT
publish() {
	mkdir -p "$MNT/models/$1/1/assets"
	echo "$2" >"$MNT/models/$1/1/assets/note.txt"
	sync "$MNT/models/$1"
}

publish_all() {
	local name=$1 text
	shift
	for text in "$@"; do
		publish "$name" "$text"
	done
}

tf_export "$WORLD/export"
mount_start -o commit=explicit
eval "$("$SAGEMAKERFS" env "$MNT")"
cp -rT "$WORLD/export" "$MNT/models/iris"
publish_all iris 1 2 3 4 5 6 7 8
BUCKET=$(account 'SELECT name FROM bucket')
check_out 'versions of today stay' 8 versions iris
mount_stop

export SAGEMAKERFS_PRUNE_AFTER=0
mount_start -o commit=explicit
publish iris 9
check 'old ones go, all but five and the current one, and their archives' wait_until 20 has_versions iris 6
check_out 'the current one is the newest' 9 cat "$MNT/models/iris/1/assets/note.txt"

# In use: by an endpoint of ours, by a model that somebody made by hand, by one that takes all below a prefix.
mkdir "$MNT/endpoints/iris"
cat "$MNT/endpoints/iris/wait" >/dev/null
model=$(api ListModels '{"NameContains":"smfs-iris-"}' | jq -r '.Models[0].ModelName')
served=$(api DescribeModel "{\"ModelName\":\"$model\"}" | jq -r .PrimaryContainer.ModelDataUrl)
publish iris 10
by_hand=s3://$BUCKET/$(manifest iris | jq -r '.current as $c | .versions[] | select(.version == $c) | .key')
api DescribeModel "{\"ModelName\":\"$model\"}" |
	jq --arg url "$by_hand" '{ModelName:"by-hand",ExecutionRoleArn,PrimaryContainer:(.PrimaryContainer + {ModelDataUrl:$url})}' >"$WORLD/model.json"
api CreateModel "$(cat "$WORLD/model.json")" >/dev/null
publish_all iris 11 12 13 14 15 16 17 18
check 'two versions in use, five that are not, and the current one' wait_until 20 has_versions iris 8
check_match 'what the endpoint serves is there' "${served#"s3://$BUCKET/"}" archives iris
check_match 'and what the other model names' "${by_hand#"s3://$BUCKET/"}" archives iris
rmdir "$MNT/endpoints/iris"
cat "$MNT/endpoints/.deleting/iris/wait" >/dev/null 2>&1 || :
api DeleteModel '{"ModelName":"by-hand"}'
publish iris 19
check 'once nothing uses them they go' wait_until 20 has_versions iris 6

# Where nobody can tell what is in use nothing goes.
fault '[{"operation":"ListModels","nth":0,"action":"status","arg":400,"code":"AccessDeniedException","message":"User: u is not authorized to perform: sagemaker:ListModels"}]'
publish_all iris 20 21
check 'the log says why they stay' wait_until 20 grep -q 'old versions are kept: .*ListModels' "$(cat "$MNT/.sagemakerfs/state")/log"
check_out 'nothing goes when models may not be listed' 8 versions iris
fault '[]'

# An old content comes again: its archive is named anew, or uploaded anew, and is there.
publish_all iris 15 16 15 20 16
check 'contents that come again' wait_until 20 has_versions iris 6

# kill -9 between the manifest and the archives.
publish_all iris 31 32 33
check 'all is quiet' wait_until 20 has_versions iris 6
fault '[{"operation":"DeleteObject","nth":0,"action":"reset","before":true}]'
publish iris 34
more_archives() {
	[ "$(archives iris | wc -l)" -gt "$(named iris | wc -l)" ]
}
check 'the manifest is written first' wait_until 20 more_archives
daemon_dies
fault '[]'
mount_start -o commit=explicit
check 'the next mount deletes what no manifest names' wait_until 20 has_versions iris 6

# A deployment here and the removal of its model there, each unaware of the other: the archive stays as long as a model names it.
XDG_STATE_HOME=$WORLD/state2 XDG_CACHE_HOME=$WORLD/cache2 mount_at "$OTHER"
cp -rT "$WORLD/export" "$MNT/models/cross"
sync "$MNT/models/cross"
ls "$OTHER/models/cross" >/dev/null
fault '[{"operation":"CreateModel","nth":0,"action":"withhold"}]'
mkdir "$MNT/endpoints/cross" &
made() {
	[ "$(account "SELECT count(*) FROM resource WHERE name LIKE 'smfs-cross-%'")" = 1 ]
}
check 'its model is made, and nobody has heard of it' wait_until 10 made
check 'the other removes it' rm -r "$OTHER/models/cross"
check 'but for what a model names' bash -c "[ -n '$(archives cross)' ]"
fault '[]'
wait $! || :
check 'the deployment has not come to anything' wait_until 20 bash -c "! test -e '$MNT/endpoints/cross' || grep -qx Failed '$MNT/endpoints/cross/status'"
check_match 'and says why' "model 'cross', or its version .*, was removed while it was being deployed" cat "$MNT/endpoints/.error"
[ ! -e "$MNT/endpoints/cross" ] || rmdir "$MNT/endpoints/cross"
none_made() {
	[ "$(account "SELECT count(*) FROM resource WHERE name LIKE 'smfs-cross-%'")" = 0 ]
}
check 'nothing of it is left' wait_until 20 none_made
mount_stop "$OTHER" || :
XDG_STATE_HOME=$WORLD/state2 XDG_CACHE_HOME=$WORLD/cache2 mount_at "$OTHER"
check 'nor, after the next mount there, the archive' wait_until 20 no_archives cross
check 'unmount the other' mount_stop "$OTHER"
check 'rm -r of a model takes all versions' rm -r "$MNT/models/iris"
check 'with their archives' wait_until 20 no_archives iris
check 'unmount' mount_stop
done_testing
