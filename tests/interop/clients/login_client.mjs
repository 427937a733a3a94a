// The clients of TypeScript's SDK, logging in by themselves at a server that asks for it:
//   login_client.mjs --sdk first|second http URL
// The program in BROWSER opens the page, as a user's browser would. The server is server-everything behind the bridge's door,
// which wants more for `get-sum`. clients/login_client.py makes the same checks.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import http from 'node:http';
import * as second from '@modelcontextprotocol/client';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { check, done, given, names, target } from './checks.mjs';

const sdk = given.sdk === 'second' ? second : { Client, StreamableHTTPClientTransport, UnauthorizedError };

// ---- where the browser comes back to ----

let answered;
const callback = http.createServer((req, res) => {
  res.end('back at the client');
  answered(new URL(req.url, 'http://127.0.0.1').searchParams);
});
await new Promise((resolve) => callback.listen(0, '127.0.0.1', resolve));
callback.unref();

const redirect = `http://127.0.0.1:${callback.address().port}/callback`;
const kept = {};
let answer;
const provider = {
  redirectUrl: redirect,
  clientMetadata: {
    client_name: 'interop',
    redirect_uris: [redirect],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
  redirectToAuthorization(url) {
    answer = new Promise((resolve) => (answered = resolve));
    execFile(process.env.BROWSER, [url.href]);
  },
};

let transport;
/** Runs, and once more after the login that it may take. */
async function loggingIn(run) {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
    const params = await answer;
    assert.equal(params.get('error'), null);
    await (given.sdk === 'second' ? transport.finishAuth(params) : transport.finishAuth(params.get('code')));
    return run();
  }
}

const client = new sdk.Client({ name: 'interop-login', version: '1.0.0' });
const said = async (name, args) => (await client.callTool({ name, arguments: args })).content[0].text;

await check('the login is found and done', () =>
  loggingIn(() => {
    transport = new sdk.StreamableHTTPClientTransport(new URL(target[0]), { authProvider: provider });
    return client.connect(transport);
  }),
);
await check('tools/list', async () => assert.ok(names((await client.listTools()).tools).includes('echo')));
await check('tools/call', async () => assert.equal(await said('echo', { message: 'hello' }), 'Echo: hello'));
await check('a tool that needs more leads to a login for it', async () => {
  // What it registered with is all that it may ask for, and the SDK keeps to that.
  delete kept.client;
  assert.equal(await loggingIn(() => said('get-sum', { a: 1, b: 2 })), 'The sum of 1 and 2 is 3.');
});
await check('the end of the session', () => transport.terminateSession());
done();
