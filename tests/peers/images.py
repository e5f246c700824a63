"""images.py DRIVER: needs the SageMaker SDK 2, or the core of SDK 3. Our image URIs against the SageMaker SDK's image_uris.retrieve, in one go: every framework, version, alias,
region, Python and kind of instance, refusals included. Prints "ok ..." and "FAIL ..." lines.

Where we deviate on purpose, what we must answer is derived from what the SDK answers to another question (RULES below)."""
import collections
import functools
import itertools
import logging
import re
import socket
import subprocess
import sys


def no_network(*_):
    raise OSError("this test takes no look at the network")


socket.socket.connect = no_network
logging.disable(logging.CRITICAL)
try:
    from sagemaker import image_uris, utils
    SDK = 2
except ImportError:
    from sagemaker.core import common_utils as utils
    from sagemaker.core import image_uris
    SDK = 3

# They read the same files each time: 70 ms a call.
utils._botocore_resolver = functools.lru_cache(utils._botocore_resolver)
image_uris.config_for_framework = functools.lru_cache(image_uris.config_for_framework)

FRAMEWORKS = "tensorflow", "mxnet", "pytorch", "sklearn", "xgboost", "huggingface"
X86 = "ml.m5.large", "ml.c7i.xlarge", "ml.g5.xlarge", "ml.p4d.24xlarge", "ml.p2.xlarge"
GRAVITON = "ml.c7g.xlarge", "ml.m6gd.large"  # the SDK knows that they are
GRAVITON_TOO = "ml.m8g.large", "ml.c8g.large", "ml.r8g.large", "ml.r7gd.large", "ml.c7gd.large", "ml.c7gn.large", "ml.m7g.large"
ONLY_SDK_3 = {("pytorch", "2.6"), ("pytorch", "2.6.0")}  # SDK 2 has no such arm64 image
REFUSED = "ml.g5g.xlarge", "ml.inf2.xlarge", "ml.trn1.2xlarge"  # ARM with a GPU, Neuron: no image in our table
INSTANCES = X86 + GRAVITON + GRAVITON_TOO + REFUSED

Question = collections.namedtuple("Question", "framework version base py region instance")


def config(framework, arm=False):
    whole = image_uris.config_for_framework(framework)
    return whole.get("inference_graviton", {}) if arm else whole["inference"]


@functools.lru_cache(maxsize=None)
def sdk(q):
    """The URI, or None when the SDK refuses."""
    try:
        return image_uris.retrieve(q.framework, q.region, version=q.version, py_version=q.py, instance_type=q.instance,
                                   image_scope="inference", base_framework_version=q.base)
    except (ValueError, KeyError):
        return None


def full_version(q):
    c = config(q.framework, q.instance in GRAVITON)
    return c.get("version_aliases", {}).get(q.version, q.version)


def facts(q):
    return config(q.framework, q.instance in GRAVITON).get("versions", {}).get(full_version(q), {})


def full_base(q):
    fact = facts(q)
    if q.base is None:
        bases = [b for b in fact if b.startswith("pytorch")]
        return max(bases, key=lambda b: [int(n) for n in re.findall(r"\d+", b)], default="pytorch0")
    return fact.get("version_aliases", {}).get(q.base, q.base)


def pythons(q):
    fact = facts(q)
    if q.base:
        fact = fact.get(full_base(q), {})
    if "repository" in fact:
        return fact.get("py_versions") or []
    return [k for k in fact if re.fullmatch(r"py\d+", k)]


def python_key(py):
    return int(py[2:3]), int(py[3:] or -1)


def expected(q):
    """What we must answer and, where that is not the SDK's answer to the same question, why."""
    why = None
    if q.instance in REFUSED:
        return None, "an ARM processor with a GPU, and Neuron, are refused"
    if q.instance in GRAVITON_TOO:
        q, why = q._replace(instance=GRAVITON[0]), "newer Graviton families are ARM too"
    if SDK == 2 and q.instance in GRAVITON and (q.framework, q.version) in ONLY_SDK_3:
        uri = sdk(q._replace(version="2.4.0", py=q.py and q.py.replace("py312", "py311")))
        uri = uri and uri.replace("inference-graviton:2.4.0", f"inference-arm64:{q.version}").replace("py311", "py312")
        return uri, "an arm64 image that only SDK 3 knows"
    if q.framework == "sklearn" and q.instance in GRAVITON and q.version not in config("sklearn", arm=True)["versions"]:
        return None, "the only version there is does not stand for every other"
    if q.framework == "huggingface":
        full = q._replace(version=full_version(q), base=full_base(q))
        if full != q:
            q, why = full, why or "a Hugging Face tag has full versions, and a base that nobody named is the newest PyTorch"
    if q.py is None and len(pythons(q)) > 1:
        q, why = q._replace(py=max(pythons(q), key=python_key)), why or "the newest Python is the default"
    return sdk(q), why


def bases_of(framework, version):
    if framework != "huggingface":
        return [None]
    fact = facts(Question(framework, version, None, None, None, X86[0]))
    return [None, *(b for b in fact if re.match("pytorch|tensorflow", b)), *fact.get("version_aliases", {}), "pytorch9.9"]


def questions():
    for framework in FRAMEWORKS:
        scopes = [config(framework), config(framework, arm=True)]
        versions = dict.fromkeys(v for s in scopes for v in [*s.get("versions", {}), *s.get("version_aliases", {})])
        regions = {r for r in re.findall(r"'((?:[a-z]+-)+\d)': '\d{12}'", repr(scopes))}
        for version in [*versions, "9.99"]:
            for base in bases_of(framework, version):
                some = Question(framework, version, base, None, None, X86[0])
                arm = some._replace(instance=GRAVITON[0])
                for py, region, instance in itertools.product(
                        dict.fromkeys([None, *pythons(some), *pythons(arm), "py99"]), sorted(regions) + ["xx-none-1"], INSTANCES):
                    yield Question(framework, version, base, py, region, instance)


def main(driver):
    asked = list(questions())
    lines = "".join(f"{q.framework} {q.version}{'-' + q.base if q.base else ''} {q.py or '-'} {q.region} {q.instance}\n"
                    for q in asked)
    answers = subprocess.run([driver], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    good, wrong, why_not = collections.Counter(), [], collections.Counter()
    refusals = collections.Counter()
    for q, answer in zip(asked, answers, strict=True):
        uri, why = expected(q)
        refusal = answer.startswith("refused: there is ") or "do not run on" in answer
        if answer != uri if uri else not refusal:
            wrong.append(f"{q}: '{answer}', expected '{uri}'")
        good[q.framework] += 1
        refusals[q.framework] += uri is None
        why_not[why] += 1
    for framework, n in good.items():
        bad = [w for w in wrong if w.startswith(f"Question(framework='{framework}'")]
        print("ok" if not bad else "FAIL", f"{framework}: {n} combinations ({refusals[framework]} refused) as SDK {SDK} says",
              *[f"; {len(bad)} not: {bad[:3]}"] if bad else [])
    same = why_not.pop(None)
    print("ok" if same >= 5000 else "FAIL", f"{same} answers are the SDK's own, besides {sum(why_not.values())} by these rules:",
          "; ".join(f"{n} {why}" for why, n in why_not.items()))


main(*sys.argv[1:])
