#!/usr/bin/env bash
# Users with the policies that `doctor --policy` prints, on an account that enforces them: each can do what its level promises,
# what lies above is refused with the missing action's name, and the deploying user needs every action it was given.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
peer_venv policy_sentry==0.14.0
HELPER=$PEERS_DIR/permissions.py

count_lines "$PYTHON" "$HELPER" grammar "$SAGEMAKERFS"

port=$(free_port)
start_server "$WORLD/moto.log" "$PYTHON" "$PEERS_DIR/moto_iam.py" "$port"
wait_for_port "$port"
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1
export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=secret
. "$(dirname "$0")/mount_run.bash"
boto 'sm.list_training_jobs()' # moto loads a service when it is first asked: seconds, on a busy machine too many

enforce() {
	curl -fsS -X POST -H 'Content-Type: text/plain' --data 0 "$AWS_ENDPOINT_URL/moto-api/reset-auth" >/dev/null
}
relax() {
	curl -fsS -X POST -H 'Content-Type: text/plain' --data inf "$AWS_ENDPOINT_URL/moto-api/reset-auth" >/dev/null
}

# policy LEVEL FILE
policy() {
	"$SAGEMAKERFS" doctor --policy "$1" --for user aws:eu-west-1 -o "role=$ROLE" >"$2" 2>"$WORLD/stderr"
}

for level in read invoke deploy; do
	policy "$level" "$WORLD/$level.json"
	check_out "doctor --policy $level: nothing is left to fill in" '' cat "$WORLD/stderr"
	"$PYTHON" "$HELPER" user "$level" "$WORLD/$level.json" >"$WORLD/user-$level"
done
echo 'export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=secret' >"$WORLD/user-admin"
"$PYTHON" "$HELPER" user nobody >"$WORLD/user-nobody"
enforce

# become USER: what follows is done with its keys.
become() {
	eval "$(cat "$WORLD/user-$1")"
}

# refused NAME ACTION WHERE COMMAND...: EACCES, and the file WHERE names the action.
refused() {
	local name=$1 action=$2 where=$3
	shift 3
	check_errno "$name" EACCES "$@"
	check_match "$name: $action is missing" "missing permission: $action \(" cat "$MNT/$where"
}

invoke() {
	write_to "$MNT/invoke/$1" '[1]' && cat "$MNT/invoke/$1"
}

# mount_end: who may neither put nor delete cannot take an upload back that may be there: unmount says so, also later ones.
mount_end() {
	mount_stop || test $? -eq 3
}

tf_export "$WORLD/iris"
become deploy
aws_mount "$MNT"
check 'deploy: a model is copied' cp -rT "$WORLD/iris" "$MNT/models/iris"
check 'deploy: and published into a bucket made for it' sync "$MNT/models/iris"
check 'deploy: mkdir' mkdir "$MNT/endpoints/iris"
check_match 'deploy: it serves' InService cat "$MNT/endpoints/iris/wait"
check_match 'deploy: config shows its role' "$ROLE" cat "$MNT/endpoints/iris/config"
check_out 'deploy: invoke' body invoke iris
check_match 'deploy: status' 'iris +InService' "$SAGEMAKERFS" status "$MNT"
cp -rT "$WORLD/iris" "$MNT/models/files"
echo '{"packaging":"none"}' >"$MNT/models/files/sagemaker.json"
check 'deploy: a model without an archive' sync "$MNT/models/files"
mkdir -p "$MNT/models/files/1/assets"
echo changed >"$MNT/models/files/1/assets/note.txt"
check 'deploy: a version of it, of copies' sync "$MNT/models/files"
check 'deploy: and gone' rm -r "$MNT/models/files"
check_out 'deploy: no failure so far' '' cat "$MNT/.error"
check_match 'deploy: doctor finds nothing amiss' 'ok +endpoints +1' "$SAGEMAKERFS" doctor aws -o "role=$ROLE"
mount_stop

become read
aws_mount "$MNT"
check_out 'read: models' iris ls "$MNT/models"
check 'read: their files' diff -r "$WORLD/iris" "$MNT/models/iris"
check_out 'read: endpoints' iris ls "$MNT/endpoints"
check_out 'read: status' InService head -1 "$MNT/endpoints/iris/status"
check_match 'read: config' "$ROLE" cat "$MNT/endpoints/iris/config"
check_out 'read: no failure so far' '' cat "$MNT/.error"
refused 'read: not invoke' sagemaker:InvokeEndpoint invoke/.error write_to "$MNT/invoke/iris" '[1]'
refused 'read: not delete' sagemaker:DeleteEndpoint endpoints/.error rmdir "$MNT/endpoints/iris"
cp -rT "$WORLD/iris" "$MNT/models/new"
refused 'read: not publish' s3:PutObject models/new/.sagemaker/error sync "$MNT/models/new"
check 'read: what was only staged goes' rm -r "$MNT/models/new"
mount_end

become invoke
aws_mount "$MNT"
check_out 'invoke: an answer' body invoke iris
check_out 'invoke: no failure so far' '' cat "$MNT/.error"
described=$(grep -c 'denied sagemaker:DescribeEndpoint' "$WORLD/moto.log")
for _ in 1 2 3; do invoke iris >/dev/null; done
check_out 'invoke: what may not be described is not asked after each time' "$described" grep -c 'denied sagemaker:DescribeEndpoint' "$WORLD/moto.log"
refused 'invoke: not list endpoints' sagemaker:ListEndpoints endpoints/.error ls "$MNT/endpoints"
refused 'invoke: nor look at one' sagemaker:DescribeEndpoint endpoints/.error ls "$MNT/endpoints/iris"
refused 'invoke: nor list models' s3:ListBucket models/.error ls "$MNT/models"
check_match 'invoke: doctor says so' 'FAIL +endpoints .*missing permission: sagemaker:ListEndpoints.*doctor --policy read' "$SAGEMAKERFS" doctor aws -o "role=$ROLE"
mount_end

