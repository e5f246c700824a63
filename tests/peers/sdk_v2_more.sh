#!/usr/bin/env bash
# Models of scikit-learn, XGBoost, PyTorch and Hugging Face deployed by the SageMaker Python SDK, version 2, unmodified; real models, trained
# here by the runtimes that serve them.
export REAL=1
set -euo pipefail
. "$(dirname "$0")/lib.sh"

serve_here
export SAGEMAKER_SUPPRESS_V2_WARNING=1
bin=$("$TESTS_DIR/venv" sagemaker sagemaker==2.257.7)
for framework in sklearn xgboost pytorch huggingface; do
	runtime=$("$TOP/scripts/runtimes" --path "$framework")
	"$runtime/bin/python" -B "$DATA/train/${framework}_models.py" "$WORLD/trained/$framework"
	count_lines "$bin/python" -W ignore "$PEERS_DIR/sdk_v2_more.py" "$framework" "$WORLD/trained/$framework" "$WORLD/work"
done
done_testing
