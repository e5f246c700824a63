#!/usr/bin/env bash
# Models without an archive ("packaging": "none"): each file is an object below the version's prefix; deployed as a prefix, read back,
# changed for the price of the changed files, removed to the last object; failures and kill -9 on the way.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

OTHER=$WORLD/mnt2
SIDE=$MNT/models/iris/.sagemaker

# objects NAME: the keys of its files and archives. named NAME: those that its manifest names.
objects() {
	account "SELECT key FROM object WHERE CAST(key AS TEXT) LIKE 'model/$1/%' AND CAST(key AS TEXT) NOT LIKE '%/manifest.json'" | LC_ALL=C sort
}

manifest() {
	curl -fsS --aws-sigv4 "aws:amz:$AWS_REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
		-H "x-amz-content-sha256: $(sha256sum </dev/null | cut -d' ' -f1)" "$AWS_ENDPOINT_URL/$BUCKET/model/$1/manifest.json"
}

named() {
	manifest "$1" | jq -r '.versions[] | if .packaging == "none" then .key + .members[].archive else .key end' | LC_ALL=C sort -u
}

is_exact() {
	[ "$(objects "$1")" = "$(named "$1")" ]
}

uploads() {
	account 'SELECT count(*) FROM upload'
}

# only N PutObject: more are refused, so that a commit which needs more fails.
only() {
	fault '[{"operation":"PutObject","nth":'$(($1 + 1))',"action":"status","arg":403,"code":"AccessDenied","message":"one too many"},
{"operation":"CreateMultipartUpload","nth":1,"action":"status","arg":403,"code":"AccessDenied","message":"one too many"}]'
}

other_mount() {
	XDG_STATE_HOME=$WORLD/state2 XDG_CACHE_HOME=$WORLD/cache2 mount_at "$OTHER" -o commit=explicit
}

tf_export "$WORLD/export" 'a note'
head -c 20000000 /dev/urandom >"$WORLD/export/1/assets/large.bin"
mkdir -p "$WORLD/export/1/assets/deep er/ü"
: >"$WORLD/export/1/assets/deep er/ü/empty"
echo '{"packaging":"none"}' >"$WORLD/export/sagemaker.json"

check_match 'pack says so' 'packaging: none' "$SAGEMAKERFS" pack "$WORLD/export"
mkdir "$WORLD/bad"
cp -r "$WORLD/export/1" "$WORLD/bad/1"
echo '{"packaging":"zip"}' >"$WORLD/bad/sagemaker.json"
check_match 'another packaging is a mistake' "'packaging' is \"archive\" .* or \"none\"" "$SAGEMAKERFS" pack "$WORLD/bad"

mount_start -o commit=explicit
eval "$("$SAGEMAKERFS" env "$MNT")"
cp -rT "$WORLD/export" "$MNT/models/iris"
check 'published' sync "$MNT/models/iris"
BUCKET=$(account 'SELECT name FROM bucket')
version=$(cat "$SIDE/versions/current")
check_out 'uri is the prefix' "s3://$BUCKET/model/iris/$version/" cat "$SIDE/uri"
check_out 'its objects are the paths in the container' "$(cd "$WORLD/export" && find 1 -type f | sed "s|^|model/iris/$version/export/Servo/|" | LC_ALL=C sort)" objects iris
check 'and the manifest names just these' is_exact iris
check_out 'size is that of the files' "$(find "$WORLD/export/1" -type f -printf '%s\n' | awk '{n += $1} END {printf "%d", n}')" cat "$SIDE/versions/$version/size"
deploy_echo iris
check_match 'deployed' '\[7\]' bash -c "echo '[7]' > '$MNT/invoke/iris'; cat '$MNT/invoke/iris'"
model=$(api ListModels '{}' | jq -r '.Models[0].ModelName')
check_out 'as a prefix' "{\"S3Uri\":\"s3://$BUCKET/model/iris/$version/\",\"S3DataType\":\"S3Prefix\",\"CompressionType\":\"None\"}" \
	bash -c "printf '%s' '$(api DescribeModel "{\"ModelName\":\"$model\"}")' | jq -c .PrimaryContainer.ModelDataSource.S3DataSource"
check_match 'the endpoint knows its model' 'models/iris$' readlink "$MNT/endpoints/iris/model"
check_match 'the version knows its endpoint' '^endpoint iris' cat "$SIDE/versions/$version/used_by"
check_errno 'a model in use is not removed' EBUSY rm -r "$MNT/models/iris"

# Elsewhere: listed, read by ranges, compared, changed.
check 'another machine' other_mount
check 'reads it whole, with its settings' diff -r "$WORLD/export" "$OTHER/models/iris"
check 'and from the middle' cmp <(tail -c +19000001 "$WORLD/export/1/assets/large.bin") <(dd if="$OTHER/models/iris/1/assets/large.bin" bs=1000000 skip=19 status=none)
only 4 # with the empty one, whose copy would cost as much, and the question whether If-Match is heeded
echo 'another note' >"$MNT/models/iris/1/assets/note.txt"
check 'a change costs the changed file and the manifest' sync "$MNT/models/iris"
fault '[]'
check 'all objects are named' is_exact iris
cp "$WORLD/export/1/assets/note.txt" "$MNT/models/iris/1/assets/note.txt"
only 1
check 'an old content costs the manifest' sync "$MNT/models/iris"
fault '[]'
check_out 'and is the old version' "$version" cat "$SIDE/versions/current"
check_out 'no upload is left' 0 uploads

