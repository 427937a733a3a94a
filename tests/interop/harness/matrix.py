"""What runs with what: servers, clients, and the routes between them. Data and argv only; nothing is started here."""

from dataclasses import dataclass, field

from .install import HERE, VENVS


@dataclass(frozen=True)
class Software:
    """Where things are: node, the bridge (None when only the direct routes run), and what is built from both."""

    node: str
    bridge: str | None

    @property
    def python(self):
        return str(VENVS / "sdk/bin/python")

    @property
    def modern_python(self):
        return str(VENVS / "modern/bin/python")

    @property
    def websocket_python(self):
        return str(VENVS / "websocket/bin/python")

    def package(self, path):
        return [self.node, str(HERE / "node_modules/@modelcontextprotocol" / path)]

    def fixture(self, name, *args):
        return [self.node, str(HERE / "fixtures" / name), *args]

    @property
    def inspector(self):
        return [*self.package("inspector/clients/launcher/build/index.js"), "--cli"]

    @property
    def conformance(self):
        return self.package("conformance/dist/index.js")

    @property
    def clients(self):
        """The SDKs' clients of the first generation, by name; each takes `--profile P --dirs A,B KIND TARGET...`."""
        return {
            "typescript": [self.node, str(HERE / "clients/client.mjs")],
            "python": [self.python, str(HERE / "clients/client.py")],
        }

    @property
    def modern_clients(self):
        """Those of the second, by how they negotiate and name; each takes `--era modern|legacy` too: what must come of it."""
        typescript = [self.node, str(HERE / "clients/modern_client.mjs")]
        python = [self.modern_python, str(HERE / "clients/modern_client.py")]
        return {
            "modern typescript": [*typescript, "--mode", "modern"],
            "modern python": [*python, "--mode", "modern"],
            "auto typescript": [*typescript, "--mode", "auto"],
            "auto python": [*python, "--mode", "auto"],
            "default typescript": [*typescript, "--mode", "default"],
        }

    @property
    def stdio_servers(self):
        """By profile: the name of the checks that fit the server."""
        return {
            "everything": self.package("server-everything/dist/index.js"),
            "filesystem": self.package("server-filesystem/dist/index.js"),
            "time": [str(VENVS / "modern/bin/mcp-server-time")],
            "fastmcp": [self.python, str(HERE / "fixtures/fastmcp_server.py")],
            "typescript": self.fixture("probe_server.mjs"),
        }

    @property
    def modern_servers(self):
        """By profile; over stdio, or with `--transport http`. All but the last refuse the older era."""
        return {
            "modern-typescript": self.fixture("modern_probe_server.mjs"),
            "modern-python": [self.modern_python, str(HERE / "fixtures/modern_server.py")],
            "dual-typescript": self.fixture("modern_probe_server.mjs", "--era", "both"),
        }

    @property
    def remote_servers(self):
        """The SDKs' own HTTP servers, by (profile, kind): argv and environment. Each announces where it listens."""
        everything = [self.node, "--import", str(HERE / "fixtures/announce.mjs"), *self.stdio_servers["everything"][1:]]
        published = {"sse": "sse", "http": "streamableHttp"}
        servers = {}
        for kind, path in PATHS.items():
            servers["everything", kind] = [*everything, published[kind]], {"PORT": "0", "ANNOUNCE_PATH": path}
            for profile in ["fastmcp", "typescript"]:
                servers[profile, kind] = [*self.stdio_servers[profile], "--transport", kind], {}
        return servers


PATHS = {"sse": "/sse", "http": "/mcp"}


@dataclass(frozen=True)
class Route:
    """A way from a client to a server. `listen` is the bridge's command in front of a stdio server, if any;
    `reach(bridge, base)` gives the targets that clients use at once, each as KIND TARGET... Without it the client's command
    is the bridge with the server's command."""

    name: str
    reach: callable = None
    listen: str | None = None
    # The client's own command is the bridge: it must end promptly when its stdin closes.
    prompt_close: bool = field(default=False)


def at(kind):
    return lambda bridge, base: [[kind, base + PATHS[kind]]]


def command(subcommand, kind):
    return lambda bridge, base: [["stdio", bridge, subcommand, base + PATHS[kind]]]


# To a stdio server. `direct` is the baseline: what fails there is not the bridge's doing.
STDIO_ROUTES = [
    Route("stdio-to-sse", at("sse"), listen="stdio-to-sse"),
    Route("stdio-to-http", at("http"), listen="stdio-to-http"),
    Route("serve, both clients at once", lambda b, base: at("sse")(b, base) + at("http")(b, base), listen="serve"),
    Route("connect to serve over http", command("connect", "http"), listen="serve", prompt_close=True),
    Route("connect to serve over sse", command("connect", "sse"), listen="serve", prompt_close=True),
]

# To an SDK's own HTTP server of the kind.
REMOTE_ROUTES = {
    kind: [
        Route(f"{kind}-to-stdio", command(f"{kind}-to-stdio", kind), prompt_close=True),
        Route(f"connect to {kind}", command("connect", kind), prompt_close=True),
    ]
    for kind in PATHS
}

# The pairings of the SDKs' generations: (the server's kind, the route to it or None for none).
PAIRING_ROUTES = {
    "direct": ("stdio", None),
    "direct http": ("http", None),
    "stdio-to-http": ("stdio", Route("stdio-to-http", at("http"), listen="stdio-to-http")),
    "serve": ("stdio", Route("serve over sse", at("sse"), listen="serve")),
    "connect": ("http", Route("connect to http", command("connect", "http"), prompt_close=True)),
    # It ends with the server, whose own time that is.
    "connect stdio": ("stdio", Route("connect to a command")),
    "connect sse": ("sse", Route("connect to sse", command("connect", "sse"), prompt_close=True)),
}

