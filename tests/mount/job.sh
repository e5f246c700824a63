#!/usr/bin/env bash
# The main job with plain tools, in each layout that TensorFlow and MXNet write, twice over.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mount_start
check 'the mount answers as soon as the command returns' test -f "$MNT/README"
check_match 'the README says where and whose' 'local' head -5 "$MNT/README"

SM=$(find "$DATA/tensorflow-keras" -name saved_model.pb -printf '%h\n' | head -1)

# layout NAME: the same SavedModel as users have it.
layout() {
	local at=$WORLD/layout-$1
	case $1 in
	servo) mkdir -p "$at/Servo/1" && cp -r "$SM/." "$at/Servo/1" ;;
	export-servo) mkdir -p "$at/export/Servo/1" && cp -r "$SM/." "$at/export/Servo/1" ;;
	number) mkdir -p "$at/1" && cp -r "$SM/." "$at/1" ;;
	bare) mkdir -p "$at" && cp -r "$SM/." "$at" ;;
	esac
	echo "$at"
}

s3_get() { # URI FILE: by an independent client (curl's own signer)
	local uri=${1#s3://}
	(
		eval "$("$SAGEMAKERFS" env "$MNT")"
		curl -fsS -H "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" --aws-sigv4 "aws:amz:$AWS_REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -o "$2" "$AWS_ENDPOINT_URL/$uri"
	)
}

listing() { # NAME: the archive's members as GNU tar and Python see them
	local uri
	uri=$(cat "$MNT/models/$1/.sagemaker/uri")
	s3_get "$uri" "$WORLD/$1.tar.gz" || return 1
	tar -tzf "$WORLD/$1.tar.gz" | grep -v '/$' | sort >"$WORLD/$1.gnu"
	/usr/bin/python3 -c 'import sys,tarfile
print("\n".join(sorted(m.name for m in tarfile.open(sys.argv[1]) if m.isfile())))' "$WORLD/$1.tar.gz" >"$WORLD/$1.py"
	cmp "$WORLD/$1.gnu" "$WORLD/$1.py" && gzip -t "$WORLD/$1.tar.gz" && cat "$WORLD/$1.gnu"
}

for round in 1 2; do
	for l in servo export-servo number bare; do
		name=tf-$l
		cp -rT "$(layout $l)" "$MNT/models/$name"
		check "round $round: cp -rT of the layout '$l' arrives" diff -r "$WORLD/layout-$l" "$MNT/models/$name"
		check "round $round: sync commits '$l'" sync "$MNT/models/$name"
		check_out "round $round: '$l' is packed as the container expects" "export/Servo/1/saved_model.pb
export/Servo/1/variables/variables.data-00000-of-00001
export/Servo/1/variables/variables.index" listing "$name"
		check_out "round $round: framework of '$l'" tensorflow cat "$MNT/models/$name/.sagemaker/framework"
	done

	name=mx
	cp -rT "$DATA/mxnet-iris/model" "$MNT/models/$name"
	check_out "round $round: an MXNet checkpoint is packed flat, highest epoch, whatever its prefix" "code/inference.py
model-0000.params
model-shapes.json
model-symbol.json" bash -c "sync '$MNT/models/$name' && $(declare -f listing s3_get); WORLD=$WORLD MNT=$MNT SAGEMAKERFS=$SAGEMAKERFS; listing $name"
	check "round $round: the highest epoch is the one" bash -c "tar -xzOf '$WORLD/$name.tar.gz' model-0000.params | cmp - '$DATA/mxnet-iris/model/iris-0007.params'"

	for name in tf-servo mx; do
		check "round $round: mkdir deploys $name" mkdir "$MNT/endpoints/$name"
		check_out "round $round: wait of $name" InService cat "$MNT/endpoints/$name/wait"
		check_out "round $round: status of $name" InService cat "$MNT/endpoints/$name/status"
		check_out "round $round: model of $name is a link" "../../models/$name" readlink "$MNT/endpoints/$name/model"
		check "round $round: the link leads there" test -d "$MNT/endpoints/$name/model/"
		check_out "round $round: instance type" ml.m5.large cat "$MNT/endpoints/$name/instance_type"
		check_out "round $round: instance count" 1 cat "$MNT/endpoints/$name/instance_count"
		check_match "round $round: arn" "^arn:aws:sagemaker:[a-z0-9-]+:[0-9]{12}:endpoint/$name\$" cat "$MNT/endpoints/$name/arn"
		check "round $round: config is JSON" bash -c "jq -e .ProductionVariants '$MNT/endpoints/$name/config' >/dev/null"
		check_out "round $round: no error" "" cat "$MNT/endpoints/$name/error"
	done
	echo '[6.4,3.2,4.5,1.5]' >"$MNT/invoke/tf-servo"
	check_match "round $round: the answer is the model server's" '6\.4,3\.2,4\.5,1\.5' cat "$MNT/invoke/tf-servo"
	echo '[[1,2,3,4]]' >"$MNT/invoke/mx"
	check_match "round $round: two endpoints at once" '1,2,3,4' cat "$MNT/invoke/mx"
	check_match "round $round: and the first still has its own" '6\.4' bash -c "echo '[6.4]' > '$MNT/invoke/tf-servo'; cat '$MNT/invoke/tf-servo'"

	check "round $round: rmdir deletes" rmdir "$MNT/endpoints/tf-servo"
	check_not "round $round: it is gone from endpoints/" test -e "$MNT/endpoints/tf-servo"
	check "round $round: rm -r deletes too" rm -r "$MNT/endpoints/mx"
	for name in tf-servo mx; do
		cat "$MNT/endpoints/.deleting/$name/wait" 2>/dev/null || :
		check_not "round $round: nothing invokes a deleted endpoint" cat "$MNT/invoke/$name"
	done
	check_out "round $round: endpoints/ is empty" "" ls "$MNT/endpoints"
	check "round $round: models go" rm -r "$MNT/models/tf-servo" "$MNT/models/tf-export-servo" "$MNT/models/tf-number" "$MNT/models/tf-bare" "$MNT/models/mx"
	check_out "round $round: models/ is empty" "" ls "$MNT/models"
	rm -rf "$WORLD"/layout-*
done
check 'unmount' mount_stop
check_not 'it is unmounted' mounted "$MNT"
done_testing
