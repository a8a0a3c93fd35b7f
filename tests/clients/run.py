#!/usr/bin/env python3
"""Real clients against a real proxy, in every way that a held call can go. After each run the requests that reached
the upstream are counted, by the upstream.

Usage: run.py PROGRAM [CLIENT|CASE...]      PROGRAM is the holdpoint binary; all clients and cases if none is named.
Standard library only; the clients are in client.py and client.mjs (tests/setup.sh installs them), the upstream in standin.py.
"""

import concurrent.futures
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from proxy import DEADLINE
from proxy import HERE
from proxy import Proxy
from standin import DONE
from standin import Upstream

PYTHON = "target/clients/venv/bin/python"
AT_A_TIME = 6  # runs; most of them wait
REASON = "too broad: ask ana \u2713"  # people write what they like


@dataclasses.dataclass(frozen=True)
class Client:
    """What a client sends, and how it tells of a refusal."""

    held: str  # the request that all is about, as it reaches the upstream
    error: str = "Refused"  # what it raises on a refusal; a client without errors of its own returns the answer
    answer: str = DONE  # what it makes of the upstream's answer has this in it
    streams: bool = False
    body: bool = True  # its error has code and approval's id as values of their own, from the answer's body
    told: int = 1  # attempts that it makes where each is answered that it may come again
    told_error: str | None = None  # what it raises after the last of them, if not the same
    attempts: int = 4  # at one call, where none is answered in time: its own, or those of whoever uses it

    def command(self, name, base):
        script = f"{HERE}/client.mjs" if name in NODE else f"{HERE}/client.py"
        return ["node" if name in NODE else PYTHON, script, name, base]


THINGS, CHAT, MESSAGES = "POST /things", "POST /v1/chat/completions", "POST /v1/messages"
PODS = "/api/v1/namespaces/default/pods"
NODE = {"fetch", "axios", "openai-node", "openai-node-stream", "anthropic-node", "anthropic-node-stream", "stripe-node"}
# client-go has the whole Status; its programs show the sentence.
KUBECTL = {"body": False, "told": 11, "told_error": "TooManyRequests"}
CLIENTS = {
    "openai-stream": Client(CHAT, "PermissionDeniedError", streams=True, attempts=3),
    "anthropic-stream": Client(MESSAGES, "PermissionDeniedError", streams=True, attempts=3, told=3),
    "openai-node-stream": Client(CHAT, "PermissionDeniedError", streams=True, attempts=3),
    "anthropic-node-stream": Client(MESSAGES, "PermissionDeniedError", streams=True, attempts=3, told=3),
    "requests": Client(THINGS),
    "urllib3": Client("DELETE /things/1"),
    "httpx": Client(THINGS),
    "httpx-h2": Client(THINGS),
    "aiohttp": Client(THINGS),
    "openai": Client(CHAT, "PermissionDeniedError", attempts=3),
    "openai-upload": Client("POST /v1/files", "PermissionDeniedError", attempts=3),
    "anthropic": Client(MESSAGES, "PermissionDeniedError", attempts=3, told=3),
    "stripe": Client("POST /v1/customers", "PermissionError", attempts=3),
    "pygithub": Client("POST /repos/example/web/issues", "GithubException", attempts=11),
    "fetch": Client(THINGS),
    "axios": Client(THINGS),
    "openai-node": Client(CHAT, "PermissionDeniedError", attempts=3),
    "anthropic-node": Client(MESSAGES, "PermissionDeniedError", attempts=3, told=3),
    "stripe-node": Client("POST /v1/customers/", "StripePermissionError", attempts=3),
    "curl-h1": Client(THINGS),
    "curl-h2": Client(THINGS),
    "kubectl-delete": Client(f"DELETE {PODS}/web", "Forbidden", answer="deleted", **KUBECTL),
    "kubectl-get": Client(f"GET {PODS}/web", "Forbidden", **KUBECTL),
    "kubectl-apply": Client(f"POST {PODS}", "Forbidden", answer="created", **KUBECTL),
}


