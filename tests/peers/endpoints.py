"""Endpoints as botocore resolves them, against hosts_driver. One line per check: "ok NAME" or "FAIL NAME: why"."""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse

import botocore
import botocore.session
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError
from botocore.utils import get_environ_proxies

DRIVER = sys.argv[1]
DATA = os.path.join(os.path.dirname(botocore.__file__), "data")
# botocore's names of our services, in the driver's order, and a call of each
SERVICES = [
    ("s3", lambda c: c.list_buckets()),
    ("sagemaker", lambda c: c.list_endpoints()),
    ("sagemaker-runtime", lambda c: c.invoke_endpoint(EndpointName="e", Body=b"")),
    ("sts", lambda c: c.get_caller_identity()),
    ("iam", lambda c: c.get_role(RoleName="r")),
    ("logs", lambda c: c.describe_log_groups()),
    ("cloudwatch", lambda c: c.list_metrics()),
    ("sso", lambda c: c.get_role_credentials(roleName="r", accountId="a", accessToken="t")),
    ("sso-oidc", lambda c: c.create_token(clientId="i", clientSecret="s", grantType="g")),
    ("signin", lambda c: c.create_o_auth2_token(tokenInput={"clientId": "i", "grantType": "authorization_code"})),
]
KEYS = ["s3", "sagemaker", "sagemaker_runtime", "sts", "iam", "cloudwatch_logs", "cloudwatch", "sso", "sso_oidc", "signin"]


def report(name, why=None):
    print(f"FAIL {name}: {why}" if why else f"ok {name}", flush=True)


# ---------------------------------------------------------------- every region


def data(*path):
    name = os.path.join(DATA, *path)
    if os.path.exists(name + ".gz"):
        with gzip.open(name + ".gz") as f:
            return json.load(f)
    with open(name, encoding="utf-8") as f:
        return json.load(f)


def rule_sets():
    loader = botocore.session.get_session().get_component("data_loader")
    partitions = data("partitions.json")
    for i, (service, _) in enumerate(SERVICES):
        rules = loader.load_service_model(service, "endpoint-rule-set-1")
        yield i, service, EndpointProvider(rules, partitions)


def regions():
    for partition in data("partitions.json")["partitions"]:
        yield from (r for r in partition["regions"] if not r.endswith("-global"))
    # Not (yet) in any table: partitions go by the shape of the name.
    yield from ["eu-north-9", "us-gov-north-1", "cn-west-7", "us-isof-west-2"]


def resolve(provider, service, region, fips, dualstack):
    asked = {"Region": region, "UseFIPS": fips, "UseDualStack": dualstack}
    if service == "s3" and region == "us-east-1":  # the legacy setting is botocore's default
        asked["UseGlobalEndpoint"] = True
    try:
        found = provider.resolve_endpoint(**asked)
    except BotoCoreError:
        return "refused"
    schemes = found.properties.get("authSchemes") or [{}]
    return f"{found.url} {schemes[0].get('signingRegion') or region}"


def check_regions():
    questions, theirs = [], []
    for i, service, provider in rule_sets():
        for region in regions():
            for kind in range(4):
                questions.append(f"{i} {region} {kind & 1} {kind >> 1}")
                theirs.append(resolve(provider, service, region, bool(kind & 1), bool(kind & 2)))
    run = subprocess.run([DRIVER], input="\n".join(questions), capture_output=True, text=True, check=True)
    ours = ["refused" if line.startswith("refused") else line for line in run.stdout.splitlines()]
    for i, (service, _) in enumerate(SERVICES):
        mine = [n for n, q in enumerate(questions) if q.startswith(f"{i} ")]
        wrong = [f"{questions[n]}: {ours[n]}, not {theirs[n]}" for n in mine if ours[n] != theirs[n]]
        report(f"{service}: {len(mine)} endpoints", "; ".join(wrong[:3]))


# ---------------------------------------------------------------- settings


class Captured(Exception):
    pass


def capture(request, **_):
    raise Captured(request.url, request.headers.get("Authorization"))


def ask_client(session, service, call, region):
    """The URL without its path, and the signing region of a real request."""
    client = session.create_client(service, region_name=region)
    client.meta.events.register("before-send.*.*", capture)
    try:
        call(client)
    except Captured as got:
        url, authorization = got.args
    authorization = authorization.decode() if isinstance(authorization, bytes) else authorization
    signed = authorization.split("Credential=")[1].split("/")[2] if authorization else None
    return url, signed


