#!/usr/bin/env bash
# .sagemaker/progress and events, and what `sagemakerfs status` shows of work under way.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
side=$MNT/models/big/.sagemaker
tf_export "$WORLD/export-big" "$(head -c 15000000 /dev/urandom | base64)"
size=$(find "$WORLD/export-big" -type f -printf '%s\n' | awk '{n += $1} END {print n}')

# follows EVENTS PATTERN: reads events until a line matches, as a script would; prints all of them.
follows() {
	local time text
	while read -r time text; do
		echo "$time $text"
		if [[ $text =~ $2 ]]; then
			return 0
		fi
	done <"$1"
	return 1
}

mkdir "$MNT/models/big"
check_out 'nothing under way' idle cat "$side/progress"
check_match 'progress is listed where status is' '^progress$' ls "$side"
check_not 'events are not, since they block' grep -x events <(ls -a "$side")
check_match 'what is so now is the first event' '^[0-9-]+T[0-9:]+\.[0-9]{3}Z empty$' timeout 15 head -n 1 "$side/events"

cat "$side/events" >"$WORLD/events" &
following=$!
fault '[{"operation":"UploadPart","nth":0,"action":"withhold"}]'
cp -rT "$WORLD/export-big" "$MNT/models/big"
check 'an upload shows its bytes' wait_until 20 grep -qE '^uploading [0-9]+ % [0-9.]+ .?i?B of 1[0-9] MiB' "$side/progress"
check_match 'its status has the same phase' '^uploading [0-9]+ %$' cat "$side/status"
check_match 'the first event is the present one, in bytes' "uploading done=[0-9]+ total=$size percent=[0-9]+" timeout 15 head -n 1 "$side/events"
check_match 'another follows within seconds' '^2$' bash -c "timeout 20 head -n 2 '$side/events' | wc -l"
check_match 'status of the mount: the line' '^models/big  uploading [0-9]+ % [0-9]' "$SAGEMAKERFS" status "$MNT"
check_match 'with a bar on a terminal' '^models/big  [#.]{24}  uploading [0-9]+ % ' script -qec "'$SAGEMAKERFS' status '$MNT'" /dev/null
cp -rT "$WORLD/export-big" "$MNT/models/too"
check 'a second upload' wait_until 20 grep -q '^uploading' "$MNT/models/too/.sagemaker/progress"
check_match 'several have a total' '^total of 2 models  uploading [0-9]+ % [0-9.]+ .iB of [23][0-9] MiB' "$SAGEMAKERFS" status "$MNT"
mkdir "$MNT/endpoints/big"
check_match 'an endpoint that needs it' '^Uploading [0-9]+ %$' cat "$MNT/endpoints/big/status"
cat "$MNT/endpoints/big/events" >"$WORLD/deploying" &
deploying=$!
fault '[]'
check 'a script can wait for one event' timeout 60 bash -c "$(declare -f follows); follows '$side/events' '^published '"
check_out 'then it rests' idle cat "$side/progress"
check 'who followed all the time has it too' wait_until 15 grep -q ' published ' "$WORLD/events"
check_out 'and the phases in order, once each' 'empty checking uploading publishing published' \
	bash -c "awk '{print \$2}' '$WORLD/events' | grep -v staged | uniq | tr '\n' ' ' | sed 's/ \$//'"
check 'poll(2) says when there is a line' timeout 30 /usr/bin/python3 - "$side" <<'PY'
import os, select, sys
fd = os.open(sys.argv[1] + "/events", os.O_RDONLY)
p = select.poll()
p.register(fd, select.POLLIN)
assert p.poll(10000), "the present state is readable at once"
assert b" published " in os.read(fd, 4096)
assert not p.poll(0), "then nothing is"
with open(os.path.dirname(sys.argv[1]) + "/1/more", "w") as f:
    f.write("more")
