#!/usr/bin/env bash
# Reading back what another mount published: by ranges, verified, cached, bounded. Mount A writes; B has a cache of its own.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

B=$WORLD/mnt2

listed() { # how many ListModels the backend's numbers know of
	jq '.requests.ListModels // {} | add // 0' "$STORE/stats.json"
}

knows_more() { # than N
	[ "$(listed)" -gt "$1" ]
}

# sent: bytes of bodies that the backend has sent. It tells every 3 s: a call made now is in what it tells when all before it are.
sent() {
	local known
	known=$(listed)
	api ListModels '{}' >/dev/null
	wait_until 30 knows_more "$known"
	jq .bytes.sent "$STORE/stats.json"
}

# start_b [options]: B anew, with nothing cached.
start_b() {
	! mounted "$B" || mount_stop "$B"
	rm -rf "$WORLD/cache-b"
	mkdir -p "$WORLD/cache-b"
	XDG_CACHE_HOME=$WORLD/cache-b mount_at "$B" "$@"
}

cached() {
	du -sb --apparent-size "$WORLD/cache-b/sagemakerfs/archives" | cut -f1
}

# Three kinds of chunks: noise (stored), text (deflated), many small files that share one.
mount_start
mkdir "$WORLD/src"
tf_export "$WORLD/src" note
mkdir -p "$WORLD/src/1/assets/deep/er"
head -c 40000000 /dev/urandom >"$WORLD/src/1/assets/noise"
seq 2800000 >"$WORLD/src/1/assets/text"
for i in $(seq 300); do echo "small $i" >"$WORLD/src/1/assets/deep/er/$i"; done
: >"$WORLD/src/1/assets/empty"
chmod 640 "$WORLD/src/1/assets/deep/er/7"
chmod 755 "$WORLD/src/1/assets/deep/er/8"
touch -d 2001-02-03T04:05:06Z "$WORLD/src/1/assets/text"
cp -aT "$WORLD/src" "$MNT/models/big"
sync "$MNT/models/big"

start_b
before=$(sent)
check_out 'a small file of a large model' note cat "$B/models/big/1/assets/note.txt"
check_out 'the beginning of a large one' "$(head -c 100 "$WORLD/src/1/assets/noise" | sha256sum)" \
	bash -c "head -c 100 '$B/models/big/1/assets/noise' | sha256sum"
after=$(sent)
check "take two ranges, not the model ($((after - before)) bytes of 63 MB)" test $((after - before)) -lt 27000000
check_out 'the end of it' "$(tail -c 1000 "$WORLD/src/1/assets/noise" | sha256sum)" \
	bash -c "tail -c 1000 '$B/models/big/1/assets/noise' | sha256sum"
check_out 'a place in the middle, across two chunks' "$(dd if="$WORLD/src/1/assets/noise" bs=1M skip=10 count=12 status=none | sha256sum)" \
	bash -c "dd if='$B/models/big/1/assets/noise' bs=1M skip=10 count=12 status=none | sha256sum"
check 'cp -a of all' cp -a "$B/models/big" "$WORLD/backup"
check 'is the source' diff -r "$WORLD/src" "$WORLD/backup"
check_out 'with modes and times' "$(cd "$WORLD/src" && find . -type f -printf '%P %m %Ts\n' | sort)" \
	bash -c "cd '$WORLD/backup' && find . -type f -printf '%P %m %Ts\n' | sort"
fault '[{"operation":"GetObject","nth":0,"action":"reset","before":true}]'
check 'again it comes from the cache, without S3' diff -r "$WORLD/src" "$B/models/big"
fault '[]'
check_out 'grep -r finds' "$B/models/big/1/assets/deep/er/77:small 77" grep -rx 'small 77' "$B/models/big/1/assets/deep"
check 'an open file is still read after the next version' /usr/bin/python3 - "$B/models/big/1/assets/note.txt" "$MNT/models/big" <<'PY'
import os, subprocess, sys, time
with open(sys.argv[1], "rb", buffering=0) as f:
    with open(sys.argv[2] + "/1/assets/note.txt", "w") as w:
        w.write("changed")
    subprocess.run(["sync", sys.argv[2]], check=True)
    end = time.time() + 10
    while open(sys.argv[1]).read() != "changed":
        assert time.time() < end, "the new version never showed"
        time.sleep(0.2)
    f.seek(0)
    assert f.read() in (b"note", b"changed")
