#!/usr/bin/env bash
# Bad input: a clear errno, a sentence in the nearest error file, nothing left behind.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
GOOD=$WORLD/good
tf_export "$GOOD"

# refused_commit NAME ERRNO PATTERN: sync fails so, and the sentence stands in the model's error and in models/.error.
refused_commit() {
	check_errno "sync of $1 is refused" "$2" sync "$MNT/models/$1"
	check_match "the model's error says why ($1)" "$3" cat "$MNT/models/$1/.sagemaker/error"
	check_match "models/.error says why ($1)" "$3" cat "$MNT/models/.error"
	check_not "it has no published archive ($1)" grep -q s3:// "$MNT/models/$1/.sagemaker/uri"
	check_errno "and does not deploy ($1)" "$2" mkdir "$MNT/endpoints/$1"
	check_out "nothing is left of the attempt ($1)" "" ls "$MNT/endpoints"
	check "it can be removed ($1)" rm -r "$MNT/models/$1"
}

mkdir "$MNT/models/empty"
refused_commit empty ENOENT empty

mkdir "$MNT/models/strange" && echo hello >"$MNT/models/strange/notes.txt"
refused_commit strange EINVAL 'saved_model.pb|symbol'

cp -r "$DATA/bad/mxnet-no-shapes" "$MNT/models/noshapes"
refused_commit noshapes EINVAL 'shapes.json'

cp -r "$DATA/bad/tensorflow-truncated/iris" "$MNT/models/cut"
refused_commit cut EINVAL 'saved_model.pb'

cp -rT "$GOOD" "$MNT/models/nested" && cp -r "$GOOD" "$MNT/models/nested"
refused_commit nested EINVAL 'cp -rT'

cp -rT "$GOOD" "$MNT/models/typo" && echo '{"framwork": "tensorflow"}' >"$MNT/models/typo/sagemaker.json"
refused_commit typo EINVAL 'framwork'

cp -rT "$GOOD" "$MNT/models/old" && echo '{"framework_version": "9.9"}' >"$MNT/models/old/sagemaker.json"
sync "$MNT/models/old" # with nothing to upload mkdir has the answer in time on slow machines too
check_errno 'a version that AWS has no image for is refused' EINVAL mkdir "$MNT/endpoints/old"
check_match 'with the versions that exist' '9\.9.*2\.1[0-9]|2\.1[0-9].*9\.9' cat "$MNT/endpoints/.error"
rm -r "$MNT/models/old"

cp -rT "$GOOD" "$MNT/models/iris"
check_errno 'a framework version that does not exist is refused at the write' EINVAL write_to "$MNT/models/iris/.sagemaker/framework_version" 9.9
check_match 'and the sentence stands in the nearest error file' '9\.9' cat "$MNT/models/iris/.sagemaker/error"
check 'an existing one is taken' write_to "$MNT/models/iris/.sagemaker/framework_version" 2.16
check_match 'and stands in the image' ':2\.16' cat "$MNT/models/iris/.sagemaker/image"

check_errno 'a hard link' EPERM ln "$MNT/models/iris/1/saved_model.pb" "$MNT/models/iris/link"
check_match 'and the sentence says what to do' "'link'.*cp" cat "$MNT/models/.error"
check_errno 'mkdir without a model' ENOENT mkdir "$MNT/endpoints/nothing"
check_match 'says which model is missing' nothing cat "$MNT/endpoints/.error"
check_errno 'mkdir of a bad name' EINVAL mkdir "$MNT/endpoints/no_such.name"
check_match 'says the rule' 'a-zA-Z0-9' cat "$MNT/endpoints/.error"
check_errno 'a model of a bad name' EINVAL mkdir "$MNT/models/-bad"
mkdir "$MNT/endpoints/iris"
check_errno 'mkdir of an existing endpoint' EEXIST mkdir "$MNT/endpoints/iris"
check 'it serves' cat "$MNT/endpoints/iris/wait"
check_errno 'rm -r of a model in use' EBUSY rm -r "$MNT/models/iris"
check 'its files are back' test -s "$MNT/models/iris/1/saved_model.pb"
check_errno 'a link is refused' EPERM ln "$MNT/models/iris/1/saved_model.pb" "$MNT/models/iris/1/other.pb"
check_errno 'renaming a deployed endpoint is refused' EPERM mv -T "$MNT/endpoints/iris" "$MNT/endpoints/iris2"
check_errno 'no file can be made in endpoints/' EPERM touch "$MNT/endpoints/file"
check_match 'and why says what can' 'mkdir endpoints/NAME deploys' cat "$MNT/endpoints/.error"
check_errno 'a read-only attribute' EACCES sh -c "echo 2 > '$MNT/endpoints/iris/status'" ||:
check_errno 'no such endpoint to invoke' ENOENT cat "$MNT/invoke/nothing"
check_errno '.defaults refuses nonsense' EINVAL write_to "$MNT/endpoints/.defaults/instance_type" large
check '.defaults takes a type' write_to "$MNT/endpoints/.defaults/instance_type" ml.c5.xlarge
check_out '.defaults shows it' ml.c5.xlarge cat "$MNT/endpoints/.defaults/instance_type"
check_errno '.defaults refuses no instance' EINVAL write_to "$MNT/endpoints/.defaults/instance_count" 0
rmdir "$MNT/endpoints/iris"
cat "$MNT/endpoints/.deleting/iris/wait" 2>/dev/null || :

# A graviton type takes the arm64 image, and a type without one is refused.
echo ml.c6g.xlarge >"$MNT/endpoints/.defaults/instance_type"
check_match 'the image follows the instance type' 'graviton' cat "$MNT/models/iris/.sagemaker/image"
echo ml.m5.large >"$MNT/endpoints/.defaults/instance_type"

check_match 'a missing mountpoint is refused' 'sagemakerfs: .*no-such-dir' "$SAGEMAKERFS" "local:$STORE" "$WORLD/no-such-dir"
check_not 'and fails' "$SAGEMAKERFS" "local:$STORE" "$WORLD/no-such-dir"
mkdir -p "$WORLD/mnt-x"
check_match 'an unknown option is named' 'instance_typ' "$SAGEMAKERFS" "local:$STORE" "$WORLD/mnt-x" -o instance_typ=ml.m5.large
check_not 'a mounted mountpoint is refused' "$SAGEMAKERFS" "local:$STORE" "$MNT"
check_match 'an unknown command or source is refused' 'sagemakerfs: ' "$SAGEMAKERFS" gcp "$WORLD/mnt-x"
check_not 'nothing was mounted' mounted "$WORLD/mnt-x"

# No /dev/fuse: in a mount namespace where it is missing.
if [ "$(id -u)" -eq 0 ]; then
	check_match 'no /dev/fuse is said so, with the fix' '/dev/fuse' unshare -m bash -c "mount -t tmpfs none /dev && '$SAGEMAKERFS' 'local:$STORE' '$WORLD/mnt-x'"
fi
check 'unmount' mount_stop
done_testing
