"""What the sign-in tests are made of: Holdpoint, a browser, and identity providers good and bad."""

import base64
import hashlib
import html
import http.client
import http.cookies
import http.server
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

DEADLINE = 30
FOLDER = os.path.dirname(os.path.abspath(__file__))
MODULES = os.path.abspath("target/oidc/node")
SECRET = "the secret of this deployment at the provider"

POLICY = """package holdpoint
hold contains {"rule": "held", "reviewers": [{"group": "data-owners", "count": 1}]} if startswith(input.request.path, "/held")
hold contains {"rule": "two", "reviewers": [{"group": "data-owners", "count": 2}]} if startswith(input.request.path, "/two")
"""


class Failed(AssertionError):
    pass


def expect(what, actual, expected):
    if actual != expected:
        raise Failed(f"{what}: {actual!r}, expected {expected!r}")


def contains(what, actual, expected):
    if expected not in actual:
        raise Failed(f"{what}: {actual[-600:]!r} does not contain {expected!r}")


class Process:
    """A program whose standard error is read line by line."""

    def __init__(self, command, **more):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        self.lines, self.seen = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stderr:
            self.seen.append(line)
            self.lines.put(line)
        self.lines.put(None)

    def logged(self, wanted):
        """The first line that `wanted` takes and that was not given before."""
        while True:
            line = self.lines.get(timeout=DEADLINE)
            if line is None:
                raise Failed("the program ended:\n" + "".join(self.seen[-20:]))
            found = wanted(line)
            if found:
                return found

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE)


