#!/usr/bin/env bash
# The settings file, the role that a model runs as, and what doctor makes of all that.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

FILE=$XDG_CONFIG_HOME/sagemakerfs/config
mkdir -p "$(dirname "$FILE")"

printf '# ours\nro\n' >"$FILE"
mount_start
check_errno 'ro in the settings file' EROFS mkdir "$MNT/models/x"
mount_stop
mount_start -o rw
check 'the command line goes before it' mkdir "$MNT/models/x"
check 'rmdir' rmdir "$MNT/models/x"
mount_stop
printf 'commit = explicit\nrole: me\n' >"$FILE"
check_match 'what makes no sense is refused with file and line' "^sagemakerfs: $FILE:2: unknown option 'role: me'" mount_start
check_not 'and there is no mount' mounted "$MNT"
check_match 'doctor says the same' "$FILE:2: unknown option" "$SAGEMAKERFS" doctor

# The role: option, the model's own, environment, file; the local backend takes any of its account.
role_of() {
	jq -r .Model.ExecutionRoleArn "$MNT/endpoints/$1/config"
}
arn() {
	echo "arn:aws:iam::123456789012:role/$1"
}
echo "role = $(arn file)" >"$FILE"
tf_export "$WORLD/plain"
tf_export "$WORLD/own"
printf '{"role": "/team/own"}' >"$WORLD/own/sagemaker.json"
mount_start
cp -rT "$WORLD/plain" "$MNT/models/plain"
cp -rT "$WORLD/own" "$MNT/models/own"
mkdir "$MNT/endpoints/plain" "$MNT/endpoints/own"
check_out 'the role of the settings file' "$(arn file)" role_of plain
check_out "a model's own goes before it, and its path is expanded" "$(arn team/own)" role_of own
rmdir "$MNT/endpoints/plain" "$MNT/endpoints/own"
mount_stop
mount_start -o "role=$(arn option)"
mkdir "$MNT/endpoints/own"
check_out 'the option goes before all' "$(arn option)" role_of own
rmdir "$MNT/endpoints/own"
mount_stop
check_match 'what is no role is refused at once' "'arn:aws:iam::1:user/x' is no execution role: it takes the form" mount_start -o role=arn:aws:iam::1:user/x
check_not 'and nothing is mounted' mounted "$MNT"
mount_start -o role=nobody
check_errno 'a name that no role has' ENOENT mkdir "$MNT/endpoints/plain"
check_match 'is told' "look up the execution role 'nobody': The role with name nobody cannot be found" cat "$MNT/endpoints/.error"
check_match 'doctor for a local mount' '^ok +local backend +arn:aws:sts::123456789012:' "$SAGEMAKERFS" doctor "local:$STORE"

# The backend as if it were AWS.
rm "$FILE"
eval "$("$SAGEMAKERFS" env "$MNT")"
unset SAGEMAKER_ROLE_ARN
check_out 'doctor for an AWS mount: all is well' $'ok\tAWS region\nok\tcredentials\nok\tidentity\nok\tclock\nok\tendpoints\nok\tbucket\nok\texecution role' \
	bash -c "'$SAGEMAKERFS' doctor aws | sed -nE '/AWS region/,\$s/^(ok|-|FAIL) +([^ ]+( [^ ]+)*)  .*/\1\t\2/p'"
check_match "the caller's own role" '^ok +execution role +arn:aws:iam::123456789012:role/service-role/sagemakerfs-local$' "$SAGEMAKERFS" doctor aws
check_match 'a bucket that was named and is not there' '^FAIL +bucket +.*none-such.* does not exist' "$SAGEMAKERFS" doctor aws -o bucket=none-such
check_match 'a role that does not exist' "^FAIL +execution role +look up the execution role 'x'" "$SAGEMAKERFS" doctor aws -o role=x
check_match 'with the trust policy it needs' '"Principal":\{"Service":"sagemaker.amazonaws.com"\}' "$SAGEMAKERFS" doctor aws -o role=x
check_match 'bad keys' '^FAIL +identity .*SignatureDoesNotMatch' env AWS_SECRET_ACCESS_KEY=x "$SAGEMAKERFS" doctor aws
check_match 'no keys' '^FAIL +credentials ' env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED=true "$SAGEMAKERFS" doctor aws
check_match 'no region' '^FAIL +AWS region ' env -u AWS_REGION -u AWS_DEFAULT_REGION AWS_EC2_METADATA_DISABLED=true "$SAGEMAKERFS" doctor aws
check_not 'a failed check is a failure' "$SAGEMAKERFS" doctor aws -o role=x
echo "role = $(arn file)" >"$FILE"
mkdir -p "$WORLD/mnt-aws"
SAGEMAKER_ROLE_ARN=$(arn environment) "$SAGEMAKERFS" aws "$WORLD/mnt-aws"
mkdir "$WORLD/mnt-aws/endpoints/plain"
check_out 'the environment goes before the file' "$(arn environment)" jq -r .Model.ExecutionRoleArn "$WORLD/mnt-aws/endpoints/plain/config"
rmdir "$WORLD/mnt-aws/endpoints/plain"
mount_stop "$WORLD/mnt-aws"
mount_stop

# A service whose clock is an hour ahead of ours.
cat >"$WORLD/clock.py" <<'PY'
import email.utils, http.server, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        result = "<Arn>arn:aws:iam::123456789012:user/me</Arn><Account>123456789012</Account>"
        body = f"<GetCallerIdentityResponse><GetCallerIdentityResult>{result}</GetCallerIdentityResult></GetCallerIdentityResponse>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(time.time() + 3600, usegmt=True)

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
/usr/bin/python3 "$WORLD/clock.py" >"$WORLD/clock.port" &
SERVERS+=($!)
wait_until 20 test -s "$WORLD/clock.port"
check_match 'a clock that AWS would refuse' "^FAIL +clock +this machine's clock is 3[56][0-9][0-9] s behind AWS's: set it" \
	env AWS_ENDPOINT_URL="http://127.0.0.1:$(cat "$WORLD/clock.port")" "$SAGEMAKERFS" doctor aws
done_testing
