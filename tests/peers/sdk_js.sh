#!/usr/bin/env bash
# The AWS SDK for JavaScript, unmodified on the local backend, with what `sagemakerfs serve` prints. Runs in Debian 12's node 18 as in newer ones.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

serve_here
packages=()
for p in client-application-auto-scaling:3.1141.0 client-cloudwatch:3.1164.0 client-cloudwatch-logs:3.1169.0 client-iam:3.1169.0 client-s3:3.1175.0 \
	client-sagemaker:3.1142.0 client-sagemaker-runtime:3.1164.0 client-sts:3.1174.0 lib-storage:3.1175.0 s3-request-presigner:3.1169.0; do
	packages+=("@aws-sdk/${p/:/@}")
done
# A module finds packages beside its own file.
ln -s "$("$TESTS_DIR/node_modules" aws "${packages[@]}")" "$WORLD/node_modules"
cp "$PEERS_DIR/sdk_js.mjs" "$WORLD/"
saved_model "$WORLD/model.tar.gz"
count_lines node --no-warnings "$WORLD/sdk_js.mjs" "$WORLD/model.tar.gz"
done_testing
