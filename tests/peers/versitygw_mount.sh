#!/usr/bin/env bash
# Mounts on versitygw's S3, which verifies every signature and checksum and who owns a bucket, beside moto's control plane.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
peer_venv
gateway=$("$TESTS_DIR/versitygw") || {
	fail 'versitygw is built'
	done_testing
}
control=$(free_port)
start_server "$WORLD/moto.log" "$VENV/moto_server" -H 127.0.0.1 -p "$control"
storage=$(free_port)
# Its accounts are named by their keys: so the owner of a bucket is the account that moto's STS tells.
export AWS_ACCESS_KEY_ID=123456789012 AWS_SECRET_ACCESS_KEY=a-secret-of-some-length
export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1
mkdir "$WORLD/objects" "$WORLD/versions"
ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY start_server "$WORLD/versitygw.log" \
	"$gateway" --port "127.0.0.1:$storage" --region "$AWS_REGION" posix --versioning-dir "$WORLD/versions" "$WORLD/objects"
wait_for_port "$control"
wait_for_port "$storage"
export AWS_ENDPOINT_URL=http://127.0.0.1:$control AWS_ENDPOINT_URL_S3=http://127.0.0.1:$storage
. "$(dirname "$0")/mount_run.bash"

main_job 4
check_out 'it refused nothing that a client should not have tried' '' bash -c "
	grep -E '\| (4|5)[0-9][0-9] \|' '$WORLD/versitygw.log' | grep -vE '\| 404 \| .*\| (HEAD|GET) |\| 501 \| .*publicAccessBlock' || :"

check_match 'a bucket of another account' "bucket '$BUCKET' belongs to another account than '999999999999'" \
	aws_mount "$MNT" -o "bucket=$BUCKET,bucket_owner=999999999999"
check_not 'and no mount of it' mounted "$MNT"
aws_mount "$MNT" -o bucket_owner=999999999999
check_errno 'the default bucket, of another account: nothing is listed' EACCES ls "$MNT/models"
check_match 'and the sentence says why' "bucket '$BUCKET' belongs to another account than '999999999999'" cat "$MNT/models/.error"
check 'unmount' mount_stop
check_match 'keys that are wrong end the mount' 'request signature we calculated does not match' \
	env AWS_SECRET_ACCESS_KEY=another bash -c "'$SAGEMAKERFS' aws '$MNT' -o bucket=$BUCKET"
check_not 'and there is none' mounted "$MNT"

# Killed in the middle of an upload: the next mount takes away what would be billed for ever.
head -c 300000000 /dev/urandom >"$WORLD/big/1/assets/blob.bin"
"$SAGEMAKERFS" aws "$MNT" -f -o "upload_memory=8M,role=$ROLE" >"$WORLD/killed.log" 2>&1 &
killed=$!
wait_until 30 mounted "$MNT"
cp -rT "$WORLD/big" "$MNT/models/big"
sync "$MNT/models/big" 2>/dev/null &
syncing=$!
check 'an upload is under way' wait_until 60 bash -c "find '$WORLD/objects/$BUCKET/.sgwtmp/multipart' -type f | grep -q ."
kill -9 "$killed"
wait "$syncing" || :
umount -l "$MNT" 2>/dev/null || fusermount3 -uz "$MNT"
check_out 'killed, its parts stay' $'bucket\nupload model/big/VERSION/model.tar.gz' account
aws_mount "$MNT" -o commit=explicit
ls "$MNT/models" >/dev/null
check_out 'the next mount keeps the upload' $'bucket\nupload model/big/VERSION/model.tar.gz' account
check 'and its sync publishes what was staged' sync "$MNT/models/big"
check 'no upload is left' bash -c "! '$PYTHON' '$PEERS_DIR/account.py' '$BUCKET' | grep '^upload '"
check 'whole' cmp "$WORLD/big/1/assets/blob.bin" "$MNT/models/big/1/assets/blob.bin"
check 'rm' rm -r "$MNT/models/big"
check 'unmount' mount_stop
check_out 'boto3 sees an empty bucket' bucket account
done_testing
