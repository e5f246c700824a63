"""What is resolved: files and environments, each with what must come of it. Read by credentials.py, which puts its directory where
HOME/ stands, and its server where SERVER and PORT do."""
import hashlib
import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from credentials_server import ROLE, secret_of, stamp

LOGIN_KEY = ec.generate_private_key(ec.SECP256R1())
LOGIN_PEM = LOGIN_KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                    serialization.NoEncryption()).decode()


def keys(access, token=None):
    text = f"aws_access_key_id = {access}\naws_secret_access_key = {secret_of(access)}\n"
    return text + (f"aws_session_token = {token}\n" if token else "")


def env_keys(access, **more):
    return {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret_of(access), **more}


def sso_file(name):
    return f".aws/sso/cache/{hashlib.sha1(name.encode()).hexdigest()}.json"


def login_file(name):
    return f".aws/login/cache/{hashlib.sha256(name.encode()).hexdigest()}.json"


def sso_token(ends, **more):
    return json.dumps({"startUrl": "https://corp.awsapps.com/start", "region": "eu-west-1", "accessToken": "sso-token",
                       "expiresAt": stamp(ends), **more})


def renewable(ends, **more):
    return sso_token(ends, **{"clientId": "client", "clientSecret": "client-secret", "refreshToken": "refresh-1",
                              "registrationExpiresAt": stamp(86400), **more})


def login_token(ends, **more):
    return json.dumps({"accessToken": {"accessKeyId": "ASIALOGIN", "secretAccessKey": "S/ASIALOGIN", "sessionToken": "login-session",
                                       "accountId": "123456789012", "expiresAt": stamp(ends)},
                       "tokenType": "aws_sigv4", "refreshToken": "login-refresh-1", "clientId": "arn:aws:signin:::devtools/same-device",
                       "idToken": "x.y.z", "dpopKey": LOGIN_PEM, **more})


def process(text, code=0):
    return f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n"


SSO = "sso_account_id = 123456789012\nsso_role_name = Dev\n"
START = "sso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n"
SESSION = "[sso-session corp]\n" + START
WHOLE = {"Version": 1, "AccessKeyId": "AKIAPROC", "SecretAccessKey": "S/AKIAPROC"}
CASES = []
FETCHED = "ASIA"


def case(name, gives, config="", credentials="", env=None, profile=None, files=None, differs=None, **world):
    """gives: how the access key begins, None: both refuse. differs: what we do otherwise than botocore, and why."""
    CASES.append({"name": name, "gives": gives, "config": config, "credentials": credentials, "env": env or {},
                  "profile": profile, "files": files or {}, "differs": differs, "world": world})


