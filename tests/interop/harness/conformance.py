"""The jobs of the conformance suite: its scenarios directly, and through the bridge in every pairing of eras.

Directly, each scenario must pass. Through the bridge, each check that succeeds directly must succeed, but for what
`matrix.CONFORMANCE_EXCEPTIONS` lists; an exception that is not needed is a failure too. Scenarios about logins have no
baseline: each must pass through the bridge.
"""

import json
from functools import partial
from urllib.request import Request, urlopen

from . import matrix

SUITE_SECONDS = 150
# For one scenario; they take up to 3 s.
SCENARIO_MS = 15_000
# For one about logins: the suite runs all of them at once.
LOGIN_MS = 90_000
# Made by the suite in every scenario, of whatever messages there were: they say nothing of what the scenario is about.
WIRE_CHECKS = {"wire-schema-valid", "wire-schema-harness-error"}
BAD = ("FAILURE", "WARNING")
# A scenario may make a check more than once; the first of these that occurs is the check's status.
STATUSES = [*BAD, "SUCCESS", "INFO", "SKIPPED"]


def jobs(software):
    """Yields (name, run, needs_bridge)."""
    for revision, suite in matrix.CONFORMANCE.items():
        name = f"conformance {revision}, server scenarios"
        baseline = partial(servers, software, revision, partial(own_http, software, suite.era))
        yield f"{name}, direct", partial(directly, baseline, suite.unserved), False
        for route, era, start in server_routes(software, suite.era):
            run = partial(through, ("server", revision, era), baseline, partial(servers, software, revision, start))
            yield f"{name}, {route}, {era} server", run, True
        name = f"conformance {revision}, client scenarios"
        baseline = partial(clients, software, revision, suite.era, [])
        yield f"{name}, direct", partial(directly, baseline, {}), False
        for era in matrix.ERAS:
            # The suite's server says something to `initialize` in every era, and counts it as a fault in the modern one.
            told = ["--server-era", "modern"] if (era, suite.era) == ("legacy", "modern") else []
            behind = partial(clients, software, revision, era, [software.bridge, "connect", *told])
            run = partial(through, ("client", revision, era), baseline, behind)
            yield f"{name}, connect, {era} client", run, True
    for revision, wanted in matrix.LOGINS.items():
        for era in wanted.eras:
            run = partial(directly, partial(logins, software, revision, era), wanted.unserved)
            yield f"conformance {revision}, auth scenarios, connect, {era} client", run, True


# ---- the ways to a server under test; each starts what it needs and returns the suite's URL ----


def server_routes(software, client_era):
    """Yields (route, era of the server, start)."""
    for era in matrix.ERAS:
        yield "stdio-to-http", era, partial(bridged, software, client_era, era)
        yield "connect", era, partial(connected, software, client_era, era)


def own_http(software, era, processes):
    return processes.listen([*server(software, era), "--transport", "http"], f"{era}-server") + "/mcp"


def bridged(software, client_era, era, processes):
    url = listen(software, processes, server(software, era))
    if (client_era, era) == ("modern", "legacy"):
        # A scenario gives a call 600 ms. A client that can be asked has a server of its own, and a start takes as long.
        discover(url, {"elicitation": {}})
    return url


def discover(url, capabilities):
    """One modern exchange, by hand."""
    meta = {"protocolVersion": "2026-07-28", "clientCapabilities": capabilities}
    params = {"_meta": {f"io.modelcontextprotocol/{key}": value for key, value in meta.items()}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": params}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "server/discover",
    }
    with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=SUITE_SECONDS) as answer:
        answer.read()


def connected(software, client_era, era, processes):
    """The suite speaks HTTP only, so something stands in front of `connect`: for a legacy client the SDK's own HTTP server,
    which has no say in what crosses; for a modern one, of which the SDK has no such server, the bridge."""
    command = [software.bridge, "connect", own_http(software, era, processes)]
    if client_era == "modern":
        return listen(software, processes, command)
    return processes.listen(software.fixture("http_front.mjs", *command), "front") + "/mcp"


def server(software, era):
    return software.fixture(f"conformance_{era}.mjs")


def listen(software, processes, command):
    argv = [software.bridge, "stdio-to-http", "--port", "0", "--", *command]
    return processes.listen(argv, "bridge", graceful=True) + "/mcp"


# ---- the suite; each returns scenario -> check -> (status, text) ----


def servers(software, revision, start, processes, name):
    suite = matrix.CONFORMANCE[revision]
    output = processes.directory / f"results-{name}"
    argv = [*software.conformance, "server", "--url", start(processes), *suite.select]
    processes.run([*argv, "--timeout", str(SCENARIO_MS), "--output-dir", str(output)], f"suite-{name}", SUITE_SECONDS)
    done = {scenario_name(path).removeprefix("server-"): checks(path) for path in output.glob("server-*/checks.json")}
    ran = "SUCCESS" if len(done) == suite.servers else "FAILURE"
    tail = processes.tail(f"suite-{name}.stderr")
    return {**done, "the number of scenarios": {"ran": (ran, f"{len(done)} of {suite.servers} ran: {tail}")}}


