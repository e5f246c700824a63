"""The measurements of upload.sh. upload_run.py CONFIG (JSON: kinds, mib, rounds, work, ways, python, sdk_python, backends)

Every way is measured once a round, in an order that rotates, on every backend. CPU seconds are user + system of all processes on our
side of the wire: of a pipeline its processes, of a mount `cp`, `sync` and the daemon with the children it has waited for. Of the SDKs'
way there are two rows: the whole process, and without its start and imports, as in a notebook that has them already. The goals are
counted against the latter, but for C, which is all start: there against the former, and the latter is said.
"""
import json
import os
import statistics
import subprocess
import sys
import time

import boto3

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
PIPES = {
    "tar | gzip | aws s3 cp -": "tar -C {src} -cf - export | gzip",
    "tar | pigz | aws s3 cp -": "tar -C {src} -cf - export | pigz",
    "tar | igzip | aws s3 cp -": "tar -C {src} -cf - export | igzip -c",
}
GOALS = {"A": (12, 10), "B": (15, 10), "C": (10, None), "D": (None, None)}  # wall and CPU over the SDK's way
SYNC_GOALS = {"A": 1.0, "C": 0.05}
BASE, OURS = "boto3", "mount"
TITLES = {
    OURS: "sagemakerfs: cp -r + sync",
    BASE: "SDK's way: tarfile w:gz + boto3",
    "sagemaker": "SageMaker SDK: create_tar_file + upload_data",
    "passthrough": "cp -r through passthrough_ll (no S3)",
    "disk": "cp -r to the local disk (no S3)",
}


def process_cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        return sum(map(int, f.read().rpartition(")")[2].split()[11:15])) / TICK


def rss_highest(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024


def run(command, env=None, stdout=None):
    """Seconds and CPU seconds of a command and of all that it has waited for."""
    wall = time.monotonic()
    p = subprocess.Popen(command, env=env, stdout=stdout)
    _, status, used = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        sys.exit(f"{command}: exit {p.returncode}")
    return time.monotonic() - wall, used.ru_utime + used.ru_stime


def mount_once(backend, model, src):
    daemon = backend["daemon"]
    before = process_cpu(daemon)
    copied, cp_cpu = run(["cp", "-rT", f"{src}/export/Servo", model])
    synced, sync_cpu = run(["sync", model])
    daemon_cpu = process_cpu(daemon) - before
    return {"wall": copied + synced, "cpu": cp_cpu + sync_cpu + daemon_cpu, "daemon": daemon_cpu, "cp": copied, "sync": synced}


def stored(backend, model):
    """Of the archive's bytes the share in chunks that were stored as they are, and the archive's size over that of its stream."""
    with open(f"{model}/.sagemaker/uri") as f:
        bucket, key = f.read().strip().removeprefix("s3://").split("/", 1)
    s3 = boto3.Session().client("s3", **backend["client"])
    top = key.rsplit("/", 2)[0]
    manifest = json.load(s3.get_object(Bucket=bucket, Key=f"{top}/manifest.json")["Body"])
    version = next(v for v in manifest["versions"] if v["version"] == manifest["current"])
    points = [(p[0], p[1]) for p in version["points"]]
    ends = points[1:] + [(None, version["size"])]
    known = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(points, ends) if b[0] is not None]
    members = version["members"]
    total = max(points[-1][0], max(m["offset"] + m["size"] for m in members))
    known.append((total - points[-1][0], ends[-1][1] - points[-1][1]))
    return sum(n for n, out in known if out >= n) / max(1, sum(n for n, _ in known)), version["size"] / max(1, total)


def by_mount(c, backend, src, kind):
    model = f"{backend['mount']}/models/{kind.lower()}-{c['serial']}"
    with open(f"/proc/{backend['daemon']}/clear_refs", "w") as f:
        f.write("5")  # VmHWM starts anew
    r = mount_once(backend, model, src)
    r["rss"] = rss_highest(backend["daemon"])
    r["stored"], r["size"] = stored(backend, model)
    time.sleep(0.5)
    again = mount_once(backend, model, src)
    r["again_cp"], r["again"] = again["cp"], again["sync"]
    c["leave"].append(model)
    return r


def by_sdk(c, backend, src, way):
    python = c["sdk_python"] if way == "sagemaker" else sys.executable
    command = [python, "-W", "ignore", f"{HERE}/upload_sdk.py", way, src, f"{c['work']}/model.tar.gz", "bench-ways"]
    with open(f"{c['work']}/out", "w+") as out:
        wall, cpu = run(command, backend["env"], out)
        out.seek(0)
        warm = json.loads(out.read().splitlines()[-1])
    return {"wall": wall, "cpu": cpu, "warm": warm}


def by_pipe(c, backend, src, way):
    line = PIPES[way].format(src=src) + " | aws s3 cp --only-show-errors - s3://bench-ways/pipe/model.tar.gz"
    wall, cpu = run(["bash", "-o", "pipefail", "-c", line], backend["env"])
    return {"wall": wall, "cpu": cpu}


def by_disk(c, backend, src, way):
    copy = f"{c['work']}/copy-{c['serial']}"
    wall, cpu = run(["cp", "-rT", f"{src}/export/Servo", copy])
    c["leave"].append(copy)
    return {"wall": wall, "cpu": cpu}


