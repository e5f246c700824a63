#!/usr/bin/env bash
# 20,000 files of 1 KiB copied into a model's directory, side by side with passthrough_ll of libfuse's examples and the local disk
# beneath both. Rounds alternate; medians. Prints files a second, the CPU time of cp and daemon (which a busy machine blurs less),
# and the ratios to passthrough_ll, which are to be 1 or more.
#   tests/bench/small_files.sh [FILES] [ROUNDS]
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"

limit=$(ulimit -Hn) # passthrough_ll keeps a descriptor for each file
FILES=${1:-20000}
[ "$limit" = unlimited ] || [ "$FILES" -le $((limit - 500)) ] || FILES=$((limit - 500))
ROUNDS=${2:-5}
SRC=$WORLD/src
mkdir -p "$SRC"
. "$(dirname "$0")/passthrough.sh"
trap 'passthrough_stop; cleanup' EXIT
passthrough_start

/usr/bin/python3 - "$SRC" "$FILES" <<'PY'
import os, sys
top, n = sys.argv[1], int(sys.argv[2])
for i in range(n):
    if i % 1000 == 0:
        os.makedirs(f"{top}/d{i // 1000}")
    with open(f"{top}/d{i // 1000}/f{i}", "wb") as f:
        f.write(os.urandom(1024))
PY
mount_start -o commit=explicit
mkdir "$MNT/models/small"

# one KIND TARGET [DAEMON]: a row of KIND, seconds and CPU seconds of cp -r.
one() {
	/usr/bin/python3 - "$SRC" "$@" >>"$WORLD/times" <<'PY'
import os, resource, subprocess, sys, time
src, kind, target, *daemon = sys.argv[1:]
def spent():
    fields = open(f"/proc/{daemon[0]}/stat").read().rsplit(") ", 1)[1].split() if daemon else [0] * 13
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
os.sync()
cpu, wall = spent(), time.perf_counter()
subprocess.run(["cp", "-r", src, target], check=True)
print(kind, time.perf_counter() - wall, spent() - cpu)
PY
	rm -rf "$2"
}
ours=$(daemon_pid)
for round in $(seq "$ROUNDS"); do
	one disk "$WORLD/copy$round"
	one passthrough_ll "$PASS/mnt$WORLD/pcopy$round" "$THROUGH"
	one sagemakerfs "$MNT/models/small/copy$round" "$ours"
done
/usr/bin/python3 - "$WORLD/times" "$FILES" <<'PY'
import collections, statistics, sys
wall, cpu = collections.defaultdict(list), collections.defaultdict(list)
for line in open(sys.argv[1]):
    kind, s, c = line.split()
    wall[kind].append(float(s))
    cpu[kind].append(float(c))
n = int(sys.argv[2])
for k, v in wall.items():
    mid, used = statistics.median(v), statistics.median(cpu[k])
    print(f"{k:15} {mid:6.2f} s  {n / mid:8.0f} files/s  CPU {used:6.2f} s, {used / n * 1e6:4.0f} us a file")
for what, t in ("rate", wall), ("CPU", cpu):
    pairs = [p / s for p, s in zip(t["passthrough_ll"], t["sagemakerfs"])]
    print(f"{what} against passthrough_ll: {statistics.median(pairs):.2f} (each round: {' '.join(f'{x:.2f}' for x in pairs)})")
PY
mount_stop
