#!/usr/bin/env bash
# What a bad day leaves behind: damaged journals, databases and manifests, lost archives, files of others in the store; ends that
# are not waited for. One thing is broken, the rest works, and a sentence says which.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

s3() {
	local method=$1 key=$2
	shift 2
	curl -fsS --aws-sigv4 "aws:amz:$AWS_REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -X "$method" \
		-H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$@" "$AWS_ENDPOINT_URL/$key"
}

backend_gone() {
	[ ! -e "$STORE/run.json" ]
}

fresh_state() {
	mount_stop
	rm -rf "$WORLD/state" "$WORLD/cache"
	mkdir "$WORLD/state" "$WORLD/cache"
	mount_start
}

# An end while an upload is silent: within 10 s, and the next mount goes on.
mount_start
tf_export "$WORLD/export" "note"
tf_export "$WORLD/export-big"
mkdir "$WORLD/export-big/1/assets"
head -c 20000000 /dev/urandom >"$WORLD/export-big/1/assets/blob"
fault '[{"operation":"UploadPart","nth":0,"action":"withhold"}]'
cp -rT "$WORLD/export-big" "$MNT/models/big"
check 'an upload is silent' wait_until 20 grep -q uploading "$MNT/models/big/.sagemaker/status"
pid=$(daemon_pid)
start=$(date +%s%3N)
kill -TERM "$pid"
check 'SIGTERM ends the mount nevertheless' wait_until 30 bash -c "! kill -0 $pid"
took=$(($(date +%s%3N) - start))
check "in about 10 s, on a busy machine too ($took ms)" test "$took" -lt 20000
fault '[]'
mount_start
check 'the next mount finishes the upload' timeout 60 sync "$MNT/models/big"
check 'no byte is lost' diff -r "$WORLD/export-big" "$MNT/models/big"
rm -r "$MNT/models/big"

# A manifest that is none: one model cannot be read, the others can.
for m in a b c; do
	cp -rT "$WORLD/export" "$MNT/models/$m"
	sync "$MNT/models/$m"
done
eval "$("$SAGEMAKERFS" env "$MNT")"
bucket=sagemaker-$AWS_REGION-123456789012
s3 GET "$bucket/model/a/manifest.json" >"$WORLD/manifest"
printf '{"format": 1, "na' >"$WORLD/garbage"
s3 PUT "$bucket/model/a/manifest.json" --data-binary "@$WORLD/garbage"
fresh_state
eval "$("$SAGEMAKERFS" env "$MNT")"
check_out 'a damaged manifest: the model is listed' "a
b
c" ls "$MNT/models"
check_errno 'looking into it says that it is damaged' EBADMSG ls "$MNT/models/a"
check_match 'and what to do' 'put a good .s3://.*/a/manifest.json. back' cat "$MNT/models/.error"
check 'another model is whole' diff -r "$WORLD/export" "$MNT/models/b"
check_errno 'it does not deploy' EBADMSG mkdir "$MNT/endpoints/a"
check_errno 'nor is it written over' EBADMSG mkdir "$MNT/models/a"
s3 PUT "$bucket/model/a/manifest.json" --data-binary "@$WORLD/manifest"
sleep 1.5
check 'a good manifest heals it' diff -r "$WORLD/export" "$MNT/models/a"

# S3 fails while it lists well: an error, not "no such file".
fresh_state
eval "$("$SAGEMAKERFS" env "$MNT")"
ls "$MNT/models" >/dev/null
fault '[{"operation":"GetObject","nth":0,"action":"status","arg":500,"code":"InternalError","message":"We encountered an internal error."}]'
check_not 'a manifest that cannot be fetched: no listing' ls "$MNT/models/b"
check_match 'but not "No such file"' 'ls: .*: (Input/output|Remote I/O|Resource temporarily|Device or resource|Connection timed out)' ls "$MNT/models/b"
fault '[]'
sleep 1.5
check 'it is there again' ls "$MNT/models/b"

# An archive that was deleted.
key=$(s3 GET "$bucket/model/c/manifest.json" | jq -r '.versions[0].key')
s3 DELETE "$bucket/$key"
check_not 'an archive is gone: its files cannot be read' cat "$MNT/models/c/1/saved_model.pb"
check_match 'the sentence names it' 'NoSuchKey' cat "$MNT/models/.error"
mkdir "$MNT/endpoints/c" 2>/dev/null || cat "$MNT/endpoints/c/wait" >/dev/null 2>&1 || :
check_match 'deploying it says so' 'Could not find model data' bash -c "cat '$MNT/endpoints/.error' '$MNT/endpoints/c/error' 2>/dev/null"

# A journal that is none.
mount_stop
for j in "$WORLD"/state/sagemakerfs/local-*/journal; do
	head -c 5000 /dev/urandom >"$j"
done
check 'a damaged journal does not keep the mount from starting' mount_start
check 'it is set aside' compgen -G "$WORLD/state/sagemakerfs/local-*/journal.damaged-*"
check 'the models are there' diff -r "$WORLD/export" "$MNT/models/b"
mount_stop

# run.json of a backend that is no more, with the pid of somebody else.
check 'the backend has ended' wait_until 30 backend_gone
sleep 600 &
other=$!
printf '{"pid":%d,"url":"http://127.0.0.1:1","region":"us-east-1","account":"1","access_key":"a","secret_key":"b","role":"r"}\n' \
	"$other" >"$STORE/run.json"
check 'a stale run.json is not believed' mount_start
check 'its process is left alone' kill -0 "$other"
kill "$other"
mount_stop

# A database that is none, a path that is too long for it.
check 'the backend has ended again' wait_until 30 backend_gone
cp "$STORE/store.db" "$WORLD/store.db"
head -c 9000 /dev/urandom >"$STORE/store.db"
check_match 'a damaged database: the sentence says what to do' 'damaged: put a copy back' mount_start
check_not 'it is not mounted' mounted "$MNT"
cp "$WORLD/store.db" "$STORE/store.db"
check 'with the copy it works' mount_start
check 'as before' diff -r "$WORLD/export" "$MNT/models/b"
check 'unmount' mount_stop
long=$WORLD/$(printf 'x%.0s' $(seq 200))/$(printf 'y%.0s' $(seq 200))/$(printf 'z%.0s' $(seq 200))
check_match 'a store whose path is too long' 'path is too long' "$SAGEMAKERFS" "local:$long" "$MNT"
done_testing
