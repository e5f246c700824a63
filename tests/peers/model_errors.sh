#!/usr/bin/env bash
# Models whose code misbehaves, on a real model server in its sandbox, as boto3 and CloudWatch Logs show it.
export REAL=1
set -euo pipefail
. "$(dirname "$0")/lib.sh"

serve_here
bin=$("$TESTS_DIR/venv" boto3 boto3==1.44.5)
count_lines "$bin/python" "$PEERS_DIR/model_errors.py" "$DATA/tensorflow-keras/iris"
done_testing
