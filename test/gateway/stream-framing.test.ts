import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { sendReply, sendStream, sendStreamProblem } from '#http/reply.ts';
import type { Write } from '#http/route.ts';
import { Problem } from '#kernel/problem.ts';

const NEVER = new AbortController().signal;
let server: Server;

async function serve(answer: (response: ServerResponse) => Promise<void>): Promise<number> {
  server = createServer((_request, response) => void answer(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** All bytes of the answer to one request. */
async function raw(port: number, version = '1.1'): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET / HTTP/${version}\r\nhost: x\r\nconnection: close\r\n\r\n`);
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

const whole = (write: Write) => async () => {
  await write('data: "中🙂"\n\n');
  await write('data: 2\n\n');
};

describe('the framing of a stream', () => {
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  for (const [how, end, last] of [
    [
      'its end',
      (response: ServerResponse) => sendReply(response, { kind: 'stream', tell: async () => {} }, null),
      'data: [DONE]',
    ],
    [
      'a problem',
      (response: ServerResponse) => sendStreamProblem(response, new Problem('engine_failed')),
      'data: {"error"',
    ],
  ] as const) {
    it(`is that of any chunked message, up to ${how}`, async () => {
      const port = await serve(async (response) => {
        await sendStream(response, (write) => whole(write)(), NEVER);
        end(response);
      });
      const answer = await fetch(`http://127.0.0.1:${port}`);
      const text = await answer.text();
      assert.ok(text.startsWith(`data: "中🙂"\n\ndata: 2\n\n${last}`), text);
      const wire = await raw(port);
      assert.match(
        wire,
        /\r\n\r\n11\r\ndata: "中🙂"\n\n\r\n9\r\ndata: 2\n\n\r\n[0-9a-f]+\r\ndata: [^\r]+\r\n0\r\n\r\n$/,
      );
    });
  }

  it('is none for a client that knows no chunks', async () => {
    const port = await serve(async (response) => {
      await sendStream(response, (write) => whole(write)(), NEVER);
      response.end();
    });
    assert.match(await raw(port, '1.0'), /\r\n\r\ndata: "中🙂"\n\ndata: 2\n\n$/);
  });

  it('whoever tells waits for a client that does not read, and no longer than the stream is wanted', async () => {
    const control = new AbortController();
    const { promise: ended, resolve } = Promise.withResolvers<number>();
    const port = await serve(async (response) => {
      let told = 0;
      const tell = async (write: Write): Promise<void> => {
        for (; told < 100_000; told++) {
          const going = write(`data: ${'x'.repeat(10_000)}\n\n`);
          if (going === undefined) continue;
          // Another one who writes meanwhile waits for the same.
          assert.equal(write(': too\n\n'), going);
          setImmediate(() => control.abort(new Error('hung up')));
          await going;
        }
      };
      await assert.rejects(sendStream(response, tell, control.signal));
      resolve(told);
      response.destroy();
    });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    socket.pause();
    const told = await ended;
    socket.destroy();
    assert.ok(told < 100_000);
  });
});
