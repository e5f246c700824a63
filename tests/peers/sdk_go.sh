#!/usr/bin/env bash
# The AWS SDK for Go, unmodified on the local backend, with what `sagemakerfs serve` prints.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

program=$("$TESTS_DIR/sdk_go")
serve_here
saved_model "$WORLD/model.tar.gz"
count_lines "$program" "$WORLD/model.tar.gz"
done_testing
