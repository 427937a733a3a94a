"""The jobs: a client over a route, the Inspector over a route, and those of the conformance suite, which `conformance` makes.

A job starts what it needs, yields checks (name, None or why it failed), and leaves nothing running.
"""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import conformance, matrix
from .processes import Failed, Processes

CLIENT_SECONDS = 90
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
    return [*suite, *inspector_jobs(software), *client_jobs(software)]


# ---- the SDKs' clients ----


def client_jobs(software):
    for sdk in software.clients:
        for profile, server in software.stdio_servers.items():
            yield client_job(software, sdk, profile, None, server=server)
            for route in matrix.STDIO_ROUTES:
                yield client_job(software, sdk, profile, route, server=server)
        for (profile, kind), remote in software.remote_servers.items():
            yield client_job(software, sdk, profile, None, remote=remote, kind=kind)
            for route in matrix.REMOTE_ROUTES[kind]:
                yield client_job(software, sdk, profile, route, remote=remote, kind=kind)


def client_job(software, sdk, profile, route, **server):
    def run(processes):
        targets = reach(software, processes, route, **server)
        with ThreadPoolExecutor(len(targets)) as at_once:
            runs = [at_once.submit(client, software, processes, sdk, profile, target, route) for target in targets]
        for target, done in zip(targets, runs):
            for name, why in done.result():
                yield (f"[{target[0]}] {name}" if len(targets) > 1 else name), why

    return Job(job_name(f"{sdk} client", route, profile, **server), run, needs_bridge=route is not None)


def job_name(client, route, profile, server=None, remote=None, kind="stdio"):
    return f"{client}, {route.name if route else 'direct'}, {profile} server on {kind}"


def reach(software, processes, route, server=None, remote=None, kind=None):
    """Starts the route's servers and returns the client's targets."""
    if remote:
        argv, env = remote
        base = processes.listen(argv, "server", env)
        return route.reach(software.bridge, base) if route else matrix.at(kind)(None, base)
    if route is None:
        return [["stdio", *server]]
    base = processes.listen([software.bridge, route.listen, "--port", "0", "--", *server], "bridge", graceful=True)
    return route.reach(software.bridge, base)


def client(software, processes, sdk, profile, target, route):
    name = f"client-{target[0]}"
    with tempfile.TemporaryDirectory() as directory:
        dirs = [Path(directory).resolve() / which for which in ["one", "two"]]
        for path in dirs:
            path.mkdir()
        options = ["--profile", profile, "--dirs", ",".join(map(str, dirs))]
        if route and route.prompt_close:
            options += ["--prompt-close", "yes"]
        code, stdout = processes.run([*software.clients[sdk], *options, *target], name, CLIENT_SECONDS)
    checks = []
    for line in stdout.splitlines():
        if line.startswith("ok "):
            checks.append((line[3:], None))
        elif line.startswith("FAIL "):
            check, _, why = line[5:].partition(": ")
            checks.append((check, why))
    if not stdout.endswith("done\n"):
        ended = f"ended with {code}" if code is not None else f"was ended after {CLIENT_SECONDS} s"
        checks.append(("the client comes to its end", f"it {ended}: {processes.tail(f'{name}.stderr')}"))
    return checks


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
