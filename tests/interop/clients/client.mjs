// The TypeScript SDK's client, run against one server over one transport:
//   client.mjs --profile everything --dirs A,B (stdio COMMAND ARGS... | sse URL | http URL)
// Each check prints `ok NAME` or `FAIL NAME: why`; the last line is `done`. clients/client.py makes the same checks.
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ResultSchema,
} from '@modelcontextprotocol/sdk/types.js';
import {
  check,
  closing,
  dirs,
  done,
  errorOf,
  failures,
  frames,
  inbox,
  kind,
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

// ---- the client: answers everything a server may ask, keeps every notification ----

let roots = dirs.slice(0, 1);
const asked = [];
const client = new Client(
  { name: 'interop-typescript', version: '1.0.0' },
  { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } },
);
client.fallbackNotificationHandler = async (n) => onNotification(n);
client.setRequestHandler(ListRootsRequestSchema, () => ({
  roots: roots.map((dir) => ({ uri: pathToFileURL(dir).href, name: dir })),
}));
client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
  asked.push(params);
  const prompt = params.messages.at(-1).content.text;
  return { model: 'interop', role: 'assistant', content: { type: 'text', text: `sampled <${prompt}>` } };
});
client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
  asked.push(params);
  const values = { string: 'forty-two', number: 1.5, integer: 42, boolean: true };
  const content = {};
  for (const name of params.requestedSchema.required ?? []) {
    content[name] = values[params.requestedSchema.properties[name].type];
  }
  return { action: 'accept', content };
});

// Over Streamable HTTP, what belongs to no call comes on a GET stream that the client opens behind `connect`.
let getStreamOpened;
const getStream = new Promise((resolve) => (getStreamOpened = resolve));
async function watchingFetch(url, init) {
  const response = await fetch(url, init);
  if ((init?.method ?? 'GET') === 'GET') getStreamOpened(response.status);
  return response;
}

function openTransport() {
  const requestInit = { headers: {} };
  if (kind === 'stdio') return new StdioClientTransport({ command: target[0], args: target.slice(1), stderr: 'inherit' });
  if (kind === 'sse') return new SSEClientTransport(new URL(target[0]), { requestInit });
  if (kind === 'http') return new StreamableHTTPClientTransport(new URL(target[0]), { requestInit, fetch: watchingFetch });
  throw new Error(`${kind}: not one of stdio, sse, http`);
}

// ---- the checks ----

const call = (name, args = {}, options) => client.callTool({ name, arguments: args }, undefined, options);
/** The text of a call's result; a tool's error is a failure. */
async function said(name, args) {
  const { content, isError } = await call(name, args);
  const text = content.map((c) => c.text ?? '').join('\n');
  assert.ok(!isError, text);
  return text;
}

/** What every server is asked. */
async function common(name) {
  await check('initialize names the server', async () => {
    assert.match(client.getServerVersion().name, name);
    assert.ok(client.getServerCapabilities().tools);
  });
  await check('ping is answered', () => client.ping());
}

/**
 * Errors of the protocol. They come last: the SDK takes an error for no answer and resumes the stream that brought it, and
 * server-everything then replays every event of the session, those of other calls too.
 */
async function errors({ unknownMethod, readUnknown }) {
  await check('an unknown method is an error with its code', async () => {
    const error = await errorOf(client.request({ method: 'no/such/method', params: { kept: 1 } }, ResultSchema));
    assert.equal(error.code, unknownMethod);
  });
  if (!readUnknown) return;
  await check('an unknown resource is an error', async () => {
    assert.notEqual((await errorOf(client.readResource({ uri: readUnknown }))).code, undefined);
  });
}

/** 20 calls at once: each gets its own answer. */
async function concurrentEchoes(argument, reply) {
  await check('twenty calls at once get their own answers', async () => {
    const words = Array.from({ length: 20 }, (_, i) => `word-${i}`);
    const answers = await Promise.all(words.map((word) => said('echo', { [argument]: word })));
    assert.deepEqual(answers, words.map(reply));
  });
}

