/**
 * What the holder of a receipt says he sent and got: the request and the answer as they went over the wire, parts of
 * them, or bare texts. Read here for the command line and for the browser. What conversations are committed to is in
 * `transcript.shared.ts`; a prompt without a conversation is committed to as JSON of itself, vectors as a list of their
 * 32-bit floats, least byte first, in Base64 each.
 */
import { toBase64 } from '#kernel/bytes.ts';
import type { SpokenAnswer, SpokenMessage } from './transcript.shared.ts';
import { answersIn, answerText, isStructured, messagesIn, promptText } from './transcript.shared.ts';

/** A bare text, several of them, or a conversation. */
export type SentPrompt = string | readonly string[] | readonly SpokenMessage[];

/** A bare text, all choices, or vectors in Base64. */
export type SentAnswer = string | readonly SpokenAnswer[] | { readonly vectors: readonly string[] };

/** Null for what looks like a request and holds no text. */
export function sentPrompt(text: string): SentPrompt | null {
  const value = parseJson(text);
  const found = isObject(value) ? (value['messages'] ?? value['prompt'] ?? value['input']) : value;
  if (isObject(value) && typeof found === 'string') return found;
  if (!Array.isArray(found)) return text;
  return found.every((one) => typeof one === 'string') ? found : messagesIn(found);
}

export function sentAnswer(text: string): SentAnswer {
  const value = parseJson(text);
  if (!isObject(value)) return text;
  const vectors = inOrder(value['data']).map((one) => one['embedding']);
  if (vectors.length > 0 && vectors.every(isVector)) return { vectors: vectors.map(vectorText) };
  const texts = inOrder(value['choices']).map((one) => one['text']);
  if (texts.length > 0 && texts.every((one) => typeof one === 'string')) return texts.map((content) => ({ content }));
  return answersIn(value) ?? text;
}

/** Routes whose prompt is a text as it stands, not a conversation. */
const OF_TEXTS: readonly unknown[] = ['completions', 'embeddings'];

/** The text that the gateway commits to for a prompt. A bare text is one question of a conversation where there is one. */
export function committedPrompt(prompt: SentPrompt, route: unknown): string {
  if (typeof prompt === 'string' && !OF_TEXTS.includes(route)) return promptText([{ role: 'user', content: prompt }]);
  return isConversation(prompt) ? promptText(prompt) : JSON.stringify(prompt);
}

const isConversation = (prompt: SentPrompt): prompt is readonly SpokenMessage[] =>
  typeof prompt !== 'string' && prompt.every((one) => typeof one === 'object');

export const committedAnswer = (answer: SentAnswer): string =>
  typeof answer === 'string' ? answer : 'vectors' in answer ? JSON.stringify(answer.vectors) : answerText(answer);

export const formOf = (answer: SentAnswer): 'text' | 'structured' | 'vectors' => {
  if (typeof answer === 'string') return 'text';
  if ('vectors' in answer) return 'vectors';
  return isStructured(answer) ? 'structured' : 'text';
};

function inOrder(list: unknown): Record<string, unknown>[] {
  const items = Array.isArray(list) ? list.filter(isObject) : [];
  return items.toSorted((a, b) => Number(a['index'] ?? 0) - Number(b['index'] ?? 0));
}

const isVector = (value: unknown): value is string | number[] =>
  typeof value === 'string' || (Array.isArray(value) && value.every((one) => typeof one === 'number'));

function vectorText(vector: string | readonly number[]): string {
  if (typeof vector === 'string') return vector;
  const bytes = new DataView(new ArrayBuffer(vector.length * 4));
  for (const [at, value] of vector.entries()) bytes.setFloat32(at * 4, value, true);
  return toBase64(new Uint8Array(bytes.buffer));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
