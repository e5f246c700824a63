#!/usr/bin/env bash
# The mount of an ordinary user: all of the main job, and nothing of it for others. Needs root, to be two other people.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
if [ "$(id -u)" -ne 0 ] || ! setpriv --reuid 65534 --regid 65534 --clear-groups test -r /dev/fuse -a -w /dev/fuse; then
	echo "skipped: this is not root, or /dev/fuse is closed to users"
	done_testing
fi

cp "$SAGEMAKERFS" "$WORLD/sagemakerfs"
cp -r "$SAGEMAKERFS_SERVE_DIR" "$WORLD/serve"
chmod 755 "$WORLD" "$WORLD/sagemakerfs"
tf_export "$WORLD/export"
mkdir "$WORLD/home"
chown -R 65534:65534 "$WORLD/home" "$MNT" "$WORLD/export" "$WORLD/tmp"
chmod -R a+rX "$WORLD/serve" "$WORLD/runtimes" "$WORLD/home"

# as UID COMMAND...: as somebody with an empty environment. /dev/null may be closed to them: nothing here opens it.
as() {
	local uid=$1
	shift
	setpriv --reuid "$uid" --regid "$uid" --clear-groups env -i HOME="$WORLD/home" PATH=/usr/bin:/bin TMPDIR="$WORLD/tmp" \
		SAGEMAKERFS_RUNTIMES="$WORLD/runtimes" SAGEMAKERFS_SERVE_DIR="$WORLD/serve" "$@"
}
me() {
	as 65534 "$@"
}
other() {
	as 65533 "$@"
}

if ! grep -qs '^user_allow_other' /etc/fuse.conf; then
	check_match '-o allow_other says what it needs' 'needs the line .user_allow_other. in /etc/fuse.conf' me "$WORLD/sagemakerfs" local "$MNT" -o allow_other
	check_not 'and mounts nothing' mounted "$MNT"
fi
check 'a user mounts' me "$WORLD/sagemakerfs" local "$MNT"
check 'copies a model' me cp -rT "$WORLD/export" "$MNT/models/iris"
check 'deploys it' me mkdir "$MNT/endpoints/iris"
# What a mode forbids its owner is forbidden here, too, and access(2) says so before.
d=$MNT/models/iris/1
me chmod 444 "$d/saved_model.pb"
me mkdir "$d/shut" "$d/blind"
me chmod 555 "$d/shut"
me chmod 0 "$d/blind"
check_not 'a read-only file: test -w' me test -w "$d/saved_model.pb"
check_errno 'a read-only file: writing' EACCES me bash -c "echo x >>'$d/saved_model.pb'"
check_errno 'a read-only file: truncating' EACCES me truncate -s 0 "$d/saved_model.pb"
check 'a read-only file: reading' me test -r "$d/saved_model.pb" -a -s "$d/saved_model.pb"
check_not 'it is no program' me test -x "$d/saved_model.pb"
check_errno 'a read-only directory: making' EACCES me touch "$d/shut/new"
check_errno 'a read-only directory: making another' EACCES me mkdir "$d/shut/new"
check_errno 'a closed directory: listing' EACCES me ls "$d/blind"
check_errno 'a closed directory: going through' EACCES me stat "$d/blind/x"
check_errno 'giving a file away' EPERM me chown 65533 "$d/saved_model.pb"
check_errno 'an attribute that nobody writes' EACCES me bash -c "echo x >'$MNT/endpoints/iris/arn'"
check_not 'an attribute that nobody writes: test -w' me test -w "$MNT/endpoints/iris/arn"
check 'an attribute that is written: test -w' me test -w "$MNT/endpoints/.defaults/instance_count"
me rm -r "$d/shut"
me chmod 755 "$d/blind" && me rmdir "$d/blind"
check_out 'it serves' InService me cat "$MNT/endpoints/iris/wait"
check_match 'it answers' '\[4\]' me bash -c "echo '[4]' >'$MNT/invoke/iris' && cat '$MNT/invoke/iris'"
home=$WORLD/home/.local
check_errno 'others do not see the mount' EACCES other ls "$MNT"
check_errno 'root does not either' EACCES ls "$MNT"
check_errno 'nor the store' EACCES other ls "$home/share/sagemakerfs/local"
check_errno 'nor its keys' EACCES other cat "$home/share/sagemakerfs/local/run.json"
check_errno 'nor what is staged' EACCES other ls "$home/state/sagemakerfs"
server=$(pgrep -u 65534 -f 'serve/tensorflow_server.py' | head -1)
check 'the model runs as that user' test "$server"
daemon=$(pgrep -u 65534 -f "sagemakerfs local $MNT" | head -1)
check_errno 'not even that user sees into the mount, which may hold keys' EACCES me cat "/proc/$daemon/environ"
check_errno 'nor into its memory' EACCES me head -c 1 "/proc/$daemon/mem"
# Somebody stands in it: fusermount3, which ordinary users unmount by, refuses.
check_match 'unmount while it is in use says so' 'is in use: a shell stands in it' me bash -c "cd '$MNT/models'; '$WORLD/sagemakerfs' unmount '$MNT'"
check 'and leaves it mounted' mounted "$MNT"
check_match 'another user cannot unmount it' 'was mounted by another user' other "$WORLD/sagemakerfs" unmount "$MNT"
check 'rmdir' me rmdir "$MNT/endpoints/iris"
check 'unmount' me "$WORLD/sagemakerfs" unmount "$MNT"
backend=$home/share/sagemakerfs/local/run.json
check 'the backend ends by itself' wait_until 30 test ! -e "$backend"
done_testing