def botocore_settings(region):
    session = botocore.session.Session()
    if region:
        session.set_config_variable("region", region)
    out = {"region": session.get_config_variable("region") or None}
    out["ca_bundle"] = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    for (service, call), key in zip(SERVICES, KEYS):
        url, signed = ask_client(session, service, call, region)
        proxies = get_environ_proxies(url)
        proxy = proxies.get(urllib.parse.urlsplit(url).scheme)
        if proxy and "://" not in proxy:
            proxy = "http:" + proxy if proxy.startswith("//") else "http://" + proxy
        out[key] = {"url": url, "region": signed, "proxy": proxy}
    for name, bucket in (("bucket", "plain-bucket"), ("dotted", "dotted.bucket")):
        out["s3"][name] = ask_client(session, "s3", lambda c, b=bucket: c.head_bucket(Bucket=b), region)[0]
    return out


def same_url(ours, theirs):
    """theirs has the path of a call after what ours is."""
    if not ours or not theirs.startswith(ours):
        return False
    rest = theirs[len(ours):]
    return rest == "" or rest[0] in "/?"


def differences(ours, theirs):
    for name in ("region", "ca_bundle"):
        if ours.get(name) != theirs[name]:
            yield f"{name} is {ours.get(name)}, not {theirs[name]}"
    for key in KEYS:
        mine, its = ours.get(key, {}), theirs[key]
        if "refused" in mine:
            yield f"{key}: {mine['refused']}"
            continue
        for name in ("url", "bucket", "dotted"):
            if name in its and not same_url(mine.get(name), its[name]):
                yield f"{key}.{name} is {mine.get(name)}, not {its[name]}"
        if its["region"] and mine.get("region") != its["region"]:
            yield f"{key} is signed for {mine.get('region')}, not {its['region']}"
        if mine.get("proxy") != its["proxy"]:
            yield f"{key} goes through {mine.get('proxy')}, not {its['proxy']}"


def run_case(case, place):
    env = {"PATH": "/usr/bin:/bin", "HOME": place, "AWS_EC2_METADATA_DISABLED": "true",
           "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", **case.get("env", {})}
    os.makedirs(os.path.join(place, ".aws"))
    for name in ("config", "credentials"):
        if name in case:
            with open(os.path.join(place, ".aws", name), "w", encoding="utf-8") as f:
                f.write(case[name])
    region = case.get("region")
    ours = json.loads(subprocess.run([DRIVER, "settings"] + ([region] if region else []), env=env,
                                     capture_output=True, text=True, check=True).stdout)
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        theirs = botocore_settings(region)
    except (BotoCoreError, ValueError) as e:
        theirs = {"refused": str(e)}
    finally:
        os.environ.clear()
        os.environ.update(before)
    return ours, theirs


def check_case(case):
    with tempfile.TemporaryDirectory() as place:
        ours, theirs = run_case(case, place)
    if "ours" in case:  # where we differ on purpose (docs/hosts.md)
        said = ours.get("refused") or json.dumps(ours)
        report(case["name"], None if case["ours"] in said else f"'{said}' lacks '{case['ours']}'")
    elif "refused" in theirs or "refused" in ours:
        same = "refused" in theirs and "refused" in ours
        report(case["name"], None if same else f"ours: {ours.get('refused')}; botocore's: {theirs.get('refused')}")
    else:
        report(case["name"], "; ".join(differences(ours, theirs)))


