#!/usr/bin/env bash
# tls: every certificate that does not hold is refused before a byte of a signed request, proxies see no more than a host, and
# no redirection is followed. Then a whole mount over TLS: a server with an own CA in front of the local backend.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

peer_venv

# Nothing but loopback can be reached there; an address that is not loopback's is this machine's all the same.
in_own_network() {
	local user=()
	[ "$(id -u)" -eq 0 ] || user=(--map-root-user)
	# shellcheck disable=SC2016
	unshare --net "${user[@]}" sh -c 'ip link set lo up && ip addr add 10.9.8.7/32 dev lo && exec "$@"' sh "$@"
}

mkdir -p "$WORLD/tls"
count_lines in_own_network "$PYTHON" "$PEERS_DIR/tls.py" "$DRIVERS/peer_call" "$WORLD/tls"

# A mount over TLS
port=$(free_port) secure=$(free_port) doubtful=$(free_port)
start_server "$WORLD/serve.log" "$SAGEMAKERFS" serve --store "$STORE" --listen "127.0.0.1:$port"
wait_until 20 grep -q '^export AWS_SECRET_ACCESS_KEY' "$WORLD/serve.log"
start_server "$WORLD/front.log" "$PYTHON" "$PEERS_DIR/tls_front.py" "$secure" "$WORLD/tls/good.pem" "$port"
start_server "$WORLD/doubtful.log" "$PYTHON" "$PEERS_DIR/tls_front.py" "$doubtful" "$WORLD/tls/expired.pem" "$port"
wait_for_port "$secure"
wait_for_port "$doubtful"

AWS_ACCESS_KEY_ID=$(jq -r .access_key "$STORE/run.json")
AWS_SECRET_ACCESS_KEY=$(jq -r .secret_key "$STORE/run.json")
AWS_REGION=$(jq -r .region "$STORE/run.json")
SAGEMAKER_ROLE_ARN=$(jq -r .role "$STORE/run.json")
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION SAGEMAKER_ROLE_ARN AWS_MAX_ATTEMPTS=2

export AWS_ENDPOINT_URL=https://localhost:$secure
check_match 'a mount whose server has an unknown CA is refused' "could not verify the certificate of localhost:$secure" \
	"$SAGEMAKERFS" aws "$MNT"
check_not 'and not there' mounted "$MNT"
export AWS_CA_BUNDLE=$WORLD/tls/ca.pem
AWS_ENDPOINT_URL=https://localhost:$doubtful check_match 'so is one whose certificate has expired' 'certificate has expired' \
	"$SAGEMAKERFS" aws "$MNT"

check 'with the CA named the mount is there' "$SAGEMAKERFS" aws "$MNT"
deploy_echo iris
check_out 'an endpoint serves over TLS' InService cat "$MNT/endpoints/iris/wait"
check_match 'and answers' '"echo"' bash -c "echo '[1]' > '$MNT/invoke/iris'; cat '$MNT/invoke/iris'"
check 'a model is read back' diff -r "$WORLD/export-iris" "$MNT/models/iris"
mkdir -p "$WORLD/export-iris/1/assets"
head -c 20000000 /dev/urandom >"$WORLD/export-iris/1/assets/large"
cp -rT "$WORLD/export-iris" "$MNT/models/large"
check 'a large one is uploaded in parts' sync "$MNT/models/large"
check_match 'what is in force is shown' "endpoint +s3 https://localhost:$secure \(AWS_ENDPOINT_URL\)" cat "$MNT/.sagemakerfs/config"
check_match 'status says it in short' "^endpoint +https://localhost:$secure \(AWS_ENDPOINT_URL\)" "$SAGEMAKERFS" status "$MNT"
check_match 'and where the region is from' "region +$AWS_REGION \(AWS_REGION\)" cat "$MNT/.sagemakerfs/config"
check_match 'and whose keys' 'keys +of .*environment' cat "$MNT/.sagemakerfs/config"
check_match 'and the CA' 'ca_bundle .*ca.pem \(AWS_CA_BUNDLE\)' cat "$MNT/.sagemakerfs/config"
check 'and the endpoint is deleted' rmdir "$MNT/endpoints/iris"
mount_stop
done_testing
