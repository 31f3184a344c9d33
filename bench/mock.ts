// The model server behind every gateway that is measured, run as a child: answers each completion at once with the same
// small text, or streams as many numbered tokens as are asked for at a steady rate; over plain HTTP on the loopback. Sends its
// port to its parent and ends with it.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { MessageReader } from './http-framing.ts';
import { ANSWER, STREAM } from './question.ts';

const COMPLETION = {
  id: 'chatcmpl-mock',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'mock',
  choices: [{ index: 0, message: { role: 'assistant', content: ANSWER.text }, finish_reason: 'stop' }],
  usage: {
    prompt_tokens: ANSWER.promptTokens,
    completion_tokens: ANSWER.completionTokens,
    total_tokens: ANSWER.promptTokens + ANSWER.completionTokens,
  },
};

const answerOf = (body: unknown): Buffer => {
  const text = JSON.stringify(body);
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n` +
      `connection: keep-alive\r\n\r\n${text}`,
  );
};
const [completion, models] = [answerOf(COMPLETION), answerOf({ object: 'list', data: [] })];

const head = { id: 'chatcmpl-mock', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'mock' };
const HEAD_OF_STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const httpChunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
const eventOf = (data: object): string => httpChunk(`data: ${JSON.stringify({ ...head, ...data })}\n\n`);
const choice = (delta: object, finish_reason: string | null) => ({ choices: [{ index: 0, delta, finish_reason }] });

/** Made once: what differs between streams is only when they began. */
const tokens: Buffer[] = [];
function tokenAt(index: number): Buffer {
  while (tokens.length <= index)
    tokens.push(Buffer.from(eventOf(choice({ content: STREAM.token(tokens.length) }, null))));
  return tokens[index] as Buffer;
}

interface Running {
  readonly socket: Socket;
  readonly count: number;
  readonly startedAt: number;
  sent: number;
}
const running = new Set<Running>();

/** The first token at once, each later one when it is due, however late the one before it was. */
function sendDue(stream: Running, now: number): void {
  const due = Math.min(stream.count, 1 + Math.floor((now - stream.startedAt) / STREAM.everyMs));
  while (stream.sent < due) stream.socket.write(tokenAt(stream.sent++));
  if (stream.sent < stream.count) return;
  running.delete(stream);
  const usage = {
    prompt_tokens: ANSWER.promptTokens,
    completion_tokens: stream.count,
    total_tokens: ANSWER.promptTokens + stream.count,
  };
  const last = eventOf({ ...choice({}, 'stop'), usage });
  stream.socket.write(`${last}${httpChunk('data: [DONE]\n\n')}0\r\n\r\n`);
}

setInterval(() => {
  const now = performance.now();
  for (const stream of running) sendDue(stream, now);
}, 2).unref();

function answer(socket: Socket, head: string, body: string): void {
  if (!head.startsWith('POST ')) socket.write(models);
  else if (!/"stream": ?true/.test(body)) socket.write(completion);
  else {
    socket.write(HEAD_OF_STREAM);
    const count = Number(/"max_tokens": ?(\d+)/.exec(body)?.[1] ?? 1);
    const stream = { socket, count, startedAt: performance.now(), sent: 0 };
    running.add(stream);
    socket.once('close', () => running.delete(stream));
    sendDue(stream, stream.startedAt);
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  const reader = new MessageReader();
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    try {
      for (const { head, body } of reader.push(chunk)) answer(socket, head, body);
    } catch {
      socket.destroy();
    }
  });
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit(0));
