#!/usr/bin/env bash
# s3_local: 1 GiB into the local backend's S3 and out again, against MinIO and versitygw in the same run: in one piece, and in parts
# of 16 MiB over 4 connections; then 10,000 objects put and listed. Presigned URLs and curl, so that what is measured is the server.
#   MIB=1024 ROUNDS=3 tests/bench/s3_local.sh      MINIO=path (default: built by Go; without one only versitygw is the peer)
set -euo pipefail
. "$(dirname "$0")/../peers/lib.sh"
peer_venv
MIB=${MIB:-1024}
ROUNDS=${ROUNDS:-3}
PYTHONPATH=$TESTS_DIR/bench
export PYTHONPATH

# A gateway of files and MinIO, or what of them there is.
peers() {
	local port gateway minio
	gateway=$("$TESTS_DIR/versitygw")
	port=$(free_port)
	mkdir -p "$WORLD/gateway"
	start_server "$WORLD/versitygw.log" "$gateway" --access bench --secret bench-secret --region us-east-1 \
		--port "127.0.0.1:$port" posix "$WORLD/gateway"
	wait_for_port "$port"
	echo "versitygw http://127.0.0.1:$port bench bench-secret ${SERVERS[-1]}" >>"$WORLD/servers"
	minio=${MINIO:-$(command -v minio || :)}
	[ -n "$minio" ] || return 0
	port=$(free_port)
	mkdir -p "$WORLD/minio"
	MINIO_ROOT_USER=bench MINIO_ROOT_PASSWORD=bench-secret start_server "$WORLD/minio.log" "$minio" server \
		--address "127.0.0.1:$port" "$WORLD/minio"
	wait_for_port "$port"
	echo "minio http://127.0.0.1:$port bench bench-secret ${SERVERS[-1]}" >>"$WORLD/servers"
}

start_server "$WORLD/serve.log" "$SAGEMAKERFS" serve --store "$STORE" --listen 127.0.0.1:0
wait_until 30 test -e "$STORE/run.json"
jq -r '"local \(.url) \(.access_key) \(.secret_key) \(.pid)"' "$STORE/run.json" >"$WORLD/servers"
peers
head -c "${MIB}M" /dev/urandom >"$WORLD/bytes"
"$PYTHON" "$TESTS_DIR/bench/s3_local.py" "$WORLD/servers" "$WORLD/bytes" "$ROUNDS"
