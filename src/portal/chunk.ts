import type { ChatChunk, ChatUsage } from '#chat/chat.contract.ts';

/** What one event of an answer's stream means to the reader. */
export type StreamStep =
  | {
      readonly kind: 'text';
      readonly text: string;
      /** What the model thinks before it answers. */
      readonly thought?: string;
      readonly finish: 'stop' | 'length' | null;
      readonly usage: ChatUsage | null;
    }
  | { readonly kind: 'error'; readonly code: string; readonly message: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'unreadable' };

/** Reads the `data` of one event of `POST /v1/chat/completions`. Never throws: what can't be read says so. */
export function readChunk(data: string): StreamStep {
  if (data.trim() === '[DONE]') return { kind: 'done' };
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return { kind: 'unreadable' };
  }
  if (typeof value !== 'object' || value === null) return { kind: 'unreadable' };
  if ('error' in value) return readError(value.error);
  const { choices, usage } = value as Partial<ChatChunk>;
  const first = Array.isArray(choices) ? (choices as ChatChunk['choices'])[0] : undefined;
  const text = first?.delta?.content;
  const thought = first?.delta?.reasoning_content;
  return {
    kind: 'text',
    text: typeof text === 'string' ? text : '',
    ...(typeof thought === 'string' ? { thought } : {}),
    // The portal offers no tools.
    finish: first?.finish_reason === 'tool_calls' ? 'stop' : (first?.finish_reason ?? null),
    usage: usage ?? null,
  };
}

function readError(error: unknown): StreamStep {
  const { code, message } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  return {
    kind: 'error',
    code: typeof code === 'string' ? code : 'internal',
    message: typeof message === 'string' ? message : '',
  };
}
