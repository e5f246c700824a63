#!/usr/bin/env bash
# Permissions that are missing, one at a time: each directory does what it still can, and the sentence names the action.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

ME='arn:aws:iam::123456789012:user/me'

# deny OPERATION...: each of these is refused from now on as AWS refuses it; none: nothing is.
deny() {
	local op action rows=
	for op in "$@"; do
		action=sagemaker:$op
		rows+="${rows:+,}{\"operation\":\"$op\",\"action\":\"status\",\"arg\":400,\"code\":\"AccessDeniedException\",\"message\":\"User: $ME is not authorized to perform: $action on resource: * because no identity-based policy allows the $action action\"}"
	done
	fault "[$rows]"
}

# deny_s3 OPERATION...: S3 says as little as this.
deny_s3() {
	local op rows=
	for op in "$@"; do
		rows+="${rows:+,}{\"operation\":\"$op\",\"action\":\"status\",\"arg\":403,\"code\":\"AccessDenied\",\"message\":\"Access Denied\"}"
	done
	fault "[$rows]"
}

mount_start
deploy_echo iris
mount_stop

# Nothing is known to a new mount, and ListEndpoints is refused.
deny ListEndpoints
mount_start
check_errno 'endpoints/ cannot be listed' EACCES ls "$MNT/endpoints"
check_match 'its .error names the action' 'list endpoints: User: .* is not authorized .*; missing permission: sagemaker:ListEndpoints \(AccessDeniedException' cat "$MNT/endpoints/.error"
check_out 'models/ is as ever' iris ls "$MNT/models"
check_out 'an endpoint is found by its name' InService cat "$MNT/endpoints/iris/status"
check_errno 'invoke/ cannot be listed' EACCES ls "$MNT/invoke"
check_match 'and says the same' 'missing permission: sagemaker:ListEndpoints' cat "$MNT/invoke/.error"
check 'invoke/NAME answers' bash -c "echo '[1]' >'$MNT/invoke/iris' && cat '$MNT/invoke/iris'"
check_errno 'a name without a model is refused as ever' ENOENT mkdir "$MNT/endpoints/nothing"
cp -r "$MNT/models/iris" "$MNT/models/one"
cp -r "$MNT/models/iris" "$MNT/models/two"
mkdir "$MNT/endpoints/one" &
mkdir "$MNT/endpoints/two"
wait $!
check 'two deployments at once are followed one by one' timeout 60 bash -c "cat '$MNT/endpoints/one/wait' '$MNT/endpoints/two/wait'"
check 'and removed' rmdir "$MNT/endpoints/one" "$MNT/endpoints/two"
fault '[]'
check 'with the permission they are listed' wait_until 20 ls "$MNT/endpoints"
deny ListEndpoints
check 'taken away again, nothing old is listed' wait_until 20 bash -c "! ls '$MNT/endpoints' 2>/dev/null"
mount_stop

# Who may only invoke.
deny ListEndpoints DescribeEndpoint DescribeEndpointConfig DescribeModel
mount_start
check_match 'mount for who may only invoke: the answer' '"echo": "\[1\]' bash -c "echo '[1]' >'$MNT/invoke/iris' && cat '$MNT/invoke/iris'"
check_match 'with another type' '"content_type": "text/csv"' bash -c "echo 'a,b' >'$MNT/invoke/iris.csv' && cat '$MNT/invoke/iris.csv'"
check_errno 'no such endpoint: InvokeEndpoint says so' ENOENT write_to "$MNT/invoke/none" '[1]'
check_match 'in its words' "Endpoint none of account 123456789012 not found" cat "$MNT/invoke/.error"
check_errno 'endpoints/NAME cannot be seen' EACCES ls "$MNT/endpoints/iris"
check_match 'and says why' "endpoint 'iris': .*; missing permission: sagemaker:DescribeEndpoint" cat "$MNT/endpoints/.error"
deny ListEndpoints DescribeEndpoint InvokeEndpoint
check_errno 'invoking refused too' EACCES write_to "$MNT/invoke/iris" '[1]'
check_match 'the action is named once' "^invoke 'iris': [^;]*; missing permission: sagemaker:InvokeEndpoint \(" cat "$MNT/invoke/.error"
mount_stop

# Describe alone is missing: what is made is followed through the listing.
deny DescribeEndpoint
mount_start
check_match 'endpoints/ is listed' iris ls "$MNT/endpoints"
check_errno 'wait says why it cannot' EACCES timeout 20 cat "$MNT/endpoints/iris/wait"
mount_stop

