#!/usr/bin/env bash
# Versions of a model: shown, chosen (rollback), never uploaded twice; two mounts that change one model: nothing is lost.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

OTHER=$WORLD/mnt2
SIDE=$MNT/models/iris/.sagemaker
NOTE=models/iris/1/assets/note.txt

archives() {
	account "SELECT count(*) FROM object WHERE CAST(key AS TEXT) LIKE 'model/$1/%.tar.gz'"
}

other_mount() {
	XDG_STATE_HOME=$WORLD/state2 XDG_CACHE_HOME=$WORLD/cache2 mount_at "$OTHER" -o commit=explicit
}

# publish MOUNT TEXT: prints the version that is current then.
publish() {
	mkdir -p "$1/models/iris/1/assets"
	echo "$2" >"$1/$NOTE"
	sync "$1/models/iris"
	cat "$1/models/iris/.sagemaker/versions/current"
}

names() {
	find "$1/models/iris/.sagemaker/versions" -mindepth 1 -maxdepth 1 -printf "%f\n" | sort | grep -vxE 'current|table'
}

# shows MOUNT TEXT: what another mount published is seen within a second or two.
shows() {
	[ "$(cat "$1/$NOTE")" = "$2" ]
}

sees() {
	wait_until 15 shows "$@"
}

tf_export "$WORLD/export"
mount_start -o commit=explicit
cp -rT "$WORLD/export" "$MNT/models/iris"
check_out 'a model that was never published has no versions' '' ls "$SIDE/versions"
one=$(publish "$MNT" one)
two=$(publish "$MNT" two)
check_out 'versions/ lists both, current and table' "$(printf '%s\n' "$one" "$two" current table | LC_ALL=C sort)" bash -c "ls '$SIDE/versions' | LC_ALL=C sort"
check_match '.sagemaker lists versions' '^versions$' ls "$SIDE"
check_match 'ls -l shows when' "^d.* $one\$" ls -l "$SIDE/versions"
check_out 'the digest of the current one' "$(cat "$SIDE/digest")" cat "$SIDE/versions/$two/digest"
check_out 'its uri' "$(cat "$SIDE/uri")" cat "$SIDE/versions/$two/uri"
check_out 'its status' current cat "$SIDE/versions/$two/status"
check_out 'the other one is kept' kept cat "$SIDE/versions/$one/status"
check_match 'its time is its directory'"'"'s' "^$(cut -c1-16 "$SIDE/versions/$one/created" | tr T ' ')" env TZ=UTC stat -c %y "$SIDE/versions/$one"
check_match 'size' '^[1-9][0-9]+$' cat "$SIDE/versions/$one/size"
check_out 'framework' tensorflow cat "$SIDE/versions/$one/framework"
check_out 'the files of the older one' one cat "$SIDE/versions/$one/files/1/assets/note.txt"
check 'all of them' diff -r --exclude=assets "$WORLD/export" "$SIDE/versions/$one/files"
check_errno 'are not written' EROFS write_to "$SIDE/versions/$one/files/1/assets/note.txt" x
check_errno 'nor removed' EPERM rm "$SIDE/versions/$one/files/1/assets/note.txt"
check_errno 'no such version' ENOENT stat "$SIDE/versions/20200101T000000Z-aaaaaaaa"
mkdir "$MNT/endpoints/iris"
check_out 'deployed' InService cat "$MNT/endpoints/iris/wait"
check_match 'used by' '^endpoint iris' cat "$SIDE/versions/$two/used_by"
check_out 'by nobody' '' cat "$SIDE/versions/$one/used_by"
check_match 'the table marks the current one and says who uses it' "^\* $two .* endpoint iris" cat "$SIDE/versions/table"