def cases():
    r = "region = eu-west-1\n"
    yield from [
        {"name": "region of the default profile", "config": f"[default]\n{r}"},
        {"name": "region in [profile default]", "config": f"[profile default]\n{r}"},
        {"name": "region of a named profile", "config": "[default]\nregion=us-west-2\n[profile dev]\nregion = ap-south-1\n",
         "env": {"AWS_PROFILE": "dev"}},
        {"name": "AWS_DEFAULT_PROFILE before AWS_PROFILE", "env": {"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"},
         "config": "[profile a]\nregion=us-west-1\n[profile b]\nregion=us-west-2\n"},
        {"name": "AWS_DEFAULT_REGION before the profile", "config": f"[default]\n{r}", "env": {"AWS_DEFAULT_REGION": "sa-east-1"}},
        {"name": "region given", "region": "eu-central-1", "config": f"[default]\n{r}", "env": {"AWS_DEFAULT_REGION": "sa-east-1"}},
        {"name": "region in the credentials file", "credentials": "[default]\nregion=eu-south-2\n", "config": f"[default]\n{r}"},
        {"name": "profile only in the credentials file", "credentials": "[dev]\nregion=eu-south-2\n", "env": {"AWS_PROFILE": "dev"}},
        {"name": "quoted profile name", "config": '[profile "my dev"]\nregion=us-east-2\n', "env": {"AWS_PROFILE": "my dev"}},
        {"name": "profile that is nowhere", "config": f"[default]\n{r}", "env": {"AWS_PROFILE": "nobody"}},
        {"name": "default named and nowhere", "env": {"AWS_PROFILE": "default", "AWS_DEFAULT_REGION": "eu-west-1"}},
        {"name": "region that is no name", "env": {"AWS_DEFAULT_REGION": "eu/west"}},
        {"name": "comments and blanks", "config": f"# c\n[default]\n; d\n\n   # e\n{r}\n"},
        {"name": "colons for equals signs", "config": "[default]\nregion: eu-west-3\n"},
        {"name": "us-east-1, global S3", "region": "us-east-1"},
        {"name": "us-east-1, regional S3 by environment", "region": "us-east-1", "env": {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"}},
        {"name": "us-east-1, regional S3 by profile", "region": "us-east-1", "config": "[default]\ns3 =\n  us_east_1_regional_endpoint = regional\n"},
        {"name": "us-east-1, regional S3 by top-level key", "region": "us-east-1", "config": "[default]\ns3_us_east_1_regional_endpoint = regional\n"},
        {"name": "us-east-1, S3 setting that is none", "region": "us-east-1", "env": {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "other"}},
        {"name": "us-east-1, dual-stack", "region": "us-east-1", "env": {"AWS_USE_DUALSTACK_ENDPOINT": "true"}},
        {"name": "us-east-1, FIPS", "region": "us-east-1", "env": {"AWS_USE_FIPS_ENDPOINT": "true"}},
        {"name": "legacy STS by environment", "region": "eu-west-1", "env": {"AWS_STS_REGIONAL_ENDPOINTS": "legacy"}},
        {"name": "legacy STS by profile", "config": f"[default]\n{r}sts_regional_endpoints = legacy\n"},
        {"name": "legacy STS in a newer region", "region": "eu-south-1", "env": {"AWS_STS_REGIONAL_ENDPOINTS": "legacy"}},
        {"name": "legacy STS and FIPS", "region": "us-east-2", "env": {"AWS_STS_REGIONAL_ENDPOINTS": "legacy", "AWS_USE_FIPS_ENDPOINT": "true"}},
        {"name": "STS setting that is none", "region": "eu-west-1", "env": {"AWS_STS_REGIONAL_ENDPOINTS": "none"}},
        {"name": "FIPS by profile", "config": f"[default]\n{r}use_fips_endpoint = true\n"},
        {"name": "FIPS by environment over the profile", "config": f"[default]\n{r}use_fips_endpoint = true\n", "env": {"AWS_USE_FIPS_ENDPOINT": "false"}},
        {"name": "FIPS in capitals", "region": "ca-central-1", "env": {"AWS_USE_FIPS_ENDPOINT": "TRUE"}},
        {"name": "FIPS and dual-stack", "region": "us-gov-west-1", "env": {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"}},
        {"name": "FIPS in China", "region": "cn-north-1", "env": {"AWS_USE_FIPS_ENDPOINT": "true"}, "ours": "no FIPS endpoint in region"},
        {"name": "FIPS by the region's name", "region": "us-west-2-fips", "ours": '"https://s3-fips.us-west-2.amazonaws.com"'},
        {"name": "dual-stack by profile", "config": f"[default]\n{r}use_dualstack_endpoint = true\n"},
        {"name": "dual-stack for S3 alone", "config": f"[default]\n{r}s3 =\n    use_dualstack_endpoint = true\n"},
        {"name": "dual-stack not for S3 changes nothing", "config": f"[default]\n{r}use_dualstack_endpoint = true\ns3 =\n    use_dualstack_endpoint = false\n"},
        {"name": "path style by profile", "config": f"[default]\n{r}s3 =\n  addressing_style = path\n"},
        {"name": "virtual style by profile", "config": f"[default]\n{r}s3 =\n  addressing_style = virtual\n"},
        {"name": "auto style by profile", "config": f"[default]\n{r}s3 =\n  addressing_style = auto\n"},
        {"name": "path style and dual-stack", "config": f"[default]\n{r}s3 =\n  addressing_style = path\n  use_dualstack_endpoint = true\n"},
        {"name": "virtual style, own host", "config": f"[default]\n{r}endpoint_url = https://store.example\ns3 =\n  addressing_style = virtual\n"},
        {"name": "virtual style, own host with port and path", "config": f"[default]\n{r}endpoint_url = https://store.example:8443/base\ns3 =\n  addressing_style = virtual\n"},
        {"name": "virtual style, own IP address", "config": f"[default]\n{r}endpoint_url = https://10.1.2.3\ns3 =\n  addressing_style = virtual\n"},
        {"name": "virtual style, plain http", "config": f"[default]\n{r}endpoint_url = http://store.example\ns3 =\n  addressing_style = virtual\n"},
        {"name": "own host", "config": f"[default]\n{r}endpoint_url = https://store.example\n"},
        {"name": "own host ends with a slash", "config": f"[default]\n{r}endpoint_url = https://store.example/\n"},
        {"name": "own host with a path", "config": f"[default]\n{r}endpoint_url = https://store.example/some/base\n"},
        {"name": "own IPv6 host", "region": "eu-west-1", "env": {"AWS_ENDPOINT_URL": "https://[2001:db8::1]:444"}},
        {"name": "own host in us-east-1", "region": "us-east-1", "env": {"AWS_ENDPOINT_URL": "https://store.example"}},
        {"name": "own host by environment over the profile", "config": f"[default]\n{r}endpoint_url = https://a.example\n", "env": {"AWS_ENDPOINT_URL": "https://b.example"}},
        {"name": "own host of a named profile", "config": f"[profile p]\n{r}endpoint_url = https://a.example\n[default]\nendpoint_url=https://b.example\n", "env": {"AWS_PROFILE": "p"}},
        {"name": "ignored by environment", "config": f"[default]\n{r}endpoint_url = https://a.example\n", "env": {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL_S3": "https://c.example"}},
        {"name": "ignored by profile", "config": f"[default]\n{r}endpoint_url = https://a.example\nignore_configured_endpoint_urls = True\n", "env": {"AWS_ENDPOINT_URL_STS": "https://c.example"}},
        {"name": "ignoring switched off", "config": f"[default]\n{r}endpoint_url = https://a.example\nignore_configured_endpoint_urls = true\n", "env": {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"}},
        {"name": "empty URLs are none", "config": f"[default]\n{r}endpoint_url = https://a.example\n", "env": {"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": ""}},
        {"name": "services section", "config": f"[default]\n{r}services = mine\n[services mine]\ns3 =\n  endpoint_url = https://s3.example\n  other = x\nsagemaker_runtime = \n  endpoint_url = https://rt.example\n"},
        {"name": "services section before the profile's URL", "config": f"[default]\n{r}endpoint_url = https://a.example\nservices = mine\n[services mine]\nsts =\n  endpoint_url = https://sts.example\n"},
        {"name": "environment before the services section", "config": f"[default]\n{r}services = mine\n[services mine]\nsts =\n  endpoint_url = https://sts.example\niam =\n  endpoint_url = https://iam.example\n", "env": {"AWS_ENDPOINT_URL_STS": "https://env.example"}},
        {"name": "AWS_ENDPOINT_URL before the services section", "config": f"[default]\n{r}services = mine\n[services mine]\nsts =\n  endpoint_url = https://sts.example\n", "env": {"AWS_ENDPOINT_URL": "https://env.example"}},
        {"name": "services section that is nowhere", "config": f"[default]\n{r}services = mine\n"},
        {"name": "services section with a quoted name", "config": f"[default]\n{r}services = my own\n[services 'my own']\nsso_oidc =\n  endpoint_url = https://oidc.example\n"},
        {"name": "services section of another profile", "config": f"[default]\n{r}[profile p]\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = https://s3.example\n"},
        {"name": "CA bundle by profile", "config": f"[default]\n{r}ca_bundle = /etc/hostname\n"},
        {"name": "CA bundle by environment", "config": f"[default]\n{r}ca_bundle = /etc/hostname\n", "env": {"AWS_CA_BUNDLE": "/etc/passwd"}},
        {"name": "CA bundle of requests", "region": "eu-west-1", "env": {"REQUESTS_CA_BUNDLE": "/etc/passwd"}},
        {"name": "CA bundle before that of requests", "region": "eu-west-1", "env": {"REQUESTS_CA_BUNDLE": "/etc/passwd", "AWS_CA_BUNDLE": "/etc/hostname"}},
        {"name": "proxy, upper case", "region": "eu-west-1", "env": {"HTTPS_PROXY": "http://proxy:3128"}},
        {"name": "proxy, lower case first", "region": "eu-west-1", "env": {"HTTPS_PROXY": "http://no:1", "https_proxy": "http://yes:2"}},
        {"name": "proxy switched off", "region": "eu-west-1", "env": {"HTTPS_PROXY": "http://no:1", "https_proxy": ""}},
        {"name": "proxy without a scheme", "region": "eu-west-1", "env": {"https_proxy": "proxy:3128"}},
        {"name": "proxy with a password", "region": "eu-west-1", "env": {"https_proxy": "http://u:p%40@proxy:3128"}},
        {"name": "proxy of another scheme", "region": "eu-west-1", "env": {"http_proxy": "http://proxy:1", "ALL_PROXY": "http://proxy:2"}},
        {"name": "proxy of plain http", "region": "eu-west-1", "env": {"HTTP_PROXY": "http://proxy:1", "AWS_ENDPOINT_URL": "http://store.example"}},
        {"name": "proxy of plain http in a CGI program", "region": "eu-west-1", "env": {"HTTP_PROXY": "http://proxy:1", "REQUEST_METHOD": "GET", "AWS_ENDPOINT_URL": "http://store.example"}},
        {"name": "NO_PROXY, a suffix", "region": "eu-west-1", "env": {"https_proxy": "http://proxy:1", "NO_PROXY": "x, s3.eu-west-1.amazonaws.com"}},
        {"name": "NO_PROXY, a leading dot", "region": "eu-west-1", "env": {"https_proxy": "http://proxy:1", "no_proxy": ".amazonaws.com"}},
        {"name": "NO_PROXY, capitals", "region": "eu-west-1", "env": {"https_proxy": "http://proxy:1", "no_proxy": "EU-WEST-1.AmazonAWS.com"}},
        {"name": "NO_PROXY, all", "region": "eu-west-1", "env": {"https_proxy": "http://proxy:1", "no_proxy": "*"}},
        {"name": "NO_PROXY, part of a label", "region": "eu-west-1", "env": {"https_proxy": "http://proxy:1", "no_proxy": "west-1.amazonaws.com"}},
        {"name": "NO_PROXY, with a port", "region": "eu-west-1", "env": {"https_proxy": "http://proxy:1", "no_proxy": "store.example:8443", "AWS_ENDPOINT_URL": "https://store.example:8443", "AWS_ENDPOINT_URL_STS": "https://store.example"}},
        {"name": "NO_PROXY, lower case first", "region": "eu-west-1", "env": {"https_proxy": "http://proxy:1", "no_proxy": "", "NO_PROXY": "*"}},
        # where we differ
        {"name": "AWS_REGION counts", "config": f"[default]\n{r}", "env": {"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "sa-east-1"}, "ours": '"region":"eu-north-1"'.replace(":", ": ")},
        {"name": "FIPS and an own endpoint", "region": "eu-west-1", "env": {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL": "https://a.example"}, "ours": "AWS_USE_FIPS_ENDPOINT and AWS_ENDPOINT_URL exclude each other"},
        {"name": "dual-stack and an own endpoint", "config": f"[default]\n{r}use_dualstack_endpoint = true\nendpoint_url = https://a.example\n", "ours": "use_dualstack_endpoint and endpoint_url exclude each other"},
        {"name": "FIPS that is neither true nor false", "region": "eu-west-1", "env": {"AWS_USE_FIPS_ENDPOINT": "1"}, "ours": "'1' is no value for AWS_USE_FIPS_ENDPOINT"},
        {"name": "CA bundle that is not there", "region": "eu-west-1", "env": {"AWS_CA_BUNDLE": "/no/such"}, "ours": "cannot read the CA certificates in '/no/such' (AWS_CA_BUNDLE)"},
        {"name": "loopback is never asked through a proxy", "region": "eu-west-1", "env": {"https_proxy": "http://proxy:1", "AWS_ENDPOINT_URL": "https://localhost:1"}, "ours": '"proxy": null'},
    ]
    for service, key in zip(SERVICES, KEYS):
        yield {"name": f"own host for {service[0]} alone", "region": "eu-west-1", "env": {f"AWS_ENDPOINT_URL_{key.upper()}": "https://own.example/x"}}
    # The rule sets say the rest; here a client of each partition is asked.
    for region in ("ap-east-2", "us-east-1", "cn-north-1", "us-gov-east-1", "us-iso-east-1", "us-isob-east-1", "us-isof-south-1",
                   "eu-isoe-west-1", "eusc-de-east-1"):
        yield {"name": f"everything in {region}", "region": region}


check_regions()
for one in cases():
    check_case(one)
