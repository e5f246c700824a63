# shellcheck shell=bash
# lib.sh: as tests/peers/lib.sh; and faults_run PROGRAM [ARGUMENT...]: a Python program beside this file, with boto3, whose lines count.

# shellcheck source=../peers/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../peers/lib.sh"
FAULTS_DIR=$TESTS_DIR/faults
SEED=${SEED:-$RANDOM}
export SEED WORLD MNT STORE DATA SAGEMAKERFS

faults_run() {
	local program=$1
	shift
	peer_venv
	echo "$program: seed $SEED"
	PYTHONPATH=$FAULTS_DIR count_lines timeout 500 "$PYTHON" "$FAULTS_DIR/$program" "$@"
}
