import { refuse } from './json-schema.ts';

/** Code points from first to last. */
type Span = readonly [first: number, last: number];

type Node =
  | { readonly kind: 'set'; readonly set: readonly Span[]; readonly least: number; readonly most: number }
  | { readonly kind: 'group'; readonly branches: readonly (readonly Node[])[]; readonly optional: boolean };

const [MOST_REPEATS, MOST_LENGTH] = [256, 1024];
const LAST = 0x10ffff;
const CLASSES: Readonly<Record<string, readonly Span[]>> = {
  d: [[0x30, 0x39]],
  w: [
    [0x30, 0x39],
    [0x41, 0x5a],
    [0x5f, 0x5f],
    [0x61, 0x7a],
  ],
  s: [[0x20, 0x20]],
};

export interface PatternRule {
  /** GBNF of the characters between the quotes. */
  readonly rule: string;
  readonly shortest: number;
  readonly longest: number;
}

/**
 * A regular expression (ECMA-262) as GBNF, where at every character there is one way to read on: sets of characters that
 * may repeat, one after another, and groups that do not. Such a pattern costs no time here, nor where it is checked.
 */
export function patternRule(pattern: unknown): PatternRule {
  if (typeof pattern !== 'string' || pattern.length > MOST_LENGTH) throw refuse('pattern', 'is too long');
  const nodes = new PatternReader(pattern).read();
  assertOneWay(nodes, []);
  return {
    rule: nodes.map(ruleOf).join(' ') || '""',
    shortest: lengthOf(nodes, 'least'),
    longest: lengthOf(nodes, 'most'),
  };
}

const unsupported = () => refuse('pattern', 'holds what can not be enforced');

class PatternReader {
  readonly #text: readonly string[];
  #at = 0;

  constructor(pattern: string) {
    // Where it is not anchored, more could stand around it; what we make is what it says.
    this.#text = [...pattern.replace(/^\^/, '').replace(/(?<!\\)\$$/, '')];
  }

