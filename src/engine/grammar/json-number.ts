import { refuse, type Schema } from './json-schema.ts';

/** Digits that our numbers have at most, in front of the point and behind it. */
const [MOST_DIGITS, MOST_DECIMALS, MORE_DECIMALS] = [15, 6, 6];
const MOST = 10 ** MOST_DIGITS - 1;
const KEYWORDS = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'] as const;

interface Bounds {
  readonly least: number;
  readonly most: number;
  /** Whether the bound itself is not allowed. */
  readonly above: boolean;
  readonly below: boolean;
}

/** Numbers within the bounds of a schema, as GBNF; null where it has none. */
export function numberRule(schema: Schema, isInteger: boolean): string | null {
  if (!KEYWORDS.some((name) => schema[name] !== undefined)) return null;
  const step = schema['multipleOf'] ?? 1;
  if (step !== 1) throw refuse('multipleOf', 'is not supported for anything but 1');
  const bounds = boundsOf(schema);
  return isInteger || schema['multipleOf'] === 1 ? integers(bounds) : decimals(bounds);
}

function boundsOf(schema: Schema): Bounds {
  const read = (name: string): number | undefined => {
    const value = schema[name];
    if (value !== undefined && (typeof value !== 'number' || Math.abs(value) > MOST))
      throw refuse(name, `must be a number of at most ${MOST_DIGITS} digits`);
    return value;
  };
  const [from, over] = [read('minimum') ?? -MOST, read('exclusiveMinimum') ?? Number.NEGATIVE_INFINITY];
  const [to, under] = [read('maximum') ?? MOST, read('exclusiveMaximum') ?? Number.POSITIVE_INFINITY];
  return { least: Math.max(from, over), most: Math.min(to, under), above: over >= from, below: under <= to };
}

function integers({ least, most, above, below }: Bounds): string {
  const from = above && Number.isInteger(least) ? least + 1 : Math.ceil(least);
  const to = below && Number.isInteger(most) ? most - 1 : Math.floor(most);
  if (from > to) throw refuse('maximum', 'leaves no number');
  const parts: string[] = [];
  if (from < 0) parts.push(`"-" (${range(Math.max(1, -to), -from, 0)})`);
  if (to >= 0) parts.push(range(Math.max(0, from), to, 0));
  return parts.join(' | ');
}

/** Counted in the last decimal of the bounds; what lies strictly between may have more of them. */
function decimals({ least, most, above, below }: Bounds): string {
  const places = Math.max(placesOf(least), placesOf(most));
  if (places > MOST_DECIMALS) throw refuse('minimum', `has more than ${MOST_DECIMALS} decimals`);
  const scale = 10 ** places;
  const [from, to] = [Math.round(least * scale), Math.round(most * scale)];
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) throw refuse('minimum', 'has too many digits');
  if (from > to || (from === to && (above || below))) throw refuse('maximum', 'leaves no number');
  const parts: string[] = [];
  if (from < 0) parts.push(`"-" (${between(Math.max(0, -to), -from, to < 0 ? below : true, above, places)})`);
  if (to >= 0) parts.push(between(Math.max(0, from), to, from >= 0 && above, below, places));
  return parts.join(' | ');
}

/** From `low` to `high`, both counted in the last of so many places. */
function between(low: number, high: number, above: boolean, below: boolean, places: number): string {
  const more = places === 0 ? `("." [0-9]{1,${MORE_DECIMALS}})?` : `[0-9]{0,${MORE_DECIMALS}}`;
  const nonZero = `${places === 0 ? '"." ' : ''}[0-9]{0,${MORE_DECIMALS - 1}} [1-9]`;
  const parts: string[] = [];
  if (low < high) {
    if (above) parts.push(`${range(low, low, places)} ${nonZero}`);
    const first = above ? low + 1 : low;
    if (first < high) parts.push(`(${range(first, high - 1, places)}) ${more}`);
  }
  if (!below && !(above && low === high)) parts.push(range(high, high, places));
  return parts.join(' | ');
}

function placesOf(value: number): number {
  const [, decimals = '', exponent] = /^-?\d+(?:\.(\d+))?(e.*)?$/.exec(String(value)) ?? [];
  if (exponent !== undefined) throw refuse('minimum', 'has too many digits');
  return decimals.length;
}

/** Whole numbers from `low` to `high` with a point in front of the last `places` digits, without leading zeros. */
function range(low: number, high: number, places: number): string {
  const parts: string[] = [];
  const shortest = String(low).length;
  for (let length = Math.max(shortest, places + 1); length <= Math.max(String(high).length, places + 1); length++) {
    const least = length === places + 1 ? 0 : 10 ** (length - 1);
    const [from, to] = [Math.max(low, least), Math.min(high, 10 ** length - 1)];
    if (from > to) continue;
    parts.push(digits(String(from).padStart(length, '0'), String(to).padStart(length, '0'), places));
  }
  return parts.join(' | ');
}

/** Digits of one length, from `low` to `high`. */
function digits(low: string, high: string, places: number): string {
  const point = places > 0 && low.length === places ? '"." ' : '';
  if (low === '') return '';
  if (/^0+$/.test(low) && /^9+$/.test(high)) return anyDigits(low.length, places);
  const [first, last] = [Number(low[0]), Number(high[0])];
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  if (first === last) return `${point}"${first}" ${digits(lowRest, highRest, places)}`.trimEnd();
  const parts = [`"${first}" ${digits(lowRest, lowRest.replaceAll(/./g, '9'), places)}`];
  if (last - first > 1) parts.push(`[${first + 1}-${last - 1}] ${anyDigits(lowRest.length, places)}`);
  parts.push(`"${last}" ${digits(highRest.replaceAll(/./g, '0'), highRest, places)}`);
  return `${point}(${parts.map((part) => part.trimEnd()).join(' | ')})`;
}

function anyDigits(count: number, places: number): string {
  if (count === 0) return '';
  if (places === 0 || count < places) return `[0-9]{${count}}`;
  if (count === places) return `"." [0-9]{${count}}`;
  return `[0-9]{${count - places}} "." [0-9]{${places}}`;
}
