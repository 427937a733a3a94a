"""The client of the second generation of Python's SDK, run against one server over one transport:

    modern_client.py --profile typescript --dirs A,B --mode modern --era modern (stdio COMMAND ARGS... | http URL)

`--mode` is how it negotiates: `modern` (2026-07-28 without asking), `auto` (as the SDK comes: it asks the server). `--era` is
what must come of it. clients/modern_client.mjs makes the same checks.
"""

import contextlib
import json
import re
import time as clock
import warnings

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

from checks import (
    STRANGE,
    checked,
    closed_since,
    dirs,
    done,
    equal,
    era,
    frames,
    inbox,
    kind,
    mode,
    names,
    profile,
    progress_before_answers,
    run_checks,
    target,
    together,
    up_to,
    uri_of,
    written,
)

# The revision deprecates logging, sampling and roots, and still defines them.
warnings.simplefilter("ignore", MCPDeprecationWarning)

MODERN = "2026-07-28"
LOG_LEVEL = "io.modelcontextprotocol/logLevel"
MODES = {"modern": MODERN, "auto": "auto"}
modern = era == "modern"
roots = dirs[:1]
asked = []
client: Client


async def keep(message):
    if isinstance(message, types.ServerNotification):
        inbox.put(message)


async def list_roots(context):
    return types.ListRootsResult(roots=[types.Root(uri=uri_of(directory), name=directory) for directory in roots])


async def sample(context, params):
    asked.append(params)
    content = params.messages[-1].content
    text = (content[0] if isinstance(content, list) else content).text
    reply = types.TextContent(text=f"sampled <{text}>")
    return types.CreateMessageResult(role="assistant", model="interop", content=reply)


async def elicit(context, params):
    asked.append(params)
    values = {"string": "forty-two", "number": 1.5, "integer": 42, "boolean": True}
    schema = params.requested_schema
    content = {name: values[schema["properties"][name]["type"]] for name in schema.get("required", [])}
    return types.ElicitResult(action="accept", content=content)


@contextlib.asynccontextmanager
async def transport():
    """The SDK's transport, with every frame that comes from it kept."""
    if kind == "stdio":
        plain = stdio_client(StdioServerParameters(command=target[0], args=target[1:]))
    elif kind == "http":
        plain = streamable_http_client(target[0])
    else:
        raise ValueError(f"{kind}: not one of stdio, http")
    async with plain as (read, write):
        tapped_write, tapped_read = anyio.create_memory_object_stream(0)

        async def tap():
            with contextlib.suppress(anyio.BrokenResourceError):
                async with tapped_write:
                    async for item in read:
                        if not isinstance(item, Exception):
                            frames.append(item.message)
                        await tapped_write.send(item)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tap)
            yield tapped_read, write
            tasks.cancel_scope.cancel()


# ---- the checks ----


async def call(name, /, asked_level=None, **args):
    """`asked_level` asks for the call's log messages: by the request itself, or in the older era for the session."""
    if asked_level and not modern:
        await client.session.set_logging_level(asked_level)
    meta = {LOG_LEVEL: asked_level} if asked_level and modern else None
    return await client.call_tool(name, args, meta=meta)


async def said(name, /, **args):
    """The text of a call's result; a tool's error is a failure."""
    result = await call(name, **args)
    text = "\n".join(block.text for block in result.content if block.type == "text")
    assert not result.is_error, text
    return text


async def error_of(awaitable):
    try:
        await awaitable
    except MCPError as error:
        return error.error
    raise AssertionError("no error came")


async def with_progress(name, /, **args):
    async def ignore(progress, total, message):
        pass

    return await client.call_tool(name, args, progress_callback=ignore)


