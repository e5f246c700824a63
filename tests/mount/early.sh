#!/usr/bin/env bash
# Files go to S3 while others are still written: what was sent early stands, what changes costs its own parts, what is known or
# removed leaves nothing behind; a kill -9 or a cut line in the middle costs no byte twice.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# account QUERY...: rows of the backend's own database: what is really there, whoever shows it.
account() {
	/usr/bin/python3 - "$STORE/store.db" "$@" <<'PY'
import sqlite3, sys
db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True, timeout=10)
for sql in sys.argv[2:]:
    for row in db.execute(sql):
        print(*[c.decode() if isinstance(c, bytes) else c for c in row])
PY
}

# begun NAME: unfinished uploads of that model; parts NAME: their parts; archives NAME: objects.
begun() {
	account "SELECT count(*) FROM upload WHERE CAST(key AS TEXT) LIKE 'model/$1/%'"
}

none_begun() {
	[ "$(begun "$1")" = 0 ]
}

parts() {
	account "SELECT count(*) FROM part JOIN upload ON upload.id = part.upload WHERE CAST(upload.key AS TEXT) LIKE 'model/$1/%'"
}

archives() {
	account "SELECT count(*) FROM object WHERE CAST(key AS TEXT) LIKE 'model/$1/%.tar.gz'"
}

has_parts() { # NAME N: at least so many
	[ "$(parts "$1")" -ge "$2" ]
}

# sent NAME T: MiB of that model's archive that came after T (seconds); the rest was there before.
sent() {
	local file size bytes=0
	while read -r file size; do
		[ "$(stat -c %.2Y "$(find "$STORE" -name "$file" | head -1)" | tr -d .)" -lt "${2//./}" ] || bytes=$((bytes + size))
	done < <(account "SELECT segment.file, segment.size FROM segment JOIN object ON object.id = segment.object WHERE CAST(key AS TEXT) LIKE 'model/$1/%.tar.gz'")
	echo $((bytes >> 20))
}

now() {
	date +%s.%N | cut -c 1-13
}

# weights FILE MIB
weights() {
	mkdir -p "$(dirname "$1")"
	head -c "$(($2 << 20))" /dev/urandom >"$1"
}

# archive_is NAME DIR: the published archive holds DIR's files under export/Servo, and is one gzip member.
archive_is() {
	rm -rf "$WORLD/unpacked" && mkdir "$WORLD/unpacked"
	fetch "$(cat "$MNT/models/$1/.sagemaker/uri")" "$WORLD/unpacked.tar.gz" || return 1
	/usr/bin/python3 - "$WORLD/unpacked.tar.gz" <<'PY' || return 1
import sys, zlib
d, data = zlib.decompressobj(31), open(sys.argv[1], "rb").read()
while data and not d.eof:
    d.decompress(data, 1 << 20)
    data = d.unconsumed_tail if not d.eof else d.unused_data
sys.exit(bool(data) or not d.eof)
PY
	tar xzf "$WORLD/unpacked.tar.gz" -C "$WORLD/unpacked" && diff -r "$2" "$WORLD/unpacked/export/Servo"
}

fetch() { # URI FILE
	eval "$("$SAGEMAKERFS" env "$MNT")"
	curl -fsS --aws-sigv4 "aws:amz:$AWS_REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -o "$2" \
		-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$AWS_ENDPOINT_URL/${1#s3://}"
}

# hold NAME FILE: one more file is held open, as by a copy that goes on, until release.
hold() {
	exec 9>"$MNT/models/$1/1/assets/$2"
	printf x >&9
}

release() {
	exec 9>&-
}

export_of() { # DIR
	tf_export "$1"
	weights "$1/1/assets/a.bin" 24
	weights "$1/1/assets/b.bin" 20
	for i in $(seq 30); do
		weights "$1/1/assets/small/$i.bin" 1
	done
}

mount_start
export_of "$WORLD/src"

# While the last file is still open, the others are there already.
cp -rT "$WORLD/src" "$MNT/models/iris"
hold iris last.bin
check 'parts are there while the copy still runs' wait_until 20 has_parts iris 6
check_errno 'nothing is published' ENODATA cat "$MNT/models/iris/.sagemaker/uri"
check_out 'no archive is there' 0 archives iris
cat "$WORLD/src/1/assets/b.bin" >&9
release
(printf x && cat "$WORLD/src/1/assets/b.bin") >"$WORLD/src/1/assets/last.bin"
before=$(now)
check 'sync ends it' sync "$MNT/models/iris"
check 'the archive is the source' archive_is iris "$WORLD/src"
check_match 'the end took what was missing: the last file and less than one group' '^(2[0-9]|3[0-7])$' sent iris "$before"
check_out 'nothing is left unfinished' 0 begun iris
check_out 'one archive' 1 archives iris