LEGACY_CLIENTS = ["typescript", "python"]
LEGACY_SERVERS = ["typescript", "fastmcp"]
MODERN_CLIENTS = ["modern typescript", "modern python"]
MODERN_SERVERS = ["modern-typescript", "modern-python"]

# Who meets whom and how: (clients, servers, routes). What legacy clients and legacy servers do is in the routes above.
PAIRINGS = [
    (LEGACY_CLIENTS, MODERN_SERVERS, ["stdio-to-http", "serve", "connect", "connect stdio"]),
    (MODERN_CLIENTS, LEGACY_SERVERS, ["stdio-to-http", "connect", "connect sse", "connect stdio"]),
    (MODERN_CLIENTS, MODERN_SERVERS, ["direct", "direct http", "stdio-to-http", "connect", "connect stdio"]),
    # As users run them: the SDK finds out what the server speaks, or does not even ask.
    (["auto typescript"], ["typescript", "modern-python"], ["direct", "stdio-to-http", "connect"]),
    (["auto python"], ["fastmcp", "modern-typescript"], ["direct", "stdio-to-http", "connect"]),
    (["default typescript"], ["modern-typescript"], ["stdio-to-http", "connect"]),
    (["default typescript"], ["typescript"], ["direct", "stdio-to-http"]),
    # Servers of both eras, which should be spoken to in the caller's own.
    (["typescript", "python", "modern python"], ["dual-typescript"], ["direct", "stdio-to-http"]),
    (MODERN_CLIENTS, ["time"], ["direct", "stdio-to-http"]),
    (["modern typescript"], ["everything"], ["stdio-to-http"]),
    (["modern python"], ["everything"], ["connect"]),
]

# What translation between the eras cannot give: (text in the job's name, check) -> why.
PAIRING_EXCEPTIONS = {}


@dataclass(frozen=True)
class Revision:
    """What the conformance suite runs for a revision. Its client speaks the revision's era; servers are of either."""

    era: str
    # The suite's options that choose the server scenarios, and how many these are, so that a suite that quietly lost some
    # is noticed.
    select: list
    servers: int
    # The client scenarios that are not about authorisation.
    clients: list
    # Server scenarios that fail directly, with the reason.
    unserved: dict = field(default_factory=dict)


TASKS = "an extension that the SDK's server does not have"

# To add a revision: its line here, and what its scenarios name in fixtures/conformance_*.mjs.
CONFORMANCE = {
    "2025-06-18": Revision("legacy", ["--suite", "all", "--spec-version", "2025-06-18"], 27, ["initialize", "tools_call"]),
    "2025-11-25": Revision(
        "legacy",
        ["--requirements", "2025-11-25"],
        33,
        [
            "initialize",
            "tools_call",
            "elicitation-sep1034-client-defaults",
            "sse-retry",
            "json-schema-2020-12-preservation",
        ],
    ),
    "2026-07-28": Revision(
        "modern",
        ["--requirements", "2026-07-28"],
        50,
        [
            "tools_call",
            "request-metadata",
            "http-standard-headers",
            "http-custom-headers",
            "http-invalid-tool-headers",
            "sep-2322-client-request-state",
            "json-schema-ref-no-deref",
            "json-schema-2020-12-preservation",
        ],
        unserved={
            "tasks-lifecycle": TASKS,
            "tasks-capability-negotiation": TASKS,
            "tasks-wire-fields": TASKS,
            "tasks-request-state-removal": TASKS,
            "tasks-mrtr-input": TASKS,
            "tasks-request-headers": TASKS,
            "tasks-dispatch-and-envelope": TASKS,
            "tasks-status-notifications": TASKS,
            "tasks-required-task-error": TASKS,
            "tasks-mrtr-composition": TASKS,
        },
    ),
}
ERAS = ["legacy", "modern"]

# What passes directly and cannot pass through, one by one: (side, revision, era of the other side) -> (scenario, check) ->
# reason. An entry that passes after all is a failure.
NAMES = "a modern server names what it asks for, here user_name; requests of a legacy server have no name to be told by"
CONFORMANCE_EXCEPTIONS = {
    ("server", "2026-07-28", "legacy"): {
        ("input-required-result-basic-elicitation", "sep-2322-elicitation-incomplete"): NAMES,
        # It answers user_name without having been asked.
        ("input-required-result-ignore-extra-params", "sep-2322-ignore-unexpected-params"): NAMES,
    },
}


@dataclass(frozen=True)
class Logins:
    """What the conformance suite runs of logins to a protected server, each scenario with tokens of its own."""

    # The eras of the stdio clients behind `connect`.
    eras: list
    # Name of a list of the suite -> how many of its scenarios are about logins.
    lists: dict
    # Scenarios that fail, with the reason.
    unserved: dict = field(default_factory=dict)


DPOP = "tokens bound to a key (SEP-1932), which is a proposal yet: the bridge shows Bearer tokens, as both revisions say"

# By revision; what is an extension belongs to none.
LOGINS = {
    "2025-03-26": Logins(["legacy"], {"backcompat": 2}),
    "2025-06-18": Logins(["legacy"], {"auth": 3}),
    "2025-11-25": Logins(ERAS, {"auth": 14}),
    "2026-07-28": Logins(ERAS, {"auth": 14, "draft": 11}),
    "extensions": Logins(
        ["legacy"],
        {"extensions": 6},
        unserved={
            "enterprise-managed-authorization": "it needs the user's ID token of a single sign-on, in which a bridge has no part",
            "wif-jwt-bearer": "it needs a token of the platform that runs the client (SEP-1933), which is a proposal yet",
            "dpop": DPOP,
            "dpop-nonce": DPOP,
        },
    ),
}
