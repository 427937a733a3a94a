"""The Python SDK's client, run against one server over one transport:

    client.py --profile everything --dirs A,B (stdio COMMAND ARGS... | sse URL | http URL)

Each check prints `ok NAME` or `FAIL NAME: why`; the last line is `done`. clients/client.mjs makes the same checks.
"""

import base64
import contextlib
import json
import os
import re
import time as clock

import anyio
import httpx
import mcp.types as types
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from checks import (
    STRANGE,
    checked,
    closed_since,
    dirs,
    done,
    equal,
    frames,
    inbox,
    kind,
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

roots = dirs[:1]
asked = []
session: ClientSession


async def keep(message):
    if isinstance(message, types.ServerNotification):
        inbox.put(message.root)


async def list_roots(context):
    return types.ListRootsResult(roots=[types.Root(uri=uri_of(directory), name=directory) for directory in roots])


async def sample(context, params):
    asked.append(params)
    reply = types.TextContent(type="text", text=f"sampled <{params.messages[-1].content.text}>")
    return types.CreateMessageResult(role="assistant", model="interop", content=reply)


async def elicit(context, params):
    asked.append(params)
    values = {"string": "forty-two", "number": 1.5, "integer": 42, "boolean": True}
    schema = params.requestedSchema
    content = {name: values[schema["properties"][name]["type"]] for name in schema.get("required", [])}
    return types.ElicitResult(action="accept", content=content)


@contextlib.asynccontextmanager
async def transport():
    """The two streams of the SDK's transport, and a wait for the stream that carries what belongs to no call."""
    if kind == "stdio":
        async with stdio_client(StdioServerParameters(command=target[0], args=target[1:])) as (read, write):
            yield read, write, lambda: None
    elif kind == "sse":
        async with sse_client(target[0]) as (read, write):
            yield read, write, lambda: None
    elif kind == "http":
        opened = anyio.Event()
        status = []

        async def watch(response):
            if response.request.method == "GET":
                status.append(response.status_code)
                opened.set()

        async def get_stream():
            await opened.wait()
            equal(status[0], 200)

        timeout = httpx.Timeout(30, read=300)
        async with httpx.AsyncClient(timeout=timeout, event_hooks={"response": [watch]}) as http_client:
            async with streamable_http_client(target[0], http_client=http_client) as (read, write, _):
                yield read, write, get_stream
    else:
        raise ValueError(f"{kind}: not one of stdio, sse, http")


async def tap(read, write):
    async with write:
        async for item in read:
            if not isinstance(item, Exception):
                frames.append(item.message.root)
            await write.send(item)


# ---- the checks ----


async def call(name, /, **args):
    return await session.call_tool(name, args)


async def said(name, /, **args):
    """The text of a call's result; a tool's error is a failure."""
    result = await call(name, **args)
    text = "\n".join(block.text for block in result.content if block.type == "text")
    assert not result.isError, text
    return text


async def error_of(awaitable):
    try:
        await awaitable
    except McpError as error:
        return error.error
    raise AssertionError("no error came")


async def with_progress(name, /, **args):
    async def ignore(progress, total, message):
        pass

    return await session.call_tool(name, args, progress_callback=ignore)


def common(name):
    """What every server is asked."""

    @checked("initialize names the server")
    async def _():
        assert name in initialized.serverInfo.name, initialized.serverInfo.name
        assert initialized.capabilities.tools

    @checked("ping is answered")
    async def _():
        await session.send_ping()


def errors(unknown_method, read_unknown=None):
    """Errors of the protocol, last as in client.mjs."""

    @checked("an unknown method is an error with its code")
    async def _():
        request = types.Request(method="no/such/method", params=types.RequestParams(kept=1))
        equal((await error_of(session.send_request(request, types.EmptyResult))).code, unknown_method)

    if read_unknown:

        @checked("an unknown resource is an error")
        async def _():
            await error_of(session.read_resource(read_unknown))


def concurrent_echoes(argument, reply):
    @checked("twenty calls at once get their own answers")
    async def _():
        words = [f"word-{i}" for i in range(20)]
        answers = await together(*(said("echo", **{argument: word}) for word in words))
        equal(answers, [reply(word) for word in words])


def everything():
    common("everything")

    @checked("tools/list has the tools")
    async def _():
        offered = names((await session.list_tools()).tools)
        for tool in ["echo", "get-sum", "trigger-sampling-request", "trigger-elicitation-request", "get-roots-list"]:
            assert tool in offered, tool

    @checked("echo comes back byte for byte")
    async def _():
        equal(await said("echo", message=STRANGE), f"Echo: {STRANGE}")

    @checked("200 KiB cross both ways")
    async def _():
        message = "x" * 200 * 1024
        equal(await said("echo", message=message), f"Echo: {message}")

    concurrent_echoes("message", lambda word: f"Echo: {word}")

    @checked("an image comes whole")
    async def _():
        image = next(block for block in (await call("get-tiny-image")).content if block.type == "image")
        equal(base64.b64decode(image.data)[1:4], b"PNG")

    @checked("structured content comes")
    async def _():
        equal((await call("get-structured-content", location="Chicago")).structuredContent["humidity"], 82)

    @checked("wrong arguments are an error of the tool")
    async def _():
        equal((await call("get-sum", a="x")).isError, True)

    @checked("resources/list and resources/read give text and blob")
    async def _():
        assert (await session.list_resources()).resources
        text = (await session.read_resource("demo://resource/dynamic/text/3")).contents[0].text
        assert text.startswith("Resource 3"), text
        blob = (await session.read_resource("demo://resource/dynamic/blob/4")).contents[0].blob
        assert base64.b64decode(blob).startswith(b"Resource 4"), blob

    @checked("resources/templates/list has both templates")
    async def _():
        equal(len((await session.list_resource_templates()).resourceTemplates), 2)

    @checked("a subscribed resource is reported when updated")
    async def _():
        uri = "demo://resource/dynamic/text/1"
        await session.subscribe_resource(uri)
        await said("toggle-subscriber-updates")
        await inbox.next("notifications/resources/updated", lambda params: str(params.uri) == uri)
        await said("toggle-subscriber-updates")
        await session.unsubscribe_resource(uri)

    @checked("resources/list_changed comes when a resource appears")
    async def _():
        await call("gzip-file-as-resource", name="note.gz", data="data:text/plain,hello", outputType="resourceLink")
        await inbox.next("notifications/resources/list_changed")
        uris = [str(resource.uri) for resource in (await session.list_resources()).resources]
        assert any(uri.endswith("note.gz") for uri in uris), uris

    @checked("prompts/list and prompts/get")
    async def _():
        assert "args-prompt" in names((await session.list_prompts()).prompts)
        assert "Kyiv" in (await session.get_prompt("args-prompt", {"city": "Kyiv"})).messages[0].content.text

    @checked("completion uses its context")
    async def _():
        ref = types.PromptReference(type="ref/prompt", name="completable-prompt")
        result = await session.complete(ref, {"name": "name", "value": "D"}, {"department": "Sales"})
        equal(result.completion.values, ["David"])

    @checked("progress comes in order, before the answer")
    async def _():
        since = len(frames)
        await with_progress("trigger-long-running-operation", duration=0.5, steps=5)
        equal(progress_before_answers(since), [up_to(5)])

    @checked("log messages come")
    async def _():
        await session.set_logging_level("debug")
        await said("toggle-simulated-logging")
        await inbox.next("notifications/message", lambda params: "level" in str(params.data).lower())
        await said("toggle-simulated-logging")

    @checked("sampling is asked and its answer arrives")
    async def _():
        text = await said("trigger-sampling-request", prompt="why", maxTokens=5)
        assert re.search("sampled <.*why.*>", text), text

    @checked("elicitation is asked and its answer arrives")
    async def _():
        assert "forty-two" in await said("trigger-elicitation-request")

    @checked("roots are asked for, and again when they change")
    async def _():
        await inbox.next("notifications/message", lambda params: "Roots updated: 1 root" in str(params.data))
        assert uri_of(dirs[0]) in await said("get-roots-list")
        roots[:] = dirs
        await session.send_roots_list_changed()
        await inbox.next("notifications/message", lambda params: "Roots updated: 2 root" in str(params.data))
        assert uri_of(dirs[1]) in await said("get-roots-list")

    @checked("a cancelled call ends and the session goes on")
    async def _():
        await cancelled_call("trigger-long-running-operation", {"duration": 2, "steps": 20}, "notifications/progress")
        equal(await said("echo", message="still here"), "Echo: still here")

    errors(-32601, "demo://no/such")


async def cancelled_call(name, args, sign):
    """Makes a call, cancels it as soon as the notification `sign` came, and does not wait for its answer."""

    async def forgotten():
        with contextlib.suppress(McpError):
            await with_progress(name, **args)

    async with anyio.create_task_group() as tasks:
        # The SDK has no call that cancels; it numbers its requests from here.
        request_id = session._request_id
        tasks.start_soon(forgotten)
        await inbox.next(sign)
        params = types.CancelledNotificationParams(requestId=request_id, reason="enough")
        await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        tasks.cancel_scope.cancel()


def filesystem():
    common("filesystem")
    first, second = dirs
    path = f"{first}/note-{os.getpid()}.txt"
    content = "line one\nzwei – \u2028 日本 🦀\n"

    async def allowed(directory):
        return directory in (await said("list_allowed_directories")).split("\n")

    async def until_allowed(directory):
        while not await allowed(directory):
            pass

    @checked("tools/list has the tools")
    async def _():
        assert {"read_text_file", "write_file", "edit_file"} <= set(names((await session.list_tools()).tools))

    @checked("the client's roots are honoured")
    async def _():
        await until_allowed(first)

    @checked("a file is written and read back byte for byte")
    async def _():
        await said("write_file", path=path, content=content)
        equal(await said("read_text_file", path=path), content)

    @checked("a file of 1 MiB is written and read back")
    async def _():
        large = "A line of text that is repeated.\n" * 32 * 1024
        await said("write_file", path=f"{path}.large", content=large)
        equal(await said("read_text_file", path=f"{path}.large"), large)

    @checked("a file is edited")
    async def _():
        diff = await said("edit_file", path=path, edits=[{"oldText": "line one", "newText": "line 1"}])
        assert "+line 1" in diff, diff

    @checked("the directory is listed")
    async def _():
        assert os.path.basename(path) in await said("list_directory", path=first)

    @checked("a path outside is an error of the tool")
    async def _():
        equal((await call("read_text_file", path="/etc/hostname")).isError, True)

    @checked("changed roots are asked for")
    async def _():
        roots[:] = [second]
        await session.send_roots_list_changed()
        await until_allowed(second)
        equal(await allowed(first), False)

    errors(-32601)


def time():
    common("time")

    @checked("tools/list has both tools")
    async def _():
        equal(sorted(names((await session.list_tools()).tools)), ["convert_time", "get_current_time"])

    @checked("the current time comes")
    async def _():
        equal(json.loads(await said("get_current_time", timezone="Europe/Kyiv"))["timezone"], "Europe/Kyiv")

    @checked("a time is converted")
    async def _():
        text = await said("convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo")
        equal(json.loads(text)["time_difference"], "+9.0h")

    @checked("an unknown timezone is an error of the tool")
    async def _():
        equal((await call("get_current_time", timezone="No/Where")).isError, True)

    errors(-32601)


def probe(unknown_method, modern=False, faulty=True):
    """What every probe server offers (fixtures/probe_server.mjs, fastmcp_server.py, modern_*).

    The `modern` ones neither ping nor drop a stream, since their revision has neither. FastMCP makes a code of its own of
    what a resource throws.
    """
    common("probe")

    @checked("instructions come")
    async def _():
        equal(initialized.instructions, "Probe me.")

    @checked("tools/list has the tools")
    async def _():
        assert "progress" in names((await session.list_tools()).tools)

    @checked("echo comes back byte for byte")
    async def _():
        equal(await said("echo", text=STRANGE), STRANGE)

    @checked("1 MiB crosses both ways")
    async def _():
        text = "x" * 1024 * 1024
        equal(await said("echo", text=text), text)

    concurrent_echoes("text", lambda word: word)

    @checked("a failing tool is an error of the tool")
    async def _():
        result = await call("fail")
        equal(result.isError, True)
        assert "fails on purpose" in result.content[0].text

    @checked("_meta that nobody knows crosses both ways")
    async def _():
        kept = {"deep": [1, {"er": None}]}
        result = await session.call_tool("meta", {}, meta={"example.com/kept": kept})
        equal(result.meta["example.com/back"], kept)

    @checked("resources/list and resources/read give text and blob")
    async def _():
        uris = sorted(str(resource.uri) for resource in (await session.list_resources()).resources)
        equal(uris, ["probe://blob", "probe://counter"])
        equal((await session.read_resource("probe://counter")).contents[0].text, "0")
        equal((await session.read_resource("probe://blob")).contents[0].blob, "AAH+/w==")

    @checked("resources/templates/list and a read through it")
    async def _():
        templates = (await session.list_resource_templates()).resourceTemplates
        equal(templates[0].uriTemplate, "probe://items/{id}")
        equal((await session.read_resource("probe://items/7")).contents[0].text, "item 7")

    @checked("a subscribed resource is reported when updated, an unsubscribed one is not")
    async def _():
        uri = "probe://counter"
        await session.subscribe_resource(uri)
        await said("count")
        await inbox.next("notifications/resources/updated", lambda params: str(params.uri) == uri)
        equal((await session.read_resource(uri)).contents[0].text, "1")
        await session.unsubscribe_resource(uri)
        await said("count")
        await said("log", level="info", message="after the second count")
        await inbox.next("notifications/message", lambda params: params.data == "after the second count")
        equal([message for message in inbox.kept if message.method == "notifications/resources/updated"], [])

    @checked("prompts/list and prompts/get")
    async def _():
        equal(names((await session.list_prompts()).prompts), ["greet"])
        prompt = await session.get_prompt("greet", {"name": "Ada", "style": "frosty"})
        equal(prompt.messages[0].content.text, "Greet Ada in a frosty way.")

    @checked("completion completes")
    async def _():
        ref = types.PromptReference(type="ref/prompt", name="greet")
        result = await session.complete(ref, {"name": "style", "value": "fr"})
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
        await session.set_logging_level("debug")
        await said("log", level="warning", message="mind the gap")
        message = await inbox.next("notifications/message", lambda params: params.data == "mind the gap")
        equal((message.level, message.logger), ("warning", "probe"))

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
        await session.send_roots_list_changed()
        equal(await said("roots"), " ".join(uri_of(directory) for directory in dirs))

    @checked("a cancelled call is cancelled at the server")
    async def _():
        inbox.kept.clear()
        file = f"{dirs[0]}/cancelled"
        await cancelled_call("wait", {"file": file}, "notifications/message")
        await written(file)
        if not modern:
            await inbox.next("notifications/message", lambda params: params.data == "wait cancelled")
        equal(await said("echo", text="still here"), "still here")

    if not modern:

        @checked("the server pings the client")
        async def _():
            equal(await said("ping_client"), "pong")

        @checked("a call whose stream is dropped is resumed")
        async def _():
            equal(await said("drop"), "resumed")

    @checked("list changes of tools, resources and prompts come")
    async def _():
        await said("grow")
        for which in ["tools", "resources", "prompts"]:
            await inbox.next(f"notifications/{which}/list_changed")
        assert "grown" in names((await session.list_tools()).tools)
        equal(await said("grown"), "grown")

    if faulty:

        @checked("an error keeps its code, message and data")
        async def _():
            error = await error_of(session.read_resource("probe://items/faulty"))
            equal((error.code, error.message, error.data), (4711, "this item is faulty", {"item": "faulty"}))

    errors(unknown_method, "probe://no/such")


PROFILES = {
    "everything": everything,
    "filesystem": filesystem,
    "time": time,
    "fastmcp": lambda: probe(-32602, faulty=False),
    "typescript": lambda: probe(-32601),
    "modern-python": lambda: probe(-32601, modern=True),
    "modern-typescript": lambda: probe(-32601, modern=True),
    "dual-typescript": lambda: probe(-32601, modern=True),
}


async def run_all():
    global session, initialized
    async with contextlib.AsyncExitStack() as stack:

        async def connect():
            global session, initialized
            read, write, get_stream = await stack.enter_async_context(transport())
            tapped_write, tapped_read = anyio.create_memory_object_stream(0)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(tap, read, tapped_write)
            stack.callback(tasks.cancel_scope.cancel)
            callbacks = {"sampling_callback": sample, "elicitation_callback": elicit, "list_roots_callback": list_roots}
            session = ClientSession(tapped_read, write, message_handler=keep, **callbacks)
            await stack.enter_async_context(session)
            initialized = await session.initialize()
            if kind == "http":
                await get_stream()

        # No time limit around what stays open: anyio wants scopes closed in the order they were opened.
        try:
            await connect()
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
