"""The clients of Python's SDK, of the generation that is installed, logging in by themselves at a server that asks for it:

    login_client.py http URL

The program in BROWSER opens the page, as a user's browser would. clients/login_client.mjs makes the same checks.
"""

import asyncio
import os
import subprocess
import urllib.parse

import mcp
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared import auth

from checks import checked, done, equal, names, run_checks, target

try:
    import httpx2 as httpx
except ImportError:
    import httpx

url = target[0]
session: mcp.ClientSession


class Kept:
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def open_page(page):
    subprocess.run([os.environ["BROWSER"], page], check=True)


async def main():
    global session
    answers = asyncio.Queue()

    async def back(reader, writer):
        line = (await reader.readline()).decode().split(" ")[1]
        answers.put_nowait(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(line).query)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nback")
        writer.close()

    async def answer():
        given = await answers.get()
        second = getattr(auth, "AuthorizationCodeResult", None)
        if second:
            return second(code=given["code"], state=given["state"], iss=given["iss"])
        return given["code"], given["state"]

    server = await asyncio.start_server(back, "127.0.0.1", 0)
    redirect = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback"
    metadata = auth.OAuthClientMetadata(
        client_name="interop",
        redirect_uris=[redirect],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    provider = OAuthClientProvider(url, metadata, Kept(), open_page, answer)
    timeout = httpx.Timeout(30)
    async with httpx.AsyncClient(auth=provider, timeout=timeout, follow_redirects=True) as http_client:
        async with streamable_http_client(url, http_client=http_client) as (read, write, *_):
            async with mcp.ClientSession(read, write) as session:
                await run_checks()
    server.close()


@checked("the login is found and done")
async def _():
    await session.initialize()


@checked("tools/list")
async def _():
    assert "echo" in names((await session.list_tools()).tools)


@checked("tools/call")
async def _():
    result = await session.call_tool("echo", {"message": "hello"})
    equal(result.content[0].text, "Echo: hello")


asyncio.run(main())
done()
