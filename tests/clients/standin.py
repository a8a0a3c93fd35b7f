"""The upstream of the real-client tests: as much of each API as its client needs, and a count of what arrived.

Paths begin with the name of a run, such as `/openai.deny/v1/chat/completions`, so that every request can be told
apart. Only Stripe's Node client has no place for one there; its runs stand in the id.
"""

import collections
import http.server
import json
import re
import threading

DONE = "done by the upstream"
RUN = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")


class Upstream:
    """Listens on a free port of this machine, on threads of its own."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = collections.defaultdict(collections.Counter)
        upstream = self

        class Handler(Answering):
            received = staticmethod(upstream.note)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note(self, run, line):
        with self.lock:
            self.requests[run][line] += 1

    def reached(self, run):
        """What arrived in `run`: how often each method and path, without the name of the run."""
        with self.lock:
            return dict(self.requests[run])


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.body()
        target = self.path.partition("?")[0]
        run = RUN.search(target)
        path = target.removeprefix(f"/{run.group()}") if run else target
        self.received(run and run.group(), f"{self.command} {path}")
        # The agent's key must never get here.
        if self.headers.get("Authorization") != "Bearer upstream-only" or self.headers.get("X-Api-Key"):
            return self.json(401, {"message": "this API wants its own credential"})
        for method, pattern, respond in ROUTES:
            if method == self.command and re.fullmatch(pattern, path):
                return respond(self, body)
        return self.json(404, status_object("NotFound", 404))

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = answer

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def json(self, status, value):
        self.send(status, "application/json", json.dumps(value).encode())

    def events(self, *events):
        text = "".join(f"event: {name}\n" * bool(name) + f"data: {data}\n\n" for name, data in events)
        self.send(200, "text/event-stream", text.encode())

    def send(self, status, media, body):
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def thing(request, _body):
    request.json(200, {"id": "1", "status": DONE})


def chat(request, body):
    common = {"id": "chat-1", "created": 0, "model": "small"}
    if json.loads(body).get("stream"):
        chunk = lambda delta, end=None: json.dumps(common | {
            "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]})
        words = [chunk({"role": "assistant", "content": DONE[:4]}), chunk({"content": DONE[4:]}), chunk({}, "stop")]
        return request.events(*((None, word) for word in [*words, "[DONE]"]))
    message = {"role": "assistant", "content": DONE}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return request.json(200, common | {"object": "chat.completion", "choices": [choice]})


def messages(request, body):
    message = {"id": "msg-1", "type": "message", "role": "assistant", "model": "small", "stop_reason": "end_turn",
               "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    if not json.loads(body).get("stream"):
        return request.json(200, message | {"content": [{"type": "text", "text": DONE}]})
    events = [
        {"type": "message_start", "message": message | {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": DONE}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return request.events(*((event["type"], json.dumps(event)) for event in events))


def upload(request, body):
    assert b'{"id": 1}' in body and b"customers.jsonl" in body, body
    request.json(200, {"id": "file-1", "object": "file", "bytes": 500, "created_at": 0, "filename": DONE,
                       "purpose": "batch", "status": "processed"})


def customer(request, _body):
    request.json(200, {"id": "cus_1", "object": "customer", "description": DONE})


def issue(request, _body):
    request.json(201, {"id": 1, "number": 1, "title": DONE, "url": "https://api.github.com/repos/example/web/issues/1"})


def status_object(reason, code, **more):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "reason": reason, "code": code, "message": reason,
            "status": "Failure"} | more


POD = {"kind": "Pod", "apiVersion": "v1", "spec": {"containers": [{"name": "web", "image": "web:2"}]},
       "metadata": {"name": "web", "namespace": "default", "uid": "1", "annotations": {"note": DONE}}}


def core_versions(request, _body):
    request.json(200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})


def groups(request, _body):
    request.json(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []})


def resources(request, _body):
    pods = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "shortNames": ["po"],
            "verbs": ["create", "delete", "get", "list", "patch"]}
    request.json(200, {"kind": "APIResourceList", "groupVersion": "v1", "resources": [pods]})


def pod(request, _body):
    # For `apply` there is none yet, so that it creates one.
    if "/kubectl-apply." in request.path:
        return request.json(404, status_object("NotFound", 404))
    return request.json(200, POD)


ROUTES = [
    ("POST", "/things", thing),
    ("DELETE", "/things/1", thing),
    ("POST", "/v1/chat/completions", chat),
    ("POST", "/v1/messages", messages),
    ("POST", "/v1/files", upload),
    ("POST", "/v1/customers", customer),
    ("POST", f"/v1/customers/{RUN.pattern}", customer),
    ("POST", "/repos/example/web/issues", issue),
    ("GET", "/api", core_versions),
    ("GET", "/apis", groups),
    ("GET", "/api/v1", resources),
    ("GET", "/api/v1/namespaces/default/pods/web", pod),
    ("DELETE", "/api/v1/namespaces/default/pods/web", lambda request, _: request.json(200, POD)),
    ("POST", "/api/v1/namespaces/default/pods", lambda request, _: request.json(201, POD)),
]
