/**
 * What the holder of a receipt says he sent and got: the request and the answer as they went over the wire, parts of
 * them, or bare texts. Read here for the command line and for the browser.
 */
import { toBase64 } from '#kernel/bytes.ts';
import { canonicalJson } from '#kernel/canonical-json.ts';

export interface SentMessage {
  readonly role: string;
  readonly content: string;
}

/** A bare text, several of them, or a conversation. */
export type SentPrompt = string | readonly string[] | readonly SentMessage[];

/** Null for what looks like a request and holds no text. */
export function sentPrompt(text: string): SentPrompt | null {
  const value = parseJson(text);
  const found = isObject(value) ? (value['messages'] ?? value['prompt'] ?? value['input']) : value;
  if (typeof found === 'string' && isObject(value)) return found;
  if (!Array.isArray(found)) return isObject(value) ? null : text;
  if (found.every((one) => typeof one === 'string')) return found;
  const messages = found.map(messageOf);
  return messages.every((one) => one !== null) ? messages : null;
}

function messageOf(message: unknown): SentMessage | null {
  const { role, content } = isObject(message) ? message : {};
  const whole = Array.isArray(content)
    ? content.map((part: unknown) => (isObject(part) ? String(part['text'] ?? '') : '')).join('')
    : content;
  return typeof role === 'string' && typeof whole === 'string' ? { role, content: whole } : null;
}

/** Routes whose prompt is a text as it stands, not a conversation. */
const OF_TEXTS = ['completions', 'embeddings'];

/** The text that the gateway commits to for a prompt. A bare text is one question of a conversation where there is one. */
export function committedPrompt(prompt: SentPrompt, route: unknown): string {
  if (typeof prompt === 'string')
    return canonicalJson(OF_TEXTS.some((one) => one === route) ? prompt : [{ role: 'user', content: prompt }]);
  return canonicalJson(prompt.map((one) => (typeof one === 'string' ? one : { role: one.role, content: one.content })));
}

/** The text that the gateway commits to for an answer: its own, those of several choices, or the vectors. */
export function committedAnswer(text: string): string {
  const value = parseJson(text);
  if (!isObject(value)) return text;
  const vectors = inOrder(value['data']).map((one) => one['embedding']);
  if (vectors.length > 0 && vectors.every(isVector)) return canonicalJson(vectors.map(vectorText));
  const texts = inOrder(value['choices']).map(choiceText);
  if (texts.length === 0 || !texts.every((one) => one !== null)) return text;
  return texts.length === 1 ? (texts[0] ?? text) : canonicalJson(texts.map((content) => ({ content })));
}

/** A choice of `/v1/chat/completions` has a message, one of `/v1/completions` a text. */
function choiceText(choice: Record<string, unknown>): string | null {
  const { message, text } = choice;
  const content = isObject(message) ? message['content'] : text;
  return typeof content === 'string' ? content : null;
}

function inOrder(list: unknown): Record<string, unknown>[] {
  const items = Array.isArray(list) ? list.filter(isObject) : [];
  return items.toSorted((a, b) => Number(a['index'] ?? 0) - Number(b['index'] ?? 0));
}

const isVector = (value: unknown): value is string | number[] =>
  typeof value === 'string' || (Array.isArray(value) && value.every((one) => typeof one === 'number'));

/** 32-bit floats, least byte first, in Base64: as `encoding_format: "base64"` has it, and the record. */
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
