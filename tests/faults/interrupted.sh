#!/usr/bin/env bash
# cp -r interrupted (SIGINT) at random moments: what is published by itself afterwards is the source or nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
faults_run interrupted.py "${ROUNDS:-20}"
done_testing
