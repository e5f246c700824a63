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
check_match 'status of the mount: the line with a bar' '^models/big +[#.]{20} +uploading [0-9]+ % ' "$SAGEMAKERFS" status "$MNT"
mkdir "$MNT/endpoints/big"
check_match 'an endpoint that needs it' '^Uploading [0-9]+ %$' cat "$MNT/endpoints/big/status"
fault '[]'
check 'a script can wait for one event' timeout 60 bash -c "$(declare -f follows); follows '$side/events' '^published '"
check_out 'then it rests' idle cat "$side/progress"
check 'who followed all the time has it too' wait_until 15 grep -q ' published ' "$WORLD/events"
check_out 'and the phases in order, once each' 'empty checking hashing uploading publishing published' \
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
rmdir "$MNT/endpoints/big"
cat "$MNT/endpoints/.deleting/big/wait" >/dev/null 2>&1 || :
cat "$side/wait" >/dev/null
check 'a failure is an event with its reason' bash -c "
	printf x >'$MNT/models/big/1/saved_model.pb'
	sync '$MNT/models/big' && exit 1
	timeout 15 head -n 1 '$side/events' | grep -E ' failed: .*saved_model.pb'"
rm -r "$MNT/models/big"
check_wait 'the end of the model is the end of its events' "$following"
check_out 'which is the last of them' removed bash -c "tail -n 1 '$WORLD/events' | cut -d' ' -f2"
check 'unmount' mount_stop
done_testing
