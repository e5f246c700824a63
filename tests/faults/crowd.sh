#!/usr/bin/env bash
# Many at once and odd ones: two mounts that publish one model at the same moment, 16 models, 5,000 files, long names, a directory that
# is renamed meanwhile, a full disk.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
mkdir -p "$WORLD/state3"
mount -t tmpfs -o size=40m none "$WORLD/state3" || fail 'crowd: a disk of its own (needs root)'
release() {
	umount -l "$WORLD/state3" 2>/dev/null || :
	cleanup
}
trap release EXIT
faults_run crowd.py "${ROUNDS:-20}"
done_testing
