import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Problem } from '#kernel/problem.ts';
import { openAiError } from './problem-json.ts';
import type { Reply, Write } from './route.ts';

/** Proxies and clients drop a connection that is silent for long. */
const PING_MS = 15_000;

/** Writes a stream's events as they are told; whoever tells them waits where the client is slower. Leaves the stream open. */
export async function sendStream(
  response: ServerResponse,
  tell: (write: Write) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  // A HEAD's answer has no body (RFC 9110, section 9.3.2): node would hold back the head until one that never comes ends.
  if (response.req.method === 'HEAD') return;
  // Node writes each chunk in four pieces: its length, the end of that line, itself, the end of it. Put together here, it is
  // one, which costs a tenth less (RFC 9112, section 7.1).
  const isChunked = response.chunkedEncoding;
  response.chunkedEncoding = false;
  const send = (frame: string): boolean => {
    const chunk = isChunked ? `${Buffer.byteLength(frame).toString(16)}\r\n${frame}\r\n` : frame;
    return response.write(chunk);
  };
  let draining: Promise<void> | null = null;
  const write: Write = (frame) => {
    signal.throwIfAborted();
    if (send(frame)) return;
    draining ??= once(response, 'drain', { signal }).then(() => {
      draining = null;
    });
    return draining;
  };
  const ping = setInterval(() => send(': ping\n\n'), PING_MS);
  try {
    await tell(write);
  } finally {
    clearInterval(ping);
    response.chunkedEncoding = isChunked;
  }
}

/** Sends what is made as fast as the client takes it, without its end. Nothing goes out before the first part is made. */
export async function sendDownload(
  response: ServerResponse,
  { type, name, chunks }: Extract<Reply, { kind: 'download' }>,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    if (!response.headersSent) {
      response.writeHead(200, {
        'content-type': type,
        'content-disposition': `attachment; filename="${name}"`,
        'cache-control': 'no-store',
      });
    }
    if (!response.write(chunk)) await once(response, 'drain', { signal });
  }
}

/** The last bytes of an answer; everything that had to be recorded is. `promise`: of the outcome's record. */
export function sendReply(response: ServerResponse, reply: Reply, promise: string | null): void {
  switch (reply.kind) {
    case 'stream':
      // Its headers were sent before there was an outcome: a comment, which clients of server-sent events pass over.
      response.end(`${promise === null ? '' : `: audit-promise ${promise}\n\n`}data: [DONE]\n\n`);
      return;
    case 'download':
      response.end(reply.ending);
      return;
    case 'empty':
      response.writeHead(204, reply.headers);
      response.end();
      return;
    case 'redirect':
      response.writeHead(302, {
        location: reply.location,
        'content-length': 0,
        'cache-control': 'no-store',
        ...reply.headers,
      });
      response.end();
      return;
    case 'bytes':
      response.writeHead(200, {
        'content-type': reply.type,
        'content-length': reply.body.length,
        'cache-control': 'no-store',
      });
      response.end(reply.body);
      return;
    case 'text':
      response.writeHead(reply.status ?? 200, { 'content-type': reply.type, 'cache-control': 'no-store' });
      response.end(reply.body);
      return;
    case 'json': {
      // As text, which goes out in one piece with the head.
      const body = JSON.stringify(reply.body);
      response.writeHead(reply.status ?? 200, {
        'content-type': 'application/json; charset=utf-8',
        'content-length': Buffer.byteLength(body),
        'cache-control': 'no-store',
        ...reply.headers,
      });
      response.end(body);
    }
  }
}

/** An error after the first byte of a stream: one event, and the end without `[DONE]`. */
export function sendStreamProblem(response: ServerResponse, problem: Problem): void {
  response.end(`data: ${JSON.stringify(openAiError(problem))}\n\n`);
}

/** One server-sent event. */
export const eventFrame = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;
