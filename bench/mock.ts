// The model server behind every gateway that is measured, run as a child: answers each completion at once with the same
// small text, over plain HTTP on the loopback. Sends its port to its parent and ends with it.
import { type AddressInfo, createServer } from 'node:net';
import { MessageReader } from './http-framing.ts';
import { ANSWER } from './question.ts';

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

const server = createServer({ noDelay: true }, (socket) => {
  const reader = new MessageReader();
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    try {
      for (const { head } of reader.push(chunk)) socket.write(head.startsWith('POST ') ? completion : models);
    } catch {
      socket.destroy();
    }
  });
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit(0));
