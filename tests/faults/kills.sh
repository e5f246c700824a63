#!/usr/bin/env bash
# kill -9 of the mount, of the local backend, of both, at random moments of copying, committing and uploading: the copy is finished
# afterwards, and the archive is the source; no object and no unfinished upload is there that nobody needs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
faults_run kills.py "${ROUNDS:-50}"
done_testing
