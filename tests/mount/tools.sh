#!/usr/bin/env bash
# Programs that write to a disk write a model: cp, cp -a, rsync, tar, mv, Python; what they wrote is what is read and packed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
SRC=$WORLD/src
tf_export "$SRC" "$(seq 2000)"
mkdir -p "$SRC/1/assets/deep/er" && head -c 3000000 /dev/urandom >"$SRC/1/assets/deep/er/blob.bin"

check 'cp -r' cp -r "$SRC" "$MNT/models/cp"
check 'cp -a' cp -a "$SRC" "$MNT/models/cpa"
check 'rsync -a' rsync -a "$SRC/" "$MNT/models/rsync/"
check 'rsync -a --delete again' rsync -a --delete "$SRC/" "$MNT/models/rsync/"
check 'tar x' bash -c "mkdir '$MNT/models/tar' && tar -C '$SRC' -cf - . | tar -C '$MNT/models/tar' -xf -"
check 'mv into it' bash -c "cp -r '$SRC' '$WORLD/moved' && mv '$WORLD/moved' '$MNT/models/mv'"
check 'shutil.copytree' /usr/bin/python3 -c "import shutil,sys; shutil.copytree(sys.argv[1], sys.argv[2])" "$SRC" "$MNT/models/py"
digest=
for name in cp cpa rsync tar mv py; do
	check "$name: the bytes are the same" diff -r "$SRC" "$MNT/models/$name"
	check "$name: sync" sync "$MNT/models/$name"
	d=$(cat "$MNT/models/$name/.sagemaker/digest")
	: "${digest:=$d}"
	check_out "$name: same files, same digest" "$digest" echo "$d"
done
check_match 'wait says what is published' 'published' cat "$MNT/models/cp/.sagemaker/wait"

uri=$(cat "$MNT/models/cp/.sagemaker/uri")
sync "$MNT/models/cp"
check_out 'sync of an unchanged model uploads nothing' "$uri" cat "$MNT/models/cp/.sagemaker/uri"
touch "$MNT/models/cp/1/saved_model.pb" && sync "$MNT/models/cp"
check_out 'nor after touch' "$uri" cat "$MNT/models/cp/.sagemaker/uri"
check_out 'a working directory in it stays one' "$MNT/models/cp" bash -c "cd '$MNT/models/cp' && echo more >>1/assets/note.txt && sync . && /bin/pwd -P"
check_not 'a change is a new version' test "$uri" = "$(cat "$MNT/models/cp/.sagemaker/uri")"
digest=$(cat "$MNT/models/cp/.sagemaker/digest")
chmod +x "$MNT/models/cp/1/assets/note.txt" && sync "$MNT/models/cp"
check_not 'and so is chmod +x' test "$digest" = "$(cat "$MNT/models/cp/.sagemaker/digest")"

check 'python rewrites in place' /usr/bin/python3 - "$MNT/models/py/1/assets" <<'PY'
import mmap, os, sys
os.chdir(sys.argv[1])
with open("f", "wb") as f:
    f.write(b"x" * 100000)
with open("f", "r+b") as f:
    f.seek(50000); f.write(b"hello"); f.flush()
    f.seek(49999); assert f.read(7) == b"xhellox"
    f.truncate(60000)
with open("f", "ab") as f:
    f.write(b"end")
assert os.path.getsize("f") == 60003
with open("f", "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
    m[0:3] = b"map"
assert open("f", "rb").read(3) == b"map"
os.rename("f", "g"); assert not os.path.exists("f")
f = open("g", "rb"); os.unlink("g"); assert f.read(3) == b"map"; f.close()
open("a", "w").write("1"); open("b", "w").write("2"); os.replace("a", "b"); assert open("b").read() == "1"
os.makedirs("x/y/z"); os.removedirs("x/y/z")
os.chmod("b", 0o755); assert os.stat("b").st_mode & 0o777 == 0o755
os.utime("b", (1, 2)); assert os.stat("b").st_mtime == 2
deep = "/".join(["d" * 200] * 30)
fd = os.open(".", os.O_RDONLY)
for part in deep.split("/"):
    os.mkdir(part, dir_fd=fd); fd2 = os.open(part, os.O_RDONLY, dir_fd=fd); os.close(fd); fd = fd2
os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=fd)); os.close(fd)
PY
check 'rm -r of a deep tree' rm -r "$MNT/models/py"

# Programs that fsync the directory of what they write ask for the disk, not for a publication that cannot be yet.
mkdir "$MNT/models/disk"
check 'sqlite3' /usr/bin/python3 - "$MNT/models/disk/a.db" <<'PY'
import sqlite3, sys
for mode in "delete", "truncate", "wal":
    db = sqlite3.connect(sys.argv[1])
    db.execute(f"pragma journal_mode={mode}"); db.execute("pragma synchronous=extra")
    db.execute("create table if not exists t(x)")
    for n in range(3):
        with db:
            db.execute("insert into t values(?)", (n,))
    db.close()
assert sqlite3.connect(sys.argv[1]).execute("select count(*), sum(x) from t").fetchone() == (9, 9)
PY
check 'shred' bash -c "cp '$SRC/1/saved_model.pb' '$MNT/models/disk/secret' && shred -u '$MNT/models/disk/secret'"
check_out 'leaves nothing' a.db ls -A "$MNT/models/disk"
exec 7>>"$MNT/models/disk/a.db"
check_errno 'sync is for publishing: not while a file is open for writing' EBUSY sync "$MNT/models/disk"
exec 7>&-
check_errno 'nor what is no model' EINVAL sync "$MNT/models/disk"
rm -r "$MNT/models/disk"

# Quiet time commits by itself, once it is whole; an interrupted copy stays where it is.
mkdir "$MNT/models/part" "$MNT/models/part/1" "$MNT/models/part/1/variables"
cp "$SRC/1/saved_model.pb" "$MNT/models/part/1/"
cp "$SRC/1/variables/variables.index" "$MNT/models/part/1/variables/"
check 'an incomplete model is not published by quiet time; status says what it waits for' \
	wait_until 15 grep -q 'variables.data-00000-of-00001' "$MNT/models/part/.sagemaker/status"
cp "$SRC/1/variables/variables.data-00000-of-00001" "$MNT/models/part/1/variables/"
check 'when it is whole it is published by itself' wait_until 20 grep -q published "$MNT/models/part/.sagemaker/status"

exec 7>"$MNT/models/cp/1/assets/open.txt"
echo half >&7
check_errno 'a deploy while a file is open for writing' EBUSY mkdir "$MNT/endpoints/cp"
exec 7>&-
check 'and after it is closed' wait_until 10 mkdir "$MNT/endpoints/cp"
check_out 'it serves' InService cat "$MNT/endpoints/cp/wait"
rmdir "$MNT/endpoints/cp"
check 'unmount' mount_stop
done_testing
