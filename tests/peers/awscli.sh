#!/usr/bin/env bash
# The AWS CLI and nothing else: bucket, upload, model, endpoint, prediction, delete; on the local backend with what `sagemakerfs serve` prints.
export REAL=1
set -euo pipefail
. "$(dirname "$0")/lib.sh"

serve_here
PATH=$("$TESTS_DIR/venv" awscli awscli==1.46.3):$PATH
export AWS_PAGER='' AWS_DEFAULT_OUTPUT=text
IMAGE=763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.19.0-cpu

check_out 'sts get-caller-identity' 123456789012 aws sts get-caller-identity --query Account
check 's3 mb' aws s3 mb s3://cli-models
tar -C "$DATA/tensorflow-keras" -czf "$WORLD/model.tar.gz" iris
check 's3 cp' aws s3 cp --no-progress "$WORLD/model.tar.gz" s3://cli-models/iris/model.tar.gz
check_match 's3 ls' 'model.tar.gz$' aws s3 ls s3://cli-models/iris/
check 'create-model' aws sagemaker create-model --model-name cli --execution-role-arn "$SAGEMAKER_ROLE_ARN" \
	--primary-container "Image=$IMAGE,ModelDataUrl=s3://cli-models/iris/model.tar.gz"
check 'create-endpoint-config' aws sagemaker create-endpoint-config --endpoint-config-name cli \
	--production-variants VariantName=AllTraffic,ModelName=cli,InitialInstanceCount=1,InstanceType=ml.m5.large
check 'create-endpoint' aws sagemaker create-endpoint --endpoint-name cli --endpoint-config-name cli
# The CLI's own waiter asks every 30 s: once it is in service, once is enough.
in_service() { [ "$(aws sagemaker describe-endpoint --endpoint-name cli --query EndpointStatus)" = InService ]; }
check 'the endpoint is in service' wait_until 60 in_service
check 'wait endpoint-in-service' aws sagemaker wait endpoint-in-service --endpoint-name cli
jq -c '.requests[0].body' "$DATA/tensorflow-keras/expected.json" >"$WORLD/body.json"
check_out 'invoke-endpoint' application/json aws sagemaker-runtime invoke-endpoint --endpoint-name cli --content-type application/json \
	--body "fileb://$WORLD/body.json" --query ContentType "$WORLD/answer.json"
check_match 'the answer is a prediction' '"predictions"' cat "$WORLD/answer.json"
check_match 'logs filter-log-events' 'served by tensorflow' aws logs filter-log-events \
	--log-group-name /aws/sagemaker/Endpoints/cli --filter-pattern served --query 'events[].message'
check_out 'cloudwatch get-metric-statistics' 1 aws cloudwatch get-metric-statistics --namespace AWS/SageMaker \
	--metric-name Invocations --dimensions Name=EndpointName,Value=cli Name=VariantName,Value=AllTraffic \
	--start-time "$(date -u -d '-1 hour' +%FT%TZ)" --end-time "$(date -u -d '+1 minute' +%FT%TZ)" --period 86400 \
	--statistics Sum --query 'Datapoints[0].Sum'
check_match 'application-autoscaling register-scalable-target' ':scalable-target/' aws application-autoscaling \
	register-scalable-target --service-namespace sagemaker --resource-id endpoint/cli/variant/AllTraffic \
	--scalable-dimension sagemaker:variant:DesiredInstanceCount --min-capacity 1 --max-capacity 1
check 'delete-endpoint' aws sagemaker delete-endpoint --endpoint-name cli
check_match 'describe-endpoint of what is gone' 'Could not find endpoint|Deleting' aws sagemaker describe-endpoint --endpoint-name cli
check 'delete-endpoint-config' aws sagemaker delete-endpoint-config --endpoint-config-name cli
check 'delete-model' aws sagemaker delete-model --model-name cli
check 's3 rb --force' aws s3 rb --force s3://cli-models
done_testing