# the environment and the files
case("environment", "AKIAENV", env=env_keys("AKIAENV"))
case("environment over the files", "AKIAENV", credentials="[default]\n" + keys("AKIAFILE"), env=env_keys("AKIAENV"))
case("environment's token", "AKIAENV", env=env_keys("AKIAENV", AWS_SESSION_TOKEN="t1"))
case("environment's older token first", "AKIAENV", env=env_keys("AKIAENV", AWS_SESSION_TOKEN="t1", AWS_SECURITY_TOKEN="t2"))
case("environment without a secret", None, env={"AWS_ACCESS_KEY_ID": "AKIAENV"})
case("environment with a secret alone", "AKIAFILE", credentials="[default]\n" + keys("AKIAFILE"), env={"AWS_SECRET_ACCESS_KEY": "x"})
case("environment with empty keys", "AKIAFILE", credentials="[default]\n" + keys("AKIAFILE"),
     env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
case("environment with an end to come", "AKIAENV", env=env_keys("AKIAENV", AWS_CREDENTIAL_EXPIRATION=stamp(3600)))
case("environment with an end that is past", None, env=env_keys("AKIAENV", AWS_CREDENTIAL_EXPIRATION=stamp(-60)))
case("environment with an end that is no time", None, env=env_keys("AKIAENV", AWS_CREDENTIAL_EXPIRATION="soon"))
case("AWS_PROFILE does not disable the environment", "AKIAENV", credentials="[dev]\n" + keys("AKIADEV"),
     env=env_keys("AKIAENV", AWS_PROFILE="dev"))
case("a named profile disables the environment", "AKIADEV", credentials="[dev]\n" + keys("AKIADEV"), env=env_keys("AKIAENV"),
     profile="dev")
case("a profile named twice disables the environment", "AKIADEV", credentials="[dev]\n" + keys("AKIADEV"),
     env=env_keys("AKIAENV", AWS_PROFILE="dev"), profile="dev")
case("a profile that is nowhere", None, credentials="[dev]\n" + keys("AKIADEV"), profile="gone")
case("AWS_PROFILE that is nowhere, with keys in the environment", None, env=env_keys("AKIAENV", AWS_PROFILE="gone"))
case("AWS_DEFAULT_PROFILE", "AKIADEV", credentials="[dev]\n" + keys("AKIADEV"), env={"AWS_DEFAULT_PROFILE": "dev"})
case("AWS_DEFAULT_PROFILE and AWS_PROFILE", "AKIADEV", credentials="[dev]\n" + keys("AKIADEV") + "[b]\n" + keys("AKIAB"),
     env={"AWS_DEFAULT_PROFILE": "dev", "AWS_PROFILE": "b"})
case("credentials file", "AKIAFILE", credentials="[default]\n" + keys("AKIAFILE", "file-token"))
case("credentials file's older token first", "AKIAFILE",
     credentials="[default]\n" + keys("AKIAFILE", "new") + "aws_security_token = old\n")
case("credentials file without a secret", None, credentials="[default]\naws_access_key_id = AKIAFILE\n")
case("the secret is not completed from the other file", None, config="[default]\naws_secret_access_key = x\n",
     credentials="[default]\naws_access_key_id = AKIAFILE\n")
case("config file's keys", "AKIACONF", config="[default]\nregion = eu-central-1\n" + keys("AKIACONF", "t"))
case("credentials file over config file", "AKIAFILE", config="[default]\n" + keys("AKIACONF"), credentials="[default]\n" + keys("AKIAFILE"))
case("profile in the config file", "AKIACONF", config="[profile dev]\n" + keys("AKIACONF"), profile="dev")
case("quoted profile", "AKIACONF", config='[profile "my dev"]\n' + keys("AKIACONF"), profile="my dev")
case("profile without its word", None, config="[dev]\n" + keys("AKIACONF"), profile="dev")
case("two sections for default, the later", "AKIATWO", config="[default]\n" + keys("AKIAONE") + "[profile default]\n" + keys("AKIATWO"))
case("keys in capitals and with colons", "AKIAFILE",
     credentials="[default]\nAWS_ACCESS_KEY_ID: AKIAFILE\nAws_Secret_Access_Key: S/AKIAFILE\n")
case("a comment behind a value is none", "AKIAFILE", credentials="[default]\naws_secret_access_key = a b ;c # d\naws_access_key_id = AKIAFILE\n")
case("comments, blank lines, carriage returns", "AKIAFILE",
     credentials="# mine\r\n\r\n[default]\r\n; no\r\naws_access_key_id=AKIAFILE\r\n\r\naws_secret_access_key=S/AKIAFILE\r\n")
case("indented keys", "AKIAFILE", credentials="[default]\n  aws_access_key_id = AKIAFILE\n  aws_secret_access_key = S/AKIAFILE\n")
case("keys for every section", "AKIAFILE", credentials="[DEFAULT]\n" + keys("AKIAFILE") + "[default]\nregion = eu-north-1\n")
case("nested settings beside keys", "AKIACONF", config="[default]\ns3 =\n  addressing_style = path\n" + keys("AKIACONF"))
case("section twice", None, config="[default]\n" + keys("AKIACONF") + "[default]\nregion = eu-west-1\n")
case("key twice", None, credentials="[default]\n" + keys("AKIAONE") + keys("AKIATWO"))
case("a line that is none", None, config="[default]\n" + keys("AKIACONF") + "what is this\n")
case("malformed config and keys in the environment", None, config="region = x\n", env=env_keys("AKIAENV"))
case("nested line that is none", None, config="[profile x]\ns3 =\n  what\n", credentials="[default]\n" + keys("AKIAFILE"))
case("files elsewhere", "AKIAELSE", credentials="[default]\n" + keys("AKIAFILE"), files={"else": "[default]\n" + keys("AKIAELSE")},
     env={"AWS_SHARED_CREDENTIALS_FILE": "${HOME}/else"})
case("files elsewhere, from home", "AKIAELSE", files={"d/else": "[profile e]\n" + keys("AKIAELSE")},
     env={"AWS_CONFIG_FILE": "~/d/else", "AWS_PROFILE": "e"})
case("file of the first tools", "AKIAEC2", files={"ec2": "AWSAccessKeyId=AKIAEC2\nAWSSecretKey = S/AKIAEC2\n"},
     env={"AWS_CREDENTIAL_FILE": "~/ec2"})
case("boto's file", "AKIABOTO", files={".boto": "[Credentials]\n" + keys("AKIABOTO")})
case("boto's file elsewhere", "AKIABOTO", files={"b": "[Credentials]\n" + keys("AKIABOTO")}, env={"BOTO_CONFIG": "~/b"})
case("nothing anywhere", None, imds="none")
case("region of the credentials file", "AKIAFILE", config="[default]\nregion = eu-central-1\n",
     credentials="[default]\nregion = eu-south-2\n" + keys("AKIAFILE"), env={"AWS_DEFAULT_REGION": None})
case("region of the profile", "AKIAFILE", config="[profile d]\nregion = eu-central-2\n", credentials="[d]\n" + keys("AKIAFILE"),
     profile="d", env={"AWS_DEFAULT_REGION": None})

# roles
BASE = "[base]\n" + keys("AKIABASE")
case("role", FETCHED, config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = base\n", credentials=BASE, profile="r")
case("role by AWS_PROFILE", FETCHED, config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = base\n", credentials=BASE,
     env={"AWS_PROFILE": "r"})
case("role, session name, external id, duration", FETCHED, credentials=BASE, profile="r",
     config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = base\nrole_session_name = me@here\nexternal_id = 1 2/3+é\n"
     "duration_seconds = 3600\n")
case("role, duration that is none", FETCHED, credentials=BASE, profile="r",
     config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = base\nduration_seconds = long\n")
case("role beside keys in the environment", "AKIAENV", config=f"[default]\nrole_arn = {ROLE}a\nsource_profile = base\n",
     credentials=BASE, env=env_keys("AKIAENV"))
case("role before the profile's own keys", FETCHED, profile="r", credentials=BASE + "[r]\n" + keys("AKIAOWN"),
     config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = base\n")
case("role of itself", FETCHED, profile="r", config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = r\n" + keys("AKIAOWN"))
case("role of itself without keys", None, profile="r", config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = r\n")
case("role of a role", FETCHED, profile="r2", credentials=BASE,
     config=f"[profile r2]\nrole_arn = {ROLE}b\nsource_profile = r1\n[profile r1]\nrole_arn = {ROLE}a\nsource_profile = base\n")
case("roles in a circle", None, profile="r1", config=f"[profile r1]\nrole_arn = {ROLE}a\nsource_profile = r2\n"
     f"[profile r2]\nrole_arn = {ROLE}b\nsource_profile = r1\n")
case("role of a profile with role and keys", FETCHED, profile="r2", credentials=BASE,
     config=f"[profile r2]\nrole_arn = {ROLE}b\nsource_profile = r1\n[profile r1]\nrole_arn = {ROLE}a\nsource_profile = base\n" + keys("AKIAONE"))
case("role without a source", None, profile="r", config=f"[profile r]\nrole_arn = {ROLE}a\n")
case("role with both sources", None, profile="r", credentials=BASE,
     config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = base\ncredential_source = Environment\n")
case("role of a profile that is nowhere", None, profile="r", config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = gone\n")
case("role of a profile without keys", None, profile="r",
     config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = b\n[profile b]\nregion = eu-west-1\n", env=env_keys("AKIAENV"))
case("role with the environment's keys", FETCHED, profile="r", env=env_keys("AKIAENV", AWS_SESSION_TOKEN="t"),
     config=f"[profile r]\nrole_arn = {ROLE}a\ncredential_source = Environment\n")
case("role with an empty environment", None, profile="r", config=f"[profile r]\nrole_arn = {ROLE}a\ncredential_source = Environment\n")
case("role with the machine's keys", FETCHED, profile="r", config=f"[profile r]\nrole_arn = {ROLE}a\ncredential_source = Ec2InstanceMetadata\n")
case("role with the container's keys", FETCHED, profile="r", config=f"[profile r]\nrole_arn = {ROLE}a\ncredential_source = EcsContainer\n",
     env={"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"})
case("role with a source of no such name", None, profile="r", config=f"[profile r]\nrole_arn = {ROLE}a\ncredential_source = environment\n",
     env=env_keys("AKIAENV"))
case("role that is denied", None, profile="r", config=f"[profile r]\nrole_arn = {ROLE}denied\nsource_profile = base\n", credentials=BASE)
case("role that wants an MFA code", None, profile="r", credentials=BASE,
     config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = base\nmfa_serial = arn:aws:iam::1:mfa/me\n")
case("role of a process", FETCHED, profile="r", files={"p": process(json.dumps(WHOLE))},
     config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = b\n[profile b]\ncredential_process = sh HOME/p\n")
case("role of an SSO profile", FETCHED, profile="r", files={sso_file("corp"): renewable(7200)},
     config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = s\n[profile s]\nsso_session = corp\n" + SSO + SESSION)

# web identity
WEB = {"AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/jwt", "AWS_ROLE_ARN": ROLE + "web"}
case("web identity of the environment", FETCHED, env=WEB, files={"jwt": "header.payload.signature"})
case("web identity, session name", FETCHED, env={**WEB, "AWS_ROLE_SESSION_NAME": "pod-1"}, files={"jwt": "a.b.c"})
case("web identity, line break at the end", FETCHED, env=WEB, files={"jwt": "a.b.c\n"})
case("web identity before the credentials file", FETCHED, env=WEB, files={"jwt": "a.b.c"}, credentials="[default]\n" + keys("AKIAFILE"))
case("web identity without a role", None, env={"AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/jwt"}, files={"jwt": "a.b.c"})
case("web identity, no such file", None, env=WEB)
case("web identity, wrong token", None, env=WEB, files={"jwt": "wrong"})
case("web identity of the profile", FETCHED, profile="w", files={"jwt": "a.b.c"},
     config=f"[profile w]\nrole_arn = {ROLE}p\nweb_identity_token_file = HOME/jwt\nrole_session_name = pod-2\n")
case("web identity of a named profile, not the environment's", FETCHED, profile="w", env=WEB, files={"jwt": "a.b.c", "jwt2": "d.e.f"},
     config=f"[profile w]\nrole_arn = {ROLE}p\nweb_identity_token_file = HOME/jwt2\n")
case("web identity, role of the environment, token of the profile", FETCHED, env={"AWS_ROLE_ARN": ROLE + "web"}, files={"jwt": "a.b.c"},
     config=f"[default]\nrole_arn = {ROLE}p\nweb_identity_token_file = HOME/jwt\n")
case("role of a web identity", FETCHED, profile="r", files={"jwt": "a.b.c"},
     config=f"[profile r]\nrole_arn = {ROLE}a\nsource_profile = w\n[profile w]\nrole_arn = {ROLE}p\nweb_identity_token_file = HOME/jwt\n")

# IAM Identity Center
case("SSO session", FETCHED, profile="s", config="[profile s]\nsso_session = corp\n" + SSO + SESSION, files={sso_file("corp"): renewable(7200)})
case("SSO session that ends soon is renewed", FETCHED, profile="s", config="[profile s]\nsso_session = corp\n" + SSO + SESSION,
     files={sso_file("corp"): renewable(300)})
case("SSO session that has ended is renewed", FETCHED, profile="s", config="[profile s]\nsso_session = corp\n" + SSO + SESSION,
     files={sso_file("corp"): renewable(-300)})
case("SSO session, registration ended", None, profile="s", config="[profile s]\nsso_session = corp\n" + SSO + SESSION,
     files={sso_file("corp"): renewable(-300, registrationExpiresAt=stamp(-1))})
case("SSO session, refresh token refused", None, profile="s", config="[profile s]\nsso_session = corp\n" + SSO + SESSION,
     files={sso_file("corp"): renewable(-300, refreshToken="old")})
case("SSO session that ends soon and cannot be renewed", FETCHED, profile="s", config="[profile s]\nsso_session = corp\n" + SSO + SESSION,
     files={sso_file("corp"): sso_token(300)})
case("SSO session, nobody logged in", None, profile="s", config="[profile s]\nsso_session = corp\n" + SSO + SESSION)
case("SSO session, token of another kind of time", FETCHED, profile="s", config="[profile s]\nsso_session = corp\n" + SSO + SESSION,
     files={sso_file("corp"): renewable(7200).replace(stamp(7200), stamp(7200)[:-1] + "UTC")})
case("SSO by start URL", FETCHED, profile="s", config="[profile s]\n" + SSO + START,
     files={sso_file("https://corp.awsapps.com/start"): sso_token(7200)})
case("SSO by start URL, ended", None, profile="s", config="[profile s]\n" + SSO + START,
     files={sso_file("https://corp.awsapps.com/start"): renewable(-10)})
case("SSO, token refused", None, profile="s", config="[profile s]\n" + SSO + START,
     files={sso_file("https://corp.awsapps.com/start"): sso_token(7200)}, sso_tokens=set())
case("SSO session that is nowhere", None, profile="s", config="[profile s]\nsso_session = other\n" + SSO + SESSION)
case("SSO session at odds with the profile", None, profile="s", files={sso_file("corp"): renewable(7200)},
     config="[profile s]\nsso_session = corp\nsso_region = us-east-1\n" + SSO + SESSION)
case("SSO without a role", None, profile="s", config="[profile s]\nsso_session = corp\nsso_account_id = 1\n" + SESSION)
case("SSO session without account and role is not for keys", "AKIAFILE", profile="s", config="[profile s]\nsso_session = corp\n" + SESSION,
     credentials="[s]\n" + keys("AKIAFILE"))
case("SSO before the credentials file", FETCHED, profile="s", config="[profile s]\nsso_session = corp\n" + SSO + SESSION,
     files={sso_file("corp"): renewable(7200)}, credentials="[s]\n" + keys("AKIAFILE"))

# login sessions
LOGIN = "[profile l]\nlogin_session = arn:aws:iam::123456789012:user/me\n"
LOGIN_FILE = login_file("arn:aws:iam::123456789012:user/me")
case("login session", "ASIALOGIN", profile="l", config=LOGIN, files={LOGIN_FILE: login_token(3600)})
case("login session that ends soon is renewed", FETCHED, profile="l", config=LOGIN, files={LOGIN_FILE: login_token(200)})
case("login session that has ended is renewed", FETCHED, profile="l", config=LOGIN, files={LOGIN_FILE: login_token(-200)})
case("login session that cannot be renewed", None, profile="l", config=LOGIN, files={LOGIN_FILE: login_token(-200)}, login_ok=False)
case("login session, nobody logged in", None, profile="l", config=LOGIN)
case("login session, file not whole", None, profile="l", config=LOGIN, files={LOGIN_FILE: '{"clientId": "x"}'})
case("login session in a directory elsewhere", "ASIALOGIN", profile="l", config=LOGIN, env={"AWS_LOGIN_CACHE_DIRECTORY": "~/c"},
     files={LOGIN_FILE.replace(".aws/login/cache", "c"): login_token(3600)})
case("credentials file before a login session", "AKIAFILE", profile="l", config=LOGIN, credentials="[l]\n" + keys("AKIAFILE"))

# processes
PROCESS = "[profile p]\ncredential_process = sh HOME/p\n"
case("process", "AKIAPROC", profile="p", config=PROCESS, files={"p": process(json.dumps(WHOLE))})
case("process, token and end", "AKIAPROC", profile="p", config=PROCESS,
     files={"p": process(json.dumps({**WHOLE, "SessionToken": "t", "Expiration": stamp(3600)}))})
case("process, keys that have ended", None, profile="p", config=PROCESS,
     files={"p": process(json.dumps({**WHOLE, "SessionToken": "t", "Expiration": stamp(-3600)}))})
case("process with quoted words", "AKIAPROC", profile="p", config='[profile p]\ncredential_process = sh "HOME/a b" \'c d\'\n',
     files={"a b": "[ \"$1\" = 'c d' ] || exit 3\n" + process(json.dumps(WHOLE))})
case("process of the credentials file", "AKIAPROC", profile="p", credentials="[p]\ncredential_process = sh HOME/p\n",
     files={"p": process(json.dumps(WHOLE))})
case("process that fails", None, profile="p", config=PROCESS, files={"p": "echo no >&2; exit 2\n"})
case("process of another version", None, profile="p", config=PROCESS, files={"p": process(json.dumps({**WHOLE, "Version": 2}))})
case("process without a version", None, profile="p", config=PROCESS, files={"p": process(json.dumps({"AccessKeyId": "a"}))})
case("process without a secret", None, profile="p", config=PROCESS, files={"p": process('{"Version": 1, "AccessKeyId": "AKIAPROC"}')})
case("process that says something else", None, profile="p", config=PROCESS, files={"p": "echo hello\n"})
case("process that is nowhere", None, profile="p", config="[profile p]\ncredential_process = HOME/nothing\n")
case("process that is no shell's", None, profile="p", config="[profile p]\ncredential_process = cat HOME/p | cat\n",
     files={"p": json.dumps(WHOLE)})
case("credentials file before a process", "AKIAFILE", profile="p", config=PROCESS, files={"p": process(json.dumps(WHOLE))},
     credentials="[p]\n" + keys("AKIAFILE"))
case("process before the config file's keys", "AKIAPROC", profile="p", config=PROCESS + keys("AKIACONF"),
     files={"p": process(json.dumps(WHOLE))})

# the container's and the machine's
case("container, relative", FETCHED, env={"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"})
case("container, whole URL", FETCHED, env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVER/v2/credentials/y"})
case("container, token", FETCHED, container_token="Basic abc",
     env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVER/v2/credentials/y", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic abc"})
case("container, token file before token", FETCHED, container_token="file-token", files={"tok": "file-token"},
     env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVER/v2/credentials/y", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "no",
          "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "HOME/tok"})
case("container, token file with a line break", None, files={"tok": "file-token\n"},
     env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVER/v2/credentials/y", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "HOME/tok"})
case("container, no such token file", None,
     env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVER/v2/credentials/y", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "HOME/tok"})
case("container, wrong token", None, container_token="right",
     env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVER/v2/credentials/y", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "wrong"})
case("container, a host that is not allowed", None, env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.169.254/v2/credentials/y"})
case("container, localhost", FETCHED, env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost:PORT/v2/credentials/y"})
case("container after the files", "AKIAFILE", credentials="[default]\n" + keys("AKIAFILE"),
     env={"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"})
case("container that fails is the end", None, env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVER/v2/credentials/y"},
     fail={"container": (500, "{}")})
case("machine", FETCHED)
case("machine, with a profile that says nothing", FETCHED, config="[profile n]\nregion = eu-west-1\n", profile="n")
case("machine, switched off", None, env={"AWS_EC2_METADATA_DISABLED": "true"})
case("machine, elsewhere by environment", FETCHED, env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": "SERVER/"})
case("machine, elsewhere by profile", FETCHED, config="[default]\nec2_metadata_service_endpoint = SERVER\n")
case("machine, address of no such kind", None, env={"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv5"})
case("machine, unreachable", None, env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"})
case("machine, more attempts", None, imds="broken", env={"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "2"})
case("machine with old keys", FETCHED, imds_life=-600)
case("machine without tokens", None, imds="v1", differs="version 1 is never asked")
