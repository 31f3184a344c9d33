/**
 * A byte-level byte-pair vocabulary (the GPT-2 kind): every byte is a token, so any UTF-8 text goes in and comes out
 * unchanged; merges make common words shorter.
 */
export interface Vocabulary {
  /** Token texts in GPT-2's byte alphabet; the index is the token id. The first 256 are the bytes. */
  readonly tokens: string[];
  /** `left right`, in the order in which they are applied. */
  readonly merges: string[];
}

/** GPT-2's printable stand-in for each byte: printable Latin-1 stands for itself, the rest moves to U+0100 and up. */
const ALPHABET: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(printable ? byte : next++);
  });
})();

/** A piece of text (or raw bytes) as one token's name. */
export function tokenName(piece: string | readonly number[]): string {
  const bytes = typeof piece === 'string' ? Buffer.from(piece, 'utf8') : Buffer.from(piece);
  return Array.from(bytes, (byte) => ALPHABET[byte] ?? '').join('');
}

/** Learns up to `limit` merges from the corpus: the most frequent pair first, ties by the pair's own text. */
export function trainVocabulary(corpus: string, limit: number): Vocabulary {
  const tokens = [...ALPHABET];
  const merges: string[] = [];
  const counts = new Map<string, number>();
  for (const word of corpus.match(/ ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+/gu) ?? []) {
    const name = tokenName(word);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  let words = Array.from(counts, ([name, count]) => ({ parts: Array.from(name), count }));
  while (merges.length < limit) {
    const best = mostFrequentPair(words);
    if (best === undefined) break;
    const [left, right] = best;
    merges.push(`${left} ${right}`);
    tokens.push(left + right);
    words = words.map(({ parts, count }) => ({ parts: joinPair(parts, left, right), count }));
  }
  return { tokens, merges };
}

type CountedWord = { readonly parts: readonly string[]; readonly count: number };

function mostFrequentPair(words: readonly CountedWord[]): [string, string] | undefined {
  const pairs = new Map<string, number>();
  for (const { parts, count } of words) {
    for (let i = 0; i + 1 < parts.length; i++) {
      const pair = `${parts[i]} ${parts[i + 1]}`;
      pairs.set(pair, (pairs.get(pair) ?? 0) + count);
    }
  }
  let best: string | undefined;
  let bestCount = 1;
  for (const [pair, count] of pairs) {
    if (count > bestCount || (count === bestCount && best !== undefined && pair < best)) {
      best = pair;
      bestCount = count;
    }
  }
  return best?.split(' ') as [string, string] | undefined;
}

function joinPair(parts: readonly string[], left: string, right: string): string[] {
  const joined: string[] = [];
  for (let i = 0; i < parts.length; i++) {
    if (parts[i] === left && parts[i + 1] === right) {
      joined.push(left + right);
      i++;
    } else {
      joined.push(parts[i] ?? '');
    }
  }
  return joined;
}