const profiles = {
  async everything() {
    await common(/everything/);
    await check('tools/list has the tools', async () => {
      const { tools } = await client.listTools();
      for (const tool of ['echo', 'get-sum', 'trigger-sampling-request', 'trigger-elicitation-request', 'get-roots-list']) {
        assert.ok(names(tools).includes(tool), tool);
      }
    });
    await check('echo comes back byte for byte', async () => {
      assert.equal(await said('echo', { message: STRANGE }), `Echo: ${STRANGE}`);
    });
    await check('200 KiB cross both ways', async () => {
      const message = 'x'.repeat(200 * 1024);
      assert.equal(await said('echo', { message }), `Echo: ${message}`);
    });
    await concurrentEchoes('message', (word) => `Echo: ${word}`);
    await check('an image comes whole', async () => {
      const image = (await call('get-tiny-image')).content.find((c) => c.type === 'image');
      assert.equal(Buffer.from(image.data, 'base64').subarray(1, 4).toString(), 'PNG');
    });
    await check('structured content comes', async () => {
      const result = await call('get-structured-content', { location: 'Chicago' });
      assert.equal(result.structuredContent.humidity, 82);
    });
    await check('wrong arguments are an error of the tool', async () => {
      assert.equal((await call('get-sum', { a: 'x' })).isError, true);
    });
    await check('resources/list and resources/read give text and blob', async () => {
      assert.ok((await client.listResources()).resources.length > 0);
      const text = await client.readResource({ uri: 'demo://resource/dynamic/text/3' });
      assert.match(text.contents[0].text, /^Resource 3/);
      const blob = await client.readResource({ uri: 'demo://resource/dynamic/blob/4' });
      assert.match(Buffer.from(blob.contents[0].blob, 'base64').toString(), /^Resource 4/);
    });
    await check('resources/templates/list has both templates', async () => {
      assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 2);
    });
    await check('a subscribed resource is reported when updated', async () => {
      const uri = 'demo://resource/dynamic/text/1';
      await client.subscribeResource({ uri });
      await call('toggle-subscriber-updates');
      await notified('notifications/resources/updated', (p) => p.uri === uri);
      await call('toggle-subscriber-updates');
      await client.unsubscribeResource({ uri });
    });
    await check('resources/list_changed comes when a resource appears', async () => {
      await call('gzip-file-as-resource', { name: 'note.gz', data: 'data:text/plain,hello', outputType: 'resourceLink' });
      await notified('notifications/resources/list_changed');
      const uris = (await client.listResources()).resources.map((r) => r.uri);
      assert.ok(uris.some((uri) => uri.endsWith('note.gz')));
    });
    await check('prompts/list and prompts/get', async () => {
      assert.ok(names((await client.listPrompts()).prompts).includes('args-prompt'));
      const prompt = await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Kyiv' } });
      assert.match(prompt.messages[0].content.text, /Kyiv/);
    });
    await check('completion uses its context', async () => {
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
      assert.deepEqual(progressBeforeAnswers(from), [upTo(5)]);
    });
    await check('log messages come', async () => {
      await client.setLoggingLevel('debug');
      await call('toggle-simulated-logging');
      await notified('notifications/message', (p) => /level/i.test(p.data));
      await call('toggle-simulated-logging');
    });
    await check('sampling is asked and its answer arrives', async () => {
      assert.match(await said('trigger-sampling-request', { prompt: 'why', maxTokens: 5 }), /sampled <.*why.*>/);
    });
    await check('elicitation is asked and its answer arrives', async () => {
      assert.match(await said('trigger-elicitation-request'), /forty-two/);
    });
    await check('roots are asked for, and again when they change', async () => {
      await notified('notifications/message', (p) => /Roots updated: 1 root/.test(p.data));
      assert.ok((await said('get-roots-list')).includes(pathToFileURL(dirs[0]).href));
      roots = dirs;
      await client.sendRootsListChanged();
      await notified('notifications/message', (p) => /Roots updated: 2 root/.test(p.data));
      assert.ok((await said('get-roots-list')).includes(pathToFileURL(dirs[1]).href));
    });
    await check('a cancelled call ends and the session goes on', async () => {
      const abort = new AbortController();
      const options = { signal: abort.signal, onprogress: () => abort.abort('enough') };
      const error = await errorOf(call('trigger-long-running-operation', { duration: 2, steps: 20 }, options));
      assert.match(String(error), /enough/);
      assert.equal(await said('echo', { message: 'still here' }), 'Echo: still here');
    });
    await errors({ unknownMethod: -32601, readUnknown: 'demo://no/such' });
  },

  async filesystem() {
    await common(/filesystem/);
    const [first, second] = dirs;
    const allowed = (dir) => said('list_allowed_directories').then((text) => text.split('\n').includes(dir));
    const untilAllowed = async (dir) => {
      while (!(await allowed(dir)));
    };
    await check('tools/list has the tools', async () => {
      const { tools } = await client.listTools();
      for (const tool of ['read_text_file', 'write_file', 'edit_file']) assert.ok(names(tools).includes(tool), tool);
    });
    await check('the client\'s roots are honoured', () => untilAllowed(first));
    const path = `${first}/note-${process.pid}.txt`;
    const content = 'line one\nzwei – \u2028 日本 🦀\n';
    await check('a file is written and read back byte for byte', async () => {
      await said('write_file', { path, content });
      assert.equal(await said('read_text_file', { path }), content);
    });
    await check('a file of 1 MiB is written and read back', async () => {
      const large = 'A line of text that is repeated.\n'.repeat(32 * 1024);
      await said('write_file', { path: `${path}.large`, content: large });
      assert.equal(await said('read_text_file', { path: `${path}.large` }), large);
    });
    await check('a file is edited', async () => {
      assert.match(await said('edit_file', { path, edits: [{ oldText: 'line one', newText: 'line 1' }] }), /\+line 1/);
    });
    await check('the directory is listed', async () => {
      assert.ok((await said('list_directory', { path: first })).includes(`note-${process.pid}.txt`));
    });
    await check('a path outside is an error of the tool', async () => {
      assert.equal((await call('read_text_file', { path: '/etc/hostname' })).isError, true);
    });
    await check('changed roots are asked for', async () => {
      roots = [second];
      await client.sendRootsListChanged();
      await untilAllowed(second);
      assert.equal(await allowed(first), false);
    });
    await errors({ unknownMethod: -32601 });
  },

  async time() {
    await common(/time/);
    await check('tools/list has both tools', async () => {
      assert.deepEqual(names((await client.listTools()).tools).sort(), ['convert_time', 'get_current_time']);
    });
    await check('the current time comes', async () => {
      assert.equal(JSON.parse(await said('get_current_time', { timezone: 'Europe/Kyiv' })).timezone, 'Europe/Kyiv');
    });
    await check('a time is converted', async () => {
      const args = { source_timezone: 'UTC', time: '12:00', target_timezone: 'Asia/Tokyo' };
      assert.equal(JSON.parse(await said('convert_time', args)).time_difference, '+9.0h');
    });
    await check('an unknown timezone is an error of the tool', async () => {
      assert.equal((await call('get_current_time', { timezone: 'No/Where' })).isError, true);
    });
    await errors({ unknownMethod: -32601 });
  },

  fastmcp: () => probe({ unknownMethod: -32602, faulty: false }),
  typescript: () => probe({ unknownMethod: -32601 }),
  'modern-python': () => probe({ unknownMethod: -32601, modern: true }),
  'modern-typescript': () => probe({ unknownMethod: -32601, modern: true }),
  'dual-typescript': () => probe({ unknownMethod: -32601, modern: true }),
};

