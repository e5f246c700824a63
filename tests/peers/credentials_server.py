"""The services that give out AWS keys, on loopback: STS, the SSO portal, OIDC, the login service, the instance metadata
service (version 2 only), a container's agent, and enough of S3 to refuse keys. Real HTTP, every signature and proof checked; keys are
made from what was asked for, so that who asks the same gets the same."""
import base64
import collections
import datetime
import hashlib
import hmac
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

ROLE = "arn:aws:iam::123456789012:role/"


def secret_of(access):
    """The rule that every access key here keeps."""
    return "S/" + access


def stamp(seconds):
    return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class World:
    """What the services do just now; a test sets it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        self.life = 3600            # seconds that new keys live
        self.serial = False         # every answer has other keys
        self.imds = "v2"            # "v1": gives no tokens; "none": has no role; "broken": 500; "hold": answers when told to; "forgets": the first token
        self.imds_life = None
        self.fail = {}              # service -> (status, body) for every request
        self.container_token = None
        self.sso_tokens = {"sso-token"}
        self.login_ok = True
        self.expired = set()        # access keys that S3 refuses
        self.log = collections.Counter()
        self.problems = []
        self.count = 0
        self.last = None            # the access key given out last
        self.release = threading.Event()

    def keys(self, *asked):
        with self.lock:
            self.count += 1
            text = "|".join(str(a) for a in asked) + (f"|{self.count}" if self.serial else "")
        access = self.last = "ASIA" + hashlib.sha256(text.encode()).hexdigest()[:16].upper()
        return access, secret_of(access), "token-of-" + access + "+/="


WORLD = World()


def hmac256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature_problem(handler, body, service):
    """Recomputes the signature of version 4; None: it holds."""
    auth = handler.headers.get("Authorization", "")
    if not auth.startswith("AWS4-HMAC-SHA256 "):
        return "not signed"
    parts = dict(p.strip().split("=", 1) for p in auth.split(" ", 1)[1].split(","))
    access, date, region, name, _ = parts["Credential"].split("/")
    if name != service:
        return f"signed for {name}"
    path, _, query = handler.path.partition("?")
    pairs = sorted(query.split("&")) if query else []
    signed = parts["SignedHeaders"].split(";")
    payload = handler.headers.get("X-Amz-Content-SHA256") or hashlib.sha256(body).hexdigest()
    canonical = "\n".join([
        handler.command, path, "&".join(p if "=" in p else p + "=" for p in pairs),
        *(f"{h}:{' '.join(handler.headers.get(h, '').split())}" for h in signed), "", ";".join(signed), payload])
    scope = f"{date}/{region}/{name}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", handler.headers["X-Amz-Date"], scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret_of(access)).encode()
    for part in (date, region, name, "aws4_request"):
        key = hmac256(key, part)
    good = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return None if good == parts["Signature"] else "the signature does not hold"


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def proof_problem(proof, url, public):
    """A DPoP proof (RFC 9449) for a POST to url by the key whose public numbers are known."""
    try:
        head, payload, signature = proof.split(".")
        h, p = json.loads(unbase64url(head)), json.loads(unbase64url(payload))
        if (h["typ"], h["alg"], h["jwk"]["kty"], h["jwk"]["crv"]) != ("dpop+jwt", "ES256", "EC", "P-256"):
            return f"header {h}"
        x, y = (int.from_bytes(unbase64url(h["jwk"][c]), "big") for c in "xy")
        if (x, y) != public:
            return "another key"
        raw = unbase64url(signature)
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        key.verify(der, f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
        if p["htm"] != "POST" or p["htu"] != url or abs(p["iat"] - time.time()) > 60 or not p["jti"]:
            return f"payload {p}"
    except Exception as e:  # noqa: BLE001: whatever is wrong with it is the answer
        return repr(e)
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    public = None  # of the login's key

    def log_message(self, *args):
        pass

    def reply(self, status, body, kind="application/json"):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-amzn-RequestId", "request-1")
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        for prefix, name, serve in ROUTES:
            if path.startswith(prefix):
                with WORLD.lock:
                    WORLD.log[name] += 1
                if name in WORLD.fail:
                    return self.reply(*WORLD.fail[name])
                return serve(self, path, query, body)
        return self.reply(404, "")

    do_GET = do_POST = do_PUT = handle_any

    # STS -----------------------------------------------------------------------------------------------------------------------

    def sts(self, path, query, body):
        form = dict(urllib.parse.parse_qsl(body.decode()))
        action, role = form["Action"], form["RoleArn"]
        if action == "AssumeRole":
            problem = signature_problem(self, body, "sts")
            if problem:
                WORLD.problems.append(f"AssumeRole: {problem}")
                return self.sts_error(403, "SignatureDoesNotMatch", problem)
            who = self.headers["Authorization"].split("Credential=")[1].split("/")[0]
            who += self.headers.get("X-Amz-Security-Token", "")
        else:
            if self.headers.get("Authorization"):
                WORLD.problems.append("AssumeRoleWithWebIdentity is signed")
            who = form["WebIdentityToken"].strip()
        if role.endswith("/denied") or who == "wrong":
            return self.sts_error(403, "AccessDenied", "not authorized to perform: sts:" + action)
        session = form["RoleSessionName"]
        if session.startswith(("botocore-session-", "sagemakerfs-")):
            session = ""
        access, secret, token = WORLD.keys(action, role, who, session, form.get("ExternalId"), form.get("DurationSeconds"))
        return self.reply(200, f"""<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
            <AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>{role}/x</Arn></AssumedRoleUser>
            <Credentials><AccessKeyId>{access}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
            <SessionToken>{token}</SessionToken><Expiration>{stamp(WORLD.life)}</Expiration></Credentials>
            </{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>""", "text/xml")

    def sts_error(self, status, code, text):
        return self.reply(status, f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
                          "<RequestId>r</RequestId></ErrorResponse>", "text/xml")

    # IAM Identity Center -------------------------------------------------------------------------------------------------------

    def sso(self, path, query, body):
        asked = dict(urllib.parse.parse_qsl(query))
        token = self.headers.get("x-amz-sso_bearer_token")
        if token not in WORLD.sso_tokens:
            self.send_response(401)
            text = b'{"message":"Session token not found or invalid"}'
            self.send_header("x-amzn-ErrorType", "UnauthorizedException")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            return self.wfile.write(text)
        access, secret, session = WORLD.keys("sso", asked["role_name"], asked["account_id"], token)
        return self.reply(200, {"roleCredentials": {
            "accessKeyId": access, "secretAccessKey": secret, "sessionToken": session,
            "expiration": int((time.time() + WORLD.life) * 1000)}})

    def oidc(self, path, query, body):
        asked = json.loads(body)
        if asked != {"clientId": "client", "clientSecret": "client-secret", "grantType": "refresh_token",
                     "refreshToken": "refresh-1"}:
            return self.reply(400, {"__type": "InvalidGrantException", "error": "invalid_grant",
                                    "error_description": "Invalid refresh token provided"})
        WORLD.sso_tokens.add("sso-token-2")
        return self.reply(200, {"accessToken": "sso-token-2", "tokenType": "Bearer", "expiresIn": 28800,
                                "refreshToken": "refresh-2"})

    # aws login -----------------------------------------------------------------------------------------------------------------

    def signin(self, path, query, body):
        url = f"http://{self.headers['Host']}{path}"
        problem = proof_problem(self.headers.get("DPoP", ""), url, self.public)
        asked = json.loads(body)
        if problem or self.headers.get("Authorization"):
            WORLD.problems.append(f"CreateOAuth2Token: {problem or 'signed'}")
            return self.reply(400, {"__type": "ValidationException", "error": "INVALID_REQUEST", "message": str(problem)})
        if not WORLD.login_ok or asked.get("refreshToken") != "login-refresh-1":
            self.send_response(403)
            text = b'{"error":"TOKEN_EXPIRED","message":"the refresh token has expired"}'
            self.send_header("x-amzn-ErrorType", "AccessDeniedException")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            return self.wfile.write(text)
        access, secret, session = WORLD.keys("login", asked["clientId"])
        return self.reply(200, {"accessToken": {"accessKeyId": access, "secretAccessKey": secret, "sessionToken": session},
                                "tokenType": "aws_sigv4", "expiresIn": WORLD.life, "refreshToken": "login-refresh-2"})

    # the machine's own ---------------------------------------------------------------------------------------------------------

    def imds_token(self, path, query, body):
        if WORLD.imds == "v1" or self.command != "PUT" or not self.headers.get("X-aws-ec2-metadata-token-ttl-seconds"):
            return self.reply(403, "")
        return self.reply(200, "imds-token", "text/plain")

    def imds(self, path, query, body):
        if WORLD.imds == "hold":
            WORLD.release.wait(60)
        if WORLD.imds == "forgets":
            WORLD.imds = "v2"
            return self.reply(401, "")
        if WORLD.imds == "broken":
            return self.reply(500, "")
        if WORLD.imds != "v1" and self.headers.get("X-aws-ec2-metadata-token") != "imds-token":
            WORLD.problems.append("asked without a token")
            return self.reply(401, "")
        what = path.split("/meta-data/")[1].rstrip("/")
        if what == "placement/availability-zone":
            return self.reply(200, "ap-southeast-2b", "text/plain")
        if WORLD.imds == "none":
            return self.reply(404, "")
        if what == "iam/security-credentials":
            return self.reply(200, "machine-role", "text/plain")
        access, secret, token = WORLD.keys("imds", what)
        life = WORLD.life if WORLD.imds_life is None else WORLD.imds_life
        return self.reply(200, {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": access, "SecretAccessKey": secret,
                                "Token": token, "Expiration": stamp(life)})

    def container(self, path, query, body):
        if WORLD.container_token and self.headers.get("Authorization") != WORLD.container_token:
            return self.reply(403, {"code": "AccessDenied", "message": "no"})
        access, secret, token = WORLD.keys("container", path, self.headers.get("Authorization"))
        return self.reply(200, {"AccessKeyId": access, "SecretAccessKey": secret, "Token": token,
                                "Expiration": stamp(WORLD.life), "RoleArn": ROLE + "task"})

    def s3(self, path, query, body):
        problem = signature_problem(self, body, "s3")
        if problem:
            WORLD.problems.append(f"S3: {problem}")
        access = self.headers.get("Authorization", "=/").split("Credential=")[1].split("/")[0]
        if access in WORLD.expired:
            return self.reply(400, "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>",
                              "application/xml")
        with WORLD.lock:
            WORLD.log["s3 taken"] += len(body)
        return self.reply(200, "")


ROUTES = [
    ("/federation/credentials", "sso", Handler.sso),
    ("/token", "oidc", Handler.oidc),
    ("/v1/token", "signin", Handler.signin),
    ("/latest/api/token", "imds token", Handler.imds_token),
    ("/latest/", "imds", Handler.imds),
    ("/v2/credentials", "container", Handler.container),
    ("/bucket/", "s3", Handler.s3),
    ("/", "sts", Handler.sts),
]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that was cancelled has left


def start(address, port=0):
    server = Server((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