class Holdpoint:
    """A deployment in a folder of its own. Sign-in is configured later, by a reload."""

    def __init__(self, program):
        self.program = os.path.abspath(program)
        self.folder = tempfile.mkdtemp()
        for folder in ["policies", "keys", "tokens"]:
            os.mkdir(self.path(folder))
        self.write("policies/main.rego", POLICY)
        self.write("oidc.secret", SECRET)
        self.key = self.make("keys", ["create", "--principal", "deploy-bot"])
        self.token = self.make("tokens", ["create", "--reviewer", "tess@example.com"])
        self.sign_in = ""
        self.write("holdpoint.yaml", self.configuration())
        self.start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name) + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name) + ".new", 0o600)
        os.rename(self.path(name) + ".new", self.path(name))

    def make(self, kind, arguments):
        command = [self.program, kind, *arguments, "--file", self.path(f"{kind}/one"), "--output", "json"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise Failed(made.stderr)
        value = json.loads(made.stdout)
        return value["key"]

    def configuration(self):
        return f"""threads: 1
listen: [{{address: 127.0.0.1:0}}]
admin: {{address: 127.0.0.1:0}}
upstreams: [{{name: none, match: {{path_prefix: /}}, url: http://127.0.0.1:9}}]
principals: [{{id: deploy-bot, owners: [olga@example.com], api_keys: ["file:keys/one"]}}]
reviewers:
  groups: {{data-owners: [tess@example.com], others: [ana@example.com]}}
  tokens: ["file:tokens/one"]
{self.sign_in}policy: {{path: policies}}
store: {{embedded: {{path: store}}}}
audit: {{path: audit, key: "file:audit.key"}}
telemetry: {{log: {{format: json, level: info}}}}
"""

    def start(self):
        self.process = Process([self.program, "serve", "--config", self.path("holdpoint.yaml")])

        def addresses(line):
            value = json.loads(line)
            return value.get("admin") and value
        ready = self.process.logged(addresses)
        self.url = "http://" + ready["admin"]
        self.proxy = "http://" + ready["proxy"].strip("[]")

    def restart(self):
        self.process.stop()
        self.start()

    def configure(self, issuer, **more):
        keys = {"issuer": issuer, "client_id": "holdpoint", "client_secret": "file:oidc.secret", "public_url": self.url,
                "device_sign_in": True,
                "person_claim": "email", "subjects": {"olga": "olga@example.com"},
                "groups_claim": "groups", "groups": {"data-owners": ["idp-owners"]}}
        keys.update(more)
        self.sign_in = "  oidc: " + json.dumps({key: value for key, value in keys.items() if value is not None}) + "\n"
        self.write("holdpoint.yaml", self.configuration())
        self.reload()

    def reload(self):
        self.process.process.send_signal(signal.SIGHUP)
        # The watcher may have seen an earlier change as well.
        self.process.logged(lambda line: "SIGHUP: reloading" in line)
        line = self.process.logged(lambda line: ("reloaded;" in line or "the reload has no effect" in line) and line)
        contains("reload", line, "reloaded;")

    def ask(self, method, path, token, body=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return request(method, self.url + path, headers, json.dumps(body) if body is not None else None)

    def cli(self, *arguments, config="config", **variables):
        environment = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": self.path(config), "HOLDPOINT_SERVER": self.url}
        environment.update(variables)
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, env=environment, timeout=DEADLINE, check=False)

    def call(self, target):
        """Sends a call of the agent and leaves it waiting; answers with its approval."""
        def send():
            try:
                request("GET", self.proxy + target, {"Authorization": f"Bearer {self.key}"}, timeout=120)
            except OSError:
                pass
        threading.Thread(target=send, daemon=True).start()
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            items = self.ask("GET", "/v1/approvals?state=pending", self.token).json()["items"]
            found = [item for item in items if item["call"]["target"] == target]
            if found:
                return found[0]
            time.sleep(0.02)
        raise Failed(f"the call to {target} is not held")

    def decide(self, approval, token, verdict="approve"):
        body = {"verdict": verdict, "digest": approval["digest"], "reason": "looked at it"}
        return self.ask("POST", f"/v1/approvals/{approval['id']}/decisions", token, body)

    def end(self):
        self.process.stop()
        shutil.rmtree(self.folder)


class Answer:
    def __init__(self, response, url):
        self.status, self.headers, self.url = response.status, response.headers, url
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)

    @property
    def words(self):
        """The text without markup."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.text)).split())


def request(method, url, headers=None, body=None, timeout=DEADLINE):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    target = parts.path or "/"
    if parts.query:
        target += "?" + parts.query
    connection.request(method, target, body, headers or {})
    answer = Answer(connection.getresponse(), url)
    connection.close()
    return answer


class Browser:
    """Follows redirects, keeps cookies, fills forms. Hosts differ by port here, so each has a jar."""

    def __init__(self):
        self.jars = {}

    def send(self, method, url, body=None):
        origin = urllib.parse.urlsplit(url).netloc
        jar = self.jars.setdefault(origin, {})
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else {}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"http://{origin}"
        answer = request(method, url, headers, body)
        for field in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in http.cookies.SimpleCookie(field).items():
                if morsel.value and morsel["max-age"] != "0":
                    jar[name] = morsel.value
                else:
                    jar.pop(name, None)
        return answer

    def get(self, url, stop=None):
        """Follows redirects, until one leads to what `stop` takes."""
        answer = self.send("GET", url)
        return self.follow(answer, stop)

    def follow(self, answer, stop=None):
        for _ in range(20):
            if answer.status not in (302, 303):
                return answer
            url = urllib.parse.urljoin(answer.url, answer.headers["Location"])
            if stop and stop(url):
                answer.url = url
                return answer
            answer = self.send("GET", url)
        raise Failed("redirects without end")

    def submit(self, page, **values):
        action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        if not action:
            raise Failed(f"there is no form in {page.status} {page.words[-400:]}")
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        fields.update(values)
        url = urllib.parse.urljoin(page.url, html.unescape(action[1]))
        return self.follow(self.send("POST", url, urllib.parse.urlencode(fields)))

    def sign_in(self, holdpoint, login, to="/"):
        """Through the pages of oidc-provider: who, and whether they agree."""
        page = self.get(f"{holdpoint.url}/signin/oidc?to={urllib.parse.quote(to, safe='')}")
        while "/interaction/" in page.url:
            page = self.submit(page, login=login, password="any")
        return page

    def is_signed_in(self, holdpoint):
        answer = self.send("GET", holdpoint.url + "/v1/me")
        return answer.json()["person"] if answer.status == 200 else None


def make_keys():
    private = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1())}
    return {name: (hashlib.sha256(os.urandom(8)).hexdigest()[:12], key) for name, key in private.items()}


def jwk(name, kid, key, private=False):
    algorithm = jwt.algorithms.get_default_algorithms()[name]
    value = json.loads(algorithm.to_jwk(key if private else key.public_key()))
    value.pop("key_ops", None)
    return value | {"kid": kid, "alg": name, "use": "sig"}


class GoodProvider:
    """oidc-provider, in a process of its own."""

    def __init__(self, holdpoint, accounts):
        self.accounts_file = holdpoint.path("accounts.json")
        self.settings_file = holdpoint.path("provider.json")
        self.settings = {"port": 0, "client_secret": SECRET, "holdpoint": holdpoint.url, "accounts": self.accounts_file}
        self.accounts(accounts)
        self.start()

    def accounts(self, accounts):
        with open(self.accounts_file, "w", encoding="utf-8") as file:
            json.dump(accounts, file)

    def start(self):
        self.settings["jwks"] = {"keys": [jwk(name, kid, key, True) for name, (kid, key) in make_keys().items()]}
        with open(self.settings_file, "w", encoding="utf-8") as file:
            json.dump(self.settings, file)
        environment = dict(os.environ, MODULES=MODULES)
        self.process = Process(["node", os.path.join(FOLDER, "provider.mjs"), self.settings_file], env=environment)
        line = self.process.process.stdout.readline()
        if not line:
            raise Failed("the provider did not start:\n" + "".join(self.process.seen))
        self.issuer = json.loads(line)["issuer"]
        self.settings["port"] = urllib.parse.urlsplit(self.issuer).port

    def rotate(self):
        """The same provider with other keys."""
        self.stop()
        self.start()

    def stop(self):
        self.process.stop()


class BadProvider:
    """A provider that does whatever a test wants; its tokens are made by PyJWT."""

    def __init__(self):
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.answer(self, None)

            def do_POST(self):
                provider.answer(self, self.rfile.read(int(self.headers["Content-Length"])).decode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.keys = make_keys()
        self.asked = []
        self.behave()

    def behave(self, **how):
        """`claims` and `headers` change what is signed, `mint` how, `callback` what the browser brings back;
        `metadata` changes the discovery document, `token` answers the request for a token."""
        self.how = how

    def sign(self, claims, headers, name="ES256"):
        kid, key = self.keys[name]
        return jwt.encode(claims, key, name, {"kid": kid} | headers)

    def claims(self, nonce=None):
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "holdpoint", "sub": "00u1", "iat": now, "exp": now + 300, "email": "ana@example.com",
                  "email_verified": True, "groups": ["idp-owners"]}
        if nonce:
            claims["nonce"] = nonce
        claims |= self.how.get("claims", {})
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, nonce):
        mint = self.how.get("mint", lambda provider, claims, headers: provider.sign(claims, headers))
        return mint(self, self.claims(nonce), self.how.get("headers", {}))

    def answer(self, handler, body):
        parts = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        self.asked.append(parts.path)
        if parts.path == "/.well-known/openid-configuration":
            metadata = {"issuer": self.issuer, "authorization_endpoint": self.issuer + "/authorize", "token_endpoint": self.issuer + "/token",
                        "jwks_uri": self.issuer + "/keys", "response_types_supported": ["code"], "subject_types_supported": ["public"],
                        "id_token_signing_alg_values_supported": ["RS256", "ES256"]}
            self.say(handler, metadata | self.how.get("metadata", {}))
        elif parts.path == "/keys":
            self.say(handler, {"keys": [jwk(name, kid, key) for name, (kid, key) in self.keys.items()]})
        elif parts.path == "/authorize":
            self.request = query
            back = {"code": "a-code", "state": query["state"]} | self.how.get("callback", {})
            back = {name: value for name, value in back.items() if value is not None}
            handler.send_response(302)
            handler.send_header("Location", query["redirect_uri"] + "?" + urllib.parse.urlencode(back))
            handler.end_headers()
        elif parts.path == "/token":
            self.exchanged = dict(urllib.parse.parse_qsl(body))
            if "token" in self.how:
                return self.how["token"](self, handler)
            verifier = self.exchanged.get("code_verifier", "").encode()
            challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).decode().rstrip("=")
            if challenge != self.request["code_challenge"] or self.request["code_challenge_method"] != "S256":
                return self.say(handler, {"error": "invalid_grant"}, 400)
            nonce = self.request["nonce"]
            self.say(handler, {"access_token": "x", "token_type": "Bearer", "id_token": self.token(nonce)})
        else:
            self.say(handler, {}, 404)

    def say(self, handler, value, status=200, headers=()):
        body = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        for name, text in headers:
            handler.send_header(name, text)
        handler.end_headers()
        handler.wfile.write(body)

    def rotate(self):
        self.keys = make_keys()

    def public_pem(self, name):
        key = self.keys[name][1].public_key()
        return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
