#!/usr/bin/env bash
# upload: a model from a local directory to S3, ready to deploy: `cp -r` into the mount and `sync`, against what the SDK does (tarfile
# "w:gz" + boto3's upload_file), the SageMaker SDK's own functions, `tar | gzip, pigz or igzip | aws s3 cp -`, and a cp to the local disk, bare and through passthrough_ll: what FUSE alone costs.
# One run, interleaved, on the local backend and on versitygw. Kinds: upload_data.py; how it is measured: upload_run.py.
# For each: seconds, CPU seconds of everything on this side of the wire and, apart, of the backend, ratios with the goals beside them;
# from sync to ready; unchanged content once more; the share of stored chunks; the daemon's highest RSS. Of the SDKs
# with and without Python's start and imports.
#   MIB=1024 ROUNDS=3 KINDS="A B C D" BACKENDS="local versitygw" WAYS="mount boto3 ..." tests/bench/upload.sh
# MIB=1024: 20 minutes a round and more on 2 processors; MIB=128: 4. Numbers: docs/packaging.md.
# pigz and igzip (packages pigz, isal): left out, and said, without.
set -euo pipefail
. "$(dirname "$0")/../peers/lib.sh"
MIB=${MIB:-1024}
ROUNDS=${ROUNDS:-3}
KINDS=${KINDS:-A B C D}
BACKENDS=${BACKENDS:-local versitygw}
BENCH=$TESTS_DIR/bench
peer_venv numpy
SDK=$("$TESTS_DIR/venv" sagemaker sagemaker==2.257.7)/python
PATH=$("$TESTS_DIR/venv" awscli awscli==1.46.3):$PATH
export SAGEMAKER_SUPPRESS_V2_WARNING=1 AWS_EC2_METADATA_DISABLED=true

ways() {
	local each
	printf '%s\n' mount boto3 sagemaker 'tar | gzip | aws s3 cp -'
	for each in pigz igzip; do
		if command -v "$each" >/dev/null; then
			echo "tar | $each | aws s3 cp -"
		else
			echo "no $each here: left out" >&2
		fi
	done
	echo passthrough
	echo disk
}

# aws_environment: AWS_* as a JSON object.
aws_environment() {
	jq -n '$ENV | with_entries(select(.key | startswith("AWS_")))'
}

# describe NAME MOUNT DAEMON BACKEND: one row for upload_run.py.
describe() {
	jq -n --arg name "$1" --arg mount "$2" --argjson daemon "$3" --argjson pid "$4" --argjson env "$(aws_environment)" '$ARGS.named'
}

on_local() {
	mount_start
	eval "$("$SAGEMAKERFS" env "$MNT")"
	describe local "$MNT" "$(daemon_pid)" "$(backend_pid)" >>"$WORLD/backends"
}

# Its accounts are named by their keys: the owner of a bucket is the account that moto's STS tells.
on_versitygw() {
	local gateway control storage
	gateway=$("$TESTS_DIR/versitygw")
	control=$(free_port)
	start_server "$WORLD/moto.log" "$VENV/moto_server" -H 127.0.0.1 -p "$control"
	storage=$(free_port)
	export AWS_ACCESS_KEY_ID=123456789012 AWS_SECRET_ACCESS_KEY=a-secret-of-some-length AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1
	unset AWS_SESSION_TOKEN
	mkdir "$WORLD/objects"
	ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY start_server "$WORLD/versitygw.log" \
		"$gateway" --port "127.0.0.1:$storage" --region "$AWS_REGION" posix "$WORLD/objects"
	local pid=${SERVERS[-1]}
	wait_for_port "$control"
	wait_for_port "$storage"
	export AWS_ENDPOINT_URL=http://127.0.0.1:$control AWS_ENDPOINT_URL_S3=http://127.0.0.1:$storage
	mkdir "$WORLD/mnt-versitygw"
	start_server "$WORLD/mount.log" "$SAGEMAKERFS" aws "$WORLD/mnt-versitygw" -f -o role=arn:aws:iam::123456789012:role/models
	wait_until 30 mounted "$WORLD/mnt-versitygw"
	describe versitygw "$WORLD/mnt-versitygw" "${SERVERS[-1]}" "$pid" >>"$WORLD/backends"
}

. "$BENCH/passthrough.sh"
trap 'passthrough_stop; cleanup' EXIT
passthrough_start
mkdir "$WORLD/work"
for kind in $KINDS; do
	tf_export "$WORLD/work/src-$kind/export/Servo"
	"$PYTHON" "$BENCH/upload_data.py" "$kind" "$WORLD/work/src-$kind/export/Servo/1/assets" "$MIB"
done
for backend in $BACKENDS; do
	"on_$backend"
done
[ "${WAYS:-}" ] && printf '%s\n' $WAYS >"$WORLD/ways" || ways >"$WORLD/ways"
jq -n --arg through "$PASS/mnt" --argjson through_pid "$THROUGH" --arg kinds "$KINDS" --argjson mib "$MIB" --argjson rounds "$ROUNDS" --arg work "$WORLD/work" --arg sdk_python "$SDK" \
	--rawfile ways "$WORLD/ways" --slurpfile backends "$WORLD/backends" \
	'$ARGS.named | .kinds |= split(" ") | .ways |= (split("\n") | map(select(. != "")))' >"$WORLD/config.json"
echo "load average at the start: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) processors"
"$PYTHON" "$BENCH/upload_run.py" "$WORLD/config.json"
echo "load average at the end: $(cut -d' ' -f1-3 /proc/loadavg)"
