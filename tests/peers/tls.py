"""TLS and proxies: servers with certificates of an own CA, and what a client (call_driver) sends them. Runs in a network
namespace of its own (tls.sh), where nothing but loopback can be reached. "ok NAME" and "FAIL NAME: why" lines."""

import datetime
import ipaddress
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tls_front import pump

DRIVER, PLACE = sys.argv[1:3]
SECRET = "pLaNtEdSeCrEt0123456789"
TOKEN = "pLaNtEdToKeN0123456789"
REGION = "eu-west-1"
STS_HOST = f"sts.{REGION}.amazonaws.com"
IDENTITY = (b"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/u</Arn>"
            b"<UserId>u</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>")


def report(name, why=None):
    print(f"FAIL {name}: {why}" if why else f"ok {name}", flush=True)


# ---------------------------------------------------------------- certificates


def now(days):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)


def make_certificate(name, names, begin=-1, end=30, issuer=None, is_ca=False):
    """Files NAME.pem (certificate and key); issuer: (certificate, key), None: signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    alternatives = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
    builder = (x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
               .issuer_name(issuer[0].subject if issuer else subject)
               .serial_number(x509.random_serial_number()).not_valid_before(now(begin)).not_valid_after(now(end))
               .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True))
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    path = os.path.join(PLACE, name + ".pem")
    with open(path, "wb") as f:
        f.write(certificate.public_bytes(serialization.Encoding.PEM))
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption()))
    return certificate, key, path


# ---------------------------------------------------------------- servers


class Server:
    """Takes connections on loopback; keeps every byte that came in: under TLS, and on the wire."""

    def __init__(self, certificate=None, answer=None, old=False, host="127.0.0.1"):
        self.answer = answer or reply(200, IDENTITY)
        self.context = None
        self.seen = b""
        self.connections = 0
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        if old:
            warnings.simplefilter("ignore", DeprecationWarning)
            self.context.set_ciphers("ALL:@SECLEVEL=0")
            self.context.minimum_version = ssl.TLSVersion.TLSv1
            self.context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def url(self, host="localhost"):
        return f"{'https' if self.context else 'http'}://{host}:{self.port}"

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            while self.one_request(connection):
                pass
        except OSError:
            pass
        finally:
            connection.close()

    def one_request(self, connection):
        head = read_head(connection, self)
        if not head:
            return False
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        want = len(head.split(b"\r\n\r\n", 1)[0]) + 4 + (int(length[1]) if length else 0)
        while len(head) < want:
            more = connection.recv(65536)
            self.seen += more
            head += more
            if not more:
                return False
        connection.sendall(self.answer)
        return True


def read_head(connection, server):
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        server.seen += more
        if not more:
            return b""
        head += more
    return head


def reply(status, body=b"", *headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Content-Type: text/xml", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Blunt(Server):
    """Answers whatever comes, as servers without TLS do."""

    def one_request(self, connection):
        self.seen += connection.recv(65536)
        connection.sendall(reply(400))
        return False


class Proxy(Server):
    """CONNECT to anything ends at `behind`; answer: what it says instead."""

    def __init__(self, behind, certificate=None, answer=None):
        super().__init__(certificate)
        self.behind, self.refusal = behind, answer

    def one_request(self, connection):
        if not read_head(connection, self):
            return False
        if self.refusal:
            connection.sendall(self.refusal)
            return False
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.behind.port)) as there:
            other = threading.Thread(target=pump, args=(there, connection), daemon=True)
            other.start()
            pump(connection, there)
            other.join()
        return False


# ---------------------------------------------------------------- checks


def call(*what, **env):
    base = {"PATH": "/usr/bin:/bin", "HOME": PLACE, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN, "AWS_MAX_ATTEMPTS": "2"}
    run = subprocess.run([DRIVER, *(what or ["identity"])], env={**base, **env}, capture_output=True, text=True, check=False)
    return run.stdout.strip() + run.stderr.strip()


def in_clear(*servers):
    """What a server saw that only a server we trust may see."""
    for server in servers:
        for word in (b"Authorization: AWS4", b"authorization: AWS4", TOKEN.encode(), SECRET.encode(), b"GetCallerIdentity"):
            if word in server.seen:
                return f"'{word.decode()}' was sent"
    return None


def check_refused(name, server, says, ca=None, **env):
    url = env.pop("url", None) or server.url()
    said = call(AWS_ENDPOINT_URL=url, **({"AWS_CA_BUNDLE": ca} if ca else {}), **env)
    if not said.startswith("refused ") or not re.search(says, said):
        report(name, f"'{said}' does not match '{says}'")
    else:
        report(name, in_clear(server) or (f"a secret is in '{said}'" if SECRET in said or TOKEN in said else None))


def check_said(name, said, pattern):
    report(name, None if re.search(pattern, said) else f"'{said}' does not match '{pattern}'")


def check_tls(ca, good):
    everywhere = ["localhost", "127.0.0.1"]
    _, _, wrong_host = make_certificate("wrong-host", ["other.example"], issuer=ca)
    _, _, expired = make_certificate("expired", everywhere, begin=-20, end=-1, issuer=ca)
    _, _, early = make_certificate("early", everywhere, begin=5, issuer=ca)
    _, _, own = make_certificate("self-signed", everywhere)
    unverified = r"^refused EPROTO: .*could not verify the certificate of localhost"
    trusted = Server(good)
    check_said("a server of the own CA", call(AWS_ENDPOINT_URL=trusted.url(), AWS_CA_BUNDLE=ca[2]), r"^ok arn:aws:iam")
    report("it gets signed requests", None if b"AWS4-HMAC-SHA256" in trusted.seen else "no signature came")
    check_said("the same by its IP address", call(AWS_ENDPOINT_URL=trusted.url("127.0.0.1"), AWS_CA_BUNDLE=ca[2]), "^ok arn")
    hashed = os.path.join(PLACE, "hashed")
    os.makedirs(hashed)
    with open(ca[2], encoding="ascii") as f, open(os.path.join(hashed, "ca.pem"), "w", encoding="ascii") as out:
        out.write(f.read())
    subprocess.run(["openssl", "rehash", hashed], check=True)
    check_said("a directory of CAs", call(AWS_ENDPOINT_URL=trusted.url(), AWS_CA_BUNDLE=hashed), "^ok arn")
    check_said("the bundle that requests uses", call(AWS_ENDPOINT_URL=trusted.url(), REQUESTS_CA_BUNDLE=ca[2]), "^ok arn")
    check_refused("the own CA is not trusted unless it is named", Server(good), unverified)
    check_refused("another CA", Server(good), unverified, own)
    check_refused("wrong host", Server(wrong_host), unverified, ca[2])
    check_refused("expired", Server(expired), unverified + ".*expired", ca[2])
    check_refused("not yet valid", Server(early), unverified + ".*not yet valid", ca[2])
    check_refused("self-signed", Server(own), unverified, ca[2])
    check_refused("TLS 1.1", Server(good, old=True), r"^refused EPROTO: .*could not agree on TLS", ca[2])
    plain = Blunt()
    check_refused("no TLS where https was said", plain, r"^refused EPROTO: ", ca[2], url=plain.url().replace("http:", "https:"))


def check_redirects(ca, good):
    for status in (301, 302, 303, 307, 308):
        plain, other = Server(), Server(good)
        for name, target in (("plain http", plain), ("another server", other)):
            begin = Server(good, reply(status, b"", f"Location: {target.url()}/"))
            said = call(AWS_ENDPOINT_URL=begin.url(), AWS_CA_BUNDLE=ca[2])
            why = None if said.startswith("refused ") else said
            report(f"a {status} to {name} is not followed", why or ("it was" if target.connections else None))


def check_plain(address):
    server = Server(host=address)
    said = call(AWS_ENDPOINT_URL=f"http://{address}:{server.port}")
    check_said("plain http to another machine is refused", said, r"^refused EINVAL: AWS_ENDPOINT_URL is .*use https, or say -o allow_http")
    report("without a connection", None if server.connections == 0 else "there was one")
    said = call("identity", "allow_http", AWS_ENDPOINT_URL=f"http://{address}:{server.port}")
    check_said("and allowed by an option", said, "^ok arn")


def check_proxies(ca):
    _, _, amazon = make_certificate("amazon", [f"*.{REGION}.amazonaws.com", f"*.sagemaker.{REGION}.amazonaws.com"], issuer=ca)
    _, _, good = make_certificate("proxy", ["localhost"], issuer=ca)
    _, _, own = make_certificate("proxy-self-signed", ["localhost"])
    behind = Server(amazon)
    proxy = Proxy(behind)
    through = {"HTTPS_PROXY": f"http://us%40er:pass%3Aword@127.0.0.1:{proxy.port}", "AWS_CA_BUNDLE": ca[2]}
    check_said("through a proxy", call(**through), "^ok arn")
    head = proxy.seen.split(b"\r\n\r\n")[0].decode(errors="replace")
    check_said("which is told the host", head, rf"^CONNECT {STS_HOST}:443 HTTP/1.1")
    check_said("and its own password", head, "(?i)proxy-authorization: basic dXNAZXI6cGFzczp3b3Jk")
    report("and nothing of the request", in_clear(proxy))
    report("the server is not told the proxy's password", "it is" if b"roxy-" in behind.seen else None)
    check_said("an invocation, which is never sent twice", call("invoke", **through), "^ok HTTP 200")
    check_said("a host that NO_PROXY names is not asked through it", call(**through, NO_PROXY=".amazonaws.com"),
               "^refused EHOSTUNREACH: .*could not find the address of sts")
    before = proxy.connections
    call(**through, no_proxy=STS_HOST)
    report("nor is it connected to", None if proxy.connections == before else "it is")
    secure = Proxy(behind, good)
    through["https_proxy"] = f"https://localhost:{secure.port}"
    check_said("through a proxy with TLS", call(**through), "^ok arn")
    doubtful = Proxy(behind, own)
    through["https_proxy"] = f"https://localhost:{doubtful.port}"
    check_said("a proxy whose certificate does not hold", call(**through), "^refused EPROTO")
    report("is told nothing", None if doubtful.seen == b"" else "it is")
    check_proxy_refusals(behind, ca)
    _, _, elsewhere = make_certificate("elsewhere", ["sts.example"], issuer=ca)
    wrong = Server(elsewhere)
    said = call(HTTPS_PROXY=f"http://127.0.0.1:{Proxy(wrong).port}", AWS_CA_BUNDLE=ca[2])
    check_said("a proxy that leads elsewhere", said, "^refused EPROTO: .*could not verify")
    report("learns nothing", in_clear(wrong))


def check_proxy_refusals(behind, ca):
    for status, says in ((407, r"^refused EACCES: .*the proxy 127.0.0.1:\d+ asks for a user and a password"),
                         (403, rf"^refused EACCES: .*the proxy 127.0.0.1:\d+ refuses to reach {STS_HOST}"),
                         (503, rf"^refused EHOSTUNREACH: .*the proxy 127.0.0.1:\d+ could not reach {STS_HOST}")):
        proxy = Proxy(behind, answer=reply(status))
        said = call(HTTPS_PROXY=f"http://user:hush@127.0.0.1:{proxy.port}", AWS_CA_BUNDLE=ca[2])
        check_said(f"a proxy that says {status}", said, says)
        report(f"its password is not shown ({status})", "it is" if "hush" in said or "user:" in said else None)
    gone = socket.create_server(("127.0.0.1", 0))
    port = gone.getsockname()[1]
    gone.close()
    said = call(HTTPS_PROXY=f"http://user:hush@127.0.0.1:{port}")
    check_said("a proxy that is not there", said, rf"^refused EHOSTUNREACH: .*could not connect to the proxy 127.0.0.1:{port} for")
    report("its password is not shown either", "it is" if "hush" in said else None)


def main():
    certificate, key, path = make_certificate("ca", [], is_ca=True)
    ca = (certificate, key, path)
    _, _, good = make_certificate("good", ["localhost", "127.0.0.1"], issuer=ca)
    check_tls(ca, good)
    check_redirects(ca, good)
    check_plain("10.9.8.7")
    check_proxies(ca)


main()
