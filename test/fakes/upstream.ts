import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeUpstreamOptions {
  /** What it says, a chunk each. */
  readonly pieces?: readonly string[];
  /** Says it again and again until the client hangs up. */
  readonly loop?: boolean;
  /** Milliseconds between pieces; absent: none, as fast as the client reads. */
  readonly pauseMs?: number;
  /** Cuts the stream into writes of so many bytes, through lines and characters. */
  readonly cut?: number;
  /** Line ending of the stream. */
  readonly newline?: '\n' | '\r\n' | '\r';
  /** False: sends no usage. */
  readonly usage?: boolean;
  readonly finishReason?: string;
  /** What it thinks before it says anything, a chunk each. */
  readonly thought?: readonly string[];
  /** Made after the text, the arguments of each in pieces. */
  readonly calls?: readonly { readonly name: string; readonly arguments: readonly string[] }[];
  /** False: leaves out the probabilities that were asked for. */
  readonly logprobs?: boolean;
  /** Tokens of prompt and answer together, at four bytes a token; longer prompts get an error 400. */
  readonly contextSize?: number;
  /** Answers every completion with this instead. */
  readonly failure?: { readonly status: number; readonly body: string; readonly headers?: Record<string, string> };
  /** Breaks the connection after so many pieces. */
  readonly breakAfter?: number;
  /** Says nothing before this. */
  readonly until?: Promise<void>;
  /** Falls silent after so many pieces, without ending. */
  readonly silentAfter?: number;
}

/** One completion request as it came. */
export interface SeenRequest {
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
}

export interface FakeUpstream {
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  /** Completions that are being answered now. */
  readonly running: number;
  /** True while it can't send on because nobody reads. */
  readonly isHeldUp: boolean;
  /** Connections that were opened so far. */
  readonly connections: number;
  /** Change of behaviour for the requests to come. */
  set(options: FakeUpstreamOptions): void;
  close(): Promise<void>;
}

const PIECES = ['The', ' upstream', ' says', ' 你好', ', 🙂', ' and', ' stops', '.'];

