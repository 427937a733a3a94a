"""The jobs of OAuth: npm's `oidc-provider`, an authorization server that we did not write, gives tokens to the bridge as a
client, and for the bridge as a door.

What stands around a job, and how it asks, is in `oauth_world`.
"""

import base64
import json
import re
import time
from functools import partial

from . import matrix
from .clients import run_client
from .install import HERE
from .oauth_world import END_SECONDS, HELLO, LOGIN_SECONDS, MORE, SCOPE, SUM, World, ask, call, hello, ping, unless
from .processes import Failed

# How many seconds tokens last that are to be renewed.
SHORT = 4
ECHO = {"name": "echo", "arguments": {"message": "hello"}}
FORMS = ["jwt", "opaque"]


def jobs(software):
    """Yields (name, run, needs_bridge)."""

    def job(name, run, *args):
        return f"oauth, {name}", partial(run, software, *args), True

    # With how many logins it takes: only the older clients call the tool that needs more.
    for sdk, tokens, logins in [
        ("typescript", "jwt", 2),
        ("python", "opaque", 2),
        ("modern typescript", "opaque", 1),
        ("modern python", "jwt", 1),
    ]:
        yield job(f"{sdk} client, connect logs in at the door, {tokens} tokens", sdk_behind_connect, sdk, tokens, logins)
    for sdk in ["typescript", "modern typescript", "python", "modern python"]:
        yield job(f"{sdk} client logs in at the door by itself", sdk_at_door, sdk)
    for sdk in ["typescript", "python"]:
        yield job(f"{sdk} client, connect logs in at the door of the SDK", sdk_door, sdk)
    for tokens in FORMS:
        yield job(f"tokens of seconds, {tokens}", renewal, tokens)
        yield job(f"tokens that are refused, {tokens}", refusals, tokens)
    yield job("what the door says", words_of_the_door)
    yield job("an issuer with a path", issuer_with_a_path)
    yield job("a tool that needs more", step_up)
    yield job("login, status and logout", commands)
    yield job("login on another device", device)
    yield job("login without a browser", no_browser)
    yield job("client credentials", machine)


# ---- the jobs ----


def sdk_behind_connect(software, sdk, tokens, logins, processes):
    world = World(software, processes, tokens=tokens)
    url, desktop = world.door(), world.desktop()
    route = matrix.Route("connect", None, prompt_close=True)
    yield from run_client(software, processes, sdk, "everything", ["stdio", *desktop.command("connect", url)], route)
    yield "the browser was opened as often as it takes", desktop.opened(logins)
    header = desktop.token().split(".")[0]
    yield "the token is of the form that was asked for", unless(is_jwt(header) == (tokens == "jwt"), header)


def sdk_at_door(software, sdk, processes):
    world = World(software, processes)
    url, desktop = world.door(), world.desktop()
    argv = {
        "typescript": [software.node, str(HERE / "clients/login_client.mjs"), "--sdk", "first"],
        "modern typescript": [software.node, str(HERE / "clients/login_client.mjs"), "--sdk", "second"],
        "python": [software.python, str(HERE / "clients/login_client.py")],
        "modern python": [software.modern_python, str(HERE / "clients/login_client.py")],
    }[sdk]
    code, stdout = processes.run([*argv, "http", url], "client", LOGIN_SECONDS, desktop.environment)
    told = [line for line in stdout.splitlines() if line.startswith(("ok ", "FAIL "))]
    for line in told:
        name, _, why = line.partition(" ")[2].partition(": ")
        yield name, None if line.startswith("ok ") else why
    yield "the client comes to its end", unless(code == 0 and told, f"exit code {code}: {processes.tail('client.stderr')}")
    yield "the browser was opened", unless(desktop.openings(), "it was not")


def sdk_door(software, sdk, processes):
    world = World(software, processes)
    argv = [*software.stdio_servers["typescript"], "--transport", "oauth", "--issuer", world.issuer]
    url, desktop = processes.listen(argv, "server") + "/mcp", world.desktop()
    yield "nobody comes in without a token", status_is(401, hello(url))
    route = matrix.Route("connect", None, prompt_close=True)
    yield from run_client(software, processes, sdk, "typescript", ["stdio", *desktop.command("connect", url)], route)
    yield "the browser was opened once", desktop.opened(1)


def renewal(software, tokens, processes):
    world = World(software, processes, tokens=tokens, seconds=SHORT)
    url, desktop = world.door(), world.desktop()
    client = desktop.connect(url)
    yield "the login answers the first call", answers(client.ask("tools/call", ECHO), "Echo: hello")
    for round in ["once", "twice"]:
        before = desktop.token()
        until(lambda: hello(url, before).status == 401, "the token's end")
        yield f"a call after its end, {round}", answers(client.ask("tools/call", ECHO), "Echo: hello")
        yield f"with another token, {round}", unless(desktop.token() != before, "it is the same")
    yield "the browser was opened once", desktop.opened(1)
    yield "the end", unless(client.close()[0] == 0, client.said()[-300:])