become nobody
aws_mount "$MNT"
refused 'nobody: not even invoke' sagemaker:InvokeEndpoint invoke/.error write_to "$MNT/invoke/iris" '[1]'
mount_end

become deploy
aws_mount "$MNT"
check 'deploy: rmdir' rmdir "$MNT/endpoints/iris"
check 'deploy: rm -r' rm -r "$MNT/models/iris"
for action in DeleteEndpointConfig DeleteModel; do
	check "deploy: rmdir goes on to $action" wait_until 30 grep -q "^asked sagemaker:$action\$" "$WORLD/moto.log"
done
check_out 'deploy: no failure' '' cat "$MNT/.error"
mount_stop
# Minimal: nothing was allowed in vain. Two actions are for uploads that broke off.
"$PYTHON" "$HELPER" actions "$WORLD/deploy.json" | grep -vE 's3:(AbortMultipartUpload|ListMultipartUploadParts)' | sort -u >"$WORLD/allowed"
sed -n 's/^asked //p' "$WORLD/moto.log" | sort -u >"$WORLD/asked"
check_out 'every action of the policy was needed' '' comm -23 "$WORLD/allowed" "$WORLD/asked"

# less ACTION: the deploying user loses it.
less() {
	relax
	"$PYTHON" "$HELPER" without "$WORLD/deploy.json" "$1" >"$WORLD/less.json"
	become admin
	"$PYTHON" "$HELPER" user deploy "$WORLD/less.json"
	become deploy
	enforce
}

less iam:PassRole
aws_mount "$MNT"
cp -rT "$WORLD/iris" "$MNT/models/iris"
sync "$MNT/models/iris"
refused 'without iam:PassRole: mkdir' iam:PassRole endpoints/.error mkdir "$MNT/endpoints/iris"
mount_stop
less sagemaker:AddTags
aws_mount "$MNT"
check 'without sagemaker:AddTags: mkdir' mkdir "$MNT/endpoints/iris"
check_match 'it serves' InService cat "$MNT/endpoints/iris/wait"
check_match 'status says that it has no tags' 'sagemaker:AddTags' "$SAGEMAKERFS" status "$MNT"
check 'rmdir' rmdir "$MNT/endpoints/iris"
check 'rm' rm -r "$MNT/models/iris"
mount_stop
relax
become admin
check_out 'nothing stays' bucket account

# The role: looked for, listed, and the caller's own.
boto 'import json
iam = boto3.client("iam")
for name, service in (("Models", "sagemaker"), ("Machines", "ec2")):
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": service + ".amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName=name, Path="/team/", AssumeRolePolicyDocument=json.dumps(trust))'
check_match 'doctor lists the roles that would do' '^ +arn:aws:iam::123456789012:role/team/Models$' "$SAGEMAKERFS" doctor aws
check_not 'and no others' grep -q Machines <("$SAGEMAKERFS" doctor aws)
check_match 'a name becomes an ARN with its path' '^ok +execution role +arn:aws:iam::123456789012:role/team/Models$' "$SAGEMAKERFS" doctor aws -o role=Models
check_match 'a role of another service is refused' "^FAIL +execution role +execution role 'Machines' does not let sagemaker.amazonaws.com assume it" \
	"$SAGEMAKERFS" doctor aws -o role=Machines
enforce
become deploy
check_match 'who may not list them is told so' 'which roles would do cannot be told: .*missing permission: iam:ListRoles' "$SAGEMAKERFS" doctor aws
relax
become admin
"$SAGEMAKERFS" doctor --policy deploy --for user aws:eu-west-1 2>"$WORLD/left" | sed 's,:role/ROLE,:role/team/Models,' >"$WORLD/role.json"
check_out 'a role that is named is found with its path' arn:aws:iam::123456789012:role/team/Models \
	bash -c "'$SAGEMAKERFS' doctor --policy deploy --for user aws:eu-west-1 -o role=Models | jq -r '.Statement[] | select(.Sid == \"PassRole\").Resource[]'"
check_match 'without a role a word stands for it, and is told' "put the execution role's name, after its path, for ROLE" cat "$WORLD/left"
eval "$(boto 'iam = boto3.client("iam")
iam.put_role_policy(RoleName="Models", PolicyName="p", PolicyDocument=open(a[0]).read())
k = boto3.client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/team/Models", RoleSessionName="session")["Credentials"]
print("export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_SESSION_TOKEN=%s" % (k["AccessKeyId"], k["SecretAccessKey"], k["SessionToken"]))' "$WORLD/role.json")"
enforce
mkdir -p "$MNT"
"$SAGEMAKERFS" aws "$MNT"
cp -rT "$WORLD/iris" "$MNT/models/iris"
check 'an assumed role deploys' mkdir "$MNT/endpoints/iris"
check_out 'what it deployed serves' InService cat "$MNT/endpoints/iris/wait"
check_out 'as itself, its path found out' arn:aws:iam::123456789012:role/team/Models jq -r .Model.ExecutionRoleArn "$MNT/endpoints/iris/config"
check 'rmdir' rmdir "$MNT/endpoints/iris"
mount_stop
done_testing
