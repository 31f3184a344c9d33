import { Problem } from '#kernel/problem.ts';
import type { EmbeddingRequest, GenerationRequest } from './engine.ts';

/** A request that can't be served as it is; its message is safe for the caller. */
export class Refusal extends Error {
  readonly code: 'context_length_exceeded' | 'invalid_parameter';
  readonly param: string | undefined;
  /** `param`: the request parameter at fault; absent: the messages. */
  constructor(code: Refusal['code'], message: string, param?: string) {
    super(message);
    this.code = code;
    this.param = param;
  }
}

/** The model is in the catalogue but not in memory; loading it is not the caller's business. */
export const notLoaded = (): Problem =>
  new Problem('model_not_loaded', { message: 'The model is not loaded.', retryAfter: 5 });

/** Something behind the port broke. */
export const engineFailed = (message: string, cause?: unknown): Problem =>
  new Problem('engine_failed', { message }, cause);

/** No tokenizer makes more of its text than this on average; only endless runs of blanks come near. */
export const MOST_BYTES_PER_TOKEN = 64;

/** Where the caller's words stand in his request. */
export const promptParam = ({ prompt }: { readonly prompt?: string | undefined }): 'prompt' | 'messages' =>
  prompt === undefined ? 'messages' : 'prompt';

/** The same, of what a child is asked. */
export const paramOf = (message: { readonly t: string; readonly prompt?: string | undefined }) =>
  message.t === 'embed' ? 'input' : promptParam(message);

/** All that the caller says. */
export const promptTexts = ({ messages, prompt, tools }: GenerationRequest): readonly string[] => {
  if (prompt !== undefined) return [prompt];
  const texts = messages.map(({ content, tool_calls: calls }) =>
    calls === undefined ? content : `${content}${JSON.stringify(calls)}`,
  );
  return tools === undefined ? texts : [...texts, JSON.stringify(tools.functions)];
};

/**
 * Prompts so long that even counting their tokens would hold up the others.
 *
 * @throws Problem `context_length_exceeded`
 */
export function refuseHugePrompt(request: GenerationRequest, contextSize: number): void {
  const bytes = promptTexts(request).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes <= contextSize * MOST_BYTES_PER_TOKEN) return;
  const tokens = Math.ceil(bytes / MOST_BYTES_PER_TOKEN);
  throw new Problem('context_length_exceeded', {
    message: `The prompt has at least ${tokens} tokens; this model's context holds ${contextSize}, the answer included.`,
    param: promptParam(request),
  });
}

/** The same of texts that are to become vectors. @throws Problem `context_length_exceeded` */
export function refuseHugeInputs({ inputs }: EmbeddingRequest, contextSize: number): void {
  const index = inputs.findIndex((text) => Buffer.byteLength(text) > contextSize * MOST_BYTES_PER_TOKEN);
  if (index < 0) return;
  const tokens = Math.ceil(Buffer.byteLength(inputs[index] ?? '') / MOST_BYTES_PER_TOKEN);
  throw new Problem('context_length_exceeded', {
    message: `Input ${index} has at least ${tokens} tokens; this model takes ${contextSize} at a time.`,
    param: 'input',
  });
}

export const makesNoText = (): Problem =>
  new Problem('invalid_parameter', {
    message: 'This model turns texts into vectors and does not answer: use /v1/embeddings, or another model.',
    param: 'model',
  });
export const makesNoVectors = (): Problem =>
  new Problem('invalid_parameter', {
    message: 'This model answers and makes no embeddings: the catalogue has no `embedding: true` for it.',
    param: 'model',
  });

/** What the child says of a request that it can't serve. */
export function childRefusal(message: {
  readonly code: 'context_length_exceeded' | 'invalid_parameter' | 'engine_failed';
  readonly param: string;
  readonly message: string;
}): Problem {
  return new Problem(message.code, {
    message: message.message,
    ...(message.code === 'engine_failed' ? {} : { param: message.param }),
  });
}

export const ended = (): Problem => engineFailed('The engine ended before the answer was complete. Try again.');
