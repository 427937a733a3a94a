// The client of the second generation of TypeScript's SDK, run against one server over one transport:
//   modern_client.mjs --profile typescript --dirs A,B --mode modern --era modern (stdio COMMAND ARGS... | http URL)
// `--mode` is how it negotiates: `modern` (2026-07-28 or nothing), `auto` (it asks the server), `default` (as the SDK comes:
// the older era). `--era` is what must come of it. Checks have the names of client.mjs where they check the same.
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { Client, LOG_LEVEL_META_KEY, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { z } from 'zod';
import {
  check,
  closing,
  dirs,
  done,
  era,
  errorOf,
  failures,
  frames,
  inbox,
  kind,
  mode,
  names,
  notified,
  onNotification,
  profile,
  progressBeforeAnswers,
  STRANGE,
  target,
  upTo,
  withProgress,
  written,
} from './checks.mjs';

const MODERN = '2026-07-28';
const modern = era === 'modern';

// ---- the client: answers everything a server may ask, keeps every notification ----

const negotiation = { modern: { mode: { pin: MODERN } }, auto: { mode: 'auto' }, default: undefined };
let roots = dirs.slice(0, 1);
const asked = [];
const client = new Client(
  { name: 'interop-modern-typescript', version: '1.0.0' },
  { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } }, versionNegotiation: negotiation[mode] },
);
client.fallbackNotificationHandler = async (n) => onNotification(n);
client.setRequestHandler('roots/list', () => ({
  roots: roots.map((dir) => ({ uri: pathToFileURL(dir).href, name: dir })),
}));
client.setRequestHandler('sampling/createMessage', ({ params }) => {
  asked.push(params);
  const prompt = [params.messages.at(-1).content].flat()[0].text;
  return { model: 'interop', role: 'assistant', content: { type: 'text', text: `sampled <${prompt}>` } };
});
client.setRequestHandler('elicitation/create', ({ params }) => {
  asked.push(params);
  const values = { string: 'forty-two', number: 1.5, integer: 42, boolean: true };
  const { required = [], properties } = params.requestedSchema;
  return { action: 'accept', content: Object.fromEntries(required.map((name) => [name, values[properties[name].type]])) };
});

function openTransport() {
  if (kind === 'stdio') return new StdioClientTransport({ command: target[0], args: target.slice(1), stderr: 'inherit' });
  if (kind === 'http') return new StreamableHTTPClientTransport(new URL(target[0]));
  throw new Error(`${kind}: not one of stdio, http`);
}

// ---- the checks ----

/** `level` asks for the call's log messages: by the request itself, or in the older era for the whole session. */
async function call(name, args = {}, { level, ...options } = {}) {
  if (level && !modern) await client.setLoggingLevel(level);
  const _meta = level && modern ? { [LOG_LEVEL_META_KEY]: level } : undefined;
  return client.callTool({ name, arguments: args, _meta }, options);
}
/** The text of a call's result; a tool's error is a failure. */
async function said(name, args, options) {
  const { content, isError } = await call(name, args, options);
  const text = content.map((c) => c.text ?? '').join('\n');
  assert.ok(!isError, text);
  return text;
}
/** Asks for changes, in either era's way, and gives what ends it. Only what was asked for is acknowledged. */
async function listen(filter) {
  if (modern) {
    const subscription = await client.listen(filter);
    assert.deepEqual(subscription.honoredFilter, filter);
    return () => subscription.close();
  }
  const uris = filter.resourceSubscriptions ?? [];
  for (const uri of uris) await client.subscribeResource({ uri });
  return async () => {
    for (const uri of uris) await client.unsubscribeResource({ uri });
  };
}
const noneKept = (method) => assert.deepEqual(inbox.filter((n) => n.method === method), []);

/** What every server is asked. */
async function common(name) {
  await check(modern ? 'server/discover names the server' : 'initialize names the server', async () => {
    assert.match(client.getServerVersion().name, name);
    assert.ok(client.getServerCapabilities().tools);
  });
}

