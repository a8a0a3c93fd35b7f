#!/usr/bin/env python3
"""Real clients against a real proxy: every client passes, is denied, is held and approved, is held and denied, hangs
up and comes again. After each case the requests that reached the upstream are counted.

Usage: run.py PROGRAM [CLIENT...]      PROGRAM is the holdpoint binary; all clients if none is named.
Standard library only; the clients themselves are in client.py and client.mjs (see setup.sh).
"""

import http.client
import json
import os
import queue
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "target/clients/venv/bin/python"
DEADLINE = 30  # seconds for anything that is waited for


def python(library):
    return lambda method, url: [PYTHON, f"{HERE}/client.py", library, method, url]


def node(library):
    return lambda method, url: ["node", f"{HERE}/client.mjs", library, method, url]


def curl(version):
    def command(method, url):
        write = '\n%{http_code}'
        return ["curl", "--silent", "--show-error", version, "--cacert", os.environ["CA"], "--request", method,
                "--header", f"Authorization: Bearer {os.environ['KEY']}", "--write-out", write, url]
    return command


CLIENTS = {
    "curl-h1": curl("--http1.1"),
    "curl-h2": curl("--http2"),
    "requests": python("requests"),
    "urllib3": python("urllib3"),
    "httpx": python("httpx"),
    "httpx-h2": python("httpx-h2"),
    "aiohttp": python("aiohttp"),
    "node-fetch": node("fetch"),
    "axios": node("axios"),
}


class Demo:
    """A running demo, its admin API, and its events."""

    def __init__(self, program, folder):
        command = [program, "demo", "--data-dir", folder, "--proxy-port", "0", "--admin-port", "0", "--output", "json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit("error: the demo did not start; its own message is above")
        self.ready = json.loads(line)
        self.received = os.path.join(folder, "upstream-received.jsonl")
        self.events = queue.Queue()
        self.seen = []
        listening = threading.Event()
        threading.Thread(target=self.listen, args=(listening,), daemon=True).start()
        if not listening.wait(DEADLINE):
            sys.exit("error: the demo's events cannot be heard")

    def connect(self):
        address = urllib.parse.urlsplit(self.ready["admin"])
        context = ssl.create_default_context(cafile=self.ready["ca"])
        return http.client.HTTPSConnection(address.hostname, address.port, context=context)

    def api(self, method, path, body=None):
        connection = self.connect()
        headers = {"Authorization": f"Bearer {self.ready['reviewers']['bo']}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        value = json.loads(answer.read())
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {answer.status} {value}")
        return value

    def listen(self, listening):
        connection = self.connect()
        connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {self.ready['reviewers']['bo']}"})
        answer = connection.getresponse()
        listening.set()
        for line in answer:
            if line.startswith(b"data: "):
                self.events.put(json.loads(line[len(b"data: "):]))

    def wait(self, kind, target):
        """The approval of the call to `target`, once `kind` has happened to it."""
        while True:
            try:
                event = self.events.get(timeout=DEADLINE)
            except queue.Empty:
                raise AssertionError(f"{kind} did not happen to {target} within {DEADLINE} s") from None
            approval = self.api("GET", f"/v1/approvals/{event['approval']}")
            if event["kind"] == kind and approval["call"]["target"] == target:
                return approval

    def decide(self, approval, verdict):
        body = {"verdict": verdict, "digest": approval["digest"], "reason": "as agreed"}
        self.api("POST", f"/v1/approvals/{approval['id']}/decisions", body)

    def reached(self, target):
        with open(self.received, encoding="utf-8") as lines:
            return sum(json.loads(line)["target"] == target for line in lines)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(DEADLINE) == 0, "the demo did not stop in good order"


def start(command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=DEADLINE)
    if process.returncode != 0:
        raise AssertionError(f"the client failed: {err.strip()[-300:]}")
    if out.lstrip().startswith('{"status"'):
        answer = json.loads(out)
        return answer["status"], answer["body"]
    body, _, status = out.rpartition("\n")
    return int(status), body


def expect(what, actual, expected):
    if actual != expected:
        raise AssertionError(f"{what}: {actual!r}, expected {expected!r}")


def code(body):
    return json.loads(body)["code"]


def passes(demo, call, run):
    status, body = finish(start(call("GET", f"/customers?{run}")))
    expect("status", status, 200)
    assert "cus_1" in body, body
    expect("reached", demo.reached(f"/customers?{run}"), 1)


def denied_by_policy(demo, call, run):
    status, body = finish(start(call("DELETE", f"/clusters/prod-1?{run}")))
    expect("answer", (status, code(body)), (403, "policy-denied"))
    expect("reached", demo.reached(f"/clusters/prod-1?{run}"), 0)


def held_and_approved(demo, call, run):
    target = f"/customers/export?{run}"
    process = start(call("GET", target))
    approval = demo.wait("approval.created", target)
    expect("reached before the approval", demo.reached(target), 0)
    demo.decide(approval, "approve")
    status, body = finish(process)
    expect("status", status, 200)
    assert "exported" in body, body
    expect("reached", demo.reached(target), 1)


def held_and_denied(demo, call, run):
    target = f"/customers/export?{run}"
    process = start(call("GET", target))
    demo.decide(demo.wait("approval.created", target), "deny")
    status, body = finish(process)
    expect("answer", (status, code(body)), (403, "approval-denied"))
    assert "as agreed" in body, body
    expect("reached", demo.reached(target), 0)


def hangs_up_and_comes_again(demo, call, run):
    target = f"/customers/export?{run}"
    process = start(call("GET", target))
    approval = demo.wait("approval.created", target)
    process.kill()
    process.communicate()
    demo.wait("approval.caller_left", target)
    demo.decide(approval, "approve")
    expect("reached with nobody there", demo.reached(target), 0)
    status, body = finish(start(call("GET", target)))
    expect("status", status, 200)
    assert "exported" in body, body
    expect("reached", demo.reached(target), 1)


CASES = [passes, denied_by_policy, held_and_approved, held_and_denied, hangs_up_and_comes_again]


def main():
    program, *wanted = sys.argv[1:]
    unknown = set(wanted) - set(CLIENTS)
    if unknown:
        sys.exit(f"error: no such client: {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}")
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(program, folder)
        os.environ.update(CA=demo.ready["ca"], KEY=demo.ready["agent_key"], NODE_EXTRA_CA_CERTS=demo.ready["ca"])
        for name in wanted or CLIENTS:
            for case in CASES:
                run = f"run={name}-{case.__name__}"
                call = lambda method, target: CLIENTS[name](method, demo.ready["proxy"] + target)
                try:
                    case(demo, call, run)
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    failed += 1
                    print(f"FAIL  {name:<12} {case.__name__}: {error}", flush=True)
                else:
                    passed += 1
                    print(f"ok    {name:<12} {case.__name__}", flush=True)
        demo.stop()
        verified = subprocess.run([program, "audit", "verify", "--path", os.path.join(folder, "audit")], text=True, capture_output=True)
        if verified.returncode != 0:
            failed += 1
            print(f"FAIL  the audit log does not verify:\n{verified.stdout}{verified.stderr}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
