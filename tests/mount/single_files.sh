#!/usr/bin/env bash
# Files in models/ itself: an archive or a file of a known kind is a model; what tools keep beside it for a moment is not, and works.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
tf_export "$WORLD/export" hello
tar -C "$WORLD/export" --transform 's,^\./,export/Servo/,' -czf "$WORLD/model.tar.gz" .

same_archive() { # NAME FILE
	published_archive "$1" "$WORLD/archive" && cmp "$WORLD/archive" "$2"
}
models() {
	find "$MNT/models" -mindepth 1 -maxdepth 1 ! -name .error -printf "%f\n" | sort | tr '\n' ' '
}

check 'cp model.tar.gz models/iris.tar.gz' cp "$WORLD/model.tar.gz" "$MNT/models/iris.tar.gz"
check_out 'is the model iris' iris ls "$MNT/models"
check_out 'with the archive as its file' iris.tar.gz ls "$MNT/models/iris"
check 'it is found by the name it was copied to' cmp "$WORLD/model.tar.gz" "$MNT/models/iris.tar.gz"
check 'sync' sync "$MNT/models/iris"
check 'it is in S3 byte for byte' same_archive iris "$WORLD/model.tar.gz"
check_match 'and recognised' 'framework: tensorflow' cat "$MNT/models/iris/.sagemaker/check"
check 'it deploys' mkdir "$MNT/endpoints/iris"
check_out 'and serves' InService cat "$MNT/endpoints/iris/wait"
rmdir "$MNT/endpoints/iris"

tf_export "$WORLD/export2" again
tar -C "$WORLD/export2" --transform 's,^\./,export/Servo/,' -czf "$WORLD/model2.tar.gz" .
check 'cp over it' cp "$WORLD/model2.tar.gz" "$MNT/models/iris.tar.gz"
sync "$MNT/models/iris"
check 'is a new version' same_archive iris "$WORLD/model2.tar.gz"
check 'rsync over it' rsync -I "$WORLD/model.tar.gz" "$MNT/models/iris.tar.gz"
sync "$MNT/models/iris"
check 'and another' same_archive iris "$WORLD/model.tar.gz"
check 'mv over it' bash -c "cp '$WORLD/model2.tar.gz' '$WORLD/moving' && mv '$WORLD/moving' '$MNT/models/iris.tar.gz'"
check 'install beside it' install -m 644 "$WORLD/model.tar.gz" "$MNT/models/iris2.tgz"
check 'install over it' install -m 644 "$WORLD/model.tar.gz" "$MNT/models/iris2.tgz"
sync "$MNT/models/iris2"
check '.tgz too' same_archive iris2 "$WORLD/model.tar.gz"
check_out 'nothing else is listed' 'iris iris2 ' models
head -c 3000 "$WORLD/model.tar.gz" >"$MNT/models/half.tar.gz"
check_not 'half an archive is not published' sync "$MNT/models/half"
check_match 'and why is said' 'half.tar.gz' cat "$MNT/models/half/.sagemaker/error"
rm -r "$MNT/models/half"

# Another mount sees it, and replaces it.
mount_at "$WORLD/mnt2"
check 'another mount reads it' cmp "$WORLD/model.tar.gz" "$WORLD/mnt2/models/iris2.tgz"
check 'and replaces it' cp "$WORLD/model2.tar.gz" "$WORLD/mnt2/models/iris2.tgz"
sync "$WORLD/mnt2/models/iris2"
check 'here it shows' wait_until 15 cmp "$WORLD/model2.tar.gz" "$MNT/models/iris2.tgz"
mount_stop "$WORLD/mnt2"

check 'programs that write beside it and rename' /usr/bin/python3 - "$MNT/models" <<'PY'
import os, pickle, sys, tempfile, time
os.chdir(sys.argv[1])
data = pickle.dumps({"weights": list(range(1000))})
def whole(name):
    assert open(name, "rb").read() == data, name
    stem = name.split(".")[0]
    assert open(f"{stem}/{name}", "rb").read() == data, name