# Configurations and models of endpoints are not ours to see: their attributes are empty, the rest works.
deny DescribeEndpointConfig DescribeModel
mount_start
check_out 'status without the configuration' InService cat "$MNT/endpoints/iris/status"
check_out 'instance_type is not known' '' cat "$MNT/endpoints/iris/instance_type"
check_match 'invoking goes on' '"echo": "\[2\]' bash -c "echo '[2]' >'$MNT/invoke/iris' && cat '$MNT/invoke/iris'"
mount_stop

# No S3.
deny_s3 ListObjectsV2 GetObject HeadBucket HeadObject
mount_start
check_errno 'models/ without S3' EACCES ls "$MNT/models"
check_match 'names the action' 'Access Denied; missing permission: s3:ListBucket \(AccessDenied, HTTP 403' cat "$MNT/models/.error"
check_out 'endpoints/ as ever' InService cat "$MNT/endpoints/iris/status"
check 'invoke/ as ever' bash -c "echo '[1]' >'$MNT/invoke/iris' && cat '$MNT/invoke/iris'"
mount_stop

# Reading only.
deny_s3 PutObject CreateMultipartUpload CreateBucket DeleteObject
mount_start
check_match 'models/ for who may only read' iris ls "$MNT/models"
tf_export "$WORLD/new" changed
cp -rT "$WORLD/new" "$MNT/models/new"
check_errno 'a model cannot be published' EACCES sync "$MNT/models/new"
check_match 'and says why' 'missing permission: s3:PutObject' cat "$MNT/models/new/.sagemaker/error"
mount_stop || test $? -eq 3 # what could not be published is left, and unmount says so

# Deploying: each call by itself, and nothing of the attempt stays.
cp -r "$WORLD/export-iris" "$WORLD/refused"
for op in CreateModel CreateEndpointConfig CreateEndpoint; do
	deny "$op"
	mount_start
	cp -rT "$WORLD/refused" "$MNT/models/without-$op"
	sync "$MNT/models/without-$op"
	check_errno "mkdir without $op" EACCES mkdir "$MNT/endpoints/without-$op"
	check_match 'says which' "endpoint 'without-$op': create .*; missing permission: sagemaker:$op \(" cat "$MNT/endpoints/.error"
	check_not 'and leaves nothing' ls "$MNT/endpoints/without-$op"
	mount_stop
done

# Not even who we are is told (a VPC endpoint's policy): all but the default bucket's name goes on.
fault '[]'
mount_start
eval "$("$SAGEMAKERFS" env "$MNT")"
role=$SAGEMAKER_ROLE_ARN
fault '[{"operation":"GetCallerIdentity","action":"status","arg":403,"code":"AccessDenied","message":"explicit deny in a VPC endpoint policy"}]'
mkdir "$WORLD/mnt-aws"
check 'mount without an identity' "$SAGEMAKERFS" aws "$WORLD/mnt-aws"
check_out 'endpoints/ as ever' InService cat "$WORLD/mnt-aws/endpoints/iris/status"
check_errno 'models/ has no bucket' EACCES ls "$WORLD/mnt-aws/models"
check_match 'and says how to name one' 'explicit deny in a VPC endpoint policy.*name a bucket and its owner \(-o bucket=NAME,bucket_owner=ACCOUNT\)' cat "$WORLD/mnt-aws/models/.error"
mount_stop "$WORLD/mnt-aws"
check 'mount with a bucket' "$SAGEMAKERFS" aws "$WORLD/mnt-aws" -o "bucket=sagemaker-us-east-1-123456789012,bucket_owner=123456789012,role=$role"
check_match 'models/ is there' iris ls "$WORLD/mnt-aws/models"
check 'mkdir deploys' mkdir "$WORLD/mnt-aws/endpoints/one"
check 'rmdir' rmdir "$WORLD/mnt-aws/endpoints/one"
mount_stop "$WORLD/mnt-aws"
mount_stop
unset "${!AWS_@}" SAGEMAKER_ROLE_ARN
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null

# No tags: the deployment goes on without, and says so.
fault "[{\"operation\":\"CreateModel\",\"nth\":1,\"action\":\"status\",\"arg\":400,\"code\":\"AccessDeniedException\",\"message\":\"User: $ME is not authorized to perform: sagemaker:AddTags on resource: x\"}]"
mount_start
tf_export "$WORLD/untagged" untagged
cp -rT "$WORLD/untagged" "$MNT/models/untagged"
check 'mkdir without tags' mkdir "$MNT/endpoints/untagged"
check 'serves' timeout 60 cat "$MNT/endpoints/untagged/wait"
check_match 'and says so' 'AddTags' "$SAGEMAKERFS" status "$MNT"
check 'rmdir without tags' rmdir "$MNT/endpoints/untagged"
mount_stop
done_testing
