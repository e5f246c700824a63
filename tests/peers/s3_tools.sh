#!/usr/bin/env bash
# The tools that people keep their buckets with, on our backend: the AWS CLI, rclone, s3fs. Trees go up, across and back, and are
# compared byte by byte.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
VENV=$("$TESTS_DIR/venv" awscli awscli awscrt)

start_server "$WORLD/serve.log" "$SAGEMAKERFS" serve --store "$STORE" --listen 127.0.0.1:0
wait_until 30 test -e "$STORE/run.json"
read -r url access secret < <(jq -r '"\(.url) \(.access_key) \(.secret_key)"' "$STORE/run.json")
export AWS_ENDPOINT_URL=$url AWS_ACCESS_KEY_ID=$access AWS_SECRET_ACCESS_KEY=$secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE # rclone cannot have one of its own
aws=$VENV/aws

tree=$WORLD/tree
mkdir -p "$tree/sub dir/ü" "$tree/empty"
head -c 20000003 /dev/urandom >"$tree/big"
head -c 70000 /dev/urandom >"$tree/sub dir/a+b &=%20.bin"
echo text >"$tree/sub dir/ü/file.txt"
: >"$tree/none"

same() { diff -r -x empty "$1" "$2"; }

# The AWS CLI
check 'aws: a bucket' "$aws" s3 mb s3://cli
check 'aws: sync up' "$aws" s3 sync --no-progress "$tree" s3://cli/tree
check_out 'aws: nothing is left to sync' '' "$aws" s3 sync --no-progress "$tree" s3://cli/tree
check 'aws: sync across' "$aws" s3 sync --no-progress s3://cli/tree s3://cli/again
check 'aws: sync down' "$aws" s3 sync --no-progress s3://cli/again "$WORLD/cli"
check 'aws: it is the same' same "$tree" "$WORLD/cli"
check 'aws: copy from a pipe' bash -c "echo piped | '$aws' s3 cp - s3://cli/piped"
check_out 'aws: copy to a pipe' piped "$aws" s3 cp s3://cli/piped -
check 'aws: move' "$aws" s3 mv s3://cli/piped s3://cli/moved
check_out 'aws: list' moved bash -c "'$aws' s3 ls s3://cli/moved | awk '{print \$4}'"
check_out 'aws: presign' piped bash -c "curl -sf \"\$('$aws' s3 presign s3://cli/moved)\""
check 'aws: sync with delete' "$aws" s3 sync --no-progress --delete "$tree/sub dir" s3://cli/tree
check_out 'aws: what is left' 2 bash -c "'$aws' s3 ls --recursive s3://cli/tree/ | wc -l"
for algorithm in CRC32 CRC32C CRC64NVME SHA1 SHA256; do
	check "aws: upload with $algorithm" "$aws" s3 cp --no-progress --checksum-algorithm "$algorithm" "$tree/big" s3://cli/sum
	check "aws: download with $algorithm" "$aws" s3 cp --no-progress --checksum-mode ENABLED s3://cli/sum "$WORLD/sum"
	check "aws: $algorithm keeps it" cmp "$tree/big" "$WORLD/sum"
done
check 'aws: remove all' "$aws" s3 rm --recursive s3://cli
check 'aws: remove the bucket' "$aws" s3 rb s3://cli

# rclone
export RCLONE_CONFIG=$WORLD/rclone.conf RCLONE_CONFIG_L_TYPE=s3 RCLONE_CONFIG_L_PROVIDER=Other RCLONE_CONFIG_L_ENV_AUTH=true \
	RCLONE_CONFIG_L_ENDPOINT=$url RCLONE_CONFIG_L_REGION=us-east-1 RCLONE_CONFIG_L_FORCE_PATH_STYLE=true RCLONE_RETRIES=1 RCLONE_LOW_LEVEL_RETRIES=2
: >"$RCLONE_CONFIG"
check 'rclone: a bucket' rclone mkdir L:rclone
check 'rclone: sync up' rclone sync --s3-upload-cutoff 8M --s3-chunk-size 5M "$tree" L:rclone/tree
check 'rclone: check' rclone check "$tree" L:rclone/tree
check 'rclone: copy across' rclone copy L:rclone/tree L:rclone/again
check 'rclone: sync down' rclone sync L:rclone/again "$WORLD/rclone"
check 'rclone: it is the same' same "$tree" "$WORLD/rclone"
check_out 'rclone: list' 4 bash -c 'rclone lsf -R --files-only L:rclone/tree | wc -l'
check 'rclone: move' rclone moveto L:rclone/again/none L:rclone/moved
check 'rclone: purge' rclone purge L:rclone

# s3fs
"$aws" s3 mb s3://s3fs >/dev/null
printf '%s:%s\n' "$access" "$secret" >"$WORLD/s3fs.password"
chmod 600 "$WORLD/s3fs.password"
mkdir "$WORLD/s3fs"
check 's3fs: mount' s3fs s3fs "$WORLD/s3fs" -o "passwd_file=$WORLD/s3fs.password,url=$url,use_path_request_style,endpoint=us-east-1"
check 's3fs: it is mounted' wait_until 20 mountpoint -q "$WORLD/s3fs"
check 's3fs: copy in' cp -r "$tree/." "$WORLD/s3fs/"
check 's3fs: copy back' cp -r "$WORLD/s3fs" "$WORLD/s3fs-back"
check 's3fs: it is the same' same "$tree" "$WORLD/s3fs-back"
check 's3fs: rename' mv "$WORLD/s3fs/none" "$WORLD/s3fs/renamed"
check 's3fs: append' bash -c "echo more >>'$WORLD/s3fs/sub dir/ü/file.txt'"
check_out 's3fs: and read' $'text\nmore' cat "$WORLD/s3fs/sub dir/ü/file.txt"
check 's3fs: remove' rm -r "$WORLD/s3fs/sub dir" "$WORLD/s3fs/big"
check 's3fs: unmount' fusermount3 -u "$WORLD/s3fs"
check_out 's3fs: what is left' 'empty/ renamed' bash -c "'$aws' s3 ls s3://s3fs | awk '{print \$NF}' | xargs"
done_testing