def by_passthrough(c, backend, src, way):
    """FUSE's own part of the way: nobody who copies through it is sooner."""
    copy = f"{c['work']}/copy-{c['serial']}"
    before = process_cpu(c["through_pid"])
    wall, cpu = run(["cp", "-rT", f"{src}/export/Servo", c["through"] + copy])
    c["leave"].append(copy)
    return {"wall": wall, "cpu": cpu + process_cpu(c["through_pid"]) - before}


def tidy(c):
    """Many files are removed at the end of a kind only: ext4 makes new ones slowly for minutes after that, as it looks for inodes that were
    not freed lately."""
    if c["leave"]:
        run(["rm", "-rf", *c["leave"]])
        c["leave"] = []


def measure(c, backend, kind, src, way):
    how = {OURS: by_mount, BASE: by_sdk, "sagemaker": by_sdk, "disk": by_disk, "passthrough": by_passthrough}.get(way, by_pipe)
    c["serial"] += 1
    before = process_cpu(backend["pid"])
    r = how(c, backend, src, way)
    r["backend"] = process_cpu(backend["pid"]) - before
    if kind == "A":
        tidy(c)
    return r


def median(rows, key):
    return statistics.median(r[key] for r in rows)


def goal(x, least):
    return f"{x:.1f}x" + ("" if least is None else f" (goal {least}: {'met' if x >= least else 'MISSED'})")


def limit(x, most, unit):
    return f"{x:.3g} {unit}" + ("" if most is None else f" (goal {most:g}: {'met' if x <= most else 'MISSED'})")


def against(rows, ours, kind, label):
    wall = statistics.median(b["wall"] / o["wall"] for b, o in zip(rows, ours))
    cpu = statistics.median(b["cpu"] / max(o["cpu"], 1 / TICK) for b, o in zip(rows, ours))
    wall_goal, cpu_goal = GOALS[kind] if kind else (None, None)
    print(f"    over {label}: wall {goal(wall, wall_goal)}, CPU {goal(cpu, cpu_goal)}")


def line(title, r, ours):
    wall, cpu = median(r, "wall"), median(r, "cpu")
    ratios = "" if r is ours else f"{wall / median(ours, 'wall'):7.1f}x {cpu / max(median(ours, 'cpu'), 1 / TICK):7.1f}x"
    print(f"    {title:46} {wall:9.3f} {cpu:8.2f} {median(r, 'backend'):8.2f} {ratios}")


def report(name, kind, size, rows, rounds):
    print(f"\n{kind} on {name}: {size / (1 << 20):.2f} MiB, medians of {rounds}")
    print(f"    {'':46} {'seconds':>9} {'CPU s':>8} {'backend':>8} {'wall':>8} {'CPU':>8}")
    ours = rows[OURS]
    for way, r in rows.items():
        line(TITLES.get(way, way), r, ours)
        if "warm" in r[0]:
            line("    without its start and imports", [{**x["warm"], "backend": x["backend"]} for x in r], ours)
    if BASE in rows:
        warm = [r["warm"] for r in rows[BASE]]
        against(rows[BASE], ours, kind if kind == "C" else None, "the SDK's way, its start and imports counted")
        against(warm, ours, None if kind == "C" else kind, "the SDK's way, already running")
    print(f"    cp {median(ours, 'cp'):.3f} s, then sync to ready {limit(median(ours, 'sync'), SYNC_GOALS.get(kind), 's')}; "
          f"unchanged once more: cp {median(ours, 'again_cp'):.3f} s, then sync {limit(median(ours, 'again'), 0.2, 's')}")
    print(f"    CPU of the daemon {median(ours, 'daemon'):.2f} s, of cp and sync {median(ours, 'cpu') - median(ours, 'daemon'):.2f} s; "
          f"RSS highest {limit(max(r['rss'] for r in ours), 256, 'MiB')}")
    print(f"    stored chunks {100 * median(ours, 'stored'):.0f} % of the bytes, archive / tar {median(ours, 'size'):.3f}", flush=True)


def tree_size(src):
    return sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(src) for f in fs)


def main():
    with open(sys.argv[1]) as f:
        c = {**json.load(f), "serial": 0, "leave": []}
    for backend in c["backends"]:
        own = backend["env"]
        backend["client"] = {"endpoint_url": own.get("AWS_ENDPOINT_URL_S3", own["AWS_ENDPOINT_URL"]), "region_name": own["AWS_REGION"],
                             "aws_access_key_id": own["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": own["AWS_SECRET_ACCESS_KEY"]}
        backend["env"] = {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, **own}
        boto3.client("s3", **backend["client"]).create_bucket(Bucket="bench-ways")
    for kind in c["kinds"]:
        src = f"{c['work']}/src-{kind}"
        rounds = c["rounds"] * (5 if kind == "C" else 1)  # cheap, and hundredths of a second
        rows = {b["name"]: {w: [] for w in c["ways"]} for b in c["backends"]}
        for n in range(rounds):
            for backend in c["backends"]:
                at = n % len(c["ways"])
                for way in c["ways"][at:] + c["ways"][:at]:
                    rows[backend["name"]][way].append(measure(c, backend, kind, src, way))
        for name, r in rows.items():
            report(name, kind, tree_size(src), r, rounds)
        tidy(c)


main()
