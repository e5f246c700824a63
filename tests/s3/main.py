"""Runs the cases; see suite.py."""
import sys

import cases_buckets  # noqa: F401
import cases_checksums  # noqa: F401
import cases_copy  # noqa: F401
import cases_list  # noqa: F401
import cases_multipart  # noqa: F401
import cases_objects  # noqa: F401
import cases_wire  # noqa: F401
import deviations
from suite import CASES, S, run


def main():
    url, access, secret, *rest = sys.argv[1:]
    peer = {}
    if rest[:1] == ["--peer"]:
        peer, rest = getattr(deviations, rest[1].upper()), rest[2:]
    names = [name for name, _ in CASES]
    assert len(names) == len(set(names)), "two cases have one name"
    unknown = set(peer) - set(names)
    assert not unknown, "deviations of no case: %s" % unknown
    S.open(url, access, secret)
    return 1 if run(rest, peer) else 0


if __name__ == "__main__":
    sys.exit(main())
