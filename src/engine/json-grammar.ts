import { Problem } from '#kernel/problem.ts';
import type { ResponseFormat } from './engine.ts';
import { isOfType, isSchema, refuse, type Schema, SchemaFault, TYPES, type TypeName, typesOf } from './json-schema.ts';

/**
 * Turns a `response_format` into a GBNF grammar. The grammar accepts a subset of what the schema accepts, never more:
 * properties come in declared order, undeclared ones do not come at all. A keyword that can't be enforced is refused by
 * name. Every rule is bounded, since llama.cpp dies of huge or deeply nested grammars (engine.md, section 4).
 *
 * @returns null where the format is plain text.
 * @throws Problem `invalid_parameter`
 */
export function grammarFor(format: ResponseFormat): string | null {
  if (format.type === 'text') return null;
  const grammar = new JsonGrammar();
  return grammar.text(formatRule(grammar, format));
}

/** Where in the request the schema of an answer stands. */
const FORMAT_PARAM = 'response_format.json_schema.schema';

/** What an answer in this format is. @throws Problem `invalid_parameter` */
export const formatRule = (grammar: JsonGrammar, format: Exclude<ResponseFormat, { type: 'text' }>): string =>
  grammar.expression(format.type === 'json_schema' ? format.schema : { type: 'object' }, FORMAT_PARAM);

/** Where in the schema we are. `open`: references being expanded with no brace in between, which would recurse for ever. */
interface Place {
  readonly depth: number;
  readonly open: ReadonlySet<string>;
}

const NOTHING: ReadonlySet<string> = new Set();
const inside = (place: Place): Place => ({ depth: place.depth + 1, open: NOTHING });

const LIMITS = { depth: 24, rules: 1500, properties: 128, alternatives: 256, length: 1024, items: 128, repeats: 8192 };

/** Keywords that say nothing about which values are valid. */
const ANNOTATIONS = new Set(
  '$schema $id $comment $defs definitions title description default examples deprecated readOnly writeOnly'.split(' '),
);
const ENFORCED: ReadonlySet<string> = new Set([
  ...['type', 'enum', 'const', 'anyOf', '$ref', 'properties', 'required', 'additionalProperties'],
  ...['items', 'minItems', 'maxItems', 'minLength', 'maxLength'],
]);

