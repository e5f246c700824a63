#!/usr/bin/env bash
# What is set for AWS's tools: a local mount heeds none of it, a mount of aws refuses what cannot be used with a sentence that
# names the setting, and finds its region on an instance.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# A local mount under everything that would disturb an AWS client
(
	export AWS_PROFILE=nonexistent AWS_ENDPOINT_URL=https://nowhere.invalid AWS_ENDPOINT_URL_S3=nonsense \
		AWS_CA_BUNDLE=/nonexistent HTTPS_PROXY=http://127.0.0.1:1 HTTP_PROXY=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1 \
		AWS_USE_FIPS_ENDPOINT=perhaps AWS_REGION='no region' AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=y \
		AWS_SESSION_TOKEN=z AWS_MAX_ATTEMPTS=none AWS_RETRY_MODE=none AWS_CONFIG_FILE=/proc/self/mem
	mount_start
)
deploy_echo iris
check_match 'a local mount works whatever is set for AWS' '"echo"' bash -c "echo '[1]' > '$MNT/invoke/iris'; cat '$MNT/invoke/iris'"
check_match 'and shows what is in force' '^endpoint +s3 http://127.0.0.1:[0-9]+$' cat "$MNT/.sagemakerfs/config"
check_not 'and nothing else' grep -qE 'nowhere|nonexistent|proxy' "$MNT/.sagemakerfs/config"
mount_stop

# refused NAME PATTERN [VARIABLE=VALUE]...
refused() {
	local name=$1 pattern=$2
	shift 2
	check_match "$name" "^sagemakerfs: $pattern" env AWS_EC2_METADATA_DISABLED=true "$@" "$SAGEMAKERFS" aws "$MNT"
	check_not "$name: nothing is mounted" mounted "$MNT"
}

printf '[profile p]\nregion = eu-west-1\nendpoint_url = http://store.example\n[profile q]\nservices = gone\n' >"$WORLD/config-file"
keys=(AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=y)
refused 'no region' 'no region is set: name one as aws:REGION' "${keys[@]}"
refused 'a region that is none' "'eu west' is no region \(AWS_REGION\)" AWS_REGION='eu west'
refused 'plain http' "endpoint_url is 'http://store.example', which is refused: plain http" AWS_CONFIG_FILE="$WORLD/config-file" AWS_PROFILE=p
refused 'a URL that is none' "AWS_ENDPOINT_URL_STS is 'sts.example', which is no endpoint URL" AWS_REGION=eu-west-1 AWS_ENDPOINT_URL_STS=sts.example
refused 'FIPS and an own endpoint' 'AWS_USE_FIPS_ENDPOINT and AWS_ENDPOINT_URL exclude each other' \
	AWS_REGION=eu-west-1 AWS_USE_FIPS_ENDPOINT=true AWS_ENDPOINT_URL=https://store.example
refused 'FIPS in China' "s3 has no FIPS endpoint in region 'cn-north-1'" AWS_REGION=cn-north-1 AWS_USE_FIPS_ENDPOINT=true
refused 'a flag' "'yes' is no value for AWS_USE_DUALSTACK_ENDPOINT: it takes true or false" AWS_REGION=eu-west-1 AWS_USE_DUALSTACK_ENDPOINT=yes
refused 'a profile' "profile 'nobody' \(AWS_PROFILE\) is neither in" AWS_REGION=eu-west-1 AWS_PROFILE=nobody
refused 'a services section' "the profile's 'services' names the section '\[services gone\]'" \
	AWS_CONFIG_FILE="$WORLD/config-file" AWS_PROFILE=q AWS_REGION=eu-west-1
refused 'CA certificates' "cannot read the CA certificates in '/nonexistent' \(AWS_CA_BUNDLE\)" AWS_REGION=eu-west-1 AWS_CA_BUNDLE=/nonexistent

check_match 'doctor says the same' "FAIL +AWS region +profile 'nobody' \(AWS_PROFILE\) is neither in" env AWS_PROFILE=nobody "$SAGEMAKERFS" doctor
check_match 'and that a machine without settings needs none' '- +AWS region +no region set: not needed' env AWS_EC2_METADATA_DISABLED=true "$SAGEMAKERFS" doctor

# On an instance: its metadata service says the region. The backend is at home in us-east-1.
cat >"$WORLD/imds.py" <<'PY'
import http.server, sys
class Metadata(http.server.BaseHTTPRequestHandler):
    def answer(self, status, text=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
        self.end_headers()
        self.wfile.write(text)
    def do_PUT(self):
        self.answer(200, b"token")
    def do_GET(self):
        paths = {"/latest/meta-data/placement/availability-zone/": b"us-east-1c", "/latest/meta-data/placement/availability-zone": b"us-east-1c",
                 "/latest/meta-data/placement/region": b"us-east-1"}
        if self.headers.get("X-aws-ec2-metadata-token") != "token":
            return self.answer(401)
        return self.answer(200, paths[self.path]) if self.path in paths else self.answer(404)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
print(server.server_port, flush=True)
server.serve_forever()
PY
/usr/bin/python3 "$WORLD/imds.py" >"$WORLD/imds.port" &
SERVERS+=($!)
wait_until 20 test -s "$WORLD/imds.port"
mkdir "$WORLD/mnt-aws"
mount_start # its backend is the AWS of the mount that follows
url=$(jq -r .url "$STORE/run.json")
check 'the region of the instance is used' env AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:$(cat "$WORLD/imds.port")" \
	AWS_ENDPOINT_URL="$url" AWS_ACCESS_KEY_ID="$(jq -r .access_key "$STORE/run.json")" \
	AWS_SECRET_ACCESS_KEY="$(jq -r .secret_key "$STORE/run.json")" "$SAGEMAKERFS" aws "$WORLD/mnt-aws"
check_match 'and said to be' '^region +us-east-1 \(the instance metadata service\)$' cat "$WORLD/mnt-aws/.sagemakerfs/config"
check_out 'the same endpoint is there' iris ls "$WORLD/mnt-aws/endpoints"
mount_stop "$WORLD/mnt-aws"
mount_stop
done_testing
