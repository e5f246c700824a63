#!/usr/bin/env bash
# How often a failing request is sent, next to botocore in standard mode: the older rules, which are ours, against the last minor
# version that has them, and the newer ones against today's, which knows no others.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
VENV=$("$TESTS_DIR/venv" retries boto3==1.43.67 botocore==1.43.67 crc32c)
count_lines "$VENV/python" "$PEERS_DIR/retries.py" "$DRIVERS/peer_retries"
peer_venv
count_lines "$PYTHON" "$PEERS_DIR/retries.py" "$DRIVERS/peer_retries"
done_testing
