"""What the jobs of OAuth stand in: an authorization server, the bridge's door, users with their browsers; and HTTP to them.

A user's browser is `fixtures/browser.py`, which is what BROWSER names. What is kept (tokens, cookies, keys) is in the job's
directory.
"""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .install import HERE
from .processes import Failed, Processes

BROWSER = str(HERE / "fixtures/browser.py")
SCOPE, MORE = "mcp:read", "mcp:write"
LOGIN_SECONDS = 60
# For what ends by itself: tokens of some seconds, a remembered answer.
END_SECONDS = 30
# server-everything's tool that the door wants more for.
SUM = {"name": "get-sum", "arguments": {"a": 1, "b": 2}}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "interop", "version": "1.0.0"}}
# Nothing here goes through a proxy.
WEB = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class World:
    """An authorization server, and what a job puts around it."""

    def __init__(self, software, processes, name="authority", directory=None, path="", **options):
        self.software, self.processes = software, processes
        self.directory = directory or processes.directory / name
        self.directory.mkdir(exist_ok=True)
        self.opaque = options.get("tokens") == "opaque"
        flags = [f"--{option}={value}" for option, value in {"directory": self.directory, "path": path, **options}.items()]
        self.issuer = processes.listen(software.fixture("authorization_server.mjs", *flags), name) + path
        self.metadata = ask("GET", f"{self.issuer}/.well-known/openid-configuration").json()

    def door(self, *flags, name="door"):
        """server-everything behind the bridge's door; the URL of its Streamable HTTP."""
        # Clocks are one here, and what ends has to be seen to end.
        door = ["--oauth-issuer", self.issuer, "--oauth-leeway", "0s", "--oauth-scope", SCOPE]
        door += ["--oauth-tool-scope", f"{SUM['name']}={MORE}"]
        if self.opaque:
            door += ["--oauth-introspection-url", self.metadata["introspection_endpoint"]]
            door += ["--oauth-introspection-client", "door", "--oauth-introspection-cache", "1s"]
            door += ["--oauth-introspection-secret-file", str(self.directory / "door.secret")]
        server = self.software.stdio_servers["everything"]
        argv = [self.software.bridge, "serve", "--port", "0", *door, *flags, "--", *server]
        return self.processes.listen(argv, name, graceful=True) + "/mcp"

    def desktop(self, user="alice", name=None, **environment):
        directory = self.processes.directory / (name or user)
        directory.mkdir(exist_ok=True)
        return Desktop(self.software.bridge, self.processes, directory, user, environment)

    def token(self, resource=None, scope=SCOPE):
        """A token of a client that is registered by hand."""
        form = {"grant_type": "client_credentials", "scope": scope, **({"resource": resource} if resource else {})}
        return self.machine(self.metadata["token_endpoint"], form).json()["access_token"]

    def machine(self, url, form):
        secret = (self.directory / "machine.secret").read_text()
        pair = f"machine:{urllib.parse.quote_plus(secret)}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        answer = ask("POST", url, urllib.parse.urlencode(form), headers | {"Content-Type": "application/x-www-form-urlencoded"})
        if answer.status != 200:
            raise Failed(f"{url} answered {answer.status}: {answer.text}")
        return answer


@dataclass
class Desktop:
    """A user's machine: where tokens are kept, and a browser."""

    bridge: str
    processes: Processes
    directory: Path
    user: str
    more: dict

    @property
    def environment(self):
        return {"BROWSER": BROWSER, "BROWSER_DIRECTORY": str(self.directory), "BROWSER_USER": self.user, **self.more}

    def command(self, *words):
        """The bridge as this user runs it. By `env`, since the SDKs hand no variables on."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["/usr/bin/env", *variables, self.bridge, *words, "--auth-dir", str(self.directory / "auth")]

    def done(self, *words):
        """Runs a command that has to succeed; its stdout."""
        name = "-".join([self.directory.name, *words[: 2 if words[0] == "auth" else 1]])
        code, stdout = self.processes.run(self.command(*words), name, LOGIN_SECONDS)
        if code != 0:
            raise Failed(f"{' '.join(words)} ended with {code}: {self.processes.tail(f'{name}.stderr')}")
        return stdout

    def connect(self, url, *flags, name="connect"):
        """A client behind `connect`, after its handshake."""
        return self.started(self.command("connect", url, *flags), name)

    def started(self, argv, name="connect"):
        environment = {**self.environment, "MCP_BRIDGE_AUTH_DIR": str(self.directory / "auth")}
        client = self.processes.talk(argv, f"{self.directory.name}-{name}", environment)
        answer = client.ask("initialize", HELLO)
        if "result" not in answer:
            raise Failed(f"initialize was answered with {answer}")
        client.send({"method": "notifications/initialized"})
        return client

    def opens(self, page):
        """Opens a page by hand and waits for the end of it."""
        self.processes.run([BROWSER, "--wait", page], f"{self.directory.name}-browser", LOGIN_SECONDS, self.environment)

    def openings(self):
        file = self.directory / "openings"
        return file.read_text().splitlines() if file.exists() else []

    def opened(self, times):
        """None when the browser was opened so many times and each came to a good end."""
        # A browser that goes on by itself writes its line when it has read the last page.
        deadline = time.monotonic() + END_SECONDS
        while len(self.openings()) < times and time.monotonic() < deadline:
            time.sleep(0.02)
        openings = self.openings()
        return unless(len(openings) == times and all(line.startswith("200 ") for line in openings), openings)

    def token(self):
        [file] = (self.directory / "auth").glob("*.json")
        return json.loads(file.read_text())["token"]["access"]


# ---- HTTP ----


@dataclass
class Answer:
    status: int
    headers: object
    text: str

    def json(self):
        return json.loads(self.text)


def ask(method, url, body=None, headers=None):
    request = urllib.request.Request(url, body.encode() if body is not None else None, headers or {}, method=method)
    try:
        response = WEB.open(request, timeout=LOGIN_SECONDS)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        # What the door lets through may be a stream without an end; its head says it all.
        endless = method == "GET" and "event-stream" in response.headers.get("Content-Type", "")
        return Answer(response.status, response.headers, "" if endless else response.read().decode())


def post(url, token, message, session=None):
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Mcp-Session-Id": session} if session else {}
    return ask("POST", url, json.dumps({"jsonrpc": "2.0", "id": 1, **message}), headers)


def hello(url, token=None):
    return post(url, token, {"method": "initialize", "params": HELLO})


def ping(url, token, session):
    return post(url, token, {"method": "ping"}, session)


def call(url, token, params, session):
    return post(url, token, {"method": "tools/call", "params": params}, session)


def unless(right, otherwise):
    return None if right else str(otherwise) or "it is not so"
