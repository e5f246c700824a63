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
# The kernel tells of a close and forgets a removed file after it has answered: who writes next is not told that the disk is full.
check 'a write waits for the room of what was removed just now' /usr/bin/python3 - "$MNT/models/small/1" <<'PY'
import errno, os, sys, threading
top = sys.argv[1]
big = os.open(top + "/big", os.O_WRONLY | os.O_CREAT)
try:
    while True:
        os.write(big, bytes(1 << 20))
except OSError as e:
    assert e.errno == errno.ENOSPC, e
os.unlink(top + "/big")
threading.Timer(0.05, os.close, [big]).start()
with open(top + "/next", "wb", buffering=0) as f:
    assert f.write(bytes(1 << 20)) == 1 << 20
os.unlink(top + "/next")
PY
check 'and commits' sync "$MNT/models/small"
check 'unmount' mount_stop
done_testing