/** A small OpenAI-compatible server on the loopback, deterministic, for tests and for measuring our own overhead. */
export async function startFakeUpstream(initial: FakeUpstreamOptions = {}, port = 0): Promise<FakeUpstream> {
  let options = initial;
  const seen: SeenRequest[] = [];
  const state = { running: 0, connections: 0 };
  const responses = new Set<ServerResponse>();

  const server = createServer(async (request, response) => {
    if (request.method === 'GET' && request.url === '/v1/models') {
      json(response, 200, { object: 'list', data: [] });
      return;
    }
    const raw = request.url === '/v1/completions';
    const vectors = request.url === '/v1/embeddings';
    if (request.method !== 'POST' || !(raw || vectors || request.url === '/v1/chat/completions')) {
      json(response, 404, { error: { message: 'no such route' } });
      return;
    }
    let text = '';
    request.setEncoding('utf8');
    for await (const part of request) text += part;
    const body = JSON.parse(text) as Record<string, unknown>;
    seen.push({ headers: request.headers, body });
    state.running++;
    responses.add(response);
    response.once('close', () => {
      state.running--;
      responses.delete(response);
    });
    await options.until;
    await (vectors ? embed(options, body, response) : answer(options, body, response, raw));
  });
  server.on('connection', () => state.connections++);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get running() {
      return state.running;
    },
    get isHeldUp() {
      return [...responses].some((response) => response.writableNeedDrain);
    },
    get connections() {
      return state.connections;
    },
    set(next) {
      options = next;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** `raw`: goes on from a prompt instead of answering a conversation. */
async function answer(
  options: FakeUpstreamOptions,
  body: Record<string, unknown>,
  response: ServerResponse,
  raw: boolean,
) {
  if (options.failure !== undefined) {
    response.writeHead(options.failure.status, options.failure.headers ?? {}).end(options.failure.body);
    return;
  }
  const texts = raw
    ? [body['prompt'] as string]
    : (body['messages'] as { content: string | null }[]).map((one) => one.content ?? '');
  const prompt = texts.reduce((sum, text) => sum + tokensOf(text), 0);
  if (options.contextSize !== undefined && prompt >= options.contextSize) {
    json(response, 400, { error: { message: `maximum context length is ${options.contextSize}`, code: 400 } });
    return;
  }
  const pieces = options.pieces ?? PIECES;
  const most = Math.min((body['max_tokens'] as number | undefined) ?? 1e9, options.loop ? 1e9 : pieces.length);
  const calls = body['tools'] === undefined || body['tool_choice'] === 'none' ? [] : (options.calls ?? []);
  const called = calls.map(({ name, arguments: parts }, index) => ({
    index,
    id: `call_${index}`,
    type: 'function',
    function: { name, arguments: parts.join('') },
  }));
  const reason =
    options.finishReason ??
    (calls.length > 0 ? 'tool_calls' : null) ??
    (most < pieces.length || options.loop ? 'length' : 'stop');
  const details = { completion_tokens_details: { reasoning_tokens: options.thought?.length } };
  const usage = {
    ...{ prompt_tokens: prompt, completion_tokens: most, total_tokens: prompt + most },
    ...(options.thought === undefined ? {} : details),
  };
  if (body['stream'] !== true) {
    if (options.loop) return; // never comes to an end
    const content = pieces.slice(0, most).join('');
    const said = raw
      ? { text: content }
      : {
          message: {
            ...{ role: 'assistant', content },
            ...(options.thought === undefined ? {} : { reasoning_content: options.thought.join('') }),
            ...(calls.length > 0 ? { tool_calls: called } : {}),
          },
        };
    const whole = { choices: [{ index: 0, ...said, ...told(options, body, pieces), finish_reason: reason }] };
    json(response, 200, options.usage === false ? whole : { ...whole, usage });
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  for (const reasoning_content of options.thought ?? [])
    await write(options, response, { choices: [{ index: 0, delta: { reasoning_content } }] });
  for (let i = 0; i < most && !response.destroyed; i++) {
    if (i === options.breakAfter) {
      response.destroy();
      return;
    }
    if (i === options.silentAfter) return;
    const content = pieces[i % pieces.length] ?? '';
    const said = raw ? { text: content } : { delta: { content } };
    await write(options, response, { choices: [{ index: 0, ...said, ...told(options, body, [content]) }] });
    if (options.pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, options.pauseMs));
  }
  if (response.destroyed) return;
  for (const [index, { function: made, ...head }] of called.entries()) {
    const first = { ...head, function: { name: made.name, arguments: '' } };
    const parts = calls[index]?.arguments.map((part) => ({ index, function: { arguments: part } })) ?? [];
    for (const piece of [first, ...parts])
      await write(options, response, { choices: [{ index: 0, delta: { tool_calls: [piece] } }] });
  }
  await write(options, response, {
    choices: [{ index: 0, ...(raw ? { text: '' } : { delta: {} }), finish_reason: reason }],
  });
  if (options.usage !== false) await write(options, response, { choices: [], usage });
  await write(options, response, '[DONE]');
  response.end();
}

/** Made-up probabilities, where they are asked for. */
function told(options: FakeUpstreamOptions, body: Record<string, unknown>, pieces: readonly string[]) {
  if (typeof body['logprobs'] === 'number' && options.logprobs !== false) {
    const others = Array.from({ length: body['logprobs'] }, (_, i) => [`other ${i}`, -0.1 - i]);
    const top_logprobs = pieces.map((token) => Object.fromEntries([[token, -0.5], ...others]));
    const text_offset = pieces.map(() => 0);
    return { logprobs: { tokens: pieces, token_logprobs: pieces.map(() => -0.5), top_logprobs, text_offset } };
  }
  if (body['logprobs'] !== true || options.logprobs === false) return {};
  const likely = (token: string) => ({ token, logprob: -0.5, bytes: [...Buffer.from(token)] });
  const top_logprobs = Array.from({ length: Number(body['top_logprobs']) }, (_, i) => likely(`other ${i}`));
  return { logprobs: { content: pieces.map((token) => ({ ...likely(token), top_logprobs })), refusal: null } };
}

/** A vector of three for each text, of length 5 or more: its bytes, its place and 4. In reverse order. */
async function embed(options: FakeUpstreamOptions, body: Record<string, unknown>, response: ServerResponse) {
  const { failure, loop, contextSize, usage } = options;
  if (failure !== undefined) {
    response.writeHead(failure.status, failure.headers ?? {}).end(failure.body);
    return;
  }
  if (loop) return; // never comes to an end
  const inputs = body['input'] as string[];
  const tokens = inputs.map(tokensOf);
  if (contextSize !== undefined && tokens.some((count) => count >= contextSize)) {
    json(response, 400, { error: { message: `maximum context length is ${contextSize}`, code: 400 } });
    return;
  }
  const data = inputs.map((text, index) => ({ index, embedding: [3 * Buffer.byteLength(text), index, 4] })).reverse();
  const sum = tokens.reduce((all, one) => all + one, 0);
  json(response, 200, { data, ...(usage === false ? {} : { usage: { prompt_tokens: sum, total_tokens: sum } }) });
}

async function write(options: FakeUpstreamOptions, response: ServerResponse, event: unknown): Promise<void> {
  const end = options.newline ?? '\n';
  const data = Buffer.from(`data: ${typeof event === 'string' ? event : JSON.stringify(event)}${end}${end}`);
  const size = options.cut ?? data.length;
  for (let at = 0; at < data.length; at += size) {
    const room = response.write(data.subarray(at, at + size));
    if (options.cut !== undefined) await new Promise((resolve) => setImmediate(resolve));
    if (!room && !response.destroyed) await drained(response);
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

const tokensOf = (text: string): number => Math.max(1, Math.ceil(Buffer.byteLength(text) / 4));

function json(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
