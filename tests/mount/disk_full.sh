#!/usr/bin/env bash
# A full staging disk is ENOSPC at the write, and nothing else is lost.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" -ne 0 ]; then
	echo "FAIL disk_full: needs root (a tmpfs of its own)"
	echo "0 passed, 1 failed"
	exit 1
fi
mount -t tmpfs -o size=24m none "$WORLD/state"
release() {
	umount -l "$WORLD/state" 2>/dev/null || :
	cleanup
}
trap release EXIT
mount_start
tf_export "$WORLD/export"
cp -rT "$WORLD/export" "$MNT/models/small" && sync "$MNT/models/small"
check_errno 'a full disk is said so' ENOSPC dd if=/dev/zero of="$MNT/models/small/1/big" bs=1M count=64
check_match 'models/.error says which disk' 'space' cat "$MNT/models/.error"
check 'the rest is there' cmp "$WORLD/export/1/saved_model.pb" "$MNT/models/small/1/saved_model.pb"
rm -f "$MNT/models/small/1/big"
check 'and it works again' cp "$WORLD/export/1/saved_model.pb" "$MNT/models/small/1/copy.pb"
rm "$MNT/models/small/1/copy.pb"
check 'and commits' sync "$MNT/models/small"
check 'unmount' mount_stop
done_testing
