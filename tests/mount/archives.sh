#!/usr/bin/env bash
# Whatever program writes a model: its directory is what the same program makes of a directory on the disk, and the published archive
# holds just that. Each row is a name and a shell command that works in $D, and is run once in each place.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

export WORLD SRC=$WORLD/src ZIP=$WORLD/src.zip TAR=$WORLD/src.tar REPO=$WORLD/repo GIT_CONFIG_GLOBAL=/dev/null
mkdir -p "$SRC/code" "$SRC/a b/ü-名前/deep/er" "$SRC/empty.d"
# An image of one's own: everything is packed as it is.
echo '{"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/own:1"}' >"$SRC/sagemaker.json"
printf 'line %s\n' $(seq 2000) >"$SRC/text.txt"
head -c 700000 /dev/urandom >"$SRC/weights.bin"
head -c 3000 /dev/urandom >"$SRC/a b/ü-名前/deep/er/we ights"
: >"$SRC/code/empty"
printf '#!/bin/sh\necho serving\n' >"$SRC/code/serve" && chmod 755 "$SRC/code/serve"
chmod 640 "$SRC/text.txt"
tar -C "$SRC" -cf "$TAR" .
(cd "$SRC" && /usr/bin/python3 -m zipfile -c "$ZIP" ./*)
git init -q "$REPO" && cp -rT "$SRC" "$REPO"
git -C "$REPO" add -A && git -C "$REPO" -c user.name=t -c user.email=t@example.com commit -qm t

read -r -d '' ROWS <<'ROWS' || :
cp-r         cp -rT "$SRC" "$D"
cp-a         cp -aT "$SRC" "$D"
cp-sparse    cp -rT "$SRC" "$D"; truncate -s 900000 "$D/hole"; cp --sparse=always "$D/hole" "$D/hole2"; printf x | dd of="$D/hole" bs=1 seek=500000 conv=notrunc status=none
mv           cp -r "$SRC" "$TMP/m"; mv "$TMP/m"/* "$D/"
mv-within    cp -rT "$SRC" "$D"; mv "$D/code" "$D/kode"; mv "$D/a b/ü-名前" "$D/code"; mv -T "$D/kode" "$D/a b/c"; mv "$D/weights.bin" "$D/text.txt"
rsync        rsync -r "$SRC/" "$D/"
rsync-inplace rsync -r "$SRC/" "$D/"; cp -rT "$SRC" "$TMP/r"; printf new >>"$TMP/r/weights.bin"; rsync -r --inplace --no-whole-file "$TMP/r/" "$D/"
rsync-a      rsync -a "$SRC/" "$D/"; cp -aT "$SRC" "$TMP/r"; rm "$TMP/r/text.txt"; chmod 755 "$TMP/r/weights.bin"; rsync -a --delete "$TMP/r/" "$D/"
rsync-delay  rsync -a --delay-updates --partial-dir=.part "$SRC/" "$D/"
tar          tar -C "$D" -xf "$TAR"; tar -C "$D" -xf "$TAR" ./text.txt ./code
unzip        unzip -q "$ZIP" -d "$D"; unzip -qo "$ZIP" -d "$D"
git          rmdir "$D"; git clone -q --no-hardlinks "$REPO" "$D"; git -C "$D" rm -q text.txt
install      install -D -m 755 "$SRC/code/serve" "$D/bin/x/serve"; install -m 600 "$SRC/text.txt" "$SRC/weights.bin" "$SRC/sagemaker.json" "$D"; install -C "$SRC/text.txt" "$D"
dd           cp "$SRC/sagemaker.json" "$D"; dd if="$SRC/weights.bin" of="$D/w" bs=1000 status=none; dd if=/dev/zero of="$D/w" bs=77 count=3 seek=5 conv=notrunc status=none; dd if="$SRC/text.txt" of="$D/t" bs=4k oflag=append conv=notrunc,fsync status=none; dd if="$SRC/text.txt" of="$D/direct" bs=4096 count=1 status=none
vim          cp -rT "$SRC" "$D"; for how in no yes auto; do vim -N -u NONE -i NONE -es -c "set backupcopy=$how backup" -c "%s/line/$how/" -c wq "$D/text.txt" || :; done
sed          cp -rT "$SRC" "$D"; sed -i s/line/row/ "$D/text.txt"; sed -i.bak 1d "$D/text.txt"; perl -pi -e s/row/raw/ "$D/text.txt"
savers       cp -rT "$SRC" "$D"; python3 "$WORLD/savers.py" "$D"
copytree     rmdir "$D"; python3 -c "import shutil, sys; shutil.copytree(*sys.argv[1:])" "$SRC" "$D"; python3 -c "import shutil, sys; shutil.copytree(*sys.argv[1:], dirs_exist_ok=True)" "$SRC" "$D"; python3 -c "import shutil, sys; shutil.move(*sys.argv[1:])" "$D/code" "$D/kode"
pathlib      cp "$SRC/sagemaker.json" "$D"; python3 "$WORLD/paths.py" "$D"
mmap         cp -rT "$SRC" "$D"; python3 "$WORLD/maps.py" "$D"
shell        cp "$SRC/sagemaker.json" "$D"; cd "$D"; echo a >x; echo b >>x; cat x x >y; tee z <y >/dev/null; seq 9 | split -l 3 - part.; mkdir -p p/q; touch p/q/r; rm z; tac y >z; sort -o y y; truncate -s 3 z; ln -f x h 2>/dev/null || cp x h
links        cp -rT "$SRC" "$D"; ln -s text.txt "$D/link"; ln -s ../link "$D/code/up"; ln -s 'a b/ü-名前' "$D/dir"; ln -sfn weights.bin "$D/link"; cp -a "$D/code" "$D/kode"
find-rm      cp -rT "$SRC" "$D"; find "$D" -name '*e*r*' ! -name '*.json' -delete 2>/dev/null || :; rm -rf "$D/code"; cp -r "$SRC/code" "$D/"
ROWS

# Editors: in place; by a new file over it; by the old one aside.
cat >"$WORLD/savers.py" <<'PY'
import os, sys
os.chdir(sys.argv[1])
def nano(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC); os.write(fd, data); os.fsync(fd); os.close(fd)
def gedit(path, data):
    temp = f".goutputstream-{os.getpid()}"
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600); os.write(fd, data); os.fchmod(fd, os.stat(path).st_mode & 0o777); os.fsync(fd); os.close(fd)
    os.rename(temp, path)
def emacs(path, data):
    os.rename(path, path + "~")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644); os.write(fd, data); os.close(fd)
    open(".#lock", "w").close(); os.unlink(".#lock")
for n, save in enumerate((nano, gedit, emacs) * 2):
    save("text.txt", b"saved %d\n" % n * (n + 1))
PY
cat >"$WORLD/paths.py" <<'PY'
import os, pathlib, sys, tempfile
d = pathlib.Path(sys.argv[1])
(d / "x/y").mkdir(parents=True)
(d / "x/y/b.bin").write_bytes(bytes(range(256)) * 500)
(d / "x/t.txt").write_text("häl\nlo")
(d / "x/y/b.bin").rename(d / "x/c.bin")
(d / "x/c.bin").replace(d / "x/t.txt")
(d / "touched").touch(mode=0o755)
(d / ("n" * 255)).write_bytes(b"long")
with tempfile.NamedTemporaryFile(dir=d, delete=False) as f:
    f.write(b"x" * 9999)
os.chmod(f.name, 0o644)
os.replace(f.name, d / "atomic")
with (d / "gone").open("w+b") as f:
    (d / "gone").unlink()
    f.write(b"still"); f.seek(0); assert f.read() == b"still"
with (d / "atomic").open("r+b") as f:
    f.seek(5); f.write(b"FIVE"); f.truncate(100); f.seek(0, 2); f.write(b"end")
(d / "x/y").rmdir()
PY
cat >"$WORLD/maps.py" <<'PY'
import mmap, os, sys
os.chdir(sys.argv[1])
with open("weights.bin", "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
    m[1000:1004] = b"mmap"; m[-4:] = b"last"; m.move(5000, 0, 3000)
    assert m.find(b"mmap") == 1000
with open("weights.bin", "rb") as f:
    f.seek(1000); assert f.read(4) == b"mmap"
with open("new", "w+b") as f:
    f.truncate(100000)
    with mmap.mmap(f.fileno(), 0) as m:
        for i in range(0, 100000, 4096):
            m[i] = i % 251
        m.flush()
with open("private", "wb") as f:
    f.write(b"p" * 5000)
with open("private", "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY) as m:
    m[0:3] = b"not"
PY

# compare DIR ARCHIVE: the archive's files are the directory's, less what is not packed.
cat >"$WORLD/compare.py" <<'PY'
import fnmatch, os, sys, tarfile
top, archive = sys.argv[1:]
left_out = (".git", "*~", ".*.sw?", ".part", "sagemaker.json")
want = {}
for d, dirs, files in os.walk(top, followlinks=True):
    dirs[:] = [x for x in dirs if not any(fnmatch.fnmatch(x, p) for p in left_out)]
    for f in files:
        if not any(fnmatch.fnmatch(f, p) for p in left_out):
            path = os.path.join(d, f)
            want[os.path.relpath(path, top)] = (bool(os.stat(path).st_mode & 0o100), open(path, "rb").read())
have = {}
with tarfile.open(archive, "r:gz") as t:
    for m in t:
        if m.isfile():
            have[m.name.removeprefix("./")] = (bool(m.mode & 0o100), t.extractfile(m).read())
        else:
            assert m.isdir(), f"{m.name} is neither file nor directory"
for path in sorted(want.keys() | have.keys()):
    assert path in have, f"{path} is not in the archive"
    assert path in want, f"{path} is in the archive only"
    assert want[path][1] == have[path][1], f"{path}: {len(have[path][1])} other bytes, {len(want[path][1])} expected"
    assert want[path][0] == have[path][0], f"{path}: executable? {have[path][0]}"
PY
modes() {
	(cd "$1" && find . -path ./.git -prune -o -printf '%P %y %m\n' | sort)
}

mount_start -o commit=explicit
while read -r name command; do
	export TMP=$WORLD/tmp-$name
	disk=$WORLD/disk/$name model=$MNT/models/$name
	for D in "$disk" "$model"; do
		export D
		mkdir -p "$TMP" "$D"
		if ! bash -c "set -e; umask 022; $command" >"$WORLD/out" 2>&1; then
			fail "$name: in $D" "$(head -c 300 "$WORLD/out")"
		fi
		rm -rf "$TMP"
	done
	check "$name: the same files" diff -r --exclude=.git "$disk" "$model"
	check_out "$name: of the same modes" "$(modes "$disk")" modes "$model"
	check "$name: sync" sync "$model"
	published_archive "$name" "$WORLD/archive.tar.gz" || :
	check "$name: the archive is the same" /usr/bin/python3 "$WORLD/compare.py" "$disk" "$WORLD/archive.tar.gz"
done <<<"$ROWS"
ln -s "$SRC/text.txt" "$MNT/models/links/out"
check_errno 'a link that leaves the model is read, but not packed' EINVAL sync "$MNT/models/links"
check_match 'and named' "symbolic link 'out' leaves the model" cat "$MNT/models/links/.sagemaker/error"
rm "$MNT/models/links/out"
check 'without it all is well' sync "$MNT/models/links"
check 'unmount' mount_stop
done_testing