# The same files as an archive, and back.
rm "$MNT/models/iris/sagemaker.json"
check 'as an archive' sync "$MNT/models/iris"
check_match 'its uri' '/model\.tar\.gz$' cat "$SIDE/uri"
check 'the files of the version without one' diff -r "$WORLD/export" "$SIDE/versions/$version/files"
check 'all objects are named' is_exact iris
echo "$version" >"$SIDE/versions/current"
check_match 'chosen again' "/$version/\$" cat "$SIDE/uri"
check 'and read' diff -r "$WORLD/export/1" "$MNT/models/iris/1"

# A failure on the way publishes nothing; the next try goes on from what is there.
cp -rT "$WORLD/export" "$MNT/models/late"
n=$(find "$WORLD/export/1" -type f | wc -l)
fault '[{"operation":"PutObject","nth":3,"action":"status","arg":403,"code":"AccessDenied","message":"not this one"}]'
check_errno 'refused' EACCES sync "$MNT/models/late"
check_match 'says which' "upload model 'late': write 's3://.*not this one" cat "$MNT/models/late/.sagemaker/error"
check_match 'is not published' '^failed' cat "$MNT/models/late/.sagemaker/status"
fault '[]'
late=$(objects late | wc -l)
check 'something is there' test "$late" -gt 0
only $((n - late)) # of the small ones: the large one goes in parts, so this counts the manifest
fault "$(jq -c '.[0:1]' "$STORE/faults.json")"
check 'gone on with' sync "$MNT/models/late"
fault '[]'
check 'all objects are named' is_exact late
check_out 'no upload is left' 0 uploads

# kill -9 in the middle; the next mount goes on.
cp -rT "$WORLD/export" "$MNT/models/killed"
echo 'this one is killed' >"$MNT/models/killed/1/assets/note.txt"
fault '[{"operation":"CompleteMultipartUpload","nth":1,"action":"withhold"},{"operation":"UploadPart","nth":2,"action":"withhold"}]'
sync "$MNT/models/killed" 2>/dev/null &
begun() {
	[ "$(objects killed | wc -l)" -ge $((n - 1)) ] && [ "$(uploads)" = 1 ]
}
check 'all small files are there and the large one is on its way' wait_until 20 begun
daemon_dies
wait $! 2>/dev/null || :
prefix=$(dirname "$(objects killed | head -1)" | cut -d/ -f1-3)
fault '[]'
mount_start -o commit=explicit
fault '[{"operation":"PutObject","nth":2,"action":"status","arg":403,"code":"AccessDenied","message":"one too many"}]'
check 'goes on' sync "$MNT/models/killed"
fault '[]'
check_match 'where it was' "^s3://$BUCKET/$prefix/\$" cat "$MNT/models/killed/.sagemaker/uri"
check 'all objects are named' is_exact killed
check_out 'killed in vain' 'this one is killed' cat "$OTHER/models/killed/1/assets/note.txt"

# Killed, and then the user wants something else.
echo again >"$MNT/models/killed/1/assets/note.txt"
fault '[{"operation":"PutObject","nth":1,"action":"withhold"}]'
sync "$MNT/models/killed" 2>/dev/null &
half() {
	! is_exact killed
}
check 'half an upload' wait_until 20 half
daemon_dies
wait $! 2>/dev/null || :
fault '[]'
mount_start -o commit=explicit
echo '{"packaging":"archive"}' >"$MNT/models/killed/sagemaker.json"
check 'now as an archive' sync "$MNT/models/killed"
check 'half an upload is gone' wait_until 10 is_exact killed

# All goes.
rmdir "$MNT/endpoints/iris"
cat "$MNT/endpoints/.deleting/iris/wait" >/dev/null 2>&1 || :
for name in iris late killed; do
	check "rm -r $name" rm -r "$MNT/models/$name"
done
nothing() {
	[ -z "$(account "SELECT key FROM object WHERE CAST(key AS TEXT) LIKE 'model/%'")" ]
}
check 'nothing is left' wait_until 10 nothing
check 'unmount' mount_stop

# Pruning takes the objects of versions, too; a size does for sagemaker.json.
export SAGEMAKERFS_PRUNE_AFTER=0
mount_start -o commit=explicit,files_above=1M
rm "$WORLD/export/sagemaker.json"
cp -rT "$WORLD/export" "$MNT/models/many"
for i in 1 2 3 4 5 6 7 8; do
	echo "$i" >"$MNT/models/many/1/assets/note.txt"
	sync "$MNT/models/many"
done
check_match 'files, by their size' '/$' cat "$MNT/models/many/.sagemaker/uri"
six() {
	[ "$(manifest many | jq '.versions | length')" = 6 ] && is_exact many
}
check 'six versions and their objects stay' wait_until 20 six
check 'unmount the other' mount_stop "$OTHER"
check 'unmount' mount_stop
done_testing