def refusals(software, tokens, processes):
    world = World(software, processes, tokens=tokens)
    url = world.door()
    good = world.token(url)
    yield "a good token comes in", status_is(200, hello(url, good))
    # What a token carries itself is told; of an opaque one only what the answer about it says.
    why = {
        "nowhere": "another resource" if world.opaque else "no JWT",
        "changed": "not valid" if world.opaque else "signature is wrong",
        "issuer": "not valid" if world.opaque else "another issuer",
        "over": "not valid" if world.opaque else "expired",
    }
    yield "one for another resource", refused(url, world.token(url.replace("/mcp", "/other")), "another resource")
    yield "one for no resource", refused(url, world.token(), why["nowhere"])
    yield "one that was changed", refused(url, good[:-8] + "AAAAAAAA", why["changed"])
    other = World(software, processes, name="other", directory=world.directory, tokens=tokens)
    yield "one of another issuer with the same key", refused(url, other.token(url), why["issuer"])
    hasty = World(software, processes, name="hasty", tokens=tokens, seconds=2)
    near = hasty.door(name="near")
    short = hasty.token(near)
    yield "a good token of seconds comes in", status_is(200, hello(near, short))
    until(lambda: hello(near, short).status == 401, "the token's end")
    yield "one that is over", refused(near, short, why["over"])
    if tokens == "opaque":
        world.machine(world.metadata["revocation_endpoint"], {"token": good})
        until(lambda: hello(url, good).status == 401, "the end of what was remembered")
        yield "one that was revoked", refused(url, good, "not valid")


def words_of_the_door(software, processes):
    world = World(software, processes)
    url = world.door()
    base = url.removesuffix("/mcp")
    document = f"{base}/.well-known/oauth-protected-resource"
    challenge = f'Bearer scope="{SCOPE}", resource_metadata="{document}/mcp"'
    for method, at in [("POST", url), ("GET", url), ("DELETE", url), ("GET", f"{base}/sse")]:
        answer = ask(method, at, json.dumps({}) if method == "POST" else None)
        wanted = challenge.replace("resource/mcp", "resource/sse") if at.endswith("sse") else challenge
        said = answer.headers.get("WWW-Authenticate")
        yield f"{method} {at.removeprefix(base)} says what to do", status_is(401, answer) or unless(said == wanted, said)
    for resource, at in [(url, f"{document}/mcp"), (f"{base}/sse", f"{document}/sse"), (base, document)]:
        wanted = {
            "resource": resource,
            "authorization_servers": [world.issuer],
            "scopes_supported": [SCOPE, MORE],
            "bearer_methods_supported": ["header"],
        }
        told = ask("GET", at)
        yield f"the document {at.removeprefix(base)}", status_is(200, told) or unless(told.json() == wanted, told.text)
    [entry] = re.findall(r"stdio clients +(.*)", processes.said("door"))
    [pasted] = json.loads(entry)["mcpServers"].values()
    desktop = world.desktop(name="pasted")
    client = desktop.started([pasted["command"], *pasted["args"]])
    yield "the entry for clients works as it is printed", answers(client.ask("tools/call", ECHO), "Echo: hello")
    client.close()
    little = hello(url, world.token(url, "mcp:none"))
    yield "a token that allows nothing", status_is(403, little) or unless("insufficient_scope" in challenge_of(little), little)
    # A session is that of the user who began it.
    alice, bob = (world.desktop(user) for user in ["alice", "bob"])
    for user in [alice, bob]:
        user.done("login", url)
    session = hello(url, alice.token()).headers["Mcp-Session-Id"]
    listed = {user.user: ping(url, user.token(), session).status for user in [alice, bob]}
    yield "a session is its user's alone", unless(listed == {"alice": 200, "bob": 404}, listed)


def issuer_with_a_path(software, processes):
    """Its metadata is at the last of the three places only (OpenID Connect Discovery; RFC 8414, section 5)."""
    for tokens in FORMS:
        world = World(software, processes, name=tokens, tokens=tokens, path="/tenant")
        url = world.door(name=f"door-{tokens}")
        desktop = world.desktop(name=f"desktop-{tokens}")
        client = desktop.connect(url)
        yield f"the login, {tokens}", answers(client.ask("tools/call", ECHO), "Echo: hello")
        yield f"the end, {tokens}", unless(client.close()[0] == 0, client.said()[-300:])