@contextlib.asynccontextmanager
async def listening(uri=None, **changes):
    """Asks for changes, in either era's way. Only what was asked for is acknowledged."""
    uris = [uri] if uri else []
    if not modern:
        for uri in uris:
            await client.subscribe_resource(uri)
        yield
        for uri in uris:
            await client.unsubscribe_resource(uri)
        return
    async with client.listen(resource_subscriptions=uris, **changes) as subscription:
        honored = subscription.honored.model_dump(exclude_none=True)
        equal(honored, {**changes, **({"resource_subscriptions": uris} if uris else {})})
        yield


def none_kept(method):
    equal([message for message in inbox.kept if message.method == method], [])


def common(name):
    """What every server is asked."""

    @checked("server/discover names the server" if modern else "initialize names the server")
    async def _():
        if mode == "modern":
            # It has not asked yet: its first request was none.
            client.session.adopt(types.DiscoverResult.model_validate(await client.session.send_discover(MODERN)))
        assert name in client.session.server_info.name, client.session.server_info.name
        assert client.session.server_capabilities.tools


def errors(unknown_method, read_unknown=None):
    @checked("an unknown method is an error with its code")
    async def _():
        request = types.Request(method="no/such/method", params=types.RequestParams(kept=1))
        equal((await error_of(client.session.send_request(request, types.EmptyResult))).code, unknown_method)

    if read_unknown:

        @checked("an unknown resource is an error")
        async def _():
            await error_of(client.read_resource(read_unknown))


def everything():
    """The reference server knows the older era only.

    What it does outside any call, a modern client never sees: it asks for roots as soon as it is initialized.
    """
    common("everything")

    @checked("tools/list has the tools, none bound to the older era's tasks")
    async def _():
        tools = (await client.list_tools()).tools
        for tool in ["echo", "trigger-sampling-request", "trigger-elicitation-request", "simulate-research-query"]:
            assert tool in names(tools), tool
        equal([tool.name for tool in tools if getattr(tool, "execution", None)], [])

    @checked("echo comes back byte for byte")
    async def _():
        equal(await said("echo", message=STRANGE), f"Echo: {STRANGE}")

    @checked("structured content comes")
    async def _():
        equal((await call("get-structured-content", location="Chicago")).structured_content["humidity"], 82)

    @checked("resources/list and resources/read give text")
    async def _():
        assert (await client.list_resources()).resources
        text = (await client.read_resource("demo://resource/dynamic/text/3")).contents[0].text
        assert text.startswith("Resource 3"), text

    @checked("resources/list_changed comes when a resource appears")
    async def _():
        async with listening(resources_list_changed=True):
            await call("gzip-file-as-resource", name="note.gz", data="data:text/plain,hello", outputType="resourceLink")
            await inbox.next("notifications/resources/list_changed")

    @checked("prompts/get and completion with its context")
    async def _():
        assert "Kyiv" in (await client.get_prompt("args-prompt", {"city": "Kyiv"})).messages[0].content.text
        ref = types.PromptReference(name="completable-prompt")
        result = await client.complete(ref, {"name": "name", "value": "D"}, {"department": "Sales"})
        equal(result.completion.values, ["David"])

    @checked("progress comes in order, before the answer")
    async def _():
        since = len(frames)
        await with_progress("trigger-long-running-operation", duration=0.5, steps=5)
        # This server asks for roots by itself soon after its handshake. The question falls to the call that is in flight
        # then, which goes on as a retry, under a token of its own.
        equal(sorted(sum(progress_before_answers(since), [])), up_to(5))

    @checked("sampling is asked and its answer arrives")
    async def _():
        text = await said("trigger-sampling-request", prompt="why", maxTokens=5)
        assert re.search("sampled <.*why.*>", text), text

    @checked("elicitation is asked and its answer arrives")
    async def _():
        assert "forty-two" in await said("trigger-elicitation-request")

    @checked("a tool that must run as a task is called like any other")
    async def _():
        assert "Research Report: bridges\n" in await said("simulate-research-query", topic="bridges")

    @checked("a tool that must run as a task asks back")
    async def _():
        text = await said("simulate-research-query", topic="bridges", ambiguous=True)
        assert "Research Report: bridges (forty-two)" in text, text

    errors(-32601, "demo://no/such")


