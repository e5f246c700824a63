#!/usr/bin/env bash
# invoke/NAME: a request is written, its answer read, by whatever tool (docs/invoke.md).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
deploy_echo iris
X=$MNT/invoke/iris

answer() { # what the echo server answers to TEXT, type T
	jq -cn --arg e "$1" --arg t "${2:-application/json}" '{echo: $e, content_type: $t}'
}
read_back() {
	jq -c . "$1"
}
invocations() {
	cat "$STORE"/logs/*/*/*/log 2>/dev/null | grep -c 'POST /invocations' || :
}
py() {
	timeout 120 /usr/bin/python3 "$TESTS_DIR/mount/invoke.py" "$1" "$X"
}

# --- shells and tools
check_out 'empty before any request' '' cat "$X"
echo '[1]' >"$X"
check_out 'echo, cat' "$(answer $'[1]\n')" read_back "$X"
check_out 'one request, one invocation' 1 invocations
echo '[2]' >>"$X"
check_out 'echo >>' "$(answer $'[2]\n')" read_back "$X"
exec 3<>"$X"
echo '[3]' >&3
check_out 'exec 3<>, cat <&3' "$(answer $'[3]\n')" jq -c . <&3
echo '[4]' >&3
read -r line <&3 || :
check_out 'and again on the same handle, by read' "$(answer $'[4]\n')" jq -c . <<<"$line"
exec 3>&-
printf '[5]' | tee "$X" >/dev/null
check_out 'tee' "$(answer '[5]')" read_back "$X"
printf '[6]' >"$WORLD/body"
cp "$WORLD/body" "$X"
check 'cp to' true
cp "$X" "$WORLD/answer"
check_out 'cp from' "$(answer '[6]')" read_back "$WORLD/answer"
dd if="$WORLD/body" of="$X" bs=1 2>/dev/null
check_out 'dd, byte by byte' "$(answer '[6]')" read_back "$X"
check_out 'dd from' "$(answer '[6]')" bash -c "dd if='$X' bs=7 2>/dev/null | jq -c ."
printf '[7]' >"$WORLD/body"
check 'curl -T' curl -sS -T "$WORLD/body" "file://$X"
check_out 'curl' "$(answer '[7]')" bash -c "curl -sS 'file://$X' | jq -c ."
check_out 'head, tail, wc' '1' bash -c "[ \"\$(head -c 5 '$X')\" = '{\"ech' ] && tail -c 3 '$X' >/dev/null && [ \"\$(wc -c <'$X')\" = \"\$(cat '$X' | wc -c)\" ] && echo 1"
check_out 'sendfile, right after open' "$(answer '[7]')" bash -c "/usr/bin/python3 -c 'import os, sys
os.sendfile(1, os.open(sys.argv[1], os.O_RDONLY), None, 1 << 20)' '$X' | jq -c ."
if command -v busybox >/dev/null; then
	check_out 'busybox cat' "$(answer '[7]')" bash -c "busybox cat '$X' | jq -c ."
fi
before=$(invocations)
{
	printf '['
	echo '1]'
} >"$X"
check_out 'a body in pieces' "$(answer $'[1]\n')" read_back "$X"
{
	printf '['
	/bin/echo '2]'
} >"$X"
check_out 'of two processes' "$(answer $'[2]\n')" read_back "$X"
check_out 'each one invocation' $((before + 2)) invocations

# --- types
printf '1,2\n' >"$X.csv"
check_out 'NAME.csv is text/csv' "$(answer $'1,2\n' text/csv)" read_back "$X.csv"
printf '[1]' >"$X.json"
check_out 'NAME.json is JSON' "$(answer '[1]')" read_back "$X.json"
check_out 'extensions are not listed' 'iris' ls "$MNT/invoke"
check_errno 'an unknown extension' ENOENT cat "$X.xyz"
check_errno 'an unknown endpoint' ENOENT cat "$MNT/invoke/nosuch"
check_errno 'writing to an unknown endpoint' ENOENT bash -c "echo '[1]' >'$MNT/invoke/nosuch'"
check_match 'and its sentence' "no endpoint 'nosuch'" cat "$MNT/invoke/.error"

# --- whose answer
check_out 'parallel shells get their own answers' 'ok' bash -c "
	for i in 1 2 3 4 5 6 7 8; do
		bash -c 'for n in 1 2 3; do echo \"[\$0, \$n]\" >\"\$1\"; cat \"\$1\" | jq -r .echo | grep -qx \"\\[\$0, \$n\\]\" || echo \"\$0 \$n\"; done' \$i '$X' &
	done; wait; echo ok"