def clients(software, revision, era, command, processes, name):
    done = {}
    for scenario in matrix.CONFORMANCE[revision].clients:
        output = processes.directory / f"results-{name}" / scenario
        client = " ".join(software.fixture("conformance_client.mjs", era, *command))
        argv = [*software.conformance, "client", "--command", client, "--scenario", scenario]
        argv += ["--spec-version", revision, "--timeout", str(SCENARIO_MS), "--output-dir", str(output)]
        log = f"suite-{name}-{scenario}"
        code, _ = processes.run(argv, log, SUITE_SECONDS)
        found = next(output.glob("*/checks.json"), None)
        done[scenario] = checks(found) if found else {}
        if code != 0:
            done[scenario]["client"] = "FAILURE", f"the suite ended with {code}: {processes.tail(f'{log}.stderr')}"
    return done


def logins(software, revision, era, processes, name):
    done = {}
    client = " ".join([*software.fixture("conformance_client.mjs", era), software.bridge, "connect"])
    version = [] if revision == "extensions" else ["--spec-version", revision]
    for suite, count in matrix.LOGINS[revision].lists.items():
        output = processes.directory / f"results-{suite}"
        argv = [*software.conformance, "client", "--command", client, "--suite", suite, *version]
        argv += ["--timeout", str(LOGIN_MS), "--output-dir", str(output)]
        processes.run(argv, f"suite-{suite}", SUITE_SECONDS)
        # The lists hold scenarios about other things, too.
        found = {scenario_name(path): path for path in output.glob("auth/*/checks.json")}
        done |= {scenario: {**checks(path), "client": outcome(path)} for scenario, path in found.items()}
        ran = "SUCCESS" if len(found) == count else "FAILURE"
        tail = processes.tail(f"suite-{suite}.stderr")
        done[f"the number of scenarios of {suite}"] = {"ran": (ran, f"{len(found)} of {count} ran: {tail}")}
    return done


def outcome(path):
    """What the client itself says: the suite judges what it saw, which may be before the end."""
    told = path.with_name("stdout.txt").read_text()
    tail = " | ".join(path.with_name("stderr.txt").read_text().splitlines()[-12:])
    return "SUCCESS" if "as expected" in told else "FAILURE", tail or "it said nothing"


def scenario_name(path):
    """`server-ping` from .../server-ping-2026-01-02T03-04-05-678Z/checks.json."""
    return path.parent.name.rsplit("-", 6)[0]


def checks(path):
    found = {}
    for check in json.loads(path.read_text()):
        text = check.get("errorMessage") or check.get("details") or check["description"]
        made = check["status"], str(text).replace("\n", " ")
        found[check["id"]] = min(found.get(check["id"], made), made, key=lambda one: STATUSES.index(one[0]))
    return found


# ---- the verdicts; each yields (scenario, None or why it failed) ----


def directly(run, unserved, processes):
    for scenario, found in sorted(run(processes, "direct").items()):
        bad = [f"{check}: {text}" for check, (status, text) in found.items() if status in BAD]
        judged = any(status == "SUCCESS" for check, (status, _) in found.items() if check not in WIRE_CHECKS)
        why = "; ".join(bad) or (None if judged else "no check of it succeeded")
        if scenario in unserved:
            why = None if why else f"it passes: take it off the list of what is not served ({unserved[scenario]})"
        yield scenario, why


def through(pairing, baseline, run, processes):
    wanted = baseline(processes, "direct")
    found = run(processes, "through")
    excused = dict(matrix.CONFORMANCE_EXCEPTIONS.get(pairing, {}))
    unserved = matrix.CONFORMANCE[pairing[1]].unserved
    for scenario in sorted(wanted.keys() - unserved.keys()):
        bad = lost(wanted[scenario], found.get(scenario, {}))
        yield scenario, "; ".join(f"{check}: {why}" for check, why in bad.items() if (scenario, check) not in excused) or None
        for check in bad:
            excused.pop((scenario, check), None)
    for (scenario, check), reason in excused.items():
        yield f"the exception of {scenario}, {check}", f"it passes: take it off the list of exceptions ({reason})"


def lost(wanted, found):
    """check -> why, for what is worse than it was directly."""
    bad = {
        check: text
        for check, (status, text) in found.items()
        if status in BAD and wanted.get(check, ("",))[0] not in BAD
    }
    if bad:
        # What came after a failed check was perhaps not even tried.
        return bad
    return {
        check: f"SUCCESS directly, {found.get(check, ('not made',))[0]} through the bridge"
        for check, (status, _) in wanted.items()
        # INFO is what the suite calls another way of being right.
        if status == "SUCCESS" and found.get(check, ("",))[0] not in ("SUCCESS", "INFO")
    }
