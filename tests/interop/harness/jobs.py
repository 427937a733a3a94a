"""The jobs: the SDKs' clients (`clients` makes these), the Inspector over a route, the conformance suite's (`conformance`),
Autobahn's (`websocket`), and logins at an authorization server (`oauth`).

A job starts what it needs, yields checks (name, None or why it failed), and leaves nothing running.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from . import clients, conformance, matrix, oauth, websocket
from .clients import job_name, reach
from .processes import Failed, Processes

INSPECTOR_SECONDS = 30


@dataclass(frozen=True)
class Job:
    name: str
    # Takes Processes, yields checks.
    run: callable
    needs_bridge: bool = True

    def checks(self, results: Path):
        """Every check of the job, with one of its own for how it ended. Never raises."""
        slug = "".join(c if c.isalnum() else "-" for c in self.name)
        processes = Processes(results / slug, slug)
        checks = []
        try:
            checks.extend(self.run(processes))
            wrong = [] if checks else ["the job made no check"]
        except Failed as error:
            wrong = [str(error)]
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        wrong += processes.stop()
        return [*checks, ("everything starts and ends as it should", "; ".join(wrong) or None)]


def all_jobs(software):
    """The long ones first, so that no core idles at the end."""
    suite = [Job(*each) for each in conformance.jobs(software)]
    sdks = [Job(*each) for each in clients.jobs(software)]
    autobahn = [Job(*each) for each in websocket.jobs(software)]
    logins = [Job(*each) for each in oauth.jobs(software)]
    return [*autobahn, *suite, *logins, *inspector_jobs(software), *sdks]


# ---- the Inspector ----

INSPECTOR_CALLS = {
    "tools/list": ([], lambda result: "echo" in [tool["name"] for tool in result["tools"]]),
    "tools/call": (
        ["--tool-name", "echo", "--tool-arg", "message=hello"],
        lambda result: result["content"][0]["text"] == "Echo: hello",
    ),
    "resources/list": ([], lambda result: len(result["resources"]) > 0),
    "prompts/list": ([], lambda result: "args-prompt" in [prompt["name"] for prompt in result["prompts"]]),
}


def inspector_jobs(software):
    server = software.stdio_servers["everything"]
    for route in [None, *matrix.STDIO_ROUTES]:
        yield inspector_job(software, route, server=server)
    for kind in matrix.PATHS:
        remote = software.remote_servers["everything", kind]
        for route in [None, *matrix.REMOTE_ROUTES[kind]]:
            yield inspector_job(software, route, remote=remote, kind=kind)


def inspector_job(software, route, **server):
    def run(processes):
        for target in reach(software, processes, route, **server):
            for method, (options, right) in INSPECTOR_CALLS.items():
                why = inspect(software, processes, target, method, options, right)
                yield f"[{target[0]}] {method}", why

    return Job(job_name("inspector", route, "everything", **server), run, needs_bridge=route is not None)


def inspect(software, processes, target, method, options, right):
    """None when the Inspector printed the right result, else why not."""
    kind, *address = target
    transport = [*address] if kind == "stdio" else ["--transport", kind, "--server-url", *address]
    argv = [*software.inspector, *transport, "--method", method, *options, "--format", "json", "--quiet"]
    name = f"inspector-{kind}-{method.replace('/', '-')}"
    # It keeps a catalogue in the home directory; the user's own is none of our business.
    code, stdout = processes.run(argv, name, INSPECTOR_SECONDS, {"HOME": str(processes.directory)})
    if code != 0:
        return f"exit code {code}: {processes.tail(f'{name}.stderr')}"
    try:
        return None if right(json.loads(stdout)["result"]) else f"unexpected result {stdout[:300]}"
    except (ValueError, LookupError) as error:
        return f"{error!r} in its output {stdout[:300]}"
