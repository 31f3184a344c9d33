import { refuse, type Schema } from './json-schema.ts';

export const LIMITS = {
  depth: 24,
  rules: 1500,
  properties: 128,
  alternatives: 256,
  length: 1024,
  items: 128,
  repeats: 8192,
};
export const [MOST_WAYS, MOST_TEXT] = [512, 262_144];

/** Keywords that say nothing about which values are valid. */
export const ANNOTATIONS = new Set(
  '$schema $id $comment $defs definitions title description default examples deprecated readOnly writeOnly'.split(' '),
);
export const ENFORCED: ReadonlySet<string> = new Set([
  ...['type', 'enum', 'const', 'anyOf', 'oneOf', 'allOf', '$ref', 'properties', 'required', 'additionalProperties'],
  ...['items', 'minItems', 'maxItems', 'minLength', 'maxLength', 'pattern', 'format'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
]);

/** Space is optional and at most one, so that a model can't fill its answer with it. `\u` escapes and surrogates are left out: no UTF-8 holds a lone one. */
export const BASE_RULES: Readonly<Record<string, string>> = {
  ws: '" "?',
  char: String.raw`[ !#-\[\]-~\u0080-\uD7FF\uE000-\uFFFF\U00010000-\U0010FFFF] | "\\" ["\\/bfnrt]`,
  string: String.raw`"\"" char* "\""`,
  integer: '"-"? ("0" | [1-9] [0-9]{0,14})',
  number: 'integer ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?',
  boolean: '"true" | "false"',
  null: '"null"',
  value: 'object | array | string | number | boolean | null',
  member: 'string ":" ws value',
  object: '"{" ws (member ("," ws member)* ws)? "}"',
  array: '"[" ws (value ("," ws value)* ws)? "]"',
};

/** A GBNF terminal that matches exactly this text. */
export const literal = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('\r', '\\r')}"`;
export const isAlone = (schema: Schema, keyword: string): boolean =>
  !Object.keys(schema).some((key) => key !== keyword && ENFORCED.has(key));

export function refuseBeside(schema: Schema, keyword: string): void {
  const isValue = keyword === 'enum' || keyword === 'const';
  const other = Object.keys(schema).find((key) => key !== keyword && ENFORCED.has(key) && !(isValue && key === 'type'));
  if (other !== undefined) throw refuse(other, `is not supported beside '${keyword}'`);
}
