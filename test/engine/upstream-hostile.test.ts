import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Engine } from '#engine/engine.ts';
import { openUpstreamModel } from '#engine/upstream/model.upstream.ts';
import { systemClock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { answer, collect, NEVER, request, told, until, untilFirstDelta } from './demo.ts';

/** What a server says to a question, bytes as they are; it is called once more whenever they have left. */
type Speech = (socket: Socket) => void;

const head = (type: string, more = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\n${more}connection: close\r\n\r\n`;
const STREAM = head('text/event-stream');
const event = (value: unknown): string => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const text = (content: string, more: object = {}) => ({ choices: [{ index: 0, delta: { content }, ...more }] });
const STOP = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
const DONE = event('[DONE]');

/** Says all of this and closes. */
const say =
  (...parts: (string | Buffer)[]): Speech =>
  (socket) => {
    for (const part of parts) socket.write(part);
    socket.end();
  };
/** Says the beginning, then this again and again until nobody listens. */
const forever =
  (beginning: string, again: string | Buffer): Speech =>
  (socket) => {
    socket.write(beginning);
    const go = () => {
      while (!socket.destroyed && socket.write(again));
    };
    socket.on('drain', go);
    go();
  };

describe('a model server that means no good, or is broken', () => {
  let speech: Speech;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (bytes) => {
      if (bytes.toString('latin1').startsWith('POST')) speech(socket);
      else if (bytes.toString('latin1').startsWith('GET')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    });
  });
  let engine: Engine;
  let warnings: string[];
  const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) };
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    warnings = [];
    engine = openUpstreamModel(
      {
        id: 'up',
        urls: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
        model: 'big',
        maxOutputTokens: 100,
      },
      // What is tried here does not take the server away.
      { log, clock: systemClock, limits: { firstByteMs: 400, nextByteMs: 200, answerMs: 1000, failures: 1000 } },
    );
    await engine.load();
  });
  after(async () => {
    await engine.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  const failed = (error: unknown) => error instanceof Problem && error.code === 'engine_failed';
  const ask = (said: Speech, change: Parameters<typeof answer>[1] = {}) => {
    speech = said;
    return answer(engine, change);
  };
  /** Fails clearly, leaves no connection behind, and has not taken much memory meanwhile. */
  const fails = async (said: Speech, change: Parameters<typeof answer>[1] = {}) => {
    const before = process.memoryUsage().rss;
    await assert.rejects(ask(said, change), failed);
    await until(() => engine.status().busy === 0);
    const grown = process.memoryUsage().rss - before;
    assert.ok(grown < 128 * 1024 * 1024, `${grown} bytes`);
  };

  for (const [what, said] of [
    ['a line without an end', forever(STREAM, 'x'.repeat(65_536))],
    ['an event of endless lines', forever(STREAM, 'data: y\n'.repeat(8192))],
    ['endless comments', forever(STREAM, ': still thinking\n'.repeat(64))],
    ['a header without an end', forever('HTTP/1.1 200 OK\r\nx: ', 'x'.repeat(4096))],
    ['endless headers', forever('HTTP/1.1 200 OK\r\n', 'x: y\r\n'.repeat(512))],
    ['announcements without an end', forever('', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(512))],
    ['a page of HTML', say(head('text/html'), '<html>data: {"choices":[]}\n\n'.repeat(10_000))],
    ['no type at all', say('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n', event(text('x')), event(STOP), DONE)],
    [
      'an encoded answer',
      say(head('text/event-stream', 'content-encoding: gzip\r\n'), gzipSync(Buffer.alloc(1 << 24))),
    ],
    [
      'bytes that are no text',
      say(STREAM, Buffer.from('data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', 'latin1')),
    ],
    ['two reasons', say(STREAM, event(text('x')), event(STOP), event(STOP), DONE)],
    ['text after the reason', say(STREAM, event(text('x')), event(STOP), event(text('y')), DONE)],
    ['no reason', say(STREAM, event(text('x')), DONE)],
    ['a reason that says that it gave up', say(STREAM, event(text('x', { finish_reason: 'abort' })), DONE)],
    ['an error in the stream', say(STREAM, event(text('x')), event({ error: { message: 'CUDA' } }))],
    ['another protocol', say('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n')],
    [
      'a redirect',
      say('HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n'),
    ],
    ['no HTTP', say('SSH-2.0-OpenSSH_9.6\r\n')],
    ['nothing', () => {}],
    [
      'half a chunk',
      say('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nff\r\ndata'),
    ],
    [
      'lengths that smuggle',
      say('HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'),
    ],
  ] as const)
    it(`${what}: engine_failed`, () => fails(said));

  for (const [what, said] of [
    ['a page of HTML', say(head('text/html'), '<html></html>')],
    ['an encoded answer', say(head('application/json', 'content-encoding: br\r\n'), 'x')],
    ['an answer beyond all measure', forever(head('application/json'), ' '.repeat(65_536))],
    [
      'bytes that are no text',
      say(
        head('application/json'),
        Buffer.from('{"choices":[{"message":{"content":"\xff"},"finish_reason":"stop"}]}', 'latin1'),
      ),
    ],
    ['no JSON', say(head('application/json'), '{"choices":')],
    ['no choice', say(head('application/json'), '{"choices":[]}')],
  ] as const)
    it(`not streamed, ${what}: engine_failed`, () => fails(said, { stream: false }));

  it('more than was asked for: broken off, and no more is counted than that', async () => {
    speech = forever(STREAM, event(text('all work and no play ')).repeat(100));
    let [shown, counted] = [0, 0];
    await assert.rejects(async () => {
      for await (const one of told(engine, request({ maxTokens: 10 }), NEVER)) {
        if (one.type !== 'delta') continue;
        shown += one.text.length;
        counted += one.tokens;
      }
    }, failed);
    assert.equal(counted, 10);
    // No tokenizer makes more than 64 bytes of a token on average.
    assert.ok(shown <= 640, `${shown} bytes`);
  });

  it('usage that can’t be: our own count stands, is told in the log and counted', async () => {
    const lie = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 1_000_000, total_tokens: 1_000_003 } };
    const { usage } = await ask(say(STREAM, event(text('Hello')), event(STOP), event(lie), DONE));
    assert.equal(usage.completionTokens, 5);
    assert.equal(engine.status().upstream?.miscounted, 1);
    assert.equal(warnings.filter((line) => /own count/.test(line)).length, 1);
    await ask(say(STREAM, event(text('Hello')), event(STOP), event(lie), DONE));
    assert.equal(warnings.filter((line) => /own count/.test(line)).length, 1, 'told once a minute');
  });

  it('another model than was asked for: passed on, told in the log and counted', async () => {
    await ask(say(STREAM, event({ ...text('Hello'), model: 'big' }), event(STOP), DONE));
    assert.equal(engine.status().upstream?.misnamed, 0);
    await ask(say(STREAM, event({ ...text('Hello'), model: 'small' }), event(STOP), DONE));
    assert.equal(engine.status().upstream?.misnamed, 1);
    assert.ok(warnings.some((line) => /another model/.test(line)));
  });

  it('what a model thinks aloud is counted, and is no part of what it says', async () => {
    const thought = { choices: [{ index: 0, delta: { reasoning_content: 'hmm, hmm' } }] };
    const said = [event(thought), event(text('Hello')), event(STOP), DONE];
    const { text: shown, usage, events: all } = await ask(say(STREAM, ...said));
    assert.deepEqual([shown, usage.completionTokens], ['Hello', 13]);
    const thoughts = all.flatMap((one) => (one.type === 'delta' && one.thought ? [one.thought] : []));
    assert.deepEqual(thoughts, ['hmm, hmm']);
  });

  it('half a character, escaped, becomes one that stands for none', async () => {
    const { text: shown } = await ask(
      say(STREAM, 'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n', event(STOP), DONE),
    );
    assert.equal(shown, 'a\ufffd');
  });

  it('no [DONE], or silence after the reason: the answer is whole', async () => {
    assert.equal((await ask(say(STREAM, event(text('Hello')), event(STOP)))).text, 'Hello');
    const silent: Speech = (socket) => void socket.write(STREAM + event(text('Hello')) + event(STOP));
    assert.equal((await ask(silent)).text, 'Hello');
    // With [DONE] nobody waits for its connection to end.
    const open: Speech = (socket) => void socket.write(STREAM + event(text('Hello')) + event(STOP) + DONE);
    assert.equal((await ask(open)).text, 'Hello');
  });

  it('stuck in the middle: an abort frees everything at once, and so does silence', async () => {
    speech = (socket) => void socket.write(STREAM + event(text('Hello')));
    const control = new AbortController();
    const generation = told(engine, request(), control.signal);
    await untilFirstDelta(generation);
    control.abort(new Error('hung up'));
    await assert.rejects(collect(generation), /hung up/);
    await until(() => sockets.size <= 1);
    assert.equal(engine.status().busy, 0);
    await fails(speech);
  });

  it('a reader who takes his time holds the server up and is given all, whatever the server’s time is', async () => {
    const piece = event(text('word '.repeat(100)));
    let written = 0;
    speech = (socket) => {
      socket.write(STREAM);
      const go = () => {
        while (written < 40_000 && !socket.destroyed) {
          written++;
          if (!socket.write(piece)) return;
        }
        if (!socket.writableEnded) socket.end(event(STOP) + DONE);
      };
      socket.on('drain', go);
      go();
    };
    const patient = openUpstreamModel(
      {
        id: 'up',
        urls: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
        model: 'big',
        maxOutputTokens: 1e6,
      },
      { log, clock: systemClock, limits: { nextByteMs: 200 } },
    );
    await patient.load();
    const generation = told(patient, request(), NEVER);
    await untilFirstDelta(generation);
    // The server stands still, for longer than it may be silent.
    let last = -1;
    while (written !== last) {
      last = written;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    assert.ok(written < 40_000, 'it was held up');
    const rest = await collect(generation);
    assert.equal(rest.filter(({ type }) => type === 'delta').length, 39_999);
    await patient.close();
  });
});
