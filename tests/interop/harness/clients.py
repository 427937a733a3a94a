"""The jobs of the SDKs' clients: the older generation over every route, and every pairing of the generations once per route.

A check that fails directly is reported there; through the bridge every check must pass, but for what
`matrix.PAIRING_EXCEPTIONS` lists. An exception that is not needed is a failure too.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import matrix

CLIENT_SECONDS = 90


def jobs(software):
    """Yields (name, run, needs_bridge)."""
    yield from older_generation(software)
    yield from pairings(software)
    yield both_at_once(software)


def older_generation(software):
    for sdk in software.clients:
        for profile, server in software.stdio_servers.items():
            for route in [None, *matrix.STDIO_ROUTES]:
                yield job(software, sdk, profile, route, server=server)
        for (profile, kind), remote in software.remote_servers.items():
            for route in [None, *matrix.REMOTE_ROUTES[kind]]:
                yield job(software, sdk, profile, route, remote=remote, kind=kind)


def pairings(software):
    for clients, servers, routes in matrix.PAIRINGS:
        for sdk, profile, name in [(c, s, r) for c in clients for s in servers for r in routes]:
            kind, route = matrix.PAIRING_ROUTES[name]
            yield job(software, sdk, profile, route, **server_of(software, profile, kind))


def server_of(software, profile, kind):
    if kind == "stdio":
        return {"server": {**software.stdio_servers, **software.modern_servers}[profile]}
    if profile in software.modern_servers:
        return {"remote": ([*software.modern_servers[profile], "--transport", kind], {}), "kind": kind}
    return {"remote": software.remote_servers[profile, kind], "kind": kind}


def both_at_once(software):
    """A client of each era at one endpoint, at the same time."""
    profile = "dual-typescript"
    sdks = ["python", "modern typescript"]
    route = matrix.Route("serve, both eras at once", matrix.at("http"), listen="serve")

    def run(processes):
        [target] = reach(software, processes, route, server=software.modern_servers[profile])
        with ThreadPoolExecutor(len(sdks)) as at_once:
            runs = [at_once.submit(run_client, software, processes, sdk, profile, target, route) for sdk in sdks]
        for sdk, done in zip(sdks, runs):
            for name, why in done.result():
                yield f"[{sdk}] {name}", why

    return job_name(f"{' and '.join(sdks)} client", route, profile), run, True


def job(software, sdk, profile, route, **server):
    name = job_name(f"{sdk} client", route, profile, **server)

    def run(processes):
        targets = reach(software, processes, route, **server)
        with ThreadPoolExecutor(len(targets)) as at_once:
            runs = [at_once.submit(run_client, software, processes, sdk, profile, target, route) for target in targets]
        checks = []
        for target, done in zip(targets, runs):
            checks += [(f"[{target[0]}] {name}" if len(targets) > 1 else name, why) for name, why in done.result()]
        return excused(name, checks)

    return name, run, route is not None


def job_name(client, route, profile, server=None, remote=None, kind="stdio"):
    return f"{client}, {route.name if route else 'direct'}, {profile} server on {kind}"


def excused(job, checks):
    reasons = {check: why for (text, check), why in matrix.PAIRING_EXCEPTIONS.items() if text in job}
    for name, why in checks:
        if name in reasons:
            why = None if why else f"it passes: take it off the list of exceptions ({reasons[name]})"
        yield name, why


def reach(software, processes, route, server=None, remote=None, kind=None):
    """Starts the route's servers and returns the client's targets."""
    if remote:
        argv, env = remote
        base = processes.listen(argv, "server", env)
        return route.reach(software.bridge, base) if route else matrix.at(kind)(None, base)
    if route is None:
        return [["stdio", *server]]
    if route.reach is None:
        return [["stdio", software.bridge, "connect", "--", *server]]
    base = processes.listen([software.bridge, route.listen, "--port", "0", "--", *server], "bridge", graceful=True)
    return route.reach(software.bridge, base)


def era(software, sdk, profile, route):
    """What a client of the second generation must come to. The bridge speaks both eras, whatever the server does."""
    wanted = sdk.split()[0]
    if wanted == "auto":
        return "legacy" if route is None and profile in matrix.LEGACY_SERVERS else "modern"
    return "legacy" if wanted == "default" else "modern"


def run_client(software, processes, sdk, profile, target, route):
    name = f"client-{sdk.replace(' ', '-')}-{target[0]}"
    with tempfile.TemporaryDirectory() as directory:
        dirs = [Path(directory).resolve() / which for which in ["one", "two"]]
        for path in dirs:
            path.mkdir()
        options = ["--profile", profile, "--dirs", ",".join(map(str, dirs))]
        if sdk in software.modern_clients:
            options += ["--era", era(software, sdk, profile, route)]
        if route and route.prompt_close:
            options += ["--prompt-close", "yes"]
        argv = {**software.clients, **software.modern_clients}[sdk]
        code, stdout = processes.run([*argv, *options, *target], name, CLIENT_SECONDS)
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
