#!/usr/bin/env bash
# Files go to S3 while others are still written: what was sent early stands, what changes costs its own parts, what is known or
# removed leaves nothing behind; a kill -9 or a cut line in the middle costs no byte twice.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

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

is_there() {
	[ "$(archives "$1")" = 1 ]
}

# there NAME: MiB of its parts and archives, rounded down.
there() {
	account "SELECT (coalesce((SELECT sum(part.size) FROM part JOIN upload ON upload.id = part.upload WHERE CAST(upload.key AS TEXT) LIKE 'model/$1/%'), 0) +
		coalesce((SELECT sum(size) FROM object WHERE CAST(key AS TEXT) LIKE 'model/$1/%.tar.gz'), 0)) >> 20"
}

at_most() { # N COMMAND...
	local n
	n=$("${@:2}") && [ "$n" -le "$1" ] || {
		echo "$n instead of at most $1"
		return 1
	}
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
d, after = zlib.decompressobj(31), b""
with open(sys.argv[1], "rb") as f:
    while piece := f.read(1 << 20):
        after += piece if d.eof else b""
        d.decompress(piece) if not d.eof else None
sys.exit(bool(after or d.unused_data) or not d.eof)
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
	mkdir -p "$MNT/models/$1/1/assets"
	exec 9>"$MNT/models/$1/1/assets/$2"
	printf x >&9
}

release() {
	exec 9>&-
}

tf_export "$WORLD/few"
weights "$WORLD/few/1/assets/a.bin" 17
cp -r "$WORLD/few" "$WORLD/src"
weights "$WORLD/src/1/assets/b.bin" 17
for i in $(seq 20); do
	weights "$WORLD/src/1/assets/small/$i.bin" 1
done

mount_start

# While the last file is still open, the others are there already: as soon as what the model is known by has come, however late.
hold iris last.bin
mv "$WORLD/src/1/saved_model.pb" "$WORLD/src/1/variables" "$WORLD"
cp -rT "$WORLD/src" "$MNT/models/iris"
sleep 0.5
check_out 'files of a model that is not recognised yet wait' 0 parts iris
mv "$WORLD/saved_model.pb" "$WORLD/variables" "$WORLD/src/1"
cp -r "$WORLD/src/1/saved_model.pb" "$WORLD/src/1/variables" "$MNT/models/iris/1"
check 'small files at the end make them go, while the copy still runs' wait_until 60 has_parts iris 6
check_errno 'nothing is published' ENODATA cat "$MNT/models/iris/.sagemaker/uri"
check_out 'no archive is there' 0 archives iris
cat "$WORLD/src/1/assets/b.bin" >&9
before=$(now) # closed, it may go by itself before sync asks for it
release
(printf x && cat "$WORLD/src/1/assets/b.bin") >"$WORLD/src/1/assets/last.bin"
check 'sync ends it' sync "$MNT/models/iris"
check 'the archive is the source' archive_is iris "$WORLD/src"
check_match 'the end took what was missing: the last file and less than one group' '^(1[7-9]|2[0-9]|3[0-3])$' sent iris "$before"
check_out 'nothing is left unfinished' 0 begun iris
check_out 'one archive' 1 archives iris

# Many small files do not wait for what their model is known by, and stand where they will be.
weights "$WORLD/src/1/assets/more.bin" 12
hold late last.bin
cp -r "$WORLD/src/1/assets" "$MNT/models/late/1"
check 'many small files go before the model is recognised' wait_until 60 has_parts late 6
cp -rT "$WORLD/src" "$MNT/models/late"
release
before=$(now)
check 'sync of what was recognised late' sync "$MNT/models/late"
check 'that archive is the source, too' archive_is late "$WORLD/src"
check_match 'what went early stands' '^([0-9]|[12][0-9]|3[0-9])$' sent late "$before"
rm "$WORLD/src/1/assets/more.bin"

# The same once more: nothing goes out, early or late.
before=$(now)
cp -rT "$WORLD/src" "$MNT/models/iris"
sleep 0.3
check 'sync of the same' sync "$MNT/models/iris"
check_out 'unchanged content is not sent' 0 sent iris "$before"
check_out 'nor another archive made' 1 archives iris
check_out 'and nothing was begun' 0 begun iris

# A file that changes later costs its own parts: of 72 MiB, two files of 17 stay.
hold again open
cp -rT "$WORLD/src" "$MNT/models/again"
check 'sent early' wait_until 60 has_parts again 8
before=$(now)
weights "$WORLD/src/1/assets/a.bin" 17
cp "$WORLD/src/1/assets/a.bin" "$MNT/models/again/1/assets/a.bin"
rm "$MNT/models/again/1/assets/open"
release
rm "$MNT/models/again/1/assets/small/7.bin" "$WORLD/src/1/assets/small/7.bin"
check 'sync' sync "$MNT/models/again"
check 'changed and removed files cost their own parts' at_most 40 sent again "$before"
check 'the archive is the source as it is now' archive_is again "$WORLD/src"
check_out 'nothing is left unfinished' 0 begun again

