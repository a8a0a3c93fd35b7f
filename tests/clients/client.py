"""One call with one Python client, curl or kubectl: `client.py CLIENT BASE`.

Prints one JSON object a line: {"opened": true} once a stream has begun, and at the end {"answer": text} or
{"error": {"type", "code", "approval", "text"}}, each with the number of attempts as the client itself made them.

CA and KEY are what the agent has. TIMEOUT is how long an attempt may take, in seconds: as long as it likes if unset.
RETRIES=0 turns retries off; else they are the client's own, and whoever uses a client without any tries three times
after a time-out, which is what agents do.
"""

import json
import os
import re
import ssl
import subprocess
import sys
import tempfile

CA, KEY = os.environ["CA"], os.environ["KEY"]
TIMEOUT = float(os.environ["TIMEOUT"]) if "TIMEOUT" in os.environ else None
RETRIES = int(os.environ["RETRIES"]) if "RETRIES" in os.environ else None
BEARER = {"Authorization": f"Bearer {KEY}"}
THING = {"name": "web", "nodes": 12}
attempts = 0


class Refused(Exception):
    """An answer that a client without errors of its own returned as it was."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.body = json.loads(body) if body.startswith("{") else {}


def say(**line):
    print(json.dumps(line), flush=True)


def attempt():
    global attempts
    attempts += 1


def patiently(call, *timeouts):
    """Calls again after a time-out, for clients that do not do so themselves."""
    for left in reversed(range(1 if RETRIES == 0 else 4)):
        try:
            return call()
        except timeouts:
            if not left:
                raise


def checked(status, body):
    if status >= 400:
        raise Refused(status, body)
    return body


# ---- clients without an API of their own ----


def count_in_urllib3():
    """Counts below all retries: what `requests`, stripe and PyGithub send, too."""
    import urllib3.connection

    send = urllib3.connection.HTTPConnection.request

    def counted(*arguments, **named):
        attempt()
        return send(*arguments, **named)

    urllib3.connection.HTTPConnection.request = counted


def with_requests(base):
    import requests

    count_in_urllib3()
    call = lambda: requests.post(f"{base}/things", json=THING, headers=BEARER, verify=CA, timeout=TIMEOUT)
    answer = patiently(call, requests.Timeout)
    return checked(answer.status_code, answer.text)


def with_urllib3(base):
    import urllib3

    count_in_urllib3()
    # As eager as people set it: every method, and every status that could pass.
    statuses = [408, 409, 413, 425, 429, 500, 502, 503, 504]
    retries = urllib3.Retry(total=3, allowed_methods=None, status_forcelist=statuses, respect_retry_after_header=True)
    pool = urllib3.PoolManager(ca_certs=CA, retries=False if RETRIES == 0 else retries, timeout=TIMEOUT)
    answer = pool.request("DELETE", f"{base}/things/1", headers=BEARER)
    return checked(answer.status, answer.data.decode())


def with_httpx(base, http2=False):
    import httpx

    def call():
        # A connection for each attempt: over HTTP/2 it leaves a stream that has timed out open, so that the proxy
        # cannot know of it before the connection ends.
        with httpx_client(httpx.Client, http2=http2, timeout=TIMEOUT) as client:
            return client.post(f"{base}/things", json=THING, headers=BEARER)

    answer = patiently(call, httpx.TimeoutException)
    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1"), answer.http_version
    return checked(answer.status_code, answer.text)


def httpx_client(kind, **settings):
    hooks = {"request": [lambda request: attempt()]}
    return kind(verify=ssl.create_default_context(cafile=CA), event_hooks=hooks, **settings)


def with_aiohttp(base):
    import asyncio

    import aiohttp

    async def call():
        trace = aiohttp.TraceConfig()

        async def headers_sent(*_):
            attempt()

        trace.on_request_headers_sent.append(headers_sent)
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=CA))
        settings = {"timeout": aiohttp.ClientTimeout(total=TIMEOUT)} if TIMEOUT else {}
        async with aiohttp.ClientSession(connector=connector, trace_configs=[trace], **settings) as session:
            async with session.post(f"{base}/things", json=THING, headers=BEARER) as answer:
                return checked(answer.status, await answer.text())

    return patiently(lambda: asyncio.run(call()), TimeoutError)


# ---- SDKs ----


def settings(**named):
    """Those that are set; for the others the SDK has its own."""
    return {name: value for name, value in named.items() if value is not None}


def openai_client(base):
    import openai

    http = httpx_client(openai.DefaultHttpxClient)
    return openai.OpenAI(api_key=KEY, base_url=f"{base}/v1", http_client=http,
                         **settings(timeout=TIMEOUT, max_retries=RETRIES))


CHAT = {"model": "small", "messages": [{"role": "user", "content": "delete the cluster"}]}


def openai_chat(base):
    return openai_client(base).chat.completions.create(**CHAT).choices[0].message.content


def openai_stream(base):
    stream = openai_client(base).chat.completions.create(**CHAT, stream=True)
    say(opened=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def openai_upload(base):
    answer = openai_client(base).files.create(file=("customers.jsonl", b'{"id": 1}\n' * 50), purpose="batch")
    return answer.filename


def anthropic_client(base):
    import anthropic

    http = httpx_client(anthropic.DefaultHttpxClient)
    return anthropic.Anthropic(api_key=KEY, base_url=base, http_client=http,
                               **settings(timeout=TIMEOUT, max_retries=RETRIES))


MESSAGE = CHAT | {"max_tokens": 100}


def anthropic_message(base):
    return anthropic_client(base).messages.create(**MESSAGE).content[0].text


def anthropic_stream(base):
    stream = anthropic_client(base).messages.create(**MESSAGE, stream=True)
    say(opened=True)
    return "".join(event.delta.text for event in stream if event.type == "content_block_delta")


def with_stripe(base):
    import stripe

    count_in_urllib3()
    stripe.ca_bundle_path = CA
    http = stripe.RequestsClient(**settings(timeout=TIMEOUT))
    retries = 2 if RETRIES is None else RETRIES
    client = stripe.StripeClient(KEY, base_addresses={"api": base}, http_client=http, max_network_retries=retries)
    return client.v1.customers.create({"name": "Ada Park"}).description


def with_pygithub(base):
    import github

    count_in_urllib3()
    hub = github.Github(auth=github.Auth.Token(KEY), base_url=base, verify=CA,
                        **settings(timeout=TIMEOUT and int(TIMEOUT), retry=RETRIES))
    return hub.get_repo("example/web", lazy=True).create_issue(title="delete the cluster").title


# ---- programs ----


class Failed(Exception):
    """A program ended with an error. `gave_up` is what programs say when they have waited long enough."""

    def __init__(self, name, text):
        super().__init__(text)
        self.name = name


class GaveUp(Failed):
    pass


def with_curl(base, version):
    # Follows what it does on stderr, where each request has a line.
    command = ["curl", "--silent", "--show-error", "--verbose", version, "--cacert", CA, "--json", json.dumps(THING),
               "--header", f"Authorization: Bearer {KEY}", "--write-out", "\n%{http_code} %{http_version}"]
    if TIMEOUT:
        command += ["--max-time", str(TIMEOUT)]
    if RETRIES != 0:
        command += ["--retry", "3"]
    done = subprocess.run([*command, f"{base}/things"], capture_output=True, text=True)
    for _ in re.findall(r"^> POST ", done.stderr, re.MULTILINE):
        attempt()
    if done.returncode != 0:
        raise Failed(f"exit {done.returncode}", done.stderr[-300:])
    # What timed-out attempts left behind stands before the last answer.
    body, _, last = done.stdout.rpartition("\n")
    status, spoken = last.split()
    assert spoken == ("2" if version == "--http2" else "1.1"), spoken
    return checked(int(status), body[body.rfind("{"):])


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
       "spec": {"containers": [{"name": "web", "image": "web:2"}]}}


def with_kubectl(base, *command):
    with tempfile.TemporaryDirectory() as home:
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "agent",
            "clusters": [{"name": "cluster", "cluster": {"server": base, "certificate-authority": CA}}],
            "users": [{"name": "agent", "user": {"token": KEY}}],
            "contexts": [{"name": "agent", "context": {"cluster": "cluster", "user": "agent"}}],
        }
        path = os.path.join(home, "config")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        command = ["kubectl", "--kubeconfig", path, "--cache-dir", f"{home}/cache", "-v=6", *command]
        if TIMEOUT:
            command += [f"--request-timeout={TIMEOUT:g}s"]
        environment = os.environ | {"HOME": home}
        held = {"delete": "DELETE", "get": "GET", "apply": "POST"}[command[6]]
        return patiently(lambda: run_kubectl(command, environment, held), GaveUp)


def run_kubectl(command, environment, held):
    done = subprocess.run(command, capture_output=True, text=True, input=json.dumps(POD), env=environment)
    # `-v=6` has a line for each request, in the words of one version or the next.
    for method, url in re.findall(r'(?:\] |verb=")([A-Z]+)"? (?:url=")?(https://[^ "]+)', done.stderr):
        if method == held and "/pods" in url:
            attempt()
    if done.returncode == 0:
        return done.stdout
    # Older ones log their error, and where they were in the program, once they log requests.
    text, _, _ = re.sub(r"^[IWE]\d{4} .*\n|^F\d{4} .*?\] ", "", done.stderr, flags=re.MULTILINE).partition("\ngoroutine ")
    if "Error from server" in text:
        text = text[text.index("Error from server"):]
    if re.search("Client.Timeout|deadline exceeded|request canceled|context deadline", text):
        raise GaveUp("time-out", text)
    reason = re.search(r"Error from server \((\w+)\)", text)
    raise Failed(reason.group(1) if reason else f"exit {done.returncode}", text)


CLIENTS = {
    "requests": with_requests,
    "urllib3": with_urllib3,
    "httpx": with_httpx,
    "httpx-h2": lambda base: with_httpx(base, http2=True),
    "aiohttp": with_aiohttp,
    "openai": openai_chat,
    "openai-stream": openai_stream,
    "openai-upload": openai_upload,
    "anthropic": anthropic_message,
    "anthropic-stream": anthropic_stream,
    "stripe": with_stripe,
    "pygithub": with_pygithub,
    "curl-h1": lambda base: with_curl(base, "--http1.1"),
    "curl-h2": lambda base: with_curl(base, "--http2"),
    "kubectl-delete": lambda base: with_kubectl(base, "delete", "pod", "web", "--wait=false"),
    "kubectl-get": lambda base: with_kubectl(base, "get", "pod", "web", "--output=json"),
    "kubectl-apply": lambda base: with_kubectl(base, "apply", "--validate=false", "--filename=-"),
}


def told_by(error):
    """What the error has of the answer's body beside the message, where its SDK keeps that."""
    body = next((getattr(error, name) for name in ("json_body", "data", "body") if getattr(error, name, None)), {})
    return body.get("error", body) if isinstance(body, dict) else {}


def main():
    client, base = sys.argv[1:]
    try:
        answer = CLIENTS[client](base)
    # Whatever a client raises is what the agent sees of a refusal, and what is looked at.
    except Exception as error:  # noqa: BLE001
        kind = getattr(error, "name", None) if isinstance(error, Failed) else type(error).__name__
        told = told_by(error)
        say(error={"type": kind, "code": told.get("code"), "approval": told.get("approval_id"), "text": str(error)},
            attempts=attempts)
    else:
        say(answer=answer, attempts=attempts)


if __name__ == "__main__":
    main()
