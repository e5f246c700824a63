#!/usr/bin/env bash
# SageMaker SDK version 3's core resources, unmodified on the local backend; a real model. All of the SDK is sagemaker-core and
# high-level packages on top of it; what talks to AWS is in sagemaker-core.
export REAL=1
set -euo pipefail
. "$(dirname "$0")/lib.sh"

serve_here
bin=$("$TESTS_DIR/venv" sagemaker-core sagemaker-core==2.27.0)
count_lines "$bin/python" -W ignore "$PEERS_DIR/sdk_v3.py" "$DATA"
done_testing
