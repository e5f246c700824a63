#!/usr/bin/env bash
# Planted secrets are found nowhere: not in the log at its fullest, in what commands say, argv, any file of the mount, state,
# journal, cache, a model server's environment, or a core. (run.json, keys and the credentials file are where they belong.)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

SECRET=pLaNtEdSeCrEtKeY0123456789abcdefghijklmn
TOKEN=pLaNtEdSeSsIoNtOkEn0123456789
PROXY=pLaNtEdPrOxYpAsSwOrD
FORM=pLaNtEd # what all of them begin with
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# The backend takes the planted key for its own.
mkdir -p "$STORE"
chmod 700 "$STORE"
(umask 077 && printf '{"access_key":"AKIA0123456789ABCDEF","secret_key":"%s"}\n' "$SECRET" >"$STORE/keys.json")
"$SAGEMAKERFS" serve --store "$STORE" --listen "127.0.0.1:$port" >"$WORLD/serve.log" 2>&1 &
SERVERS+=($!)
wait_until 20 test -e "$STORE/run.json"
check_out 'the backend has the planted key' "$SECRET" jq -r .secret_key "$STORE/run.json"

export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=us-east-1 AWS_MAX_ATTEMPTS=1 AWS_EC2_METADATA_DISABLED=true
export HTTPS_PROXY=http://user:$PROXY@127.0.0.1:9
SAGEMAKER_ROLE_ARN=$(jq -r .role "$STORE/run.json")
export SAGEMAKER_ROLE_ARN
OUT=$WORLD/out # what is searched
mkdir "$OUT"