# A file that changes later costs its own parts: a is 24 MiB of 74.
cp -rT "$WORLD/src" "$MNT/models/again"
hold again open
check 'sent early' wait_until 20 has_parts again 7
before=$(now)
weights "$WORLD/src/1/assets/a.bin" 24
cp "$WORLD/src/1/assets/a.bin" "$MNT/models/again/1/assets/a.bin"
rm "$MNT/models/again/1/assets/open"
release
rm "$MNT/models/again/1/assets/small/7.bin" "$WORLD/src/1/assets/small/7.bin"
check 'sync' sync "$MNT/models/again"
check_match 'changed and removed files cost their own parts' '^([345][0-9])$' sent again "$before"
check 'the archive is the source as it is now' archive_is again "$WORLD/src"
check_out 'nothing is left unfinished' 0 begun again

# The same once more: nothing goes out, early or late.
before=$(now)
cp -rT "$WORLD/src" "$MNT/models/again"
sleep 0.5
check 'sync of the same' sync "$MNT/models/again"
check_out 'unchanged content is not sent' 0 sent again "$before"
check_out 'nor another archive made' 1 archives again
check_out 'and nothing was begun' 0 begun again

# Removed before it was whole.
cp -rT "$WORLD/src" "$MNT/models/gone"
hold gone open
check 'sent early' wait_until 20 has_parts gone 2
release
check 'rm -r' rm -r "$MNT/models/gone"
check 'takes what was sent with it' wait_until 20 none_begun gone
check_out 'no archive' 0 archives gone

# Renamed before it was published: another key.
cp -rT "$WORLD/src" "$MNT/models/old"
hold old open
check 'sent early' wait_until 20 has_parts old 2
rm "$MNT/models/old/1/assets/open"
release
wait_until 20 mv "$MNT/models/old" "$MNT/models/new" # EBUSY while parts are packed
check 'sync under the new name' sync "$MNT/models/new"
check 'the archive is the source' archive_is new "$WORLD/src"
check 'nothing of the old name stays' wait_until 20 none_begun old

mount_stop

# Whoever pays for the line says when.
mount_start -o commit=explicit
cp -rT "$WORLD/src" "$MNT/models/metered"
hold metered open
sleep 1
check_out 'commit=explicit: nothing is sent early' 0 begun metered
rm "$MNT/models/metered/1/assets/open"
release
mount_stop

# kill -9 with some parts there, and with all but the answer to the last call: the next mount makes them again and sends those that are
# missing.
mount_start
killed() { # NAME FAULT PARTS MOST
	fault "[$2]"
	cp -rT "$WORLD/src" "$MNT/models/$1"
	check "$1: parts are there" wait_until 30 has_parts "$1" "$3"
	kill -KILL "$(daemon_pid)"
	fault '[]'
	before=$(now)
	mount_start
	check "$1: the next mount finishes it" timeout 60 sync "$MNT/models/$1"
	check_match "$1: and sends what was missing" "^$4$" sent "$1" "$before"
	check "$1: the archive is the source" archive_is "$1" "$WORLD/src"
	check_out "$1: nothing is left unfinished" 0 begun "$1"
	check_out "$1: nothing is there twice" 1 archives "$1"
}
killed middle '{"operation":"UploadPart","nth":6,"action":"withhold"}' 5 '(1[0-9]|[2-4][0-9])'
killed end '{"operation":"CompleteMultipartUpload","nth":0,"action":"withhold"}' 9 '(|1)[0-9]'

# The line is cut: parts fail for good; the next try goes on.
fault '[{"operation":"UploadPart","nth":8,"action":"status","arg":403,"code":"AccessDenied","message":"cut"}]'
cp -rT "$WORLD/src" "$MNT/models/cut"
sync "$MNT/models/cut" 2>/dev/null || :
fault '[]'
check 'a failure in the middle' timeout 60 sync "$MNT/models/cut"
check 'the archive is the source' archive_is cut "$WORLD/src"
check_out 'nothing is left unfinished' 0 begun cut
check_out 'one archive' 1 archives cut

check 'unmount' mount_stop
done_testing
