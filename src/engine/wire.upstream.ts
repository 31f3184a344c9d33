import { sha256Hex } from '#kernel/id.ts';
import { readChunk, readCompletion, readTextCompletion, type UpstreamPiece } from './completion.contract.ts';
import type { GenerationRequest } from './engine.ts';
import { UpstreamError } from './http-client.upstream.ts';
import type { UpstreamModelSpec } from './model-spec.ts';
import { SseParser } from './sse-parser.ts';

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
      ? { messages: request.messages.map(({ role, content }) => ({ role, content })) }
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
    ...(request.topLogprobs === undefined ? {} : { logprobs: true, top_logprobs: request.topLogprobs }),
    stream: request.stream,
    stream_options: request.stream ? { include_usage: true } : undefined,
    cache_salt: spec.cacheSalt ? sha256Hex(request.subject) : undefined,
  });
  return request.prompt === undefined
    ? { path: 'v1/chat/completions', body, read: readCompletion }
    : { path: 'v1/completions', body, read: readTextCompletion };
}

function formatOf(request: GenerationRequest): unknown {
  const format = request.responseFormat;
  if (format.type === 'text') return undefined;
  if (format.type === 'json_object') return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: format.name, schema: format.schema, strict: true } };
}

/** The pieces of a streamed answer. @throws UpstreamError for what is no answer */
export async function* streamedPieces(bytes: AsyncIterable<Buffer>): AsyncGenerator<UpstreamPiece> {
  const parser = new SseParser();
  let done = false;
  for await (const part of bytes) {
    for (const event of parser.push(part)) {
      // Read on to the end of the answer: only then can the connection be used again.
      done ||= event === '[DONE]';
      if (done) continue;
      const piece = readChunk(event);
      if (piece === null) throw new UpstreamError('malformed chunk');
      yield piece;
    }
  }
}

/** An answer that came whole. @throws UpstreamError for what is none */
export function wholePiece({ read }: UpstreamCall, text: string): UpstreamPiece {
  const piece = read(text);
  if (piece === null) throw new UpstreamError('malformed answer');
  return piece;
}