def time():
    common("time")

    @checked("tools/list has both tools")
    async def _():
        equal(sorted(names((await client.list_tools()).tools)), ["convert_time", "get_current_time"])

    @checked("the current time comes")
    async def _():
        equal(json.loads(await said("get_current_time", timezone="Europe/Kyiv"))["timezone"], "Europe/Kyiv")

    @checked("an unknown timezone is an error of the tool")
    async def _():
        equal((await call("get_current_time", timezone="No/Where")).is_error, True)

    errors(-32601)


def probe(unknown_method, faulty=True, offers_old_things=True):
    """What every probe server offers (fixtures/probe_server.mjs, fastmcp_server.py, modern_*); see client.py."""
    common("probe")

    @checked("instructions come")
    async def _():
        equal(client.session.instructions, "Probe me.")

    @checked("tools/list has the tools")
    async def _():
        assert "progress" in names((await client.list_tools()).tools)

    @checked("echo comes back byte for byte")
    async def _():
        equal(await said("echo", text=STRANGE), STRANGE)

    @checked("1 MiB crosses both ways")
    async def _():
        text = "x" * 1024 * 1024
        equal(await said("echo", text=text), text)

    @checked("twenty calls at once get their own answers")
    async def _():
        words = [f"word-{i}" for i in range(20)]
        equal(await together(*(said("echo", text=word) for word in words)), words)

    @checked("a failing tool is an error of the tool")
    async def _():
        result = await call("fail")
        equal(result.is_error, True)
        assert "fails on purpose" in result.content[0].text

    @checked("_meta that nobody knows crosses both ways")
    async def _():
        kept = {"deep": [1, {"er": None}]}
        result = await client.call_tool("meta", {}, meta={"example.com/kept": kept})
        equal(result.meta["example.com/back"], kept)

    @checked("resources/list and resources/read give text and blob")
    async def _():
        uris = sorted(str(resource.uri) for resource in (await client.list_resources()).resources)
        equal(uris, ["probe://blob", "probe://counter"])
        equal((await client.read_resource("probe://counter")).contents[0].text, "0")
        equal((await client.read_resource("probe://blob")).contents[0].blob, "AAH+/w==")

    @checked("resources/templates/list and a read through it")
    async def _():
        templates = (await client.list_resource_templates()).resource_templates
        equal(templates[0].uri_template, "probe://items/{id}")
        equal((await client.read_resource("probe://items/7")).contents[0].text, "item 7")

    @checked("a subscribed resource is reported when updated, an unsubscribed one is not")
    async def _():
        uri = "probe://counter"
        async with listening(uri):
            await said("count")
            await inbox.next("notifications/resources/updated", lambda params: str(params.uri) == uri)
            equal((await client.read_resource(uri)).contents[0].text, "1")
        # The SDK sends its goodbye from a task of its own.
        await said("echo", text="after the goodbye")
        await said("count")
        await said("echo", text="after the second count")
        none_kept("notifications/resources/updated")

    @checked("prompts/list and prompts/get")
    async def _():
        equal(names((await client.list_prompts()).prompts), ["greet"])
        prompt = await client.get_prompt("greet", {"name": "Ada", "style": "frosty"})
        equal(prompt.messages[0].content.text, "Greet Ada in a frosty way.")

    @checked("completion completes")
    async def _():
        result = await client.complete(types.PromptReference(name="greet"), {"name": "style", "value": "fr"})
        equal(result.completion.values, ["friendly", "frosty"])

    @checked("100 progress messages come in order, before the answer")
    async def _():
        since = len(frames)
        await with_progress("progress", steps=100)
        equal(progress_before_answers(since), [up_to(100)])

    @checked("progress of two calls at once goes to its own call")
    async def _():
        since = len(frames)
        await together(with_progress("progress", steps=30), with_progress("progress", steps=50))
        equal(progress_before_answers(since), [up_to(30), up_to(50)])

    @checked("log messages come")
    async def _():
        await call("log", asked_level="debug", level="warning", message="mind the gap")
        message = await inbox.next("notifications/message", lambda params: params.data == "mind the gap")
        equal((message.level, message.logger), ("warning", "probe"))

    if modern:

        @checked("log messages come only to a call that asks for their level")
        async def _():
            await call("log", level="error", message="nobody asked")
            await call("log", asked_level="warning", level="info", message="too low")
            await call("log", asked_level="warning", level="error", message="high enough")
            await inbox.next("notifications/message", lambda params: params.data == "high enough")
            none_kept("notifications/message")

    @checked("sampling is asked and its answer arrives")
    async def _():
        equal(await said("sample", prompt="why"), "sampled <why>")

    @checked("elicitation is asked and its answer arrives")
    async def _():
        equal(await said("ask", question="what?"), "accept forty-two")
        equal(asked[-1].message, "what?")

    @checked("five calls at once each ask back and get their own answers")
    async def _():
        answers = await together(*(said("sample", prompt=prompt) for prompt in "abcde"))
        equal(answers, [f"sampled <{prompt}>" for prompt in "abcde"])

    @checked("roots are asked for, the changed ones too")
    async def _():
        equal(await said("roots"), uri_of(dirs[0]))
        roots[:] = dirs
        if not modern:
            await client.send_roots_list_changed()
        equal(await said("roots"), " ".join(uri_of(directory) for directory in dirs))

    @checked("a cancelled call is cancelled at the server")
    async def _():
        file = f"{dirs[0]}/cancelled"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: call("wait", asked_level="info", file=file))
            await inbox.next("notifications/message", lambda params: params.data == "wait started")
            tasks.cancel_scope.cancel()
        await written(file)
        equal(await said("echo", text="still here"), "still here")

    if offers_old_things:

        @checked("the server pings the client")
        async def _():
            equal(await said("ping_client"), "pong")

        @checked("a call whose stream is dropped is resumed")
        async def _():
            equal(await said("drop"), "resumed")

    @checked("list changes of tools, resources and prompts come")
    async def _():
        async with listening(tools_list_changed=True, prompts_list_changed=True), listening(resources_list_changed=True):
            await said("grow")
            for which in ["tools", "resources", "prompts"]:
                await inbox.next(f"notifications/{which}/list_changed")
        assert "grown" in names((await client.list_tools()).tools)
        equal(await said("grown"), "grown")

    if faulty:

        @checked("an error keeps its code, message and data")
        async def _():
            error = await error_of(client.read_resource("probe://items/faulty"))
            equal((error.code, error.message, error.data), (4711, "this item is faulty", {"item": "faulty"}))

    errors(unknown_method, "probe://no/such")


PROFILES = {
    "everything": everything,
    "time": time,
    "fastmcp": lambda: probe(-32602, faulty=False),
    "typescript": lambda: probe(-32601),
    "modern-python": lambda: probe(-32601, offers_old_things=False),
    "modern-typescript": lambda: probe(-32601, offers_old_things=False),
    "dual-typescript": lambda: probe(-32601, offers_old_things=False),
}


async def run_all():
    global client
    callbacks = {"sampling_callback": sample, "elicitation_callback": elicit, "list_roots_callback": list_roots}
    async with contextlib.AsyncExitStack() as stack:
        # No time limit around what stays open: anyio wants scopes closed in the order they were opened.
        try:
            unopened = Client(transport(), mode=MODES[mode], message_handler=keep, **callbacks)
            client = await stack.enter_async_context(unopened)
            equal("modern" if client.protocol_version == MODERN else "legacy", era)
            print("ok connect", flush=True)
        except Exception as error:
            print(f"FAIL connect: {error!r}".replace("\n", " | "), flush=True)
            raise SystemExit(1) from error
        PROFILES[profile]()
        await run_checks()
        before = clock.monotonic()
    await closed_since(before)


anyio.run(run_all)
done()
