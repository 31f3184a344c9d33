import type { ChatMessage, GenerationRequest } from '#engine/engine.ts';
import { parametersOf } from '#engine/grammar/call-parameters.ts';
import { cacheOwner } from '#engine/llama/cache-owner.ts';
import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import { sha256Hex } from '#kernel/id.ts';
import type { Problem } from '#kernel/problem.ts';
import { type UpstreamAnswer, UpstreamError } from './answer.upstream.ts';
import { ChunkReader } from './chunk-reader.upstream.ts';
import {
  type Complaint,
  readComplaint,
  readCompletion,
  readTextCompletion,
  type UpstreamPiece,
} from './completion.contract.ts';
import { SseParser } from './sse-parser.upstream.ts';

/** One question in OpenAI's words: where it goes, and what it says. */
export interface UpstreamCall {
  /** Below the server's base address, without a slash in front: `v1/chat/completions`. */
  readonly path: string;
  readonly body: string;
  /** Reads an answer that came whole; null for what is none. */
  readonly read: (text: string) => UpstreamPiece | null;
}

/** A conversation, or a prompt to go on from. `most`: the longest answer in tokens. */
export function generationCall(spec: UpstreamModelSpec, request: GenerationRequest, most: number): UpstreamCall {
  const body = JSON.stringify({
    model: spec.model,
    ...(request.prompt === undefined
      ? { messages: request.messages.map(messageOf), ...toolsOf(request) }
      : { prompt: request.prompt }),
    max_tokens: most,
    temperature: request.temperature,
    top_p: request.topP,
    seed: request.seed,
    stop: request.stop?.length ? request.stop : undefined,
    response_format: formatOf(request),
    logit_bias: request.logitBias,
    frequency_penalty: request.frequencyPenalty,
    presence_penalty: request.presencePenalty,
    ...logprobsOf(request),
    stream: request.stream,
    stream_options: request.stream ? { include_usage: true } : undefined,
    cache_salt: spec.cacheSalt ? sha256Hex(cacheOwner(request)) : undefined,
  });
  return request.prompt === undefined
    ? { path: 'v1/chat/completions', body, read: readCompletion }
    : { path: 'v1/completions', body, read: readTextCompletion };
}

/** The older route has another member for the same. */
function logprobsOf({ prompt, topLogprobs }: GenerationRequest): object {
  if (topLogprobs === undefined) return {};
  return prompt === undefined ? { logprobs: true, top_logprobs: topLogprobs } : { logprobs: topLogprobs };
}

/** OpenAI's own shape; a message that is calls alone has no text. */
function messageOf({ role, content, tool_calls, tool_call_id }: ChatMessage) {
  return tool_calls === undefined && tool_call_id === undefined
    ? { role, content }
    : { role, content: tool_calls !== undefined && content === '' ? null : content, tool_calls, tool_call_id };
}

function toolsOf({ tools }: GenerationRequest): object {
  if (tools === undefined) return {};
  const { functions, choice, parallel } = tools;
  return {
    // Left to itself vLLM holds no call to its schema, not even one that is required, and takes a function without
    // parameters for one with any.
    tools: functions.map((one) => ({
      type: 'function',
      function: { ...one, parameters: parametersOf(one), strict: true },
    })),
    tool_choice: typeof choice === 'string' ? choice : { type: 'function', function: choice },
    parallel_tool_calls: parallel,
  };
}

function formatOf(request: GenerationRequest): unknown {
  const format = request.responseFormat;
  if (format.type === 'text') return undefined;
  if (format.type === 'json_object') return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: format.name, schema: format.schema, strict: true } };
}

/** Whether a head announces what was asked for. @throws UpstreamError */
export function checkHead({ headers }: UpstreamAnswer, stream: boolean): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  // None was asked for, and a small one can unfold to any size.
  if (encoding !== 'identity') throw new UpstreamError('encoded answer');
  const type = headers['content-type'] ?? '';
  const expected = stream ? 'text/event-stream' : 'application/json';
  if (!type.toLowerCase().startsWith(expected)) throw new UpstreamError(`answer is not ${expected}`);
}

/** Reasons that say that there is no answer. */
const FAILED: ReadonlySet<string> = new Set(['abort', 'error']);

/** Reads an answer, whole or piece by piece, and holds it to its form: text, one reason why it ends, usage. */
export class AnswerReader {
  readonly #parser = new SseParser();
  readonly #chunks = new ChunkReader();
  readonly #refusalOf: (status: number, complaint: Complaint) => Problem;
  #finishReason: string | null = null;
  #isDone = false;
  #hasSpoken = false;

  /** `refusalOf`: what it means to the caller where a server refuses inside a stream, whose head said that all is well. */
  constructor(refusalOf: (status: number, complaint: Complaint) => Problem) {
    this.#refusalOf = refusalOf;
  }

  /** Why it ended; null while it has not. */
  get finishReason(): string | null {
    return this.#finishReason;
  }

  /** Nothing more belongs to it. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** @throws UpstreamError, RangeError or TypeError for what is no answer; Problem for a refusal */
  pieces(bytes: Buffer): UpstreamPiece[] {
    const pieces: UpstreamPiece[] = [];
    for (const event of this.#parser.push(bytes)) {
      this.#isDone ||= event === '[DONE]';
      if (this.#isDone) break;
      const piece = this.#chunks.read(event);
      if (piece === null) throw this.#complaint(event);
      pieces.push(this.#held(piece));
    }
    return pieces;
  }

  /** @throws UpstreamError for what is no answer */
  whole({ read }: UpstreamCall, text: string): UpstreamPiece {
    const piece = read(text);
    if (piece === null) throw new UpstreamError('malformed answer');
    this.#isDone = true;
    return this.#held(piece);
  }

  /** vLLM looks at most parameters only when it has begun to answer. Once a word is said, nothing is the caller's fault any more. */
  #complaint(event: string): Error {
    const complaint = readComplaint(event);
    if (complaint === null) return new UpstreamError('malformed chunk');
    const { status } = complaint;
    if (status !== null && status < 500 && !this.#hasSpoken) return this.#refusalOf(status, complaint);
    return new UpstreamError('the server reports an error', status === null ? {} : { status });
  }

  #held(piece: UpstreamPiece): UpstreamPiece {
    const { text, thought, calls, finishReason } = piece;
    this.#hasSpoken ||= text !== '' || thought !== '' || Boolean(calls);
    if (this.#finishReason !== null && (text !== '' || finishReason !== null))
      throw new UpstreamError('answer goes on after its end');
    if (finishReason !== null && FAILED.has(finishReason)) throw new UpstreamError('the server gave up');
    this.#finishReason ??= finishReason;
    return piece;
  }
}