/** Space is optional and at most one, so that a model can't fill its answer with it. `\u` escapes are left out: lone surrogates. */
const BASE_RULES: Readonly<Record<string, string>> = {
  ws: '" "?',
  char: String.raw`[^"\\\x00-\x1F\x7F] | "\\" ["\\/bfnrt]`,
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
const jsonLiteral = (value: unknown): string => literal(JSON.stringify(value));

/** A grammar in the making: rules of one or several schemas, within bounds that hold for all of them together. */
export class JsonGrammar {
  readonly #rules = new Map<string, string>(Object.entries(BASE_RULES));
  #root: Schema = {};
  #references = new Map<string, string>();
  #names = 0;
  #repeats = 0;

  /** An expression for the values of a schema. @throws Problem `invalid_parameter` that names the keyword */
  expression(schema: Schema, param: string): string {
    this.#root = schema;
    this.#references = new Map();
    try {
      return this.#expression(schema, { depth: 0, open: NOTHING });
    } catch (error) {
      throw error instanceof SchemaFault ? new Problem('invalid_parameter', { message: error.message, param }) : error;
    }
  }

  /** The whole of it, where an answer is `root`. */
  text(root: string): string {
    return [`root ::= ${root}`, ...Array.from(this.#rules, ([name, rule]) => `${name} ::= ${rule}`)].join('\n');
  }

  /** Another rule, for what stands around the values. */
  rule(body: string): string {
    return this.#rule(body);
  }

  /** Says what a rule is that was named before, since others refer to it. */
  define(name: string, body: string): void {
    this.#rules.set(name, body);
  }

  #rule(body: string): string {
    if (this.#rules.size > LIMITS.rules) throw refuse('properties', 'makes the schema too large');
    const name = `r${++this.#names}`;
    this.#rules.set(name, body);
    return name;
  }

  #expression(schema: unknown, place: Place): string {
    if (schema === true) return 'value';
    if (!isSchema(schema)) throw refuse(schema === false ? 'false' : 'schema', 'is not supported here');
    if (place.depth > LIMITS.depth) throw refuse('properties', `nests deeper than ${LIMITS.depth} levels`);
    for (const keyword of Object.keys(schema)) {
      if (!ENFORCED.has(keyword) && !ANNOTATIONS.has(keyword)) throw refuse(keyword, 'is not supported');
    }
    if (schema['$ref'] !== undefined) return this.#reference(schema, place);
    if (schema['anyOf'] !== undefined) return this.#anyOf(schema, place);
    if (schema['const'] !== undefined) return this.#literals(schema, 'const', [schema['const']]);
    if (schema['enum'] !== undefined) return this.#literals(schema, 'enum', schema['enum']);
    const types = typesOf(schema);
    if (types.length === TYPES.length) return 'value';
    return this.#rule(types.map((type) => this.#typed(type, schema, place)).join(' | '));
  }

  #alone(schema: Schema, keyword: string): void {
    const other = Object.keys(schema).find((key) => key !== keyword && ENFORCED.has(key));
    if (other !== undefined) throw refuse(other, `is not supported beside '${keyword}'`);
  }

  #reference(schema: Schema, place: Place): string {
    this.#alone(schema, '$ref');
    const reference = schema['$ref'];
    if (typeof reference !== 'string') throw refuse('$ref', 'must be a text');
    if (place.open.has(reference)) throw refuse('$ref', 'refers to itself without an object or array between');
    const known = this.#references.get(reference);
    if (known !== undefined) return known;
    const rule = `r${++this.#names}`;
    this.#references.set(reference, rule);
    this.#rules.set(rule, '');
    const target = { depth: place.depth + 1, open: new Set(place.open).add(reference) };
    this.#rules.set(rule, this.#expression(this.#definition(reference), target));
    return rule;
  }

  #definition(reference: string): unknown {
    if (reference === '#') return this.#root;
    const match = /^#\/(\$defs|definitions)\/([^/~%]+)$/.exec(reference);
    const group = match?.[1] === undefined ? undefined : this.#root[match[1]];
    const name = match?.[2] ?? '';
    if (!isSchema(group) || !Object.hasOwn(group, name)) throw refuse('$ref', "must name an entry of '$defs'");
    return group[name];
  }

  #anyOf(schema: Schema, place: Place): string {
    this.#alone(schema, 'anyOf');
    const choices = schema['anyOf'];
    if (!Array.isArray(choices) || choices.length === 0 || choices.length > LIMITS.alternatives) {
      throw refuse('anyOf', `must list 1 to ${LIMITS.alternatives} schemas`);
    }
    return this.#rule(
      choices.map((choice) => this.#expression(choice, { ...place, depth: place.depth + 1 })).join(' | '),
    );
  }

  #literals(schema: Schema, keyword: 'enum' | 'const', values: unknown): string {
    const other = Object.keys(schema).find((key) => key !== keyword && key !== 'type' && ENFORCED.has(key));
    if (other !== undefined) throw refuse(other, `is not supported beside '${keyword}'`);
    if (!Array.isArray(values) || values.length > LIMITS.alternatives) {
      throw refuse(keyword, `must list at most ${LIMITS.alternatives} values`);
    }
    const types = typesOf(schema);
    const fitting = values.filter((value) => types.some((type) => isOfType(value, type)));
    if (fitting.length === 0) throw refuse(keyword, "leaves no value of the given 'type'");
    return this.#rule(fitting.map(jsonLiteral).join(' | '));
  }

  #typed(type: TypeName, schema: Schema, place: Place): string {
    switch (type) {
      case 'object':
        return this.#object(schema, place);
      case 'array':
        return this.#array(schema, place);
      case 'string':
        return this.#string(schema);
      default:
        return type;
    }
  }

  #string(schema: Schema): string {
    if (schema['minLength'] === undefined && schema['maxLength'] === undefined) return 'string';
    return String.raw`"\"" char${this.#range(schema, 'minLength', 'maxLength', LIMITS.length)} "\""`;
  }

  #array(schema: Schema, place: Place): string {
    const item = this.#expression(schema['items'] ?? true, inside(place));
    const least = this.#bound(schema, 'minItems', LIMITS.items) ?? 0;
    const most = this.#bound(schema, 'maxItems', Number.MAX_SAFE_INTEGER);
    if (most !== undefined && most < least) throw refuse('maxItems', "is less than 'minItems'");
    if (most === 0) return '"[" ws "]"';
    const rest = most === undefined ? `{${Math.max(0, least - 1)},}` : this.#repeat(least - 1, most - 1, LIMITS.items);
    const filled = `${item} ("," ws ${item})${rest} ws`;
    return `"[" ws ${least === 0 ? `(${filled})?` : filled} "]"`;
  }

  #range(schema: Schema, least: string, most: string, limit: number): string {
    const from = this.#bound(schema, least, limit) ?? 0;
    const to = this.#bound(schema, most, Number.MAX_SAFE_INTEGER);
    if (to !== undefined && to < from) throw refuse(most, `is less than '${least}'`);
    return to === undefined ? `{${from},}` : this.#repeat(from, to, limit);
  }

  /** A larger upper bound than we can afford becomes a smaller one: still valid answers, only fewer of them. */
  #repeat(from: number, to: number, limit: number): string {
    const least = Math.max(0, from);
    const most = Math.max(least, Math.min(to, limit));
    this.#repeats += most;
    if (this.#repeats > LIMITS.repeats) throw refuse('maxLength', 'adds up to too much');
    return `{${least},${most}}`;
  }

  #bound(schema: Schema, keyword: string, limit: number): number | undefined {
    const value = schema[keyword];
    if (value === undefined) return undefined;
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw refuse(keyword, 'must be a whole number');
    if ((value as number) > limit) throw refuse(keyword, `must be at most ${limit}`);
    return value as number;
  }

  #object(schema: Schema, place: Place): string {
    const declared = schema['properties'] ?? {};
    if (!isSchema(declared)) throw refuse('properties', 'must be an object');
    const required = schema['required'] ?? [];
    if (!Array.isArray(required) || required.some((key) => typeof key !== 'string')) {
      throw refuse('required', 'must be a list of names');
    }
    const names = [...new Set([...Object.keys(declared), ...(required as string[])])];
    if (names.length > LIMITS.properties) throw refuse('properties', `names more than ${LIMITS.properties}`);
    const extra = schema['additionalProperties'] ?? true;
    if (names.length === 0) {
      if (extra === false) return '"{" ws "}"';
      const value = this.#expression(extra, inside(place));
      if (value === 'value') return 'object';
      const member = this.#rule(`string ":" ws ${value}`);
      return `"{" ws (${member} ("," ws ${member})* ws)? "}"`;
    }
    const undeclared = names.find((name) => !Object.hasOwn(declared, name));
    if (undeclared !== undefined && extra === false) throw refuse('required', 'names a property that is not declared');
    const members = names.map((name) => ({
      rule: this.#rule(
        `${jsonLiteral(name)} ":" ws ${this.#expression(Object.hasOwn(declared, name) ? declared[name] : extra, inside(place))}`,
      ),
      required: required.includes(name),
    }));
    return `"{" ws ${this.#memberSequence(members)} "}"`;
  }

  /**
   * Members in declared order, optional ones left out at will. Two chains of rules, one for "a member came before"
   * (comma first) and one for "none yet", keep the grammar linear in size and free of ambiguity.
   */
  #memberSequence(members: readonly { readonly rule: string; readonly required: boolean }[]): string {
    let after = 'ws';
    let first = 'ws';
    for (const { rule, required } of members.toReversed()) {
      const alone = `${rule} ${after}`;
      first = this.#rule(required ? alone : `${alone} | ${first}`);
      after = this.#rule(required ? `"," ws ${alone}` : `"," ws ${alone} | ${after}`);
    }
    return first;
  }
}