# Going back, with everything a shell or Python may do for it.
check 'echo VERSION > current' bash -c "echo '$one' > '$SIDE/versions/current'"
check_out 'current says so' "$one" cat "$SIDE/versions/current"
check_out 'its files are shown' one cat "$MNT/$NOTE"
check_out 'status says so' "published $one" cat "$SIDE/status"
check_match 'the endpoint serves what it served' '^endpoint iris' cat "$SIDE/versions/$two/used_by"
check 'ln -sfn' ln -sfn "$two" "$SIDE/versions/current"
check_out 'chosen by a link' two cat "$MNT/$NOTE"
check_out 'no link is left' "$(printf '%s\n' "$one" "$two" current table | LC_ALL=C sort)" bash -c "ls '$SIDE/versions' | LC_ALL=C sort"
check 'Python: os.replace of a link' /usr/bin/python3 -c 'import os, sys
os.symlink("../versions/%s/" % sys.argv[2], sys.argv[1] + "/tmp"); assert sys.argv[2] in os.readlink(sys.argv[1] + "/tmp"); os.replace(sys.argv[1] + "/tmp", sys.argv[1] + "/current")' "$SIDE/versions" "$one"
check_out 'chosen by Python' one cat "$MNT/$NOTE"
check 'Python: write' /usr/bin/python3 -c 'import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])' "$SIDE/versions/current" "$two"
check_out 'and it is' two cat "$MNT/$NOTE"
check_errno 'a version that is not there' ENOENT write_to "$SIDE/versions/current" 20200101T000000Z-aaaaaaaa
check_match 'the sentence names where they are' "no version '20200101T000000Z-aaaaaaaa'; models/iris/.sagemaker/versions/" cat "$SIDE/error"
check_errno 'ln -sfn of one that is not there' ENOENT ln -sfn 20200101T000000Z-aaaaaaaa "$SIDE/versions/current"
check_errno 'a version is not removed by hand' EPERM rmdir "$SIDE/versions/$one"
check_out 'choosing uploads nothing' 2 archives iris
echo changed >"$MNT/$NOTE"
check_errno 'unsaved changes are not lost' EBUSY write_to "$SIDE/versions/current" "$one"
check_match 'the sentence says what to do' 'sync models/iris makes one of them' cat "$SIDE/error"
check_errno 'nor by ln -sfn' EBUSY ln -sfn "$one" "$SIDE/versions/current"
check_out 'they are still there' changed cat "$MNT/$NOTE"

# Old contents come again: an older version becomes current, and nothing is uploaded, here, after a remount, and elsewhere.
check_out 'an old content is its old version' "$one" publish "$MNT" one
check 'unmount' mount_stop
mount_start -o commit=explicit
check_out 'after a remount' "$two" publish "$MNT" two
check 'another machine' other_mount
check_out 'elsewhere' "$one" publish "$OTHER" one
check 'which the first mount shows' sees "$MNT" one
check_out 'still two versions' "$(printf '%s\n' "$one" "$two" | LC_ALL=C sort)" names "$MNT"
check_out 'and two archives' 2 archives iris

# A conflict: both keep what they had; the user chooses.
rmdir "$MNT/endpoints/iris"
cat "$MNT/endpoints/.deleting/iris/wait" >/dev/null 2>&1 || :
echo mine >"$MNT/$NOTE"
theirs=$(publish "$OTHER" theirs)
check_errno 'both changed it' EEXIST sync "$MNT/models/iris"
check_out 'status' conflict cat "$SIDE/status"
check_match 'the sentence' "published by another mount as version $theirs .*/resolve:" cat "$SIDE/error"
check_out 'mine are staged' mine cat "$MNT/$NOTE"
check 'theirs are current' sees "$OTHER" theirs
check_out 'and both are versions' 4 bash -c "ls '$SIDE/versions' | grep -c Z-"
check_errno 'sync again is no answer' EEXIST sync "$MNT/models/iris"
check_out 'and makes no more of them' 4 archives iris
mkdir "$MNT/endpoints/iris" 2>/dev/null || :
check_match 'nor is a deployment' 'published by another mount' cat "$MNT/endpoints/.error" "$MNT/models/.error"
check 'which has come to nothing' bash -c "! test -e '$MNT/endpoints/iris' || rmdir '$MNT/endpoints/iris'"
check_errno 'choosing does not decide it' EBUSY write_to "$SIDE/versions/current" "$one"
check_match 'resolve says what to write' "conflict: version $theirs" cat "$SIDE/resolve"
check_errno 'anything else is refused' EINVAL write_to "$SIDE/resolve" ours
check 'mine' write_to "$SIDE/resolve" mine
check 'mine are current' sees "$OTHER" mine
check_match 'status is published' '^published ' cat "$SIDE/status"
check_match 'nothing is left to resolve' 'no conflict' cat "$SIDE/resolve"
check_errno 'and it says so' EINVAL write_to "$SIDE/resolve" mine
check_match 'theirs is a version still' "^$theirs\$" names "$MNT"
check_out 'mine was uploaded once' 4 archives iris