async function errors({ unknownMethod, readUnknown }) {
  await check('an unknown method is an error with its code', async () => {
    const error = await errorOf(client.request({ method: 'no/such/method', params: { kept: 1 } }, z.any()));
    // Over HTTP its status is 404, and the SDK shows the answer as the text of an HTTP error.
    const code = error.code === 'CLIENT_HTTP_NOT_IMPLEMENTED' ? JSON.parse(/{.*}/.exec(error.message)[0]).error.code : error.code;
    assert.equal(code, unknownMethod, String(error));
  });
  if (!readUnknown) return;
  await check('an unknown resource is an error', async () => {
    assert.notEqual((await errorOf(client.readResource({ uri: readUnknown }))).code, undefined);
  });
}

const profiles = {
  // The reference server knows the older era only. What it does outside any call, a modern client never sees: it asks for
  // roots as soon as it is initialized.
  async everything() {
    await common(/everything/);
    await check('tools/list has the tools, none bound to the older era\'s tasks', async () => {
      const { tools } = await client.listTools();
      for (const tool of ['echo', 'trigger-sampling-request', 'trigger-elicitation-request', 'simulate-research-query']) {
        assert.ok(names(tools).includes(tool), tool);
      }
      assert.deepEqual(tools.filter((tool) => tool.execution), []);
    });
    await check('echo comes back byte for byte', async () => {
      assert.equal(await said('echo', { message: STRANGE }), `Echo: ${STRANGE}`);
    });
    await check('structured content comes', async () => {
      assert.equal((await call('get-structured-content', { location: 'Chicago' })).structuredContent.humidity, 82);
    });
    await check('resources/list and resources/read give text', async () => {
      assert.ok((await client.listResources()).resources.length > 0);
      const text = await client.readResource({ uri: 'demo://resource/dynamic/text/3' });
      assert.match(text.contents[0].text, /^Resource 3/);
    });
    await check('resources/list_changed comes when a resource appears', async () => {
      const end = await listen({ resourcesListChanged: true });
      await call('gzip-file-as-resource', { name: 'note.gz', data: 'data:text/plain,hello', outputType: 'resourceLink' });
      await notified('notifications/resources/list_changed');
      await end();
    });
    await check('prompts/get and completion with its context', async () => {
      const prompt = await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Kyiv' } });
      assert.match(prompt.messages[0].content.text, /Kyiv/);
      const { completion } = await client.complete({
        ref: { type: 'ref/prompt', name: 'completable-prompt' },
        argument: { name: 'name', value: 'D' },
        context: { arguments: { department: 'Sales' } },
      });
      assert.deepEqual(completion.values, ['David']);
    });
    await check('progress comes in order, before the answer', async () => {
      const from = frames.length;
      await call('trigger-long-running-operation', { duration: 0.5, steps: 5 }, withProgress);
      // This server asks for roots by itself soon after its handshake. The question falls to the call that is in flight
      // then, which goes on as a retry, under a token of its own.
      assert.deepEqual(progressBeforeAnswers(from).flat().sort(), upTo(5));
    });
    await check('sampling is asked and its answer arrives', async () => {
      assert.match(await said('trigger-sampling-request', { prompt: 'why', maxTokens: 5 }), /sampled <.*why.*>/);
    });
    await check('elicitation is asked and its answer arrives', async () => {
      assert.match(await said('trigger-elicitation-request'), /forty-two/);
    });
    await check('a tool that must run as a task is called like any other', async () => {
      assert.match(await said('simulate-research-query', { topic: 'bridges' }), /Research Report: bridges\n/);
    });
    await check('a tool that must run as a task asks back', async () => {
      const text = await said('simulate-research-query', { topic: 'bridges', ambiguous: true });
      assert.match(text, /Research Report: bridges \(forty-two\)/);
    });
    await errors({ unknownMethod: -32601, readUnknown: 'demo://no/such' });
  },

  async time() {
    await common(/time/);
    await check('tools/list has both tools', async () => {
      assert.deepEqual(names((await client.listTools()).tools).sort(), ['convert_time', 'get_current_time']);
    });
    await check('the current time comes', async () => {
      assert.equal(JSON.parse(await said('get_current_time', { timezone: 'Europe/Kyiv' })).timezone, 'Europe/Kyiv');
    });
    await check('an unknown timezone is an error of the tool', async () => {
      assert.equal((await call('get_current_time', { timezone: 'No/Where' })).isError, true);
    });
    await errors({ unknownMethod: -32601 });
  },

  fastmcp: () => probe({ unknownMethod: -32602, faulty: false }),
  typescript: () => probe({ unknownMethod: -32601 }),
  'modern-python': () => probe({ unknownMethod: -32601, offersOldThings: false }),
  'modern-typescript': () => probe({ unknownMethod: -32601, offersOldThings: false }),
  'dual-typescript': () => probe({ unknownMethod: -32601, offersOldThings: false }),
};