setsid -f bash -c "sleep 0.3; cat '$X' >'$WORLD/stranger.part' && mv '$WORLD/stranger.part' '$WORLD/stranger'"
check 'a detached reader comes' wait_until 10 test -e "$WORLD/stranger"
check_out 'and reads nothing: it never asked' 0 stat -c %s "$WORLD/stranger"
check_out 'pipelines and command substitution are relatives' "$(answer '[8]')" bash -c "
	printf '[8]' | cat >'$X'; echo \"\$(cat '$X' | jq -c .)\""

# --- at once
peak() {
	for i in $(seq 10); do
		bash -c 'echo "{\"sleep\": 2, \"n\": $0}" >"$1"; cat "$1" >/dev/null' "$i" "$X" &
	done
	for _ in $(seq 100); do
		[ "$(invocations)" -ge $((before + 10)) ] && break
		sleep 0.05
	done
	# All ten have arrived at the model and none of their shells has its answer.
	running=$(jobs -rp | wc -l)
	wait
	echo "$running"
}
before=$(invocations)
check_out 'ten requests run at once' 10 peak

# --- Python
for case in conversation buffered whole_files exact_sizes one_answer_a_handle threads big too_big failures interrupted \
	harmless_signal; do
	before=$(invocations)
	check "python: $case" py "$case"
	[ "$case" != harmless_signal ] || check_out 'which was one invocation' $((before + 1)) invocations
done
before=$(invocations)
check 'python: nothing_invokes' py nothing_invokes
check_out 'which was no invocation' "$before" invocations

# --- errors as shells see them
check_errno 'a refusal at close' EBADMSG write_to "$X" '{"status": 400, "text": "bad request, says the model"}'
echo '{"status": 400, "text": "bad request, says the model"}' >"$X" 2>/dev/null || :
check_errno 'and at every read' EBADMSG cat "$X"
check_match 'with the container'\''s words' 'bad request, says the model' cat "$MNT/invoke/.error"
check_match 'also in the endpoint'\''s error' 'bad request, says the model' cat "$MNT/endpoints/iris/error"
printf '[1,' >"$X" || :
check 'a body that is never whole is sent at the end' bash -c "sleep 0.2; cat '$X' | jq -e '.echo == \"[1,\"' >/dev/null"
echo '[1]' >"$X"
check_out 'the next request is fresh' "$(answer $'[1]\n')" read_back "$X"

# --- Ctrl-C
interrupt_at_once() {
	local begin=$SECONDS
	timeout --foreground -s INT 1 bash -c "echo '{\"sleep\": 30}' >'$X'" || :
	timeout --foreground -s INT 1 bash -c "exec 3<>'$X'; echo '{\"sleep\": 30}' >&3; cat <&3" || :
	[ $((SECONDS - begin)) -lt 15 ]
}
check 'Ctrl-C' interrupt_at_once
echo '[9]' >"$X"
check_out 'and on' "$(answer $'[9]\n')" read_back "$X"

# --- not in service
mkdir -p "$WORLD/slow/1/assets"
tf_export "$WORLD/slow" && touch "$WORLD/slow/1/assets/never-ready"
cp -rT "$WORLD/slow" "$MNT/models/slow" && mkdir "$MNT/endpoints/slow"
check_errno 'before InService' EBUSY write_to "$MNT/invoke/slow" '[1]'
check_match 'with the way to wait' "endpoints/.*/wait" cat "$MNT/invoke/.error"
tf_export "$WORLD/export-later" later
mount_at "$WORLD/mnt2" -o wait=30
cp -rT "$WORLD/export-later" "$WORLD/mnt2/models/later"
mkdir "$WORLD/mnt2/endpoints/later"
check '-o wait: the open waits' write_to "$WORLD/mnt2/invoke/later" '[1]'
check_out 'and the answer comes' "$(answer '[1]')" read_back "$WORLD/mnt2/invoke/later"
rmdir "$WORLD/mnt2/endpoints/later"
cat "$WORLD/mnt2/endpoints/.deleting/later/wait" >/dev/null 2>&1 || :
mount_stop "$WORLD/mnt2"

# --- last: it ends the model server
check 'a model server that crashes' py crash
check 'unmount' mount_stop
done_testing
