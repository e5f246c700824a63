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

# ln -s: what is in S3 already, in any bucket that may be read.
curl -fsS --aws-sigv4 "aws:amz:$AWS_REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -X PUT \
	-H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$AWS_ENDPOINT_URL/other-bucket" >/dev/null
bucket_was=$bucket
bucket=other-bucket
put deep/er/model.tar.gz "$WORLD/gnu.tar.gz"
put bad.tar.gz "$WORLD/evil.tar.gz"
bucket=$bucket_was
check 'ln -s brings it in' ln -s s3://other-bucket/deep/er/model.tar.gz "$MNT/models/linked"
check_out 'readlink says where it is' s3://other-bucket/deep/er/model.tar.gz readlink "$MNT/models/linked"
check_match 'ls shows it as a link' '^l.* linked -> s3://other-bucket/deep/er/model.tar.gz$' bash -c "ls -l '$MNT/models' | grep linked"
check 'its files are those of the archive' diff -r "$WORLD/sdk" "$MNT/models/linked/"
check 'cp -rL' cp -rL "$MNT/models/linked" "$WORLD/backup-linked"
check 'is the source' diff -r "$WORLD/sdk" "$WORLD/backup-linked"
check_out 'the address' s3://other-bucket/deep/er/model.tar.gz cat "$MNT/models/linked/.sagemaker/uri"
check_out 'the framework' tensorflow cat "$MNT/models/linked/.sagemaker/framework"
check_errno 'nothing of it is changed' EROFS touch "$MNT/models/linked/new"
check_errno 'nor removed' EPERM rm -r "$MNT/models/linked/export"
check_errno 'twice is once too often' EEXIST ln -sT s3://other-bucket/deep/er/model.tar.gz "$MNT/models/linked"
check_errno 'an object that is not there' ENOENT ln -s s3://other-bucket/no.tar.gz "$MNT/models/none"
check_match 'the sentence names it' "cannot bring in 's3://other-bucket/no.tar.gz' as model 'none'" cat "$MNT/models/.error"
check_not 'and there is no such model' ls "$MNT/models/none"
check_errno 'one that is refused' EINVAL ln -s s3://other-bucket/bad.tar.gz "$MNT/models/bad"
check_errno 'a prefix' EINVAL ln -s s3://other-bucket/deep/ "$MNT/models/prefix"
check_match 'is not yet' 'names a prefix' cat "$MNT/models/.error"
check_errno 'no URI' EINVAL ln -s s3://other-bucket "$MNT/models/none"
check_errno 'another link' EPERM ln -s /etc/passwd "$MNT/models/none"
check 'it deploys' mkdir "$MNT/endpoints/linked"
check_out 'and serves' InService cat "$MNT/endpoints/linked/wait"
check_out 'the endpoint knows its model' ../../models/linked readlink "$MNT/endpoints/linked/model"
rmdir "$MNT/endpoints/linked"
cat "$MNT/endpoints/.deleting/linked/wait" >/dev/null 2>&1 || :
mount_at "$WORLD/mnt2"
check_out 'another mount sees the link' s3://other-bucket/deep/er/model.tar.gz readlink "$WORLD/mnt2/models/linked"
check 'and reads through it' diff -r "$WORLD/sdk" "$WORLD/mnt2/models/linked/"
mount_stop "$WORLD/mnt2"

# Another mount, with the index in the cache: no whole reading again.
mount_stop
mount_start -o delete=any
eval "$("$SAGEMAKERFS" env "$MNT")"
check 'after a remount' diff -r "$WORLD/sdk" "$MNT/models/job-1"
check 'the link is still there' diff -r "$WORLD/sdk" "$MNT/models/linked/"
check 'rm forgets it' rm "$MNT/models/linked"
check_not 'it is gone' readlink "$MNT/models/linked"
check 'the object is not' curl -fsSI --aws-sigv4 "aws:amz:$AWS_REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
	-H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$AWS_ENDPOINT_URL/other-bucket/deep/er/model.tar.gz"
put model/job-1/output/model.tar.gz "$WORLD/members.tar.gz"
put model/job-1/output/model.tar.gz "$WORLD/sdk.tar.gz"
sleep 1.2
check 'replaced by its owner, it is the new one' diff -r "$WORLD/sdk" "$MNT/models/job-1"
check 'delete=any removes it' rm -r "$MNT/models/job-1"
check_not 'and the object' s3 HEAD model/job-1/output/model.tar.gz -I
check 'the others are there' s3 HEAD model/members.tar.gz -I
check 'unmount' mount_stop
done_testing
