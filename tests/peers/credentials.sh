#!/usr/bin/env bash
# Where AWS keys come from: our chain beside botocore's on the same files and environment, with the services that give keys
# out as real HTTP servers. In a network (and mounts) of its own, where the link-local addresses of AWS's agents are this machine's.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
peer_venv cryptography awscrt # botocore's login sessions need it

inside=(unshare -nm)
[ "$(id -u)" -eq 0 ] || inside=(unshare -rnm)
in_own_network() {
	# shellcheck disable=SC2016,SC2317
	"${inside[@]}" bash -c 'set -e
		ip link set lo up
		ip addr add 169.254.169.254/32 dev lo
		ip addr add 169.254.170.2/32 dev lo
		exec "$@"' own-network "$@"
}
count_lines in_own_network "$PYTHON" "$PEERS_DIR/credentials.py" "$DRIVERS/peer_creds" "$WORLD/home"
done_testing
