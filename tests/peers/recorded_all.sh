#!/usr/bin/env bash
# recorded.sh with every mount test but those that kill or break the backend (one that begins anew is not recorded), that look into
# its environment, that run a copy of the program as somebody else, or that sign with wrong keys on purpose.
set -euo pipefail
cd "$(dirname "$0")"
for t in ../mount/*.sh; do
	t=$(basename "$t" .sh)
	case $t in
	lib | crashes | damage | remount | offline | secrets | other_users | doctor) ;;
	*) RECORDED="${RECORDED:-} $t" ;;
	esac
done
export RECORDED
exec ./recorded.sh
