"""A running Holdpoint with the stand-in behind it: its admin API, and its events as they come."""

import collections
import http.client
import json
import os
import ssl
import subprocess
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
DEADLINE = 60  # seconds for anything that is waited for


class Proxy:
    def __init__(self, program, folder, upstream_url):
        self.program, self.folder = program, folder
        # The demo makes certificates and keys; a second one runs with our upstream and policy.
        self.start()
        self.stop()
        configure(folder, upstream_url)
        self.start()
        self.changed = threading.Condition()
        self.happened = collections.Counter()
        self.targets = {}
        self.deaf = None
        listening = threading.Event()
        threading.Thread(target=self.listen, args=(listening,), daemon=True).start()
        if not listening.wait(DEADLINE):
            raise SystemExit("error: the proxy's events cannot be heard")

    def start(self):
        command = [self.program, "demo", "--data-dir", self.folder, "--proxy-port", "0", "--admin-port", "0", "--output", "json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("error: the proxy did not start; its own message is above")
        self.ready = json.loads(line)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(DEADLINE) == 0, "the proxy did not stop in good order"

    def connect(self):
        address = urllib.parse.urlsplit(self.ready["admin"])
        context = ssl.create_default_context(cafile=self.ready["ca"])
        return http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=DEADLINE)

    def api(self, method, path, body=None):
        connection = self.connect()
        headers = {"Authorization": f"Bearer {self.ready['reviewers']['bo']}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        value = json.loads(answer.read())
        connection.close()
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {answer.status} {value}")
        return value

    def listen(self, listening):
        """Everything from the first event on, so that nothing is missed."""
        try:
            connection = self.connect()
            headers = {"Authorization": f"Bearer {self.ready['reviewers']['bo']}"}
            connection.request("GET", "/v1/events?after=0", headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            listening.set()
            for line in answer:
                if line.startswith(b"data: "):
                    self.hear(json.loads(line[len(b"data: "):]))
        except Exception as error:  # noqa: BLE001
            # Told to whoever waits; once the tests are over nobody does.
            with self.changed:
                self.deaf = error
                self.changed.notify_all()

    def hear(self, event):
        identity = event["approval"]
        if identity not in self.targets:
            self.targets[identity] = self.api("GET", f"/v1/approvals/{identity}")["call"]["target"]
        with self.changed:
            self.happened[identity, event["kind"]] += 1
            self.changed.notify_all()

    def wait(self, run, kind, times=1):
        """The one approval of `run`, as it is once `kind` has happened to it so many times."""
        until = time.monotonic() + DEADLINE
        with self.changed:
            while True:
                for identity, target in self.targets.items():
                    if belongs(target, run) and self.happened[identity, kind] >= times:
                        return self.api("GET", f"/v1/approvals/{identity}")
                if self.deaf:
                    raise AssertionError(f"the proxy's events cannot be heard any more: {self.deaf!r}")
                if not self.changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                    raise AssertionError(f"{kind} did not happen {times} times to {run} within {DEADLINE} s")

    def approvals(self, run):
        """How many approvals of `run` there are, by the admin API."""
        count, after = 0, ""
        while True:
            page = self.api("GET", f"/v1/approvals?limit=200{after}")
            count += sum(belongs(item["call"]["target"], run) for item in page["items"])
            if not page.get("next"):
                return count
            after = f"&after={page['next']}"

    def decide(self, approval, verdict, reason):
        body = {"verdict": verdict, "digest": approval["digest"], "reason": reason}
        self.api("POST", f"/v1/approvals/{approval['id']}/decisions", body)

    def verify(self):
        """Whether the audit log of all this holds, and what is wrong if not."""
        command = [self.program, "audit", "verify", "--path", os.path.join(self.folder, "audit")]
        done = subprocess.run(command, text=True, capture_output=True)
        return None if done.returncode == 0 else done.stdout + done.stderr


def belongs(target, run):
    return run in target.partition("?")[0].split("/")


def configure(folder, upstream_url):
    path = os.path.join(folder, "holdpoint.yaml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    begin, end = text.index("upstreams:"), text.index("credentials:")
    upstream = f"upstreams:\n  - {{name: standin, match: {{path_prefix: /}}, url: {upstream_url}, credential: example}}\n\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:begin] + upstream + text[end:])
    with open(os.path.join(folder, "upstream.token"), "w", encoding="utf-8") as file:
        file.write("upstream-only")
    policies = os.path.join(folder, "policies")
    for name in os.listdir(policies):
        os.remove(os.path.join(policies, name))
    with open(os.path.join(HERE, "held.rego"), encoding="utf-8") as rego:
        with open(os.path.join(policies, "held.rego"), "w", encoding="utf-8") as file:
            file.write(rego.read())
