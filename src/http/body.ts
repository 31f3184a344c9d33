import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { isStorable } from '#kernel/canonical-json.ts';
import { Problem } from '#kernel/problem.ts';
import { sparseSchema } from './sparse-schema.ts';

export const DEFAULT_BODY_LIMIT = 64 * 1024;
const MAX_DEPTH = 32;

/** The raw bytes of a body. @throws Problem `payload_too_large` before more than `limit` bytes are held. */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  if (Number(request.headers['content-length'] ?? 0) > limit) {
    reject(tooLarge(limit));
    return promise;
  }
  // Listeners and no iterator: that sets up more for each body than it takes to read one.
  const chunks: Buffer[] = [];
  let size = 0;
  const onData = (chunk: Buffer) => {
    size += chunk.length;
    chunks.push(chunk);
    if (size > limit) finish(tooLarge(limit));
  };
  const onEnd = () => finish(null);
  const onBreak = (cause?: unknown) =>
    finish(new Problem('invalid_request', { message: 'The body did not arrive whole.' }, cause));
  const finish = (problem: Problem | null) => {
    request.off('data', onData).off('end', onEnd).off('error', onBreak).off('close', onBreak);
    if (problem === null) {
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size));
      return;
    }
    request.pause();
    reject(problem);
  };
  request.on('data', onData).on('end', onEnd).on('error', onBreak).on('close', onBreak);
  if (request.destroyed) onBreak();
  return promise;
}

/** A body of exactly `length` bytes. @throws Problem `length_mismatch` before a byte of any other one is read. */
export async function readExactly(request: IncomingMessage, length: number): Promise<Buffer> {
  // Without a Content-Length (chunked) nobody has said how much is coming.
  const announced = request.headers['content-length'];
  if (announced === undefined || Number(announced) !== length) {
    throw new Problem('length_mismatch', { message: `The body must be of ${length} bytes.`, extra: { length } });
  }
  return readBody(request, length);
}

const tooLarge = (limit: number): Problem =>
  new Problem('payload_too_large', { message: `The body may hold at most ${limit} bytes.`, extra: { limit } });

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** JSON with its nesting counted before it is parsed: 100,000 brackets would otherwise overflow the stack. */
export function parseJson(bytes: Buffer): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw new Problem('invalid_json', { message: 'The body is not valid UTF-8.' }, cause);
  }
  if (isTooDeep(bytes))
    throw new Problem('invalid_json', { message: `The body nests deeper than ${MAX_DEPTH} levels.` });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Problem('invalid_json', {}, cause);
  }
  // Escapes can spell what raw UTF-8 can't: a NUL, or half a character. Neither can be recorded.
  if (text.includes('\\u') && !isStorableDeep(value)) throw notStorable();
  return value;
}

export const notStorable = (): Problem =>
  new Problem('invalid_parameter', { message: 'Text may not hold U+0000 or half of a surrogate pair.' });

function isStorableDeep(value: unknown): boolean {
  if (typeof value === 'string') return isStorable(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, member]) => isStorable(key) && isStorableDeep(member));
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];

function isTooDeep(bytes: Buffer): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (quoted) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) quoted = false;
    } else if (byte === QUOTE) quoted = true;
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > MAX_DEPTH) return true;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return false;
}

/**
 * Checks a value against a schema. A wrong type or a missing member is `schema_invalid` (422); a well-formed value
 * outside what is allowed is `invalid_parameter` (400), as is whatever is wrong in a path or a query, where everything is
 * text. Both name the parameter.
 */
export function parseWith<T>(schema: z.ZodType<T>, value: unknown, where: 'body' | 'url' = 'body'): T {
  const result = sparseSchema(schema, value).safeParse(value);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues);
  const param = issue.path.reduce<string>(
    (path, part) =>
      typeof part === 'number' ? `${path}[${part}]` : path === '' ? String(part) : `${path}.${String(part)}`,
    '',
  );
  const shape =
    where === 'body' &&
    (issue.code === 'invalid_type' ||
      (issue.code === 'invalid_union' && !isUnknownSort(issue, value)) ||
      issue.code === 'invalid_key' ||
      issue.code === 'unrecognized_keys');
  throw new Problem(shape ? 'schema_invalid' : 'invalid_parameter', {
    message: param === '' ? issue.message : `${param}: ${issue.message}`,
    ...(param === '' ? {} : { param }),
  });
}

/** A word that names none of a union's sorts: of the right kind, and not one that is allowed. */
const isUnknownSort = (issue: z.core.$ZodIssueInvalidUnion, value: unknown): boolean =>
  issue.errors.length === 0 &&
  typeof issue.path.reduce<unknown>((inner, part) => (inner as Record<PropertyKey, unknown>)?.[part], value) ===
    'string';

/** Of a union's failures the longest path says most; next, the one whose value was of the right kind. */
function deepest(issues: readonly z.core.$ZodIssue[], prefix: readonly PropertyKey[] = []): z.core.$ZodIssue {
  const [issue] = issues;
  if (issue === undefined) throw new TypeError('a failed parse has issues');
  const path = [...prefix, ...issue.path];
  if (issue.code === 'invalid_union') {
    const nested = issue.errors.filter((list) => list.length > 0).map((list) => deepest(list, path));
    const best = nested.sort((a, b) => b.path.length - a.path.length)[0];
    if (best && best.path.length > path.length) return best;
    const near = nested.find(({ code }) => code !== 'invalid_type' && code !== 'invalid_union');
    if (near) return near;
  }
  return { ...issue, path };
}
