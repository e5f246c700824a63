#!/usr/bin/env bash
# docs/examples: the notebooks of the blog post by boto3 alone and by the AWS CLI alone, each run as it is with nothing but what
# `sagemakerfs serve` and `env` print; the answers are the frameworks' own numbers.
export REAL=1
set -euo pipefail
. "$(dirname "$0")/lib.sh"

serve_here
EXAMPLES=$TOP/docs/examples
EXPORT=$DATA/tensorflow-estimator/export
jq -c '.requests[0].body' "$DATA/mxnet-digits/expected.json" >"$WORLD/digit.json"

# A program's environment: a PATH and what `env` prints, nothing else.
alone() { # PATH COMMAND...
	local path=$1
	shift
	env -i PATH="$path:/usr/bin:/bin" HOME="$WORLD" LANG=C.UTF-8 bash -c 'eval "$1"; shift; exec "$@"' sh \
		"$("$SAGEMAKERFS" env --store "$STORE")" "$@"
}

# near FILTER FILE EXPECTED: the numbers that a jq filter finds in the answer are the row of numbers of the model's expected.json
near() {
	jq -e --argjson want "$3" "[$1] | flatten as \$got | (\$got | length) == (\$want | length) and
		([range(\$got | length) as \$i | \$got[\$i] - \$want[\$i] | fabs] | max) < 1e-5" "$2"
}

example() { # NAME FILTER EXPECTED PATH COMMAND...
	local name=$1 filter=$2 want=$3
	shift 3
	if alone "$@" >"$WORLD/answer" 2>"$WORLD/err"; then
		pass "$name runs to its end"
		check "$name answers the framework's own numbers" near "$filter" "$WORLD/answer" "$want"
	else
		fail "$name runs to its end" "$(tail -n 5 "$WORLD/err")"
	fi
}

IRIS=$(jq -c '.requests[0].probabilities' "$DATA/tensorflow-estimator/expected.json")
DIGITS=$(jq -c '.requests[0].output | flatten' "$DATA/mxnet-digits/expected.json")
BOTO3=$("$TESTS_DIR/venv" boto3 boto3==1.44.5)
AWSCLI=$("$TESTS_DIR/venv" awscli awscli==1.46.3)
example boto3_iris '.results[0][][1]' "$IRIS" "$BOTO3" python "$EXAMPLES/boto3_iris.py" "$EXPORT"
example boto3_iris_1_10 '.["0"], .["1"], .["2"]' "$IRIS" "$BOTO3" python "$EXAMPLES/boto3_iris_1_10.py" "$EXPORT"
example boto3_digits . "$DIGITS" "$BOTO3" python "$EXAMPLES/boto3_digits.py" "$DATA/mxnet-digits/model" "$WORLD/digit.json"
example awscli_iris '.results[0][][1]' "$IRIS" "$AWSCLI" "$EXAMPLES/awscli_iris.sh" "$EXPORT"
example awscli_digits . "$DIGITS" "$AWSCLI" "$EXAMPLES/awscli_digits.sh" "$DATA/mxnet-digits/model" "$WORLD/digit.json"
cat >"$WORLD/left" <<'SH'
for list in 'models Models' 'endpoint-configs EndpointConfigs' 'endpoints Endpoints'; do
	aws sagemaker "list-${list% *}" --query "length(${list#* })" --output text
done
SH
check_out 'nothing is left' '0 0 0' alone "$AWSCLI" bash -c 'echo $(. "$1")' sh "$WORLD/left"
done_testing
