#!/usr/bin/env bash
# deploy: from the end of `cp` to InService on the mount, against the same model server started by hand on the same files
# (from exec to the first 200 of /ping), alternating. Prints both medians and the difference (goal: at most 1 s more).
#   ROUNDS=3 tests/bench/deploy.sh
set -euo pipefail
export REAL=1
. "$(dirname "$0")/../mount/lib.sh"
ROUNDS=${ROUNDS:-3}

# by_hand FRAMEWORK UNPACKED_MODEL: seconds from exec to ready.
by_hand() {
	local runtime
	runtime=$(ls -d "$SAGEMAKERFS_RUNTIMES/$1"-* | sort -V | tail -1)
	mkdir -p "$WORLD/hand"
	ln -sfn "$2" "$WORLD/hand/model"
	/usr/bin/python3 - "$runtime/bin/python" "$TOP/sagemaker/local/serve/$1_server.py" "$WORLD/hand" <<'PY'
import http.client, os, socket, subprocess, sys, time
python, server, base = sys.argv[1:]
s = socket.socket(); s.bind(("127.0.0.1", 0)); port = s.getsockname()[1]; s.close()
env = {"PATH": os.environ["PATH"], "HOME": base, "SAGEMAKER_BASE_DIR": base, "SAGEMAKER_BIND_TO_PORT": str(port)}
t = time.time()
p = subprocess.Popen([python, server], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while True:
    try:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=5); c.request("GET", "/ping")
        if c.getresponse().status == 200: break
    except OSError: pass
    assert p.poll() is None, "the model server ended"
    time.sleep(0.02)
print(f"{time.time() - t:.3f}")
p.terminate(); p.wait()
PY
}

median() {
	sort -n | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'
}

mount_start
while read -r framework dir; do
	: >"$WORLD/ours"
	: >"$WORLD/hand-times"
	for round in $(seq "$ROUNDS"); do
		name=bench-$framework-$round
		cp -rT "$DATA/$dir" "$MNT/models/$name"
		start=$(date +%s.%N)
		mkdir "$MNT/endpoints/$name"
		cat "$MNT/endpoints/$name/wait" >/dev/null
		end=$(date +%s.%N)
		echo "$start $end" | awk '{printf "%.3f\n", $2 - $1}' >>"$WORLD/ours"
		rmdir "$MNT/endpoints/$name"
		cat "$MNT/endpoints/.deleting/$name/wait" >/dev/null 2>&1 || :
		"$SAGEMAKERFS" pack "$MNT/models/$name" -o "$WORLD/m.tar.gz" >/dev/null
		rm -rf "$WORLD/unpacked" && mkdir "$WORLD/unpacked" && tar -xzf "$WORLD/m.tar.gz" -C "$WORLD/unpacked"
		by_hand "$framework" "$WORLD/unpacked" >>"$WORLD/hand-times"
		rm -r "$MNT/models/$name"
	done
	echo "$(median <"$WORLD/ours") $(median <"$WORLD/hand-times")" |
		awk -v f="$framework" '{printf "%s: end of cp to InService %.2f s, model server by hand %.2f s, %.2f s more (goal 1)\n", f, $1, $2, $1 - $2}'
done <<EOF
tensorflow tensorflow-estimator/export
mxnet mxnet-digits/model
EOF
mount_stop
