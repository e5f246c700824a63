#!/usr/bin/env python3
"""usage: credentials.py DRIVER DIRECTORY
Every row of CASES, files and environment, is resolved by botocore and by us, and both must come to the same keys and region, or
both refuse. Then what only a running client shows: renewal, one fetch for many, refused keys, cancelling. Prints one line for
each check, "ok NAME" or "FAIL NAME: why"."""
import json
import os
import shutil
import stat
import subprocess
import sys
import time

import credentials_server as services
from credentials_cases import CASES, FETCHED, LOGIN_FILE, LOGIN_KEY, LOGIN_PEM, sso_file
from credentials_server import ROLE, WORLD

DRIVER, HOME = sys.argv[1], sys.argv[2]


def ok(name):
    print(f"ok {name}", flush=True)


def fail(name, why):
    print(f"FAIL {name}: {why}", flush=True)


def check(name, held, why=""):
    (ok(name) if held else fail(name, why))


# Both sides -----------------------------------------------------------------------------------------------------------------

def by_botocore(environment, profile):
    """In a child of its own: botocore keeps what it found at import."""
    os.environ.clear()
    os.environ.update(environment)
    import botocore.credentials
    import botocore.session
    import botocore.tokens
    cache = os.path.join(environment["HOME"], ".aws/sso/cache")
    botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR = cache
    botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR = cache
    try:
        session = botocore.session.Session(profile=profile)
        region = session.get_config_variable("region")
        found = session.get_credentials()
        if found is None:
            return {"error": "none"}
        frozen = found.get_frozen_credentials()
        return {"access": frozen.access_key, "secret": frozen.secret_key, "token": frozen.token or "", "region": region,
                "provider": found.method}
    except BaseException as e:  # noqa: BLE001: any way of refusing is one
        return {"error": f"{type(e).__name__}: {e}"}


def zygote():
    """A process without threads that has botocore loaded and forks for every question. Returns ask(environment, profile)."""
    import botocore.session
    ask_r, ask_w = os.pipe()
    answer_r, answer_w = os.pipe()
    if os.fork() == 0:
        os.close(ask_w)
        os.setsid()  # no terminal to ask for an MFA code
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 2)
        for line in os.fdopen(ask_r):
            if os.fork() == 0:
                answer = json.dumps(by_botocore(*json.loads(line)))
                os.write(answer_w, (answer + "\n").encode())
                os._exit(0)
            os.wait()
        os._exit(0)
    os.close(ask_r)
    os.close(answer_w)
    answers = os.fdopen(answer_r)

    def ask(environment, profile):
        os.write(ask_w, (json.dumps([environment, profile]) + "\n").encode())
        return json.loads(answers.readline())

    del botocore
    return ask