assert p.poll(20000), "a change is readable"
assert os.read(fd, 4096)
PY
cat "$MNT/endpoints/big/wait" >/dev/null
check_match 'its events begin with what is so' 'Z InService$' timeout 15 head -n 1 "$MNT/endpoints/big/events"
rmdir "$MNT/endpoints/big"
check_wait 'they end with the endpoint' "$deploying"
check_match 'all of its way' '^Uploading .*Creating InService Deleting deleted $' bash -c "cut -d' ' -f2- '$WORLD/deploying' | tr '\n' ' '"
cat "$MNT/endpoints/.deleting/big/wait" >/dev/null 2>&1 || :
cat "$side/wait" >/dev/null
check 'a failure is an event with its reason' bash -c "
	printf x >'$MNT/models/big/1/saved_model.pb'
	sync '$MNT/models/big' && exit 1
	timeout 15 head -n 1 '$side/events' | grep -E ' failed: .*saved_model.pb'"
rm -r "$MNT/models/big"
check_wait 'the end of the model is the end of its events' "$following"
check_out 'which is the last of them' removed bash -c "tail -n 1 '$WORLD/events' | cut -d' ' -f2"

# Reading from S3: a mount that has nothing of it here.
sync "$MNT/models/too"
OTHER=$WORLD/mnt2
XDG_STATE_HOME=$WORLD/state2 XDG_CACHE_HOME=$WORLD/cache2 mount_at "$OTHER"
cat "$OTHER/models/too/.sagemaker/events" >"$WORLD/events2" &
following=$!
fault '[{"operation":"GetObject","nth":0,"action":"delay","arg":700}]'
cat "$OTHER/models/too/1/assets/note.txt" >"$WORLD/note" &
reading=$!
check 'reading shows its bytes' wait_until 20 grep -qE '^reading [0-9]+ % .* of [0-9.]+ .iB' "$OTHER/models/too/.sagemaker/progress"
check_match 'also in status' '^models/too  reading [0-9]+ % ' "$SAGEMAKERFS" status "$OTHER"
check_wait 'it ends' "$reading"
fault '[]'
check 'with what was written' cmp "$WORLD/note" "$WORLD/export-big/1/assets/note.txt"
check 'then that mount rests' wait_until 15 grep -qx idle "$OTHER/models/too/.sagemaker/progress"
check_match 'its events tell both' 'Z reading done=[0-9]+ total=[0-9]+ percent=' cat "$WORLD/events2"
kill "$following"
wait "$following" 2>/dev/null || :
check 'unmount the other' mount_stop "$OTHER"

# What unmount finds under way, and what it leaves.
check_match 'status without a mount: all of them' "^mount +$MNT\$" "$SAGEMAKERFS" status
fault '[{"operation":"UploadPart","nth":0,"action":"withhold"}]'
printf more >"$MNT/models/too/1/assets/more.txt"
head -c 12000000 /dev/urandom >"$MNT/models/too/1/assets/more.bin"
wait_until 20 grep -q '^uploading' "$MNT/models/too/.sagemaker/progress"
rc=0
out=$("$SAGEMAKERFS" unmount "$MNT") || rc=$?
check_match 'unmount says what it waits for' '^finishing: models/too  uploading [0-9]+ % ' echo "$out"
check_match 'and what is left to the next mount' "^not published: changes of model 'too'" echo "$out"
check_out 'with an exit status of its own' 3 echo "$rc"
fault '[]'
check_match 'status shows what is left, and of which source' "^left by a mount of local:$STORE in local-" "$SAGEMAKERFS" status
check_match 'line by line' "^not published: changes of model 'too' " "$SAGEMAKERFS" status
mount_start
check 'the next mount finishes it' wait_until 30 grep -q '^published' "$MNT/models/too/.sagemaker/status"
daemon_dies
wait_until 10 bash -c "! cat '$MNT/README' 2>/dev/null"
check_match 'a dead mount is told as that' '^dead .*process has ended|^dead .*not connected' "$SAGEMAKERFS" status
check_not 'and is a failure' "$SAGEMAKERFS" status
check 'which unmount takes off' mount_stop
done_testing