/** What every probe server offers (fixtures/probe_server.mjs, fastmcp_server.py, modern_*); see client.mjs. */
async function probe({ unknownMethod, faulty = true, offersOldThings = true }) {
  await common(/probe/);
  await check('instructions come', () => assert.equal(client.getInstructions(), 'Probe me.'));
  await check('tools/list has the tools', async () => {
    assert.ok(names((await client.listTools()).tools).includes('progress'));
  });
  await check('echo comes back byte for byte', async () => {
    assert.equal(await said('echo', { text: STRANGE }), STRANGE);
  });
  await check('1 MiB crosses both ways', async () => {
    const text = 'x'.repeat(1024 * 1024);
    assert.equal(await said('echo', { text }), text);
  });
  await check('twenty calls at once get their own answers', async () => {
    const words = Array.from({ length: 20 }, (_, i) => `word-${i}`);
    assert.deepEqual(await Promise.all(words.map((text) => said('echo', { text }))), words);
  });
  await check('a failing tool is an error of the tool', async () => {
    const result = await call('fail');
    assert.equal(result.isError, true);
    assert.match(result.content[0].text, /fails on purpose/);
  });
  await check('_meta that nobody knows crosses both ways', async () => {
    const kept = { deep: [1, { er: null }] };
    const result = await client.callTool({ name: 'meta', arguments: {}, _meta: { 'example.com/kept': kept } });
    assert.deepEqual(result._meta['example.com/back'], kept);
  });
  await check('resources/list and resources/read give text and blob', async () => {
    const uris = (await client.listResources()).resources.map((r) => r.uri).sort();
    assert.deepEqual(uris, ['probe://blob', 'probe://counter']);
    assert.equal((await client.readResource({ uri: 'probe://counter' })).contents[0].text, '0');
    assert.equal((await client.readResource({ uri: 'probe://blob' })).contents[0].blob, 'AAH+/w==');
  });
  await check('resources/templates/list and a read through it', async () => {
    const { resourceTemplates } = await client.listResourceTemplates();
    assert.equal(resourceTemplates[0].uriTemplate, 'probe://items/{id}');
    assert.equal((await client.readResource({ uri: 'probe://items/7' })).contents[0].text, 'item 7');
  });
  await check('a subscribed resource is reported when updated, an unsubscribed one is not', async () => {
    const uri = 'probe://counter';
    const end = await listen({ resourceSubscriptions: [uri] });
    await said('count');
    await notified('notifications/resources/updated', (p) => p.uri === uri);
    assert.equal((await client.readResource({ uri })).contents[0].text, '1');
    await end();
    await said('count');
    await said('echo', { text: 'after the second count' });
    noneKept('notifications/resources/updated');
  });
  await check('prompts/list and prompts/get', async () => {
    assert.deepEqual(names((await client.listPrompts()).prompts), ['greet']);
    const prompt = await client.getPrompt({ name: 'greet', arguments: { name: 'Ada', style: 'frosty' } });
    assert.equal(prompt.messages[0].content.text, 'Greet Ada in a frosty way.');
  });
  await check('completion completes', async () => {
    const argument = { name: 'style', value: 'fr' };
    const { completion } = await client.complete({ ref: { type: 'ref/prompt', name: 'greet' }, argument });
    assert.deepEqual(completion.values, ['friendly', 'frosty']);
  });
  await check('100 progress messages come in order, before the answer', async () => {
    const from = frames.length;
    await call('progress', { steps: 100 }, withProgress);
    assert.deepEqual(progressBeforeAnswers(from), [upTo(100)]);
  });
  await check('progress of two calls at once goes to its own call', async () => {
    const from = frames.length;
    await Promise.all([30, 50].map((steps) => call('progress', { steps }, withProgress)));
    const seen = progressBeforeAnswers(from).sort((a, b) => a.length - b.length);
    assert.deepEqual(seen, [upTo(30), upTo(50)]);
  });
  await check('log messages come', async () => {
    await call('log', { level: 'warning', message: 'mind the gap' }, { level: 'debug' });
    const message = await notified('notifications/message', (p) => p.data === 'mind the gap');
    assert.deepEqual([message.level, message.logger], ['warning', 'probe']);
  });
  if (modern) {
    await check('log messages come only to a call that asks for their level', async () => {
      await call('log', { level: 'error', message: 'nobody asked' });
      await call('log', { level: 'info', message: 'too low' }, { level: 'warning' });
      await call('log', { level: 'error', message: 'high enough' }, { level: 'warning' });
      await notified('notifications/message', (p) => p.data === 'high enough');
      noneKept('notifications/message');
    });
  }
  await check('sampling is asked and its answer arrives', async () => {
    assert.equal(await said('sample', { prompt: 'why' }), 'sampled <why>');
  });
  await check('elicitation is asked and its answer arrives', async () => {
    assert.equal(await said('ask', { question: 'what?' }), 'accept forty-two');
    assert.equal(asked.at(-1).message, 'what?');
  });
  await check('five calls at once each ask back and get their own answers', async () => {
    const prompts = ['a', 'b', 'c', 'd', 'e'];
    const answers = await Promise.all(prompts.map((prompt) => said('sample', { prompt })));
    assert.deepEqual(answers, prompts.map((prompt) => `sampled <${prompt}>`));
  });
  await check('roots are asked for, the changed ones too', async () => {
    assert.equal(await said('roots'), pathToFileURL(dirs[0]).href);
    roots = dirs;
    if (!modern) await client.sendRootsListChanged();
    assert.equal(await said('roots'), dirs.map((dir) => pathToFileURL(dir).href).join(' '));
  });
  await check('a cancelled call is cancelled at the server', async () => {
    const file = `${dirs[0]}/cancelled`;
    const abort = new AbortController();
    const call_ = call('wait', { file }, { signal: abort.signal, level: 'info' });
    await notified('notifications/message', (p) => p.data === 'wait started');
    abort.abort('enough');
    assert.match(String(await errorOf(call_)), /enough/);
    await written(file);
    assert.equal(await said('echo', { text: 'still here' }), 'still here');
  });
  if (offersOldThings) {
    await check('the server pings the client', async () => assert.equal(await said('ping_client'), 'pong'));
    await check('a call whose stream is dropped is resumed', async () => assert.equal(await said('drop'), 'resumed'));
  }
  await check('list changes of tools, resources and prompts come', async () => {
    const ends = [
      await listen({ toolsListChanged: true, promptsListChanged: true }),
      await listen({ resourcesListChanged: true }),
    ];
    await said('grow');
    for (const list of ['tools', 'resources', 'prompts']) await notified(`notifications/${list}/list_changed`);
    for (const end of ends) await end();
    assert.ok(names((await client.listTools()).tools).includes('grown'));
    assert.equal(await said('grown'), 'grown');
  });
  if (faulty) {
    await check('an error keeps its code, message and data', async () => {
      const error = await errorOf(client.readResource({ uri: 'probe://items/faulty' }));
      assert.deepEqual([error.code, error.data], [4711, { item: 'faulty' }]);
      assert.match(error.message, /this item is faulty$/);
    });
  }
  await errors({ unknownMethod, readUnknown: 'probe://no/such' });
}

const transport = openTransport();
await check('connect', async () => {
  await client.connect(transport);
  const { onmessage } = transport;
  transport.onmessage = (frame, extra) => {
    frames.push(frame);
    onmessage(frame, extra);
  };
  assert.equal(client.getProtocolEra(), era);
  if (modern) assert.equal(client.getNegotiatedProtocolVersion(), MODERN);
});
if (failures() === 0) await profiles[profile]();
await check('close', async () => {
  if (kind === 'http' && !modern) await transport.terminateSession();
  await closing(() => client.close());
});
done();
