#!/usr/bin/env bash
# While no service answers anything, an upload under way, every directory shows what is known.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
deploy_echo first
tf_export "$WORLD/export-big" "$(head -c 20000 /dev/urandom | base64)"
ls "$MNT/models" "$MNT/endpoints" >/dev/null
everything=$(printf '{"operation":"%s","nth":0,"action":"withhold"},' ListObjectsV2 GetObject HeadObject PutObject UploadPart CreateMultipartUpload \
	CompleteMultipartUpload AbortMultipartUpload ListMultipartUploads ListEndpoints DescribeEndpoint DescribeEndpointConfig DescribeModel ListModels)
fault "[${everything%,}]"
cp -rT "$WORLD/export-big" "$MNT/models/mute"
sleep 2.5
for d in . models models/first models/first/1 models/mute models/mute/1 endpoints invoke endpoints/.defaults endpoints/first; do
	check "no reply at all: ls $d answers" timeout 15 ls "$MNT/$d"
done
check 'also in full' timeout 15 ls -l "$MNT/models" "$MNT/endpoints"
check_match 'what is known is all there' '^first$' timeout 15 ls "$MNT/models"
check_match 'also the endpoints' '^first$' timeout 15 ls "$MNT/endpoints"
check 'progress and status answer' timeout 15 cat "$MNT/models/mute/.sagemaker/progress" "$MNT/models/mute/.sagemaker/status" "$MNT/endpoints/first/status"
fault '[]'
check 'with replies it goes on' wait_until 60 grep -q '^published' "$MNT/models/mute/.sagemaker/status"
check 'unmount' mount_stop
done_testing
