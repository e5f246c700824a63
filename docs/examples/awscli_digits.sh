#!/bin/bash
# An MXNet model on an endpoint with the AWS CLI alone: upload, deploy, predict, delete.
#   awscli_digits.sh MODEL IMAGE.json      the directory with model-symbol.json, model-0000.params and model-shapes.json;
#                                          a drawn digit as nested lists; prints ten probabilities
# Where AWS is, and with which keys, comes from the environment, as always.
set -euo pipefail
export AWS_PAGER='' AWS_DEFAULT_OUTPUT=text
name=awscli-digits
region=${AWS_REGION:-$(aws configure get region)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bucket=sagemaker-$region-$(aws sts get-caller-identity --query Account)
aws s3 ls "s3://$bucket" >/dev/null 2>&1 || aws s3 mb "s3://$bucket" >&2
# A flat archive, and a script: the container starts with an empty one, but not with none.
mkdir "$work/code"
: >"$work/code/mnist.py"
tar -czf "$work/model.tar.gz" -C "$(realpath "$1")" model-symbol.json model-0000.params model-shapes.json -C "$work" code
aws s3 cp --no-progress "$work/model.tar.gz" "s3://$bucket/model/$name.tar.gz" >&2

aws sagemaker create-model --model-name $name --execution-role-arn "$SAGEMAKER_ROLE_ARN" --primary-container \
	"Image=763104351884.dkr.ecr.$region.amazonaws.com/mxnet-inference:1.9.0-cpu-py38,ModelDataUrl=s3://$bucket/model/$name.tar.gz,Environment={SAGEMAKER_PROGRAM=mnist.py}" >&2
aws sagemaker create-endpoint-config --endpoint-config-name $name --production-variants \
	VariantName=AllTraffic,ModelName=$name,InitialInstanceCount=1,InstanceType=ml.m4.xlarge >&2
aws sagemaker create-endpoint --endpoint-name $name --endpoint-config-name $name >&2
# `aws sagemaker wait endpoint-in-service` asks every 30 seconds.
until aws sagemaker describe-endpoint --endpoint-name $name --query EndpointStatus | grep -qxE 'InService|Failed'; do sleep 1; done
aws sagemaker wait endpoint-in-service --endpoint-name $name

aws sagemaker-runtime invoke-endpoint --endpoint-name $name --content-type application/json \
	--body "fileb://$2" "$work/answer.json" >&2
cat "$work/answer.json"

aws sagemaker delete-endpoint --endpoint-name $name
aws sagemaker wait endpoint-deleted --endpoint-name $name
aws sagemaker delete-endpoint-config --endpoint-config-name $name
aws sagemaker delete-model --model-name $name
