#!/usr/bin/env bash
# kill -9 at every step of a deployment, a deletion, an upload: of the mount, of the backend, of both. The next mount goes on or
# undoes: nothing is left in the account that is not shown, no byte is lost, nothing is there twice, what was removed is gone.
# ALL=1: every step with every victim (8 minutes); else those that have something of their own.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# resources TEXT: models, configurations and endpoints with that text in their name.
resources() {
	account "SELECT kind, name FROM resource WHERE name LIKE '%$1%' ORDER BY kind"
}

count() {
	account "SELECT count(*) FROM resource WHERE name LIKE '%$1%'"
}

# objects NAME: keys of that model, and open multipart uploads.
objects() {
	account "SELECT key FROM object WHERE CAST(key AS TEXT) LIKE 'model/$1/%'" \
		"SELECT 'upload', key FROM upload WHERE CAST(key AS TEXT) LIKE 'model/$1/%'"
}

# crash WHO: kill -9, then all is well again: no fault, a fresh mount.
crash() {
	case $1 in
	mount) daemon_dies ;;
	backend) kill -KILL "$(backend_pid)" ;;
	both)
		local pids
		pids="$(daemon_pid) $(backend_pid)"
		# shellcheck disable=SC2086 # two words
		kill -KILL $pids
		wait_until 30 bash -c "! kill -0 $pids"
		;;
	esac
	fault '[]'
	mounted "$MNT" && [ "$1" != mount ] && [ "$1" != both ] || mount_start
}

test_none() {
	[ "$(count "$1")" = 0 ]
}

# settle NAME WHAT: it serves and has its three resources, or failed and has none; removed, it leaves nothing.
settle() {
	local name=$1 status
	if [ -e "$MNT/endpoints/$name" ]; then
		status=$(timeout 60 cat "$MNT/endpoints/$name/wait" 2>/dev/null) || :
		case $status in
		InService)
			check "$2: InService has its three resources" test "$(count "$name")" = 3
			;;
		Failed*)
			check "$2: Failed says why" grep -q . "$MNT/endpoints/$name/error"
			check "$2: Failed has left nothing" wait_until 20 test_none "$name"
			;;
		*) fail "$2" "status '$status'" ;;
		esac
		check "$2: rmdir" rmdir "$MNT/endpoints/$name"
		cat "$MNT/endpoints/.deleting/$name/wait" >/dev/null 2>&1 || :
	fi
	gone "$name" "$2"
}

# gone NAME WHAT: neither in the account nor shown.
gone() {
	if wait_until 40 test_none "$1"; then
		pass "$2: nothing is left"
	else
		fail "$2: something is left" "$(resources "$1")"
	fi
	check_not "$2: nothing is shown" test -e "$MNT/endpoints/$1"
}

# row CALL ACTION: withhold (done, no reply), before (not done, the connection ends), manifest (only the second call).
row() {
	case $2 in
	withhold) echo "[{\"operation\":\"$1\",\"nth\":0,\"action\":\"withhold\"}]" ;;
	manifest) echo "[{\"operation\":\"$1\",\"nth\":2,\"action\":\"withhold\"}]" ;;
	before) echo "[{\"operation\":\"$1\",\"nth\":0,\"action\":\"reset\",\"before\":true}]" ;;
	once) echo "[{\"operation\":\"$1\",\"nth\":1,\"action\":\"reset\"}]" ;;
	esac
}

# steps CALLS ACTIONS VICTIMS: "call action victim", one a line: every one of them.
steps() {
	local call action who
	for call in $1; do
		for action in $2; do
			for who in $3; do
				echo "$call $action $who"
			done
		done
	done
}

if [ "${ALL:-}" ]; then
	CREATES=$(steps 'CreateModel CreateEndpointConfig CreateEndpoint' 'withhold before' 'mount backend both')
	DELETES=$(steps 'DeleteEndpoint DeleteEndpointConfig DeleteModel' 'withhold before' 'mount backend both')
	UPLOADS=$(steps 'PutObject CreateMultipartUpload UploadPart CompleteMultipartUpload' 'withhold before' 'mount backend both'
		steps PutObject manifest 'mount backend both')
else
	CREATES='CreateModel withhold mount
CreateModel before both
CreateEndpointConfig withhold mount
CreateEndpoint withhold mount
CreateEndpoint withhold both
CreateEndpoint before backend'
	DELETES='DeleteEndpoint withhold mount
