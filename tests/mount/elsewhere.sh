#!/usr/bin/env bash
# Archives that others put under PREFIX without a manifest: listed, read, deployed as they are, and never changed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
eval "$("$SAGEMAKERFS" env "$MNT")"
bucket=sagemaker-$AWS_REGION-123456789012
s3() { # METHOD KEY [curl's arguments]
	local method=$1 key=$2
	shift 2
	curl -fsS --aws-sigv4 "aws:amz:$AWS_REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -X "$method" \
		-H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$@" "$AWS_ENDPOINT_URL/$bucket/$key"
}
put() {
	s3 PUT "$1" --data-binary "@$2" -H 'Content-Type: application/x-tar' >/dev/null
}

# As Python's tarfile, GNU tar with gzip -9, pigz-like members, and worse write them.
tf_export "$WORLD/saved" note
mkdir -p "$WORLD/sdk/export/Servo"
cp -r "$WORLD/saved/1" "$WORLD/sdk/export/Servo/1"
mkdir "$WORLD/sdk/export/Servo/1/assets/more"
seq 1500000 >"$WORLD/sdk/export/Servo/1/assets/more/numbers"
head -c 9000000 /dev/urandom >"$WORLD/sdk/export/Servo/1/assets/more/noise"
/usr/bin/python3 - "$WORLD/sdk" "$WORLD/sdk.tar.gz" <<'PY'
import sys, tarfile
with tarfile.open(sys.argv[2], "w:gz") as t:
    t.add(sys.argv[1], arcname="/")
PY
tar -C "$WORLD/sdk" -cf - . | gzip -9 >"$WORLD/gnu.tar.gz"
tar -C "$WORLD/sdk" -cf "$WORLD/t.tar" export
{ head -c 5000000 "$WORLD/t.tar" | gzip -1; tail -c +5000001 "$WORLD/t.tar" | gzip -6; } >"$WORLD/members.tar.gz"
tar -C "$WORLD/sdk" -cjf "$WORLD/bz2.tar.gz" export
head -c 3000000 "$WORLD/gnu.tar.gz" >"$WORLD/cut.tar.gz"
ln -s /etc/passwd "$WORLD/link"
tar -C "$WORLD" -czf "$WORLD/evil.tar.gz" link
aws_make() { # the bucket is made by the first upload
	tf_export "$WORLD/own"
	cp -rT "$WORLD/own" "$MNT/models/own"
	sync "$MNT/models/own"
}
aws_make
put model/model.tar.gz "$WORLD/sdk.tar.gz"
put model/job-1/output/model.tar.gz "$WORLD/gnu.tar.gz"
put model/members.tar.gz "$WORLD/members.tar.gz"
put model/bz2.tar.gz "$WORLD/bz2.tar.gz"
put model/cut/model.tar.gz "$WORLD/cut.tar.gz"
put model/evil/model.tar.gz "$WORLD/evil.tar.gz"
put model/unpublished/20260101T000000Z-abcdef/model.tar.gz "$WORLD/sdk.tar.gz" # an upload of ours that nobody published
sleep 1.2

check_out 'they are listed' 'bz2
cut
evil
job-1
members
model
own' ls "$MNT/models"
for m in model job-1 members; do
	check "$m: the files are those of the archive" diff -r "$WORLD/sdk" "$MNT/models/$m"
done
check 'cp -r' cp -r "$MNT/models/job-1" "$WORLD/backup"
check 'is the source' diff -r "$WORLD/sdk" "$WORLD/backup"
check_out 'times are the archive'"'"'s' "$(stat -c %Y "$WORLD/sdk/export/Servo/1/saved_model.pb")" \
	stat -c %Y "$MNT/models/job-1/export/Servo/1/saved_model.pb"
check_out 'the framework is recognised' tensorflow cat "$MNT/models/job-1/.sagemaker/framework"
check_out 'the address' "s3://$bucket/model/job-1/output/model.tar.gz" cat "$MNT/models/job-1/.sagemaker/uri"
check_errno 'bzip2 is refused' EINVAL ls "$MNT/models/bz2/x"
check_match 'with the sentence' 'model .bz2. cannot be shown: .*not a whole tar.gz' cat "$MNT/models/.error"
check_errno 'half an archive' EINVAL ls "$MNT/models/cut/x"
check_errno 'one with a link' EINVAL ls "$MNT/models/evil/x"
check_match 'names the link' "holds the link 'link'" cat "$MNT/models/.error"
check_errno 'a name that nobody put there' ENOENT ls "$MNT/models/nothing"

# Deployed as it is: the same object, no upload.
check 'it deploys' mkdir "$MNT/endpoints/job-1"
check_out 'and serves' InService cat "$MNT/endpoints/job-1/wait"
check_match 'answers' '\[7\]' bash -c "echo '[7]' > '$MNT/invoke/job-1'; cat '$MNT/invoke/job-1'"
model=$(api ListModels '{}' | jq -r '.Models[0].ModelName')
check_out 'from the object that was there' "s3://$bucket/model/job-1/output/model.tar.gz" \
	bash -c "$(declare -f api); api DescribeModel '{\"ModelName\":\"$model\"}' | jq -r '.PrimaryContainer.ModelDataUrl // .PrimaryContainer.ModelDataSource.S3DataSource.S3Uri'"
rmdir "$MNT/endpoints/job-1"
cat "$MNT/endpoints/.deleting/job-1/wait" >/dev/null 2>&1 || :

# Never changed.
check_errno 'no new file' EROFS touch "$MNT/models/job-1/new"
check_match 'the sentence says what to do' 'only read here; cp -r' cat "$MNT/models/.error"
check_errno 'no change' EROFS bash -c "echo x >'$MNT/models/job-1/export/Servo/1/saved_model.pb'"
check_errno 'no removal' EPERM rm -r "$MNT/models/job-1"
check_match 'but with an option' 'delete=any' cat "$MNT/models/.error"
check_errno 'nor of the whole' EPERM rmdir "$MNT/models/job-1"
check 'all is there' diff -r "$WORLD/sdk" "$MNT/models/job-1"

# Another mount, with the index in the cache: no whole reading again.
mount_stop
mount_start -o delete=any
eval "$("$SAGEMAKERFS" env "$MNT")"
check 'after a remount' diff -r "$WORLD/sdk" "$MNT/models/job-1"
put model/job-1/output/model.tar.gz "$WORLD/members.tar.gz"
put model/job-1/output/model.tar.gz "$WORLD/sdk.tar.gz"
sleep 1.2
check 'replaced by its owner, it is the new one' diff -r "$WORLD/sdk" "$MNT/models/job-1"
check 'delete=any removes it' rm -r "$MNT/models/job-1"
check_not 'and the object' s3 HEAD model/job-1/output/model.tar.gz -I
check 'the others are there' s3 HEAD model/members.tar.gz -I
check 'unmount' mount_stop
done_testing