class Run:
    """One client in one case, under a name of its own."""

    def __init__(self, proxy, upstream, name, case):
        self.proxy, self.upstream = proxy, upstream
        self.name, self.client = name, CLIENTS[name]
        self.run = f"{name}.{case.__name__.replace('_', '-')}"
        self.attempts = 0
        self.processes = []

    def start(self, **settings):
        ready = self.proxy.ready
        environment = os.environ | {"CA": ready["ca"], "KEY": ready["agent_key"], "NODE_EXTRA_CA_CERTS": ready["ca"]}
        environment |= {name.upper(): str(value) for name, value in settings.items()}
        command = self.client.command(self.name, f"{ready['proxy']}/{self.run}")
        # A session of its own, so that whatever it starts ends with it.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                                   start_new_session=True)
        self.processes.append(process)
        return process

    def finish(self, process):
        """The last line of the client: how its call ended."""
        out, err = process.communicate(timeout=DEADLINE)
        if process.returncode != 0:
            raise AssertionError(f"the client broke: {err.strip()[-500:]}")
        said = json.loads(out.splitlines()[-1])
        self.attempts += said["attempts"]
        return said

    def call(self, **settings):
        return self.finish(self.start(**settings))

    def kill(self, process):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)

    def wait(self, kind, times=1):
        return self.proxy.wait(self.run, kind, times)

    def approve(self, approval):
        self.proxy.decide(approval, "approve", "as agreed")

    def held(self):
        return self.client.held + (self.run if self.client.held.endswith("/") else "")

    def reached(self):
        return self.upstream.reached(self.run).get(self.held(), 0)

    def expect_answer(self, said):
        if self.client.answer not in said.get("answer", ""):
            raise AssertionError(f"not the upstream's answer: {said}")

    def expect_error(self, said, code, *words, approval=None, kinds=None):
        """An error of the SDK's own kind. In its text is everything, since that is what models and people read."""
        error = said.get("error") or {}
        kinds = kinds or [self.client.error]
        if error.get("type") not in kinds:
            raise AssertionError(f"not {' or '.join(kinds)}: {said}")
        if error["code"] != (code if self.client.body else None):
            raise AssertionError(f"not {code}: {said}")
        identity = approval and approval["id"]
        if error["approval"] != (identity if self.client.body else None):
            raise AssertionError(f"not about {identity}: {said}")
        for word in (code, *words, *filter(None, [identity])):
            if word not in error["text"]:
                raise AssertionError(f"`{word}` is not in the text of the error: {said}")

    def expect(self, reached, approvals):
        counted = self.reached()
        if counted != reached:
            raise AssertionError(f"{counted} requests reached the upstream, not {reached}")
        listed = self.proxy.approvals(self.run)
        if listed != approvals:
            raise AssertionError(f"there are {listed} approvals, not {approvals}")

    def expect_attempts(self, least, most):
        if not least <= self.attempts <= most:
            raise AssertionError(f"the client made {self.attempts} attempts, not {least} to {most}")


def passes(run):
    """No rule minds: the client gets the upstream's answer."""
    run.expect_answer(run.call())
    run.expect(reached=1, approvals=0)


def policy_deny(run):
    """A rule denies: the client raises its own error, once, with the rule's reason."""
    run.expect_error(run.call(), "policy-denied", "people do this themselves")
    run.expect(reached=0, approvals=0)
    run.expect_attempts(1, 1)


def approve(run):
    """The client waits, and gets the upstream's answer."""
    process = run.start()
    approval = run.wait("approval.created")
    run.expect(reached=0, approvals=1)
    run.approve(approval)
    run.expect_answer(run.finish(process))
    run.expect(reached=1, approvals=1)
    run.expect_attempts(1, 1)


def deny(run):
    """The client waits, and raises its own error, once, with the reviewer's words and the approval's id."""
    process = run.start()
    approval = run.wait("approval.created")
    run.proxy.decide(approval, "deny", REASON)
    run.expect_error(run.finish(process), "approval-denied", REASON, approval=approval)
    run.expect(reached=0, approvals=1)
    run.expect_attempts(1, 1)


def pending(run):
    """Held for as long as the rule says: the client raises its own error, at once unless it waits as it is told."""
    said = run.call()
    approval = run.wait("approval.created")
    kinds = [run.client.told_error or run.client.error]
    run.expect_error(said, "approval-pending", "Send the same call again", approval=approval, kinds=kinds)
    run.expect(reached=0, approvals=1)
    run.expect_attempts(run.client.told, run.client.told)


def comes_again(run):
    """Told to come again, the client does so by itself, and gets the upstream's answer once it is approved."""
    process = run.start(retries=10)
    approval = run.wait("approval.caller_joined")
    run.expect(reached=0, approvals=1)
    run.approve(approval)
    run.expect_answer(run.finish(process))
    run.expect(reached=1, approvals=1)
    run.expect_attempts(2, 11)


def retry_joins(run):
    """The client times out and comes again while it is held: one approval, one request."""
    process = run.start(timeout=3)
    approval = run.wait("approval.caller_joined")
    run.expect(reached=0, approvals=1)
    run.approve(approval)
    run.expect_answer(run.finish(process))
    run.expect(reached=1, approvals=1)
    run.expect_attempts(2, run.client.attempts)


def hang_up(run):
    """The client dies; approved meanwhile, nothing runs; the next call runs once, and asks nobody again."""
    process = run.start()
    approval = run.wait("approval.created")
    run.kill(process)
    run.wait("approval.caller_left")
    run.approve(approval)
    run.wait("approval.approved")
    run.expect(reached=0, approvals=1)
    run.expect_answer(run.call())
    run.expect(reached=1, approvals=1)


