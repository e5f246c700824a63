# shellcheck shell=bash
# passthrough.sh: libfuse's example passthrough_ll as a peer: what FUSE itself costs. Sourced after a lib.sh.
#   passthrough_start       $PASS/mnt shows the whole disk; THROUGH is its process
#   passthrough_stop        also from a trap

PASS=$WORLD/pass

passthrough_start() {
	local example=/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c
	[ -e "$example" ] || example=$example.gz
	mkdir -p "$PASS/mnt" "$PASS/src"
	zcat -f "$example" >"$PASS/src/passthrough_ll.c"
	zcat -f "$(dirname "$example")"/passthrough_helpers.h* >"$PASS/src/passthrough_helpers.h"
	# shellcheck disable=SC2046
	gcc -O2 -D_GNU_SOURCE -DHAVE_UTIMENSAT "$PASS/src/passthrough_ll.c" -o "$PASS/passthrough_ll" $(pkg-config --cflags --libs fuse3) -lpthread 2>"$PASS/gcc"
	(ulimit -n "$(ulimit -Hn)" && exec "$PASS/passthrough_ll" "$PASS/mnt") # it keeps a descriptor for each file
	export THROUGH
	THROUGH=$(pgrep -f "^$PASS/passthrough_ll")
}

passthrough_stop() {
	! grep -q " $PASS/mnt " /proc/self/mounts || fusermount3 -uz "$PASS/mnt" 2>/dev/null || umount -l "$PASS/mnt"
}
