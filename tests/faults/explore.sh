#!/usr/bin/env bash
# The whole way of a model with calls that fail, each time others: see explore.py. CASE= repeats one;
# EXPLORE_S= and EXPLORE_WAYS= go further.
set -euo pipefail
: "${SEED:=20261126}" # the same ways each time, as far as time goes; SEED=$RANDOM for others
. "$(dirname "$0")/lib.sh"
serve_here
faults_run explore.py "${EXPLORE_S:-60}" "${EXPLORE_WAYS:-40}"
done_testing