def late(run):
    """The client gives up by itself; approved later, a new call of a new process runs once."""
    # kubectl writes its time-out into the query: with another one it would be another call.
    said = run.call(timeout=3, retries=0)
    if "error" not in said or "approval" in str(said["error"]["code"]):
        raise AssertionError(f"not a time-out: {said}")
    run.expect_attempts(1, 1)
    run.wait("approval.caller_left")
    approval = run.wait("approval.created")
    run.approve(approval)
    run.wait("approval.approved")
    run.expect(reached=0, approvals=1)
    run.expect_answer(run.call(timeout=3, retries=0))
    run.expect(reached=1, approvals=1)


def opened(run):
    """A stream that has been held for so long that it has begun with comments."""
    process = run.start()
    approval = run.wait("approval.created")
    if json.loads(process.stdout.readline()) != {"opened": True}:
        raise AssertionError("the stream did not begin")
    run.expect(reached=0, approvals=1)
    return process, approval


def stream_approve(run):
    """Held past the silence, then approved: the upstream's events follow."""
    process, approval = opened(run)
    run.approve(approval)
    run.expect_answer(run.finish(process))
    run.expect(reached=1, approvals=1)
    run.expect_attempts(1, 1)


def stream_deny(run):
    """Held past the silence, then denied: the SDK raises an error of the API out of the stream."""
    process, approval = opened(run)
    run.proxy.decide(approval, "deny", REASON)
    kinds = ["APIError", "APIStatusError", "PermissionDeniedError"]
    run.expect_error(run.finish(process), "approval-denied", REASON, approval=approval, kinds=kinds)
    run.expect(reached=0, approvals=1)
    run.expect_attempts(1, 1)


STREAM_CASES = [stream_approve, stream_deny]
TOLD_CASES = [comes_again]
CASES = [passes, policy_deny, approve, deny, pending, retry_joins, hang_up, late]


def carry_out(proxy, upstream, name, case):
    """What went wrong, or nothing; and the counts."""
    run = Run(proxy, upstream, name, case)
    started = time.monotonic()
    try:
        case(run)
        wrong = None
    except (AssertionError, subprocess.TimeoutExpired, json.JSONDecodeError, OSError) as error:
        wrong = f"{type(error).__name__}: {error}"
    finally:
        run.end()
    print(f"{'FAIL' if wrong else 'ok':<5} {run.run:<36} {time.monotonic() - started:5.1f} s", wrong or "", flush=True)
    return wrong, f"{run.reached()}/{proxy.approvals(run.run)}/{run.attempts}"


def chosen(words):
    names, cases = set(CLIENTS), {case.__name__: case for case in [*STREAM_CASES, *TOLD_CASES, *CASES]}
    unknown = set(words) - names - set(cases)
    if unknown:
        known = f"clients: {', '.join(CLIENTS)}; cases: {', '.join(cases)}"
        sys.exit(f"error: there is no {', '.join(sorted(unknown))}; {known}")
    wanted_names = [name for name in CLIENTS if name in words] or list(CLIENTS)
    wanted_cases = [case for name, case in cases.items() if name in words] or list(cases.values())
    # Those that wait longest come first.
    pairs = [(name, case) for case in wanted_cases for name in wanted_names]
    return [(name, case) for name, case in pairs if concerns(case, CLIENTS[name])]


def concerns(case, client):
    if case in STREAM_CASES:
        return client.streams
    return client.told > 1 or case not in TOLD_CASES


def table(results):
    cases = [case for case in [*CASES, *TOLD_CASES, *STREAM_CASES] if any(key[1] is case for key in results)]
    lines = [["", *(case.__name__ for case in cases)]]
    for name in CLIENTS:
        cells = [results.get((name, case)) for case in cases]
        if any(cells):
            lines.append([name, *("" if cell is None else ("FAIL " if cell[0] else "") + cell[1] for cell in cells)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def main():
    program, *words = sys.argv[1:]
    runs = chosen(words)
    upstream = Upstream()
    with tempfile.TemporaryDirectory() as folder:
        proxy = Proxy(program, folder, upstream.url)
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            doing = {key: pool.submit(carry_out, proxy, upstream, *key) for key in runs}
            results = {key: future.result() for key, future in doing.items()}
        proxy.stop()
        broken = proxy.verify()
    print(f"\nrequests at the upstream / approvals / attempts of the client:\n\n{table(results)}\n")
    if broken:
        print(f"FAIL  the audit log does not verify:\n{broken}")
    failed = sum(wrong is not None for wrong, _ in results.values()) + (broken is not None)
    print(f"{len(results) + 1 - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