# walk NAME: every file of the mount, those that are not listed too, into $OUT/NAME.
walk() {
	local at
	{
		find "$MNT" -print
		for at in "$MNT" "$MNT/models" "$MNT/endpoints" "$MNT/invoke" "$MNT"/models/* "$MNT"/endpoints/*; do
			for file in .error README error status config arn logs metrics url check manifest \
				.sagemakerfs/{config,stats,events,log,status,state,pid} \
				.sagemaker/{status,check,progress,error,framework,framework_version,image,uri,digest}; do
				[ -f "$at/$file" ] && echo "$at/$file"
			done
		done
	} | sort -u >"$OUT/$1.names"
	while IFS= read -r at; do
		[ ! -f "$at" ] || timeout 20 cat "$at" || :
	done <"$OUT/$1.names" >"$OUT/$1" 2>&1
	test -s "$OUT/$1"
}

# look_around NAME: argv of every process, and what the models' servers and a backend that a mount began have for an environment.
look_around() {
	local p
	for p in /proc/[0-9]*; do
		tr '\0' '\n' <"$p/cmdline" || :
	done >"$OUT/$1.argv" 2>/dev/null
	for p in $(pgrep -f "$SAGEMAKERFS_SERVE_DIR|--until-unused"); do
		tr '\0' '\n' <"/proc/$p/environ" || :
	done >"$OUT/$1.environ"
	test -s "$OUT/$1.environ"
}

# everything NAME: all that a user does, and all that fails. The mount is there.
everything() {
	tf_export "$WORLD/export-$1"
	cp -rT "$WORLD/export-$1" "$MNT/models/$1"
	check "$1: upload" sync "$MNT/models/$1"
	check "$1: deploy" mkdir "$MNT/endpoints/$1"
	check_out "$1: serve" InService cat "$MNT/endpoints/$1/wait"
	{
		echo '[1]' >"$MNT/invoke/$1" && cat "$MNT/invoke/$1"
		echo '[1]' >"$MNT/invoke/nowhere" || :
		mkdir "$MNT/endpoints/nowhere" || :
		mkdir "$MNT/models/broken" && echo x >"$MNT/models/broken/saved_model.pb" && sync "$MNT/models/broken" || :
		"$SAGEMAKERFS" status "$MNT"
		"$SAGEMAKERFS" error "$MNT/models/broken"
		"$SAGEMAKERFS" doctor || :
	} >"$OUT/$1.commands" 2>&1 || :
	check "$1: every file" walk "$1.files"
	check "$1: every process" look_around "$1"
	check "$1: delete" rmdir "$MNT/endpoints/$1"
	check "$1: remove" rm -r "$MNT/models/$1" "$MNT/models/broken"
}

start_debug() {
	"$SAGEMAKERFS" aws "$MNT" -d >"$OUT/$1.log" 2>&1 &
	DAEMON=$!
	wait_until 20 mounted "$MNT"
}

# nothing NAME DIRECTORY...: no file there holds any of the secrets.
nothing() {
	local name=$1 found
	shift
	if found=$(grep -rlaF "$FORM" "$@"); then
		fail "$name" "$(tr '\n' ' ' <<<"$found")"
	else
		pass "$name"
	fi
}

# Keys in the environment
AWS_ACCESS_KEY_ID=AKIA0123456789ABCDEF AWS_SECRET_ACCESS_KEY=$SECRET start_debug env
everything env

# A core: as if somebody had lifted the limit, where that is allowed. (other_users.sh: nor may the user's own processes look in.)
cores() {
	find / -maxdepth 1 -name 'core*' -newer "$WORLD/before" 2>/dev/null
}
check_match 'the daemon may make no core' 'Max core file size +0 +0 ' cat "/proc/$DAEMON/limits"
touch "$WORLD/before"
prlimit --pid "$DAEMON" --core=unlimited 2>/dev/null || :
kill -ABRT "$DAEMON"
{ wait "$DAEMON"; } 2>"$WORLD/aborted" || :
check_match 'the daemon was ended by the signal' 'Abort' cat "$WORLD/aborted"
check_not 'and dumped no core' grep -q 'core dumped' "$WORLD/aborted"
check_out 'no core lies about' '' cores
fusermount3 -uz "$MNT" 2>/dev/null || umount -l "$MNT"

# Keys in the shared files
mkdir "$WORLD/aws"
printf '[dev]\naws_access_key_id = AKIA0123456789ABCDEF\naws_secret_access_key = %s\n' "$SECRET" >"$WORLD/aws/credentials"
printf '[profile dev]\nregion = us-east-1\n' >"$WORLD/aws/config"
export AWS_SHARED_CREDENTIALS_FILE=$WORLD/aws/credentials AWS_CONFIG_FILE=$WORLD/aws/config
AWS_PROFILE=dev start_debug files
everything files
mount_stop
{ wait "$DAEMON"; } 2>/dev/null || :

# Keys that are refused, in every way
refused() {
	local name=$1
	shift
	check_not "refused: $name" env "$@" "$SAGEMAKERFS" aws "$MNT"
	env "$@" "$SAGEMAKERFS" aws "$MNT" -d >>"$OUT/refused.log" 2>&1 || :
}
refused 'a wrong key' AWS_ACCESS_KEY_ID=AKIA0123456789ABCDEF AWS_SECRET_ACCESS_KEY="${SECRET}x" AWS_SESSION_TOKEN="$TOKEN"
refused 'an unknown key' AWS_ACCESS_KEY_ID=AKIA9999999999999999 AWS_SECRET_ACCESS_KEY="$SECRET" AWS_SESSION_TOKEN="$TOKEN"
refused 'half a key' AWS_SECRET_ACCESS_KEY="$SECRET"
refused 'a key with a line break' AWS_ACCESS_KEY_ID=AKIA0123456789ABCDEF AWS_SECRET_ACCESS_KEY="$SECRET" AWS_SESSION_TOKEN="$TOKEN
x"
refused 'a URL with a password' AWS_ENDPOINT_URL="http://user:$SECRET@127.0.0.1:$port" AWS_PROFILE=dev
refused 'a proxy without a port' HTTPS_PROXY="http://u:$PROXY@127.0.0.1:port" AWS_PROFILE=dev
refused 'a proxy that is none' HTTPS_PROXY="http://u:$PROXY@ 127.0.0.1" AWS_PROFILE=dev

# A proxy that is not there
AWS_ENDPOINT_URL=https://nowhere.invalid HTTPS_PROXY=http://u:$PROXY@127.0.0.1:1 AWS_PROFILE=dev start_debug proxy
check_errno 'no proxy' EHOSTUNREACH ls "$MNT/models"
check_match 'the sentence names it' 'could not connect to the proxy 127.0.0.1:1 for nowhere.invalid' cat "$MNT/models/.error"
check 'no proxy: every file' walk proxy.files
check_match 'the proxy is shown without its password' '^https_proxy http://127.0.0.1:1 \(HTTPS_PROXY\)$' cat "$MNT/.sagemakerfs/config"
mount_stop
{ wait "$DAEMON"; } 2>/dev/null || :

# A local mount, whose backend it starts: models get nothing of the user's environment.
unset AWS_ENDPOINT_URL
STORE=$WORLD/store2
AWS_ACCESS_KEY_ID=AKIA0123456789ABCDEF AWS_SECRET_ACCESS_KEY=$SECRET AWS_SESSION_TOKEN=$TOKEN mount_start
everything local
mount_stop

nothing 'in what was logged, said, shown, and given to models' "$OUT"
nothing 'in state, journal, staging, cache and settings' "$WORLD/state" "$WORLD/cache" "$WORLD/config" "$WORLD/data"
nothing 'in the store of a backend with other keys' "$WORLD/store2"
check_out 'in the store itself only where keys belong' "$WORLD/store/keys.json" \
	sh -c "grep -rlaF $FORM '$WORLD/store' | grep -v '/run.json$' | sort"
done_testing
