#!/usr/bin/env bash
# Signatures, stage by stage, against botocore's signers.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
peer_venv
count_lines "$PYTHON" "$PEERS_DIR/botocore_sigv4.py" "$DRIVERS/peer_sigv4"
done_testing
