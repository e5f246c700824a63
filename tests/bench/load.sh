# shellcheck shell=bash
# load.sh: what the benchmarks of invocations share: invoke_load, its headers, its processes. Sourced after tests/mount/lib.sh, with a
# mount.

load_prepare() {
	cc -std=gnu17 -D_GNU_SOURCE -O2 -Wall "$TESTS_DIR/bench/invoke_load.c" -o "$WORLD/invoke_load"
	RUN=$STORE/run.json
	URL=$(jq -r .url "$RUN")
}

# own_headers FILE: a request to a model server itself.
own_headers() {
	printf '%s\n' 'POST /invocations HTTP/1.1' 'Host: 127.0.0.1' 'Content-Type: application/json' >"$1"
}

# backend_headers FILE ENDPOINT BODY: one to the backend, signed by curl; good for 15 minutes, however often.
backend_headers() {
	curl -sS -v -o "$WORLD/answer" --aws-sigv4 "aws:amz:$(jq -r .region "$RUN"):sagemaker" \
		--user "$(jq -r '.access_key + ":" + .secret_key' "$RUN")" -H 'Content-Type: application/json' -d "$3" \
		"$URL/endpoints/$2/invocations" 2>&1 | sed -n 's/^> //p' | tr -d '\r' | grep -v -i -e '^content-length' -e '^$' >"$1"
	grep -qi '^authorization: ' "$1"
}

# model_port: one of the sockets that the backend holds for its model servers.
model_port() {
	ss -ltnpH | grep "pid=$(backend_pid)," | grep -v "${URL#http://} " | awk '{print $4; exit}' | sed 's/.*://'
}

# value KEY LINE: of KEY=NUMBER in a line of invoke_load.
value() {
	sed -n "s/.* $1=\([0-9.]*\).*/\1/p" <<<"$2 "
}
