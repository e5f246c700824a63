#!/usr/bin/env bash
# pjdfstest in a model's directory, as root in a mount that lets other users in. What it may not pass is in pjdfstest.toml, with
# the reason.
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"

PJDFSTEST=$("$TESTS_DIR/crate" pjdfstest 0.2.2)
chmod 755 "$WORLD"
second=$(mktemp -d /dev/shm/smfs-posix-XXXXXX) # another file system, for EXDEV
chmod 777 "$second"
mount_start -o allow_other,commit=explicit
mkdir "$MNT/models/posix"
chmod 777 "$MNT/models/posix"
rc=0
# again NAME: whether a test passes alone. Of open::etxtbsy one run in ten or so fails on FUSE file systems, whichever they are.
again() {
	[ "$1" = open::etxtbsy ] || return 1
	for _ in 1 2 3; do
		"$PJDFSTEST" -c "$TESTS_DIR/posix/pjdfstest.toml" -p "$MNT/models/posix" -e "pjdfstest::tests::$1" >"$WORLD/again" 2>&1 &&
			grep -q '[1-9][0-9]* .*passed' "$WORLD/again" && return
	done
	return 1
}
"$PJDFSTEST" -c "$TESTS_DIR/posix/pjdfstest.toml" -s "$second" -p "$MNT/models/posix" >"$WORLD/out" 2>&1 || rc=$?
rm -rf "$second"
sed -i 's/\x1b\[[0-9;]*m//g' "$WORLD/out"
while read -r name result; do
	case $result in
	ok) pass "$name" ;;
	'failed as expected') pass "$name is refused" ;;
	FAILED)
		if again "$name"; then
			pass "$name"
			rc=0
		else
			fail "$name" "$(grep -A1 -F -- "$name " "$WORLD/out" | tail -1)"
		fi
		;;
	'PASSED UNEXPECTEDLY') fail "$name" "$(grep -A1 -F -- "$name " "$WORLD/out" | tail -1)" ;;
	esac
done < <(grep -E '^[a-z:_0-9]+ +(ok|failed as expected|FAILED|PASSED UNEXPECTEDLY)$' "$WORLD/out")
check_out 'it ended well' 0 echo "$rc"
check_not 'and ran all there is' test "$PASSED" -lt 380
# Read-only: what its tests that mount anew look for.
mkdir "$MNT/models/posix/d" && echo x >"$MNT/models/posix/f" && ln -s f "$MNT/models/posix/l"
mount_stop
mount_start -o ro
m=$MNT/models/posix
for call in "touch $m/new" "mkdir $m/new" "rmdir $m/d" "rm -f $m/f" "mv $m/f $m/g" "ln -s f $m/new" "chmod 600 $m/f" "chown 0 $m/f" \
	"truncate -s 0 $m/f" "mkfifo $m/new" "touch -d @1 $m/f" "setfattr -n user.a -v b $m/f"; do
	# shellcheck disable=SC2086
	check_errno "read-only: ${call%% *}" EROFS $call
done
check_out 'read-only: it reads' x cat "$m/l"
check 'unmount' mount_stop
done_testing
