#!/usr/bin/env bash
# endpoints: region, URLs, signing regions, proxies and CA bundle are those that botocore comes to: of every region of every
# partition with and without FIPS and dual-stack, and on many configuration files and environments.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

peer_venv
count_lines "$PYTHON" "$PEERS_DIR/endpoints.py" "$DRIVERS/peer_hosts"
done_testing