/**
 * What every probe server offers (fixtures/probe_server.mjs, fastmcp_server.py, modern_*). The `modern` ones neither ping
 * nor drop a stream, since their revision has neither. FastMCP makes a code of its own of what a resource throws.
 */
async function probe({ unknownMethod, modern = false, faulty = true }) {
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
  await concurrentEchoes('text', (word) => word);
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
    await client.subscribeResource({ uri });
    await said('count');
    await notified('notifications/resources/updated', (p) => p.uri === uri);
    assert.equal((await client.readResource({ uri })).contents[0].text, '1');
    await client.unsubscribeResource({ uri });
    await said('count');
    await call('log', { level: 'info', message: 'after the second count' });
    await notified('notifications/message', (p) => p.data === 'after the second count');
    assert.equal(inbox.some((n) => n.method === 'notifications/resources/updated'), false);
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
    await client.setLoggingLevel('debug');
    await call('log', { level: 'warning', message: 'mind the gap' });
    const message = await notified('notifications/message', (p) => p.data === 'mind the gap');
    assert.deepEqual([message.level, message.logger], ['warning', 'probe']);
  });
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
    await client.sendRootsListChanged();
    assert.equal(await said('roots'), dirs.map((dir) => pathToFileURL(dir).href).join(' '));
  });
  await check('a cancelled call is cancelled at the server', async () => {
    const file = `${dirs[0]}/cancelled`;
    const abort = new AbortController();
    const call_ = call('wait', { file }, { signal: abort.signal });
    await notified('notifications/message', (p) => p.data === 'wait started');
    abort.abort('enough');
    assert.match(String(await errorOf(call_)), /enough/);
    await written(file);
    if (!modern) await notified('notifications/message', (p) => p.data === 'wait cancelled');
    assert.equal(await said('echo', { text: 'still here' }), 'still here');
  });
  if (!modern) {
    await check('the server pings the client', async () => assert.equal(await said('ping_client'), 'pong'));
    await check('a call whose stream is dropped is resumed', async () => assert.equal(await said('drop'), 'resumed'));
  }
  await check('list changes of tools, resources and prompts come', async () => {
    await said('grow');
    for (const list of ['tools', 'resources', 'prompts']) await notified(`notifications/${list}/list_changed`);
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
  if (kind === 'http') assert.equal(await getStream, 200, 'status of the GET stream');
});
if (failures() === 0) await profiles[profile]();
await check('close', async () => {
  if (kind === 'http') await transport.terminateSession();
  await closing(() => client.close());
});
done();
