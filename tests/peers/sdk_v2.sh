#!/usr/bin/env bash
# The SageMaker Python SDK, version 2, unmodified on the local backend with nothing but what `sagemakerfs serve` prints; real models.
export REAL=1
set -euo pipefail
. "$(dirname "$0")/lib.sh"

serve_here
export SAGEMAKER_SUPPRESS_V2_WARNING=1
bin=$("$TESTS_DIR/venv" sagemaker sagemaker==2.257.7)
count_lines "$bin/python" -W ignore "$PEERS_DIR/sdk_v2.py" "$DATA" "$WORLD/work"
done_testing