# Removed before it was whole.
hold gone open
cp -rT "$WORLD/few" "$MNT/models/gone"
check 'sent early' wait_until 60 has_parts gone 2
release
check 'rm -r' rm -r "$MNT/models/gone"
check 'takes what was sent with it' wait_until 60 none_begun gone
check_out 'no archive' 0 archives gone

# Renamed before it was published: another key.
hold old open
cp -rT "$WORLD/few" "$MNT/models/old"
check 'sent early' wait_until 60 has_parts old 2
rm "$MNT/models/old/1/assets/open"
release
wait_until 60 mv "$MNT/models/old" "$MNT/models/new" # EBUSY while parts are packed
check 'sync under the new name' sync "$MNT/models/new"
check 'the archive is the source' archive_is new "$WORLD/few"
check 'nothing of the old name stays' wait_until 60 none_begun old

rm "$WORLD/src/1/assets/b.bin"

# The line is cut: parts fail for good; the next try goes on.
fault '[{"operation":"UploadPart","nth":5,"action":"status","arg":403,"code":"AccessDenied","message":"cut"}]'
cp -rT "$WORLD/src" "$MNT/models/cut"
sync "$MNT/models/cut" 2>/dev/null || :
fault '[]'
check 'a failure in the middle' timeout 60 sync "$MNT/models/cut"
check 'the archive is the source' archive_is cut "$WORLD/src"
check_out 'nothing is left unfinished' 0 begun cut
check_out 'one archive' 1 archives cut

# kill -9 with some parts there, and with all but the answer to the last call: the next mount makes them again and sends those that are
# missing.
killed() { # NAME FAULT REACHED... -- MOUNT-OPTION...
	local name=$1 stood reached=()
	fault "[$2]"
	shift 2
	while [ "$1" != -- ]; do
		reached+=("$1")
		shift
	done
	shift
	cp -rT "$WORLD/src" "$MNT/models/$name"
	check "$name: parts are there" wait_until 60 "${reached[@]}"
	daemon_dies
	fault '[]'
	stood=$(there "$name")
	before=$(now)
	mount_start "$@"
	check "$name: the next mount finishes it" timeout 60 sync "$MNT/models/$name"
	check "$name: and sends no more than was missing" at_most $(($(there "$name") - stood)) sent "$name" "$before"
	check "$name: the archive is the source" archive_is "$name" "$WORLD/src"
	check_out "$name: nothing is left unfinished" 0 begun "$name"
	check_out "$name: nothing is there twice" 1 archives "$name"
}
killed middle '{"operation":"UploadPart","nth":5,"action":"withhold"}' has_parts middle 4 --
killed end '{"operation":"CompleteMultipartUpload","nth":0,"action":"withhold"}' is_there end -- -o commit=explicit,upload_limit=12M

# Whoever pays for the line says when.
hold metered open
cp -rT "$WORLD/few" "$MNT/models/metered"
sleep 0.5
check_out 'commit=explicit: nothing is sent early' 0 begun metered
rm "$MNT/models/metered/1/assets/open"
release
slow_sync() { # 17 MiB, of which a few pieces of 0.75 MiB may be ahead of the rate
	local began
	began=$(date +%s%3N)
	sync "$MNT/models/metered"
	[ $(($(date +%s%3N) - began)) -ge 1000 ]
}
check 'upload_limit: no faster than 12 MiB a second' slow_sync
check_out 'and it is there' 1 archives metered

# Nobody goes on with it. What an earlier mount began is aborted when it is a week old, what this one began after an hour (here: a second).
cut_off() { # NAME: one part is there
	fault '[{"operation":"UploadPart","nth":2,"action":"status","arg":403,"code":"AccessDenied","message":"cut"}]'
	sync "$MNT/models/$1" 2>/dev/null || :
	fault '[]'
}
logged() {
	grep -rqF "$1" "$XDG_STATE_HOME/sagemakerfs" --include='*log*'
}
cp -rT "$WORLD/few" "$MNT/models/left"
cut_off left
check_out 'an upload was begun' 1 begun left
daemon_dies
/usr/bin/python3 - "$(find "$XDG_STATE_HOME/sagemakerfs" -name journal)" <<'PY'
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
for n, text in db.execute("SELECT id, json FROM operation WHERE kind = 'upload' AND name = 'left'").fetchall():
    row = json.loads(text)
    row["begun"] -= 8 * 86400
    db.execute("UPDATE operation SET json = ? WHERE id = ?", (json.dumps(row), n))
db.commit()
PY
SAGEMAKERFS_ABANDON_AFTER=1 mount_start -o commit=explicit
check 'one of last week is aborted' wait_until 60 logged 'that never ended'
check 'nothing of it is left' wait_until 60 none_begun left
cut_off left
check 'so is one that nobody goes on with' wait_until 60 logged 'not gone on with for 1 s'
check 'nothing of it is left' wait_until 60 none_begun left
check 'the files are, and can be published' sync "$MNT/models/left"
check 'the archive is the source' archive_is left "$WORLD/few"

check 'unmount' mount_stop
done_testing
