#!/bin/bash
# A TensorFlow model on an endpoint with the AWS CLI alone: upload, deploy, predict, delete.
#   awscli_iris.sh EXPORT      the directory with Servo/NUMBER/saved_model.pb; prints the answer
# The export is an estimator's: its signature takes serialized tf.Examples, and a classification by TensorFlow Serving's
# REST API makes them of plain numbers. Where AWS is, and with which keys, comes from the environment, as always.
set -euo pipefail
export AWS_PAGER='' AWS_DEFAULT_OUTPUT=text
name=awscli-iris
region=${AWS_REGION:-$(aws configure get region)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bucket=sagemaker-$region-$(aws sts get-caller-identity --query Account)
aws s3 ls "s3://$bucket" >/dev/null 2>&1 || aws s3 mb "s3://$bucket" >&2
tar -czf "$work/model.tar.gz" --transform 's,^\.,export,' -C "$1" .
aws s3 cp --no-progress "$work/model.tar.gz" "s3://$bucket/model/$name.tar.gz" >&2

aws sagemaker create-model --model-name $name --execution-role-arn "$SAGEMAKER_ROLE_ARN" --primary-container \
	"Image=763104351884.dkr.ecr.$region.amazonaws.com/tensorflow-inference:2.19.0-cpu,ModelDataUrl=s3://$bucket/model/$name.tar.gz" >&2
aws sagemaker create-endpoint-config --endpoint-config-name $name --production-variants \
	VariantName=AllTraffic,ModelName=$name,InitialInstanceCount=1,InstanceType=ml.m4.xlarge >&2
aws sagemaker create-endpoint --endpoint-name $name --endpoint-config-name $name >&2
# `aws sagemaker wait endpoint-in-service` asks every 30 seconds.
until aws sagemaker describe-endpoint --endpoint-name $name --query EndpointStatus | grep -qxE 'InService|Failed'; do sleep 1; done
aws sagemaker wait endpoint-in-service --endpoint-name $name

echo '{"examples": [{"inputs": [6.4, 3.2, 4.5, 1.5]}]}' >"$work/body.json"
aws sagemaker-runtime invoke-endpoint --endpoint-name $name --content-type application/json \
	--custom-attributes tfs-method=classify --body "fileb://$work/body.json" "$work/answer.json" >&2
cat "$work/answer.json"

aws sagemaker delete-endpoint --endpoint-name $name
aws sagemaker wait endpoint-deleted --endpoint-name $name
aws sagemaker delete-endpoint-config --endpoint-config-name $name
aws sagemaker delete-model --model-name $name
