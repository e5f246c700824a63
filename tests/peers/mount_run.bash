# shellcheck shell=bash
# mount_run.bash: the main job on somebody else's S3 and control plane; boto3 tells what the account then has. After lib.sh, with
# AWS_* set as for boto3. Sourced by the tests that start such services.

ACCOUNT=123456789012
BUCKET=sagemaker-$AWS_REGION-$ACCOUNT
ROLE=arn:aws:iam::$ACCOUNT:role/models

account() {
	"$PYTHON" "$PEERS_DIR/account.py" "${1:-$BUCKET}"
}

# aws_mount MOUNTPOINT [options]: a mount of the account of AWS_*.
aws_mount() {
	local at=$1
	shift
	mkdir -p "$at"
	"$SAGEMAKERFS" aws "$at" -o "role=$ROLE" "$@"
}

# boto CODE [ARGUMENT...]: Python with s3 and sm as clients, a as the arguments.
boto() {
	local code=$1
	shift
	"$PYTHON" -c "import boto3, sys
s3, sm, a = boto3.client('s3'), boto3.client('sagemaker'), sys.argv[1:]
$code" "$@"
}

# big_export DIR: a SavedModel with an asset that does not shrink: three parts and more.
big_export() {
	tf_export "$1" 'see blob.bin'
	head -c 20000000 /dev/urandom >"$1/1/assets/blob.bin"
}

# Each object's bytes have the checksum that the service shows for it.
checksums() {
	boto '
import base64, struct, crc32c
n = 0
for o in s3.list_objects_v2(Bucket=a[0]).get("Contents", []):
    g = s3.get_object(Bucket=a[0], Key=o["Key"], ChecksumMode="ENABLED")
    told = g["ResponseMetadata"]["HTTPHeaders"].get("x-amz-checksum-crc32c")
    kind = g["ResponseMetadata"]["HTTPHeaders"].get("x-amz-checksum-type", "FULL_OBJECT")
    made = base64.b64encode(struct.pack(">I", crc32c.crc32c(g["Body"].read()))).decode()
    assert kind != "FULL_OBJECT" or told == made, (o["Key"], told, made)
    n += told == made
print(n, "of", s3.list_objects_v2(Bucket=a[0])["KeyCount"])' "$1"
}

DEPLOYED="config smfs-iris-RANDOM [attempt=... digest=... endpoint=iris]
endpoint iris InService [attempt=... digest=... endpoint=iris]
model smfs-iris-RANDOM [attempt=... digest=... endpoint=iris]"
PUBLISHED="bucket
object model/big/VERSION/model.tar.gz
object model/big/manifest.json
object model/iris/VERSION/model.tar.gz
object model/iris/manifest.json"

# main_job SINGLE_CHECKSUM: cp, sync, mkdir, wait, rmdir, rm; SINGLE_CHECKSUM: how many of the four objects have a checksum of
# their bytes on this service.
main_job() {
	tf_export "$WORLD/iris"
	big_export "$WORLD/big"
	aws_mount "$MNT"
	check_out 'ls of a bucket that is not there shows nothing' '' ls "$MNT/models"
	check_out 'mounting and listing make nothing' nothing account

	check 'cp of a small model' cp -rT "$WORLD/iris" "$MNT/models/iris"
	check 'cp of one of several parts' cp -rT "$WORLD/big" "$MNT/models/big"
	check 'sync publishes the small one' sync "$MNT/models/iris"
	check 'sync publishes the large one' sync "$MNT/models/big"
	check_out 'boto3 sees the archives and manifests and no unfinished upload' "$PUBLISHED" account
	check_out 'the checksums that the service shows are those of the bytes' "$1 of 4" checksums "$BUCKET"

	check 'boto3 writes the large archive anew, in parts and with its own checksums' boto '
import io
key, = [o["Key"] for o in s3.list_objects_v2(Bucket=a[0], Prefix="model/big/")["Contents"] if o["Key"].endswith(".gz")]
s3.upload_fileobj(io.BytesIO(s3.get_object(Bucket=a[0], Key=key)["Body"].read()), a[0], key)
h = s3.head_object(Bucket=a[0], Key=key, ChecksumMode="ENABLED")
assert "ChecksumCRC32C" not in h and "-" in h["ETag"], h' "$BUCKET"
	aws_mount "$WORLD/mnt-other"
	check 'another mount reads the same bytes' diff -r "$WORLD/big" "$WORLD/mnt-other/models/big"
	check_out 'and lists the same models' $'big\niris' ls "$WORLD/mnt-other/models"
	mount_stop "$WORLD/mnt-other"

	check 'mkdir deploys' mkdir "$MNT/endpoints/iris"
	check_match 'wait ends when it serves' InService cat "$MNT/endpoints/iris/wait"
	check_out 'status' InService head -1 "$MNT/endpoints/iris/status"
	check_out 'boto3 sees an endpoint, a configuration, a model, all tagged' "$(sort <<<"$DEPLOYED"$'\n'"$PUBLISHED")" account
	check_errno 'a model in use stays' EBUSY rm -r "$MNT/models/iris"

	check 'rmdir deletes' rmdir "$MNT/endpoints/iris"
	check 'nothing of it stays' wait_until 60 bash -c "! '$PYTHON' '$PEERS_DIR/account.py' | grep -v nothing"
	check_out 'boto3 sees the models alone' "$PUBLISHED" account

	check 'rm -r of both models' rm -r "$MNT/models/iris" "$MNT/models/big"
	check 'unmount' mount_stop
	check_out 'boto3 sees an empty bucket' bucket account
}