# directly, as joblib.dump and torch.save do
with open("direct.joblib", "wb") as f:
    f.write(data)
whole("direct.joblib")
# a hidden temporary name, closed before the rename
with open(".hidden.joblib.tmp", "wb") as f:
    f.write(data)
os.replace(".hidden.joblib.tmp", "hidden.joblib")
whole("hidden.joblib")
# tempfile's name, renamed while it is open, and written to after that
with tempfile.NamedTemporaryFile(dir=".", delete=False) as f:
    f.write(data[:100]); f.flush()
    os.replace(f.name, "open.pkl")
    f.write(data[100:])
whole("open.pkl")
# a download's name
fd = os.open("down.pt.3fB2c1aa", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
os.write(fd, data); os.close(fd)
os.rename("down.pt.3fB2c1aa", "down.pt")
whole("down.pt")
# over what is there, again; and a backup as editors make it
for n in range(3):
    with open("direct.joblib.new.tmp", "wb") as f:
        f.write(data)
    os.replace("direct.joblib.new.tmp", "direct.joblib")
    whole("direct.joblib")
os.rename("direct.joblib", "direct.joblib~")
assert not os.path.exists("direct.joblib")
with open("direct.joblib", "wb") as f:
    f.write(data)
os.unlink("direct.joblib~")
whole("direct.joblib")
os.chmod("direct.joblib", 0o600); assert os.stat("direct/direct.joblib").st_mode & 0o777 == 0o600
os.utime("direct.joblib", (1, 2)); assert os.stat("direct.joblib").st_mtime == 2
with open("direct.joblib", "r+b") as f:
    f.truncate(10)
assert os.path.getsize("direct/direct.joblib") == 10
with open("direct.joblib", "wb") as f:
    f.write(data)
# to another model
os.rename("hidden.joblib", "seen.joblib")
whole("seen.joblib")
for _ in range(100): # the kernel may believe in it a moment longer
    if not os.path.exists("hidden"):
        break
    time.sleep(0.1)
assert sorted(os.listdir(".")) == [".error", "direct", "down", "iris", "iris2", "open", "seen"], os.listdir(".")
PY
check 'what an open file got after the rename is published' wait_until 15 grep -qE 'published|failed|waiting' "$MNT/models/open/.sagemaker/status"

check 'what editors and file managers leave lies there' bash -c "cd '$MNT/models' && echo x >.DS_Store && echo x >.iris.swp && mkdir -p iris && echo x >'.~lock.iris#' && echo x >notes~ && rm notes~ .iris.swp"
check_out 'and is no model' '.DS_Store .~lock.iris# direct down iris iris2 open seen ' models
check_errno 'anything else is refused' EPERM cp "$WORLD/model.tar.gz" "$MNT/models/what.bin"
check_match 'with what can be done' 'mkdir models/NAME' cat "$MNT/models/.error"
check_errno 'as is a name that no model can have' EINVAL cp "$WORLD/model.tar.gz" "$MNT/models/-x.tar.gz"
check_errno 'and the name of a model of more files' EEXIST bash -c "cp -rT '$WORLD/export' '$MNT/models/tf' && cp '$WORLD/model.tar.gz' '$MNT/models/tf.tar.gz'"
check 'that one is as it was' diff -r "$WORLD/export" "$MNT/models/tf"
check 'rm of the file' rm "$MNT/models/down.pt"
check_out 'leaves an empty model' empty cat "$MNT/models/down/.sagemaker/status"
check 'that goes' rmdir "$MNT/models/down"
mount_stop
mount_start
check_out 'after a remount all are there' '.DS_Store .~lock.iris# direct iris iris2 open seen tf ' models
check 'with their files' cmp "$WORLD/model2.tar.gz" "$MNT/models/iris.tar.gz"
check 'rm -r of one' rm -r "$MNT/models/iris"
check_not 'takes its file along' test -e "$MNT/models/iris.tar.gz"
check 'unmount' mount_stop
done_testing
