// What the clients of both generations share: the command line, the kept notifications and frames, and how a check is
// made and told. A check prints `ok NAME` or `FAIL NAME: why`; the last line is `done`.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** How long one check may take, in ms; the harness bounds the whole run. */
const CHECK_MS = 15_000;
/** A client that closes stdin may expect its server to be gone before the SDK reaches for SIGTERM (2 s). */
const PROMPT_CLOSE_MS = 1_500;

const args = process.argv.slice(2);
export const given = {};
while (args[0]?.startsWith('--')) given[args.shift().slice(2)] = args.shift();
export const { profile } = given;
export const dirs = (given.dirs ?? '').split(',');
/** Of the second generation only: how it negotiates, and the era that it must come to. */
export const { mode, era } = given;
const promptClose = given['prompt-close'] !== undefined;
export const [kind, ...target] = args;

/** Text that every layer must leave as it is. */
export const STRANGE = 'Grüße\u2028 \u0000 \\" 日本 🦀';

// ---- notifications ----

export const inbox = [];
const waiters = new Set();
/** The next notification that matches, the kept ones first; each is handed out once. */
export function notified(method, matches = () => true) {
  const wanted = (n) => n.method === method && matches(n.params ?? {});
  const kept = inbox.findIndex(wanted);
  if (kept >= 0) return Promise.resolve(inbox.splice(kept, 1)[0].params);
  return new Promise((resolve) => waiters.add({ wanted, resolve }));
}
export function onNotification(n) {
  for (const waiter of waiters) {
    if (!waiter.wanted(n)) continue;
    waiters.delete(waiter);
    return waiter.resolve(n.params);
  }
  inbox.push(n);
}

// ---- progress ----

// Every frame as it came. The SDK's own `onprogress` loses what arrives in one chunk with the answer (it runs handlers of
// notifications a tick later than answers), so progress is judged here.
export const frames = [];
/** The progress of calls made since `frames[from]`: per call the numbers seen before its answer. */
export function progressBeforeAnswers(from) {
  const calls = new Map();
  for (const frame of frames.slice(from)) {
    if (frame.method === 'notifications/progress') {
      const { progressToken, progress } = frame.params;
      if (calls.get(progressToken)?.answered) throw new Error('progress came after the answer');
      if (!calls.has(progressToken)) calls.set(progressToken, { seen: [] });
      calls.get(progressToken).seen.push(progress);
    } else if (calls.has(frame.id)) {
      calls.get(frame.id).answered = true;
    }
  }
  return [...calls.values()].map((c) => c.seen);
}
export const upTo = (last) => Array.from({ length: last }, (_, i) => i + 1);
export const withProgress = { onprogress() {} };

// ---- checks ----

let failed = 0;
export async function check(name, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${CHECK_MS} ms`)), CHECK_MS);
  });
  try {
    await Promise.race([run(), late]);
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${String(error.message ?? error).replaceAll('\n', ' | ')}`);
  } finally {
    clearTimeout(timer);
  }
}

export const failures = () => failed;
export const errorOf = (promise) => promise.then(() => assert.fail('no error came'), (error) => error);
export const names = (list) => list.map((entry) => entry.name);

/** Waits until a server has written the file: what it does after a call is over is seen nowhere else. */
export async function written(file) {
  while (!existsSync(file)) await delay(10);
}

/** Closes, and fails when the command that was the server's end took too long. */
export async function closing(close) {
  const before = performance.now();
  await close();
  const took = performance.now() - before;
  if (promptClose) assert.ok(took < PROMPT_CLOSE_MS, `the command took ${Math.round(took)} ms to end after its stdin closed`);
}

export function done() {
  console.log('done');
  process.exit(failed ? 1 : 0);
}