echo mine2 >"$MNT/$NOTE"
theirs=$(publish "$OTHER" theirs2)
check_errno 'again both' EEXIST sync "$MNT/models/iris"
lost=$(sed -n 's/.* kept as version \(.*\)$/\1/p' "$SIDE/resolve")
check_out 'mine became a version beside theirs' kept cat "$SIDE/versions/$lost/status"
exec 9>>"$MNT/$NOTE"
check_errno 'an open file is not dropped' EBUSY write_to "$SIDE/resolve" theirs
exec 9>&-
wait_until 15 write_to "$SIDE/resolve" theirs || fail 'theirs' "$(cat "$SIDE/error")"
check_out 'theirs are shown' theirs2 cat "$MNT/$NOTE"
check_out 'status is published' "published $theirs" cat "$SIDE/status"
check 'what was mine can be chosen' write_to "$SIDE/versions/current" "$lost"
check 'and is there' sees "$OTHER" mine2

# A conflict outlives the mount.
echo mine3 >"$MNT/$NOTE"
publish "$OTHER" theirs3 >/dev/null
check_errno 'a third time' EEXIST sync "$MNT/models/iris"
check 'unmount in conflict' mount_stop
mount_start -o commit=explicit
check_out 'staged as before' mine3 cat "$MNT/$NOTE"
before=$(archives iris)
check_errno 'in conflict as before' EEXIST sync "$MNT/models/iris"
check_out 'no upload for it' "$before" archives iris
check 'mine' write_to "$SIDE/resolve" mine
check 'mine are shown there' sees "$OTHER" mine3

# What was chosen by an attribute stays chosen when another mount changes a file.
echo 2.16 >"$SIDE/framework_version"
check 'a framework version of the user'"'"'s' sync "$MNT/models/iris"
same() {
	cmp -s "$SIDE/versions/current" "$OTHER/models/iris/.sagemaker/versions/current"
}
check 'known elsewhere' wait_until 15 same
cat "$OTHER/$NOTE" >/dev/null
publish "$OTHER" elsewhere >/dev/null
check_match 'keep it' '^2\.16' cat "$OTHER/models/iris/.sagemaker/framework_version"
check 'seen here' sees "$MNT" elsewhere
check_match 'and here' '^2\.16' cat "$SIDE/framework_version"

# The other removes the model between our look at the manifest and our writing: S3 says 404 to its If-Match.
echo late >"$MNT/$NOTE"
before=$(archives iris)
fault '[{"operation":"PutObject","nth":1,"action":"withhold"}]'
sync "$MNT/models/iris" &
syncing=$!
more() {
	[ "$(archives iris)" -gt "$before" ]
}
check 'the archive is there, and nobody has heard of it' wait_until 10 more
check 'the other removes it' wait_until 10 rm -r "$OTHER/models/iris"
fault '[]'
check_wait 'the sync publishes it anew' "$syncing"
check 'and it is there' sees "$OTHER" late
check 'unmount the other' mount_stop "$OTHER"
check 'unmount' mount_stop
done_testing
