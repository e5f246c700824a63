#!/usr/bin/env bash
# fsx on a file of a model: 10,000 random operations of each profile (fsx/*.toml), every byte read compared.
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"

FSX=$("$TESTS_DIR/crate" fsx 0.3.2)
mount_start -o commit=explicit
mkdir "$MNT/models/fsx"
for profile in "$TESTS_DIR"/posix/fsx/*.toml; do
	name=$(basename "$profile" .toml)
	seed=$RANDOM
	check "$name, 10,000 operations, seed $seed" "$FSX" -q -N 10000 -S "$seed" -P "$WORLD" -f "$profile" "$MNT/models/fsx/$name"
done
# Two at once on files side by side, while a third program asks for the model's status.
"$FSX" -q -N 3000 -S 7 -P "$WORLD" "$MNT/models/fsx/one" &
one=$!
"$FSX" -q -N 3000 -S 8 -P "$WORLD" "$MNT/models/fsx/two" &
two=$!
for _ in $(seq 50); do
	cat "$MNT/models/fsx/.sagemaker/status" >>"$WORLD/status"
	sleep 0.02
done
check_wait 'one of two at once' "$one"
check_wait 'the other' "$two"
check_out 'and the model says what it is' staged sort -u "$WORLD/status"
check 'unmount' mount_stop
done_testing
