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
  let text = '';
  forEachMember(value as CanonicalObject, (_, member) => {
    text += text === '' ? member : `,${member}`;
  });
  return `{${text}}`;
}

interface CanonicalObject {
  readonly [key: string]: CanonicalValue | undefined;
}

/** The members of an object in canonical order: the name, and the whole member `"name":value` as canonical JSON. */
export function forEachMember(object: CanonicalObject, tell: (name: string, text: string) => void): void {
  for (const name of Object.keys(object).sort()) {
    const value = object[name];
    if (value !== undefined) tell(name, spelled(name) + canonicalJson(value));
  }
}

/** `"name":` by name. The same few dozen stand in every event. */
const NAMES = new Map<string, string>();
const MOST_NAMES = 1000;

function spelled(name: string): string {
  const known = NAMES.get(name);
  if (known !== undefined) return known;
  const text = `${canonicalString(name)}:`;
  if (NAMES.size < MOST_NAMES && name.length < 64) NAMES.set(name, text);
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
