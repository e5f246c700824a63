#!/usr/bin/env bash
# Mounts on moto's AWS: the main job, and buckets of every kind.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
peer_venv
port=$(free_port)
start_server "$WORLD/moto.log" "$VENV/moto_server" -H 127.0.0.1 -p "$port"
wait_for_port "$port"
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=secret
export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1
. "$(dirname "$0")/mount_run.bash"

main_job 4
check_out 'the bucket that was made cannot be made public' '[True, True, True, True]' boto '
print(sorted(s3.get_public_access_block(Bucket=a[0])["PublicAccessBlockConfiguration"].values()))' "$BUCKET"

aws_mount "$MNT" -o commit=explicit
cp -rT "$WORLD/iris" "$MNT/models/iris"
boto 's3.delete_bucket(Bucket=a[0])' "$BUCKET"
check 'a bucket that somebody deletes under the mount is made again' sync "$MNT/models/iris"
check_out 'with what was to be published' $'bucket\nobject model/iris/VERSION/model.tar.gz\nobject model/iris/manifest.json' account
check 'rm' rm -r "$MNT/models/iris"
check 'unmount' mount_stop

# refused NAME PATTERN OPTIONS: the mount does not come to be, and says why.
refused() {
	local name=$1 pattern=$2
	shift 2
	check_match "$name" "$pattern" aws_mount "$MNT" "$@"
	check_not "$name: there is no mount" mounted "$MNT"
}

refused 'a bucket that was named and is not there' "bucket 'nobodys' does not exist: make it \('aws s3 mb s3://nobodys --region eu-west-1'\)" -o bucket=nobodys
AWS_DEFAULT_REGION=us-east-2 boto 's3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})'
refused 'a bucket in another region' "bucket 'elsewhere' is in region 'us-east-2', not in 'eu-west-1': mount 'aws:us-east-2'" -o bucket=elsewhere
refused 'a name that no bucket has' "option 'bucket': 'No_Bucket' is no bucket name" -o bucket=No_Bucket
refused 'an owner that is no account' "option 'bucket_owner' takes an account id" -o bucket_owner=me

# moto dates the beginning of every upload into 2010: only its parts tell that somebody is at it.
boto 's3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
s3.put_bucket_versioning(Bucket="mine", VersioningConfiguration={"Status": "Enabled"})'
boto 'u = s3.create_multipart_upload(Bucket="mine", Key="team/models/theirs/1/model.tar.gz")["UploadId"]
s3.upload_part(Bucket="mine", Key="team/models/theirs/1/model.tar.gz", UploadId=u, PartNumber=1, Body=b"x")'
aws_mount "$MNT" -o bucket=mine/team/models,bucket_owner=$ACCOUNT,kms_key=alias/models
check_match 'the README names the bucket and the prefix' 'bucket +mine \(prefix team/models\)' cat "$MNT/README"
cp -rT "$WORLD/big" "$MNT/models/big"
check 'publishing into a bucket of the user' sync "$MNT/models/big"
check "others' unfinished uploads are looked at after one of ours" wait_until 60 grep -q 'theirs/1/model.tar.gz?max-parts' "$WORLD/moto.log"
sync "$MNT/models/big"
check_out 'below the prefix, and what somebody is uploading stays' $'bucket\nobject team/models/big/VERSION/model.tar.gz\nobject team/models/big/manifest.json\nupload team/models/theirs/1/model.tar.gz' account mine
check_out 'encrypted under the key' "{('aws:kms', 'alias/models')}" boto '
print({(o["ServerSideEncryption"], o["SSEKMSKeyId"]) for o in (s3.head_object(Bucket="mine", Key=c["Key"])
       for c in s3.list_objects_v2(Bucket="mine")["Contents"])})'
check_match 'the README says what stays billed' "note +bucket 'mine' keeps versions: .*billed" cat "$MNT/README"
check 'rm in a bucket with versions' rm -r "$MNT/models/big"
check_match 'the log says what it left' "deleted 1 archives, but bucket 'mine' keeps versions: .*noncurrent" cat "$XDG_STATE_HOME"/sagemakerfs/*/log
check_out 'boto3 sees no object' $'bucket\nupload team/models/theirs/1/model.tar.gz' account mine
check_out 'but the old versions' 2 boto 'print(len(s3.list_object_versions(Bucket="mine")["Versions"]))'
check 'unmount' mount_stop
done_testing