PY

# What is kept on disk may rot; what comes from S3, too. Neither is ever served.
mount_stop "$B"
find "$WORLD/cache-b/sagemakerfs/archives" -type f | while read -r f; do printf 'X' | dd of="$f" bs=1 seek=5000 conv=notrunc status=none; done
XDG_CACHE_HOME=$WORLD/cache-b mount_at "$B"
check 'a damaged cache is fetched again' cmp "$WORLD/src/1/assets/text" "$B/models/big/1/assets/text"
check_match 'and the log says so' 'was damaged; it is fetched again' bash -c "cat '$WORLD'/state/sagemakerfs/local-*/log"

start_b
flip() { # bits in all of the archives as the store keeps them
	find "$STORE" -type f -size +5M -print0 | xargs -0 /usr/bin/python3 -c '
import os, sys
for path in sys.argv[1:]:
    with open(path, "r+b") as f:
        for at in range(100000, os.fstat(f.fileno()).st_size, 1 << 20):
            f.seek(at)
            b = f.read(1)
            f.seek(at)
            f.write(bytes([b[0] ^ 4]))
'
}
flip
check_errno 'what is not what was published is not served' EBADMSG cat "$B/models/big/1/assets/noise"
check_match 'and the sentence says so' "'1/assets/noise'.*not those that were published" cat "$B/models/.error"
check_not 'nor copied up' touch "$B/models/big/1/assets/noise"
flip
check 'healed, it is read' cmp "$WORLD/src/1/assets/noise" "$B/models/big/1/assets/noise"

# A cache that is smaller than the model.
start_b -o cache_size=36M
check 'a small cache serves a large model' cmp "$WORLD/src/1/assets/noise" "$B/models/big/1/assets/noise"
check 'all of it' cmp "$WORLD/src/1/assets/text" "$B/models/big/1/assets/text"
check "and stays small ($(cached))" test "$(cached)" -lt 38000000
start_b -o cache_size=0
check 'without a cache' cmp "$WORLD/src/1/assets/noise" "$B/models/big/1/assets/noise"
check_out 'nothing is kept' 0 bash -c "find '$WORLD/cache-b' -type f | wc -l"

# The backend stops answering in the middle.
start_b
head -c 100 "$B/models/big/1/assets/noise" >/dev/null
fault '[{"operation":"GetObject","nth":0,"action":"status","arg":500,"code":"InternalError","message":"We encountered an internal error."}]'
check_not 'S3 fails in mid read' cmp "$WORLD/src/1/assets/noise" "$B/models/big/1/assets/noise"
check_match 'the sentence says what' "cannot read '1/assets/noise' of the published model 'big'.*InternalError" cat "$B/models/.error"
fault '[]'
check 'later it is read' cmp "$WORLD/src/1/assets/noise" "$B/models/big/1/assets/noise"
start_b
fault '[{"operation":"GetObject","nth":0,"action":"withhold"}]'
ls "$B/models/big" >/dev/null 2>&1 &
timeout -s INT 2 cat "$B/models/big/1/assets/text" >/dev/null 2>&1 || :
check 'a read that waits can be interrupted, and ls goes on' timeout 15 ls "$B/models"
fault '[]'
wait

# The first change copies it up, verified.
start_b
echo more >"$B/models/big/1/assets/more"
cp "$WORLD/src/1/assets/deep/er/8" "$WORLD/src/1/assets/more"
echo more >"$WORLD/src/1/assets/more"
printf changed >"$WORLD/src/1/assets/note.txt"
check 'copied up, it is the same' diff -r "$WORLD/src" "$B/models/big"
check 'published from there' sync "$B/models/big"
check 'and read by the first' diff -r "$WORLD/src" "$MNT/models/big"
check 'unmount' mount_stop "$B"
check 'unmount the first' mount_stop
done_testing