class Ours:
    """The driver, kept running: one answer for one command."""

    def __init__(self, environment, profile=None):
        self.p = subprocess.Popen([DRIVER] + ([profile] if profile else []), env=environment, text=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def say(self, command):
        try:
            self.p.stdin.write(command + "\n")
            self.p.stdin.flush()
        except BrokenPipeError:
            pass
        return self

    def hear(self):
        line = self.p.stdout.readline()
        return json.loads(line) if line else {"error": "it ended"}

    def ask(self, command):
        return self.say(command).hear()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.p.stdin.close()
        self.p.wait(60)
        self.p.stdout.close()
        if self.p.returncode:
            fail("the driver ends well", f"exit code {self.p.returncode}")


def lay_out(c, port):
    """The files of a case under a new home, its environment."""
    def fill(text):
        return text.replace("SERVER", f"http://127.0.0.1:{port}").replace("PORT", str(port)).replace("HOME/", HOME + "/")
    shutil.rmtree(HOME, ignore_errors=True)
    for path, text in {".aws/config": c["config"], ".aws/credentials": c["credentials"], **c["files"]}.items():
        if not text:
            continue
        path = os.path.join(HOME, path)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as f:
            f.write(fill(text))
    os.makedirs(HOME, exist_ok=True)
    environment = {"HOME": HOME, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "AWS_DEFAULT_REGION": "us-west-2",
                   "AWS_MAX_ATTEMPTS": "1"}
    for service in ("STS", "SSO", "SSO_OIDC", "SIGNIN", "S3"):
        environment["AWS_ENDPOINT_URL_" + service] = f"http://127.0.0.1:{port}"
    environment.update({k: fill(v) for k, v in c["env"].items() if v is not None})
    for k in (k for k, v in c["env"].items() if v is None):
        del environment[k]
    return environment


def set_world(c):
    WORLD.reset()
    for name, value in c["world"].items():
        setattr(WORLD, name, value)


def compare(c, port, ask_botocore):
    environment = lay_out(c, port)
    set_world(c)
    theirs = ask_botocore(environment, c["profile"])
    their_calls = dict(WORLD.log)
    environment = lay_out(c, port)
    set_world(c)
    with Ours(environment, c["profile"]) as driver:
        ours = driver.ask("get")
    name = f"as botocore: {c['name']}"
    if WORLD.problems:
        return fail(name, "; ".join(WORLD.problems))
    if c["differs"]:
        return check(f"otherwise than botocore ({c['differs']}): {c['name']}", "error" in ours and "error" not in theirs, ours)
    if "error" in theirs or "error" in ours:
        both = "error" in theirs and "error" in ours
        return check(name, both and c["gives"] is None, f"botocore {theirs}, ours {ours}")
    same = all(ours[k] == theirs[k] for k in ("access", "secret", "token", "region"))
    expected = c["gives"] and ours["access"].startswith(c["gives"])
    calls = {k: v for k, v in WORLD.log.items() if not k.startswith("imds")}
    their_calls = {k: v for k, v in their_calls.items() if not k.startswith("imds")}
    return check(name, same and expected and calls == their_calls, f"botocore {theirs} {their_calls}, ours {ours} {calls}")


# What only a running client shows ---------------------------------------------------------------------------------------------

def by_name(name):
    return next(c for c in CASES if c["name"] == name)


def begin(name, port, **world):
    c = by_name(name)
    environment = lay_out(c, port)
    set_world(c)
    for k, v in world.items():
        setattr(WORLD, k, v)
    return Ours(environment, c["profile"])


def until(ask, held, seconds=30):
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if held(answer) or time.monotonic() > end:
            return answer
        time.sleep(0.05)


def renewal(port):
    with begin("role", port, life=6, serial=True) as d:
        first = d.ask("get")["access"]
        second = until(lambda: d.ask("get"), lambda a: a.get("access") != first)
        check("keys are renewed while the old ones live", second.get("access", first) != first and WORLD.log["sts"] == 2,
              f"{second} {WORLD.log}")
    with begin("role", port, life=6, serial=True) as d:
        first = d.ask("get")["access"]
        WORLD.fail["sts"] = (503, "")
        words = until(lambda: (d.ask("get"), d.ask("source"))[1], lambda a: "not renewed" in a.get("source", ""))
        again = d.ask("get")
        check("a renewal that fails leaves the old keys in use", "not renewed: get the AWS keys of profile 'r'" in str(words)
              and again.get("access") == first, f"{words} {again}")
        ended = until(lambda: d.ask("get"), lambda a: "error" in a)
        check("once the old keys have ended it says who could not give new ones",
              "get the AWS keys of profile 'r' by role_arn" in ended.get("error", ""), ended)


def once_for_all(port):
    with begin("machine", port, serial=True) as d:
        answer = d.ask("many 50")
        check("fifty threads, one fetch", answer == {"got": 50, "sets": 1} and WORLD.log["imds"] == 2 and WORLD.log["imds token"] == 1,
              f"{answer} {WORLD.log}")
    with begin("process", port) as d:
        with open(os.path.join(HOME, "p"), "r+", encoding="utf-8") as f:
            text = f.read()
            f.seek(0)
            f.write(f"echo once >>{HOME}/runs\n" + text)
        answer = d.ask("many 50")
        with open(os.path.join(HOME, "runs"), encoding="utf-8") as f:
            runs = f.read().count("once")
        check("fifty threads, one process", answer == {"got": 50, "sets": 1} and runs == 1, f"{answer} {runs}")
    with begin("machine", port, serial=True) as d:
        answer = d.ask("put 50")
        check("fifty calls before there are keys, one fetch", answer == {"good": 50} and WORLD.log["imds"] == 2, f"{answer} {WORLD.log}")


def unkept(port):
    """New keys of a login that cannot be written down are used all the same."""
    with begin("login session that has ended is renewed", port) as d:
        directory = os.path.join(HOME, ".aws/login/cache")
        subprocess.run(["mount", "--bind", "-o", "ro", directory, directory], check=False)
        subprocess.run(["mount", "-o", "remount,ro,bind", directory], check=True)
        answer = d.ask("get")
        subprocess.run(["umount", directory], check=True)
        check("new keys of a login that cannot be written down", answer.get("access", "").startswith(FETCHED), answer)


def forgotten(port):
    with begin("machine", port, imds="forgets") as d:
        answer = d.ask("get")
        check("a session token that has ended is fetched anew", answer.get("access", "").startswith(FETCHED)
              and WORLD.log["imds token"] == 2, f"{answer} {WORLD.log}")


def refused(port):
    with begin("role", port, serial=True) as d:
        d.ask("put 1")
        with WORLD.lock:
            WORLD.expired = {WORLD.last}
        before = WORLD.log["sts"]
        answer = d.ask("put 50")
        check("keys that end in mid-upload: fetched once, every part sent again",
              answer == {"good": 50} and WORLD.log["sts"] == before + 1 and WORLD.log["s3 taken"] == 51 * (256 << 10)
              and not WORLD.problems, f"{answer} {WORLD.log} {WORLD.problems}")
    with begin("environment's token", port) as d:
        WORLD.expired = {"AKIAENV"}
        answer = d.ask("put 1")
        check("refused keys that nobody can renew: it says where they are from",
              "the keys are those of the environment" in answer.get("error", "") and answer["errno"] == 13, answer)
    with begin("web identity of the environment", port) as d:
        first = d.ask("get")["access"]
        with open(os.path.join(HOME, "jwt"), "w", encoding="utf-8") as f:
            f.write("another.token.now")
        d.ask("refused")
        check("a web identity's token is read anew", d.ask("get").get("access", first) != first)


def cancelled(port):
    with begin("machine", port, imds="hold") as d:
        answer = d.ask("stop")
        check("a call that waits for keys is cancelled at once", answer.get("errno") == 125 and not WORLD.release.is_set(), answer)
        WORLD.release.set()


def kept(name, port, path, held):
    with begin(name, port) as d:
        d.ask("get")
    path = os.path.join(HOME, path)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    mode = stat.S_IMODE(os.stat(path).st_mode)
    rest = [f for f in os.listdir(os.path.dirname(path)) if not f.endswith(".json")]
    check(f"the new token is kept for other tools: {name}", held(json.loads(text)) and mode == 0o600 and not rest, f"{text} {mode:o} {rest}")


def sentences(port):
    rows = [
        ("role that wants an MFA code", "eval \"$(aws configure export-credentials --profile r --format env)\""),
        ("SSO session, nobody logged in", "nobody is logged in: run 'aws sso login --profile s'"),
        ("SSO session, refresh token refused", "the login has expired: run 'aws sso login --profile s'"),
        ("SSO, token refused", "the login is no longer valid: run 'aws sso login --profile s'"),
        ("login session that cannot be renewed", "the login has expired: run 'aws login --profile l'"),
        ("process that fails", "by credential_process: it failed with exit code 2: no"),
        ("process of another version", "has not \"Version\": 1"),
        ("role that is denied", f"assume role '{ROLE}denied': not authorized"),
        ("roles in a circle", "leads back to itself"),
        ("machine without tokens", "gives no session token (HTTP 403)"),
        ("environment with an end that is past", "the AWS keys of the environment ended at"),
        ("web identity, no such file", "could not read the web identity token"),
        ("container, a host that is not allowed", "names host '169.254.169.254'"),
    ]
    for name, words in rows:
        with begin(name, port) as d:
            answer = d.ask("get")
        check(f"it says what to do: {name}", words in answer.get("error", ""), answer)
    for name, words in [("SSO session", "profile 's' by sso_session"), ("environment", "the environment"), ("machine", "the instance's role"),
                        ("role of a process", "profile 'r' by role_arn, asked for with the keys of profile 'b' by credential_process")]:
        with begin(name, port) as d:
            answer = d.ask("source")
        check(f"it says where keys come from: {name}", answer.get("source") == words, answer)


def main():
    services.Handler.public = (LOGIN_KEY.public_key().public_numbers().x, LOGIN_KEY.public_key().public_numbers().y)
    ask_botocore = zygote()
    port = services.start("127.0.0.1")
    services.start("169.254.169.254", 80)
    services.start("169.254.170.2", 80)
    for c in CASES:
        compare(c, port, ask_botocore)
    renewal(port)
    once_for_all(port)
    forgotten(port)
    unkept(port)
    refused(port)
    cancelled(port)
    kept("SSO session that ends soon is renewed", port, sso_file("corp"),
         lambda t: (t["accessToken"], t["refreshToken"], t["clientSecret"]) == ("sso-token-2", "refresh-2", "client-secret"))
    kept("login session that ends soon is renewed", port, LOGIN_FILE,
         lambda t: t["refreshToken"] == "login-refresh-2" and t["dpopKey"] == LOGIN_PEM and t["accessToken"]["accountId"] == "123456789012")
    sentences(port)


main()
