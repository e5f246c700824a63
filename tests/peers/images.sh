#!/usr/bin/env bash
# Image URIs against the SageMaker SDKs, 2 and 3, of the releases that scripts/data/images.json names.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Telemetry off, by the SDK's own setting; besides, images.py lets nothing connect.
cat >"$WORLD/sagemaker.yaml" <<'EOF'
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
EOF
export SAGEMAKER_USER_CONFIG_OVERRIDE=$WORLD/sagemaker.yaml SAGEMAKER_SUPPRESS_V2_WARNING=1 AWS_EC2_METADATA_DISABLED=true

for sdk in sagemaker==2.257.7 sagemaker-core==2.27.0; do
	bin=$("$TESTS_DIR/venv" "${sdk%%=*}" "$sdk")
	count_lines "$bin/python" -W ignore "$PEERS_DIR/images.py" "$DRIVERS/peer_images"
done
done_testing
