#!/usr/bin/env bash
# Sixteen writers and more readers at once in one model; a file that is replaced is there and whole at every moment, on this mount
# and, published, on another.
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"

mount_start -o commit=explicit
mkdir "$MNT/models/many"
check 'sixteen writers and ten readers' /usr/bin/python3 "$TESTS_DIR/posix/many.py" "$MNT/models/many"
check 'the same in a directory far down' bash -c "
	mkdir -p '$MNT/models/many/a_/b/c/d/e/f' && /usr/bin/python3 '$TESTS_DIR/posix/many.py' '$MNT/models/many/a_/b/c/d/e/f'"

# Another mount reads a model while this one publishes it again and again.
mount_at "$WORLD/mnt2"
tf_export "$WORLD/export" 0
cp -rT "$WORLD/export" "$MNT/models/over"
sync "$MNT/models/over"
/usr/bin/python3 - "$WORLD/mnt2/models/over/1/assets/note.txt" "$WORLD/done" >"$WORLD/seen" 2>&1 <<'PY' &
import os, sys
path, done = sys.argv[1:]
sizes = [1, 5000, 3000, 6000, 1000, 5000]
seen = []
while True:
    last = os.path.exists(done)
    with open(path) as f:
        text = f.read()
    assert text == text[:1] * (sizes[int(text[:1] or 0)]), f"half a file: {text[:20]!r} ... {len(text)}"
    if text[0] not in seen:
        seen.append(text[0])
    if last and seen[-1] == "5":
        break
assert seen == sorted(seen), f"back in time: {seen}"
print("".join(seen))
PY
reader=$!
sizes=(1 5000 3000 6000 1000 5000)
for v in 1 2 3 4 5; do
	printf "$v%.0s" $(seq "${sizes[v]}") >"$MNT/models/over/1/assets/.note.tmp"
	mv "$MNT/models/over/1/assets/.note.tmp" "$MNT/models/over/1/assets/note.txt"
	sync "$MNT/models/over"
done
touch "$WORLD/done"
check_wait 'a reader on another mount sees each version whole or not at all' "$reader"
check_match 'and the last one' '5$' cat "$WORLD/seen"
check 'unmount' mount_stop
done_testing
