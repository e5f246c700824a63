"""An account with 10,000 models, configurations and endpoints: all of them in lists, each once, in little memory."""
import os
import sqlite3
import time

from harness import B, Backend, await_status, deploy

N = 1000 if os.environ.get("SANITIZED") else 10000


def multiply(store, kind, name):
    """The row of that kind and name, N times under other names."""
    db = sqlite3.connect(store + "/store.db")
    columns = [r[1] for r in db.execute("PRAGMA table_info(resource)")]
    row = dict(zip(columns, db.execute("SELECT * FROM resource WHERE kind = ? AND name = ?", (kind, name)).fetchone()))
    for n in range(N):
        new = dict(row, name="%s-%05d" % (name, n), created=row["created"] + n / 1000)
        db.execute("INSERT INTO resource(%s) VALUES (%s)" % (",".join(new), ",".join("?" * len(new))), list(new.values()))
    db.commit()


def resident_kib():
    for line in open("/proc/%d/status" % B.process.pid):
        if line.startswith("VmHWM"):
            return int(line.split()[1])


def names(call, key, member, **kw):
    pages = B.client("sagemaker").get_paginator(call).paginate(PaginationConfig={"PageSize": 100}, **kw)
    return [row[member] for page in pages for row in page[key]]


def test_ten_thousand():
    deploy("broken", b"no archive", wait="Failed")
    kinds = [row[0] for row in sqlite3.connect(B.store + "/store.db").execute("SELECT DISTINCT kind FROM resource")]
    assert len(kinds) == 3, kinds
    before = resident_kib()
    B.stop()
    for kind in kinds:
        multiply(B.store, kind, "broken")
    B.start()
    expected = sorted(["broken"] + ["broken-%05d" % n for n in range(N)])
    for call, key, member in (("list_models", "Models", "ModelName"),
                              ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
                              ("list_endpoints", "Endpoints", "EndpointName")):
        began = time.time()
        assert names(call, key, member, SortBy="Name", SortOrder="Ascending") == expected
        print("     %s: %d in %.1f s" % (call, len(expected), time.time() - began))
        assert names(call, key, member, NameContains="-%04d" % (N // 10 - 1)) == ["broken-%05d" % n for n in range(N - 1, N - 11, -1)]
    assert sorted(names("list_endpoints", "Endpoints", "EndpointName")) == expected
    assert names("list_endpoints", "Endpoints", "EndpointName", StatusEquals="InService") == []
    grown = resident_kib() - before
    print("     %d KiB more than with one" % grown)
    assert os.environ.get("SANITIZED") or grown < 3 * N * 5, grown
    B.client("sagemaker").delete_endpoint(EndpointName="broken-00500")
    await_status("broken-00500", "gone")
    assert len(names("list_endpoints", "Endpoints", "EndpointName")) == N