  read(): Node[] {
    const branches = this.#branches(0);
    if (this.#at < this.#text.length) throw unsupported();
    return branches.length === 1 ? (branches[0] as Node[]) : [{ kind: 'group', branches, optional: false }];
  }

  #branches(depth: number): Node[][] {
    if (depth > 8) throw unsupported();
    const branches: Node[][] = [[]];
    while (this.#at < this.#text.length && this.#text[this.#at] !== ')') {
      if (this.#text[this.#at] === '|') {
        this.#at++;
        branches.push([]);
      } else branches.at(-1)?.push(this.#item(depth));
    }
    if (branches.length > 16) throw unsupported();
    return branches;
  }

  #item(depth: number): Node {
    if (this.#text[this.#at] !== '(') {
      const set = this.#set();
      return { kind: 'set', set, ...this.#quantifier() };
    }
    this.#at++;
    if (this.#text[this.#at] === '?') {
      if (this.#text[this.#at + 1] !== ':') throw unsupported();
      this.#at += 2;
    }
    const branches = this.#branches(depth + 1);
    if (this.#text[this.#at++] !== ')') throw unsupported();
    const { least, most } = this.#quantifier();
    if (most !== 1) throw unsupported();
    return { kind: 'group', branches, optional: least === 0 };
  }

  #quantifier(): { least: number; most: number } {
    const next = this.#text[this.#at];
    const counts = { '*': [0, MOST_REPEATS], '+': [1, MOST_REPEATS], '?': [0, 1] }[next ?? ''];
    if (counts !== undefined) this.#at++;
    const [least, most] = counts ?? (next === '{' ? this.#counts() : [1, 1]);
    if (this.#text[this.#at] === '?' || least === undefined || most === undefined) throw unsupported();
    if (least > most || most > MOST_REPEATS) throw unsupported();
    return { least, most };
  }

  #counts(): number[] {
    const end = this.#text.indexOf('}', this.#at);
    const found = /^\{(\d{1,4})(,(\d{0,4}))?$/.exec(this.#text.slice(this.#at, end).join(''));
    if (end < 0 || found === null) throw unsupported();
    this.#at = end + 1;
    const least = Number(found[1]);
    return [least, found[2] === undefined ? least : found[3] ? Number(found[3]) : Math.max(least, MOST_REPEATS)];
  }

  #set(): readonly Span[] {
    const character = this.#text[this.#at++] as string;
    if (character === '[') return this.#class();
    if (character === '\\') return this.#escape();
    if (character === '.') return [[0x20, LAST]];
    if ('^$*+?{}'.includes(character)) throw unsupported();
    return spanOf(character);
  }

  #class(): readonly Span[] {
    const negated = this.#text[this.#at] === '^';
    if (negated) this.#at++;
    const set: Span[] = [];
    while (this.#text[this.#at] !== ']') {
      const first = this.#member();
      if (this.#text[this.#at] !== '-' || this.#text[this.#at + 1] === ']' || first.length !== 1) {
        set.push(...first);
        continue;
      }
      this.#at++;
      const [from, to] = [first[0]?.[0] ?? 0, this.#member()[0]?.[1] ?? 0];
      if (from > to) throw unsupported();
      set.push([from, to]);
    }
    this.#at++;
    return negated ? complement(set) : set;
  }

  #member(): readonly Span[] {
    const character = this.#text[this.#at++];
    if (character === undefined || character === '[') throw unsupported();
    return character === '\\' ? this.#escape() : spanOf(character);
  }

  #escape(): readonly Span[] {
    const character = this.#text[this.#at++];
    if (character === undefined) throw unsupported();
    const known = CLASSES[character];
    if (known !== undefined) return known;
    if (/[A-Za-z0-9]/.test(character)) throw unsupported();
    return spanOf(character);
  }
}

const spanOf = (character: string): Span[] => [[character.codePointAt(0) ?? 0, character.codePointAt(0) ?? 0]];

function complement(set: readonly Span[]): Span[] {
  const result: Span[] = [];
  let next = 0x20;
  for (const [first, last] of set.toSorted((a, b) => a[0] - b[0])) {
    if (first > next) result.push([next, first - 1]);
    next = Math.max(next, last + 1);
  }
  if (next <= LAST) result.push([next, LAST]);
  return result;
}

/** @param after what may come when this has ended @returns what it may begin with */
function assertOneWay(nodes: readonly Node[], after: readonly Span[]): readonly Span[] {
  const [node, ...rest] = nodes;
  if (node === undefined) return after;
  const next = assertOneWay(rest, after);
  if (node.kind === 'set') {
    if (node.least !== node.most && overlap(node.set, next)) throw unsupported();
    return node.least === 0 ? [...node.set, ...next] : node.set;
  }
  const firsts = node.branches.map((branch) => assertOneWay(branch, next));
  const all = node.optional ? [...firsts, next] : firsts;
  for (const [at, one] of all.entries())
    for (const other of all.slice(at + 1)) if (overlap(one, other)) throw unsupported();
  return all.flat();
}

const overlap = (a: readonly Span[], b: readonly Span[]): boolean =>
  a.some(([first, last]) => b.some(([from, to]) => first <= to && from <= last));

function ruleOf(node: Node): string {
  if (node.kind === 'group')
    return `(${node.branches.map((branch) => branch.map(ruleOf).join(' ') || '""').join(' | ')})${node.optional ? '?' : ''}`;
  const times = node.least === 1 && node.most === 1 ? '' : `{${node.least},${node.most}}`;
  return `${characters(node.set)}${times}`;
}

/** As they stand in JSON: quotes and backslashes escaped, control characters not at all. */
function characters(set: readonly Span[]): string {
  const plain = minus(set, [
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
    [0x7f, 0x7f],
    [0xd800, 0xdfff],
  ]);
  const escaped = ['"', '\\'].filter((character) => overlap(set, spanOf(character)));
  const parts = plain.length === 0 ? [] : [`[${plain.map(([first, last]) => `${hex(first)}-${hex(last)}`).join('')}]`];
  for (const character of escaped) parts.push(character === '"' ? '"\\\\\\""' : '"\\\\\\\\"');
  if (parts.length === 0) throw unsupported();
  return parts.length === 1 ? (parts[0] as string) : `(${parts.join(' | ')})`;
}

function minus(set: readonly Span[], less: readonly Span[]): Span[] {
  return less.reduce<Span[]>(
    (left, [from, to]) =>
      left.flatMap(([first, last]): Span[] => {
        if (to < first || from > last) return [[first, last]];
        return [...(first < from ? [[first, from - 1] as Span] : []), ...(last > to ? [[to + 1, last] as Span] : [])];
      }),
    [...set],
  );
}

const hex = (code: number): string => `\\U${code.toString(16).padStart(8, '0')}`;

function lengthOf(nodes: readonly Node[], end: 'least' | 'most'): number {
  return nodes.reduce((sum, node) => {
    if (node.kind === 'set') return sum + node[end];
    const lengths = node.branches.map((branch) => lengthOf(branch, end));
    const own = end === 'least' ? Math.min(...lengths) : Math.max(...lengths);
    return sum + (end === 'least' && node.optional ? 0 : own);
  }, 0);
}
