/** JSON that has exactly one spelling. Numbers are safe integers only, so that no two writers round differently. */
export type CanonicalValue =
  | string
  | number
  | boolean
  | null
  | readonly CanonicalValue[]
  | { readonly [key: string]: CanonicalValue | undefined };

/**
 * RFC 8785 (JSON Canonicalization Scheme) for strings, safe integers, booleans, null, arrays and objects.
 * Keys are sorted by UTF-16 code units, members that are `undefined` are left out.
 *
 * @throws TypeError for a lone surrogate, U+0000 or a number that is not a safe integer: Postgres could not store it,
 *   and one such record would fail everybody's batch.
 */
export function canonicalJson(value: CanonicalValue): string {
  switch (typeof value) {
    case 'string':
      return canonicalString(value);
    case 'number':
      if (!Number.isSafeInteger(value)) throw new TypeError('canonical JSON holds safe integers only');
      return Object.is(value, -0) ? '0' : String(value);
    case 'boolean':
      return value ? 'true' : 'false';
    default:
      return value === null ? 'null' : canonicalComposite(value);
  }
}

function canonicalComposite(
  value: readonly CanonicalValue[] | { readonly [key: string]: CanonicalValue | undefined },
): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const object = value as CanonicalObject;
  let text = '';
  for (const name of namesInOrder(object)) {
    const member = object[name];
    if (member !== undefined) text += text === '' ? canonicalMember(name, member) : `,${canonicalMember(name, member)}`;
  }
  return `{${text}}`;
}

interface CanonicalObject {
  readonly [key: string]: CanonicalValue | undefined;
}

/** One member of an object: `"name":value`. */
export const canonicalMember = (name: string, value: CanonicalValue): string => spelled(name) + canonicalJson(value);

/** Names in the order in which an object was given them, each leading to the next; and all up to here, sorted. */
class Path {
  readonly next = new Map<string, Path>();
  sorted: readonly string[] | null = null;
}

const PATHS = new Path();
const MOST_PATHS = 5000;
let paths = 0;

/** An object's names sorted. Events of one sort are always made in the same order, which is sorted once. */
export function namesInOrder(object: object): readonly string[] {
  const names = Object.keys(object);
  let path = PATHS;
  for (const name of names) {
    let next = path.next.get(name);
    if (next === undefined) {
      if (paths >= MOST_PATHS || name.length > LONGEST_NAME) return names.sort();
      next = new Path();
      path.next.set(name, next);
      paths++;
    }
    path = next;
  }
  path.sorted ??= names.sort();
  return path.sorted;
}

/** `"name":` by name. The same few dozen stand in every event. */
const NAMES = new Map<string, string>();
const MOST_NAMES = 1000;
const LONGEST_NAME = 64;

function spelled(name: string): string {
  const known = NAMES.get(name);
  if (known !== undefined) return known;
  const text = `${canonicalString(name)}:`;
  if (NAMES.size < MOST_NAMES && name.length <= LONGEST_NAME) NAMES.set(name, text);
  return text;
}

/** Text that stands in JSON as it is: printable ASCII without quotes and backslashes. Nearly all that we record. */
const PLAIN = /^[ !#-[\]-~]*$/;

function canonicalString(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  if (!isStorable(text)) throw new TypeError('canonical JSON holds well-formed Unicode without U+0000 only');
  return JSON.stringify(text);
}

/**
 * Whether `text`, from which JSON.parse made `value`, is its canonical spelling. Nearly always told without writing the
 * value once more: the engine's own writer spells as RFC 8785 does, but for the order of names and what we do not take.
 */
export function isCanonicalJson(text: string, value: CanonicalValue): boolean {
  if (!text.includes('\\u') && JSON.stringify(value) === text && isOrdered(value)) return true;
  try {
    return canonicalJson(value) === text;
  } catch {
    return false;
  }
}

/** Names in ascending order and safe integers only, all the way down. */
function isOrdered(value: CanonicalValue): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isOrdered);
  let before: string | null = null;
  for (const name of Object.keys(value)) {
    if ((before !== null && before >= name) || !isOrdered((value as CanonicalObject)[name] ?? null)) return false;
    before = name;
  }
  return true;
}

/** True for well-formed UTF-16 without U+0000: what Postgres can hold as text. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\u0000');
