#!/usr/bin/env bash
# Two mounts, each with a state of its own as on two machines, race on one bucket and one account: publications, deployments,
# deletions and pruning of the same names and of others. What must hold is looked at with boto3.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-200}
SEED=${SEED:-$RANDOM}
OTHER=$WORLD/mnt2
export SAGEMAKERFS_PRUNE_AFTER=0 # not a day: every version that is superseded may go
peer_venv
mount_start -o commit=explicit
XDG_STATE_HOME=$WORLD/state2 XDG_CACHE_HOME=$WORLD/cache2 mount_at "$OTHER" -o commit=explicit
eval "$("$SAGEMAKERFS" env "$MNT")"
tf_export "$WORLD/export"
echo "seed $SEED"
count_lines timeout 420 "$PYTHON" "$PEERS_DIR/races.py" "$WORLD/export" "$ROUNDS" "$SEED" "$MNT" "$OTHER"
check 'unmount one' mount_stop "$MNT"
check 'unmount the other' mount_stop "$OTHER"
for state in state state2; do
	check_out "nothing is left in the journal of $state" '' /usr/bin/python3 - "$WORLD/$state" <<'PY'
import glob, sqlite3, sys
for path in glob.glob(sys.argv[1] + "/sagemakerfs/*/journal"):
    for row in sqlite3.connect(path).execute("SELECT kind, name, json FROM operation"):
        print(*row)
PY
done
done_testing
