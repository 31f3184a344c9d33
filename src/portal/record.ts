/** A piece of JSON text, for showing it in colour without parsing it: numbers above 2^53 stay as they were written. */
export interface JsonPiece {
  readonly kind: 'key' | 'string' | 'word' | 'mark';
  readonly text: string;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/** Lays JSON text out over lines, token by token. What is not JSON comes back as one piece, unchanged. */
export function prettyPieces(text: string): JsonPiece[] {
  try {
    JSON.parse(text);
  } catch {
    return [{ kind: 'word', text }];
  }
  const tokens = text.match(TOKEN) ?? [];
  const pieces: JsonPiece[] = [];
  let depth = 0;
  const newline = (): string => `\n${'  '.repeat(depth)}`;
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === '{' || token === '[') {
      depth++;
      const empty = next === '}' || next === ']';
      pieces.push({ kind: 'mark', text: empty ? token : token + newline() });
    } else if (token === '}' || token === ']') {
      depth--;
      const empty = tokens[index - 1] === '{' || tokens[index - 1] === '[';
      pieces.push({ kind: 'mark', text: empty ? token : newline() + token });
    } else if (token === ',') pieces.push({ kind: 'mark', text: `,${newline()}` });
    else if (token === ':') pieces.push({ kind: 'mark', text: ': ' });
    else if (token.startsWith('"')) pieces.push({ kind: next === ':' ? 'key' : 'string', text: token });
    else pieces.push({ kind: 'word', text: token });
  });
  return pieces;
}

/** The part of Web Crypto's `subtle` that is needed, in the browser or in Node. */
export interface Digester {
  digest(algorithm: 'SHA-256', data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
}

/** RFC 9162, section 2.1.1: the leaf is SHA-256 over one zero byte and the record's bytes. Lower-case hex. */
export async function leafHash(record: string, subtle: Digester): Promise<string> {
  const bytes = new TextEncoder().encode(record);
  const input = new Uint8Array(bytes.length + 1);
  input.set(bytes, 1);
  const digest = new Uint8Array(await subtle.digest('SHA-256', input));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