def step_up(software, processes):
    world = World(software, processes)
    url, desktop = world.door(), world.desktop()
    little = world.token(url)
    session = hello(url, little).headers["Mcp-Session-Id"]
    refusal = call(url, little, SUM, session)
    wanted = f'scope="{SCOPE} {MORE}"'
    yield "the door asks for more", status_is(403, refusal) or unless(wanted in challenge_of(refusal), challenge_of(refusal))
    client = desktop.connect(url)
    yield "what needs no more", answers(client.ask("tools/call", ECHO), "Echo: hello")
    yield "with one login", desktop.opened(1)
    yield "what needs more", answers(client.ask("tools/call", SUM), "The sum of 1 and 2 is 3.")
    yield "with another login", desktop.opened(2)
    yield "what needs no more, again", answers(client.ask("tools/call", ECHO), "Echo: hello")
    client.close()
    client = desktop.connect(url, name="again")
    yield "what needs more, in the next session", answers(client.ask("tools/call", SUM), "The sum of 1 and 2 is 3.")
    client.close()
    yield "with no further login", desktop.opened(2)


def commands(software, processes):
    world = World(software, processes)
    url, desktop = world.door(), world.desktop()
    told = desktop.done("login", url)
    yield "login", unless(told.startswith("logged in\n") and f"issuer  {world.issuer}\n" in told, told)
    yield "in the browser", desktop.opened(1)
    status = desktop.done("auth", "status")
    right = url in status and "is renewed by itself" in status and desktop.token() not in status
    yield "auth status", unless(right, status)
    client = desktop.connect(url)
    yield "connect takes what login got", answers(client.ask("tools/call", ECHO), "Echo: hello")
    client.close()
    yield "and opens no browser", desktop.opened(1)
    desktop.done("logout", url)
    yield "auth status after logout", unless(url not in desktop.done("auth", "status"), "the server is still there")
    client = processes.talk(desktop.command("connect", url, "--no-login"), "refused")
    answer = client.ask("initialize", HELLO)
    yield "connect --no-login after logout", unless("error" in answer and client.close()[0] == 77, answer)
    told = desktop.done("login", url)
    yield "login, again", unless(told.startswith("logged in\n"), told)


def device(software, processes):
    world = World(software, processes)
    url, desktop = world.door(), world.desktop()
    login = processes.talk(desktop.command("login", url, "--device"), "login")
    page, code = login.says(r"open (http\S+) anywhere and enter (\S+)").groups()
    # The user's telephone: another browser, at the page without the code in it.
    phone = world.desktop("bob", BROWSER_CODE=code)
    phone.opens(page.partition("?")[0])
    yield "the page takes the code", unless("Sign-in Success" in phone.openings()[0], phone.openings())
    code, told = login.close()
    yield "login --device", unless(code == 0 and told.startswith("logged in\n"), told + login.said())
    yield "the token can be renewed", unless("is renewed by itself" in told, told)
    client = desktop.connect(url)
    yield "connect takes what it got", answers(client.ask("tools/call", ECHO), "Echo: hello")
    client.close()
    yield "no browser on this machine", desktop.opened(0)


def no_browser(software, processes):
    world = World(software, processes)
    url, desktop = world.door(), world.desktop()
    login = processes.talk(desktop.command("login", url, "--no-browser"), "login")
    [page] = login.says(r"open (http\S+) in a browser").groups()
    yield "no browser is opened", desktop.opened(0)
    desktop.opens(page)
    code, told = login.close()
    yield "login --no-browser", unless(code == 0 and told.startswith("logged in\n"), told + login.said())


def machine(software, processes):
    world = World(software, processes, seconds=SHORT)
    url = world.door()
    proofs = {"machine": ["--client-secret-file", "machine.secret"], "signer": ["--client-key-file", "machine.pem"]}
    for client_id, [flag, file] in proofs.items():
        desktop = world.desktop(name=client_id)
        flags = ["--client-credentials", "--client-id", client_id, flag, str(world.directory / file)]
        client = desktop.connect(url, *flags, name=f"connect-{client_id}")
        yield f"{flag}", answers(client.ask("tools/call", ECHO), "Echo: hello")
        before = desktop.token()
        until(lambda: hello(url, before).status == 401, "the token's end")
        yield f"{flag}, after the token's end", answers(client.ask("tools/call", ECHO), "Echo: hello")
        yield f"{flag}, the end", unless(client.close()[0] == 0, client.said()[-300:])
        yield f"{flag}, no browser", desktop.opened(0)


# ---- what is thought of an answer ----


def challenge_of(answer):
    return answer.headers.get("WWW-Authenticate", "")


def status_is(wanted, answer):
    return unless(answer.status == wanted, f"HTTP {answer.status}: {answer.text[:300]}")


def refused(url, token, why):
    answer = hello(url, token)
    right = 'error="invalid_token"' in challenge_of(answer) and why in answer.text
    return status_is(401, answer) or unless(right, f"{challenge_of(answer)}: {answer.text}")


def answers(answer, text):
    """Whether a tool's answer has the text."""
    said = [part.get("text") for part in answer.get("result", {}).get("content", [])]
    return unless(said == [text], answer)


def is_jwt(header):
    try:
        return "alg" in json.loads(base64.urlsafe_b64decode(header + "=="))
    except ValueError:
        return False


def until(happened, what):
    deadline = time.monotonic() + END_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not come within {END_SECONDS} s")
        time.sleep(0.1)