DeleteEndpoint before mount
DeleteEndpoint withhold both
DeleteEndpointConfig withhold mount
DeleteModel before backend'
	UPLOADS='PutObject withhold mount
PutObject manifest both
CreateMultipartUpload withhold mount
CreateMultipartUpload once nobody
UploadPart withhold mount
CompleteMultipartUpload withhold both'
fi

mount_start
tf_export "$WORLD/export-small" small
tf_export "$WORLD/export-big"
mkdir "$WORLD/export-big/1/assets"
head -c 20000000 /dev/urandom >"$WORLD/export-big/1/assets/blob"

n=0
while read -r call action who; do
	n=$((n + 1))
	what="$call, $action, kill of $who"
	cp -rT "$WORLD/export-small" "$MNT/models/c$n" && sync "$MNT/models/c$n"
	fault "$(row "$call" "$action")"
	timeout 15 mkdir "$MNT/endpoints/c$n" 2>/dev/null || :
	crash "$who"
	settle "c$n" "$what"
done <<<"$CREATES"

while read -r call action who; do
	n=$((n + 1))
	what="$call, $action, kill of $who"
	cp -rT "$WORLD/export-small" "$MNT/models/d$n"
	deploy_echo "d$n"
	fault "$(row "$call" "$action")"
	# Where rmdir is refused the endpoint stays; a try that nobody answered is no refusal.
	rc=0
	timeout 15 rmdir "$MNT/endpoints/d$n" 2>/dev/null || rc=$?
	crash "$who"
	if [ "$rc" -ne 0 ]; then
		check_out "$what: what rmdir refused to remove serves" InService cat "$MNT/endpoints/d$n/wait"
		check "$what: rmdir again" rmdir "$MNT/endpoints/d$n"
	fi
	gone "d$n" "$what"
done <<<"$DELETES"

# one_archive NAME: the manifest, one archive, no upload.
one_archive() {
	[ "$(objects "$1" | wc -l)" = 2 ] && objects "$1" | grep -q '^model/.*/model.tar.gz$'
}

no_objects() {
	[ -z "$(objects "$1")" ]
}

while read -r call action who; do
	n=$((n + 1))
	what="$call, $action, kill of $who"
	from=$WORLD/export-big
	[ "$call" != PutObject ] || from=$WORLD/export-small
	fault "$(row "$call" "$action")"
	cp -rT "$from" "$MNT/models/u$n"
	timeout 20 sync "$MNT/models/u$n" >/dev/null 2>&1 &
	syncing=$!
	sleep 1.5
	crash "$who"
	wait "$syncing" || :
	check "$what: no byte is lost" diff -r "$from" "$MNT/models/u$n"
	check "$what: sync" timeout 60 sync "$MNT/models/u$n"
	if wait_until 20 one_archive "u$n"; then
		pass "$what: one archive, nothing else"
	else
		fail "$what: not one archive" "$(objects "u$n")"
	fi
	check "$what: rm" rm -r "$MNT/models/u$n"
	check "$what: nothing is left" wait_until 20 no_objects "u$n"
done <<<"$UPLOADS"

# An upload begins, its reply is lost, and all that is asked again fails: what has begun does not stay.
fault "$(jq -nc '[{operation: "CreateMultipartUpload", nth: 1, action: "reset"},
	(range(2; 100) | {operation: "CreateMultipartUpload", nth: ., action: "status", arg: 500})]')"
cp -rT "$WORLD/export-big" "$MNT/models/begun"
check_not 'an upload whose beginning was lost fails' timeout 60 sync "$MNT/models/begun"
check 'its model goes' rm -r "$MNT/models/begun"
fault '[]'
check 'and nothing is left' wait_until 20 no_objects begun

# The manifest is written, its reply is lost, and all that is asked again fails: the archive that it names stays.
fault "$(jq -nc '[{operation: "PutObject", nth: 1, action: "reset"}, (range(2; 100) | {operation: "PutObject", nth: ., action: "status", arg: 500})]')"
cp -rT "$WORLD/export-big" "$MNT/models/named"
check 'a publication whose reply was lost: sync' timeout 60 sync "$MNT/models/named"
fault '[]'
check 'one archive, and the manifest' wait_until 20 one_archive named

check 'unmount' mount_stop
done_testing
