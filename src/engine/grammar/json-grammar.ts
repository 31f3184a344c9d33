import type { ResponseFormat } from '#engine/engine.ts';
import { Problem } from '#kernel/problem.ts';
import { formatCharacters } from './json-format.ts';
import {
  ANNOTATIONS,
  BASE_RULES,
  ENFORCED,
  isAlone,
  LIMITS,
  literal,
  MOST_TEXT,
  MOST_WAYS,
  refuseBeside,
} from './json-keywords.ts';
import { mayOverlap, mergedSchema } from './json-merge.ts';
import { numberRule } from './json-number.ts';
import { patternRule } from './json-pattern.ts';
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
  /** In how many ways at most one can have come here: alternatives that can't be told apart are read all at once. */
  readonly ways: number;
}

const NOTHING: ReadonlySet<string> = new Set();
const inside = (place: Place): Place => ({ ...place, depth: place.depth + 1, open: NOTHING });

const jsonLiteral = (value: unknown): string => literal(JSON.stringify(value));

/** A grammar in the making: rules of one or several schemas, within bounds that hold for all of them together. */
export class JsonGrammar {
  readonly #rules = new Map<string, string>(Object.entries(BASE_RULES));
  #root: Schema = {};
  #references = new Map<string, string>();
  /** References whose rule is being written. */
  readonly #building = new Set<string>();
  #isCircular = false;
  #isAmbiguous = false;
  #names = 0;
  #repeats = 0;

  /** An expression for the values of a schema. @throws Problem `invalid_parameter` that names the keyword */
  expression(schema: Schema, param: string): string {
    this.#root = schema;
    this.#references = new Map();
    this.#building.clear();
    [this.#isCircular, this.#isAmbiguous] = [false, false];
    try {
      const rule = this.#expression(schema, { depth: 0, open: NOTHING, ways: 1 });
      // Each level would double the ways to read on.
      if (this.#isCircular && this.#isAmbiguous) throw refuse('anyOf', 'is ambiguous, in a schema that holds itself');
      return rule;
    } catch (error) {
      throw error instanceof SchemaFault ? new Problem('invalid_parameter', { message: error.message, param }) : error;
    }
  }

  /** The whole of it, where an answer is `root`. @throws Problem `invalid_parameter` */
  text(root: string): string {
    const rules = Array.from(this.#rules, ([name, rule]) => `${name} ::= ${rule}`);
    const text = [`root ::= ${root}`, ...rules].join('\n');
    if (text.length > MOST_TEXT) throw new Problem('invalid_parameter', { message: 'The schema is too large.' });
    return text;
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
      // It would change what references below it mean.
      if (keyword === '$id' && schema !== this.#root) throw refuse(keyword, 'is not supported within a schema');
    }
    if (schema['allOf'] !== undefined || (schema['$ref'] !== undefined && !isAlone(schema, '$ref'))) {
      return this.#expression(mergedSchema(schema, this.#resolve), { ...place, depth: place.depth + 1 });
    }
    if (schema['$ref'] !== undefined) return this.#reference(schema['$ref'], place);
    if (schema['anyOf'] !== undefined) return this.#choice(schema, 'anyOf', place);
    if (schema['oneOf'] !== undefined) return this.#choice(schema, 'oneOf', place);
    if (schema['const'] !== undefined) return this.#literals(schema, 'const', [schema['const']], place);
    if (schema['enum'] !== undefined) return this.#literals(schema, 'enum', schema['enum'], place);
    const all = typesOf(schema);
    if (all.length === TYPES.length) return 'value';
    const types = all.includes('number') ? all.filter((type) => type !== 'integer') : all;
    return this.#rule(types.map((type) => this.#typed(type, schema, place)).join(' | '));
  }

  #reference(reference: unknown, place: Place): string {
    if (typeof reference !== 'string') throw refuse('$ref', 'must be a text');
    if (place.open.has(reference)) throw refuse('$ref', 'refers to itself without an object or array between');
    if (this.#building.has(reference)) this.#isCircular = true;
    const known = this.#references.get(reference);
    if (known !== undefined) return known;
    const rule = `r${++this.#names}`;
    this.#references.set(reference, rule);
    this.#rules.set(rule, '');
    this.#building.add(reference);
    const target = { ...place, depth: place.depth + 1, open: new Set(place.open).add(reference) };
    this.#rules.set(rule, this.#expression(this.#resolve(reference), target));
    this.#building.delete(reference);
    return rule;
  }

  readonly #resolve = (reference: unknown): unknown => {
    if (reference === '#') return this.#root;
    const match = /^#\/(\$defs|definitions)\/([^/~%]+)$/.exec(String(reference));
    const group = match?.[1] === undefined ? undefined : this.#root[match[1]];
    const name = match?.[2] ?? '';
    if (!isSchema(group) || !Object.hasOwn(group, name)) throw refuse('$ref', "must name an entry of '$defs'");
    return group[name];
  };

  #choice(schema: Schema, keyword: 'anyOf' | 'oneOf', place: Place): string {
    refuseBeside(schema, keyword);
    const choices = schema[keyword];
    if (!Array.isArray(choices) || choices.length === 0 || choices.length > LIMITS.alternatives) {
      throw refuse(keyword, `must list 1 to ${LIMITS.alternatives} schemas`);
    }
    const overlaps = choices.some((one, at) =>
      choices.slice(at + 1).some((other) => mayOverlap(one, other, this.#resolve)),
    );
    if (overlaps && keyword === 'oneOf') throw refuse(keyword, 'holds schemas that may both be met');
    this.#isAmbiguous ||= overlaps;
    const ways = this.#ways(place, overlaps ? choices.length : 1, keyword);
    return this.#rule(
      choices.map((one) => this.#expression(one, { ...place, depth: place.depth + 1, ways })).join(' | '),
    );
  }

  #ways({ ways }: Place, more: number, keyword: string): number {
    if (ways * more > MOST_WAYS) throw refuse(keyword, 'has too many alternatives within others');
    return ways * more;
  }

  #literals(schema: Schema, keyword: 'enum' | 'const', values: unknown, place: Place): string {
    refuseBeside(schema, keyword);
    if (!Array.isArray(values) || values.length > LIMITS.alternatives) {
      throw refuse(keyword, `must list at most ${LIMITS.alternatives} values`);
    }
    this.#ways(place, values.length, keyword);
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
      case 'integer':
      case 'number':
        return numberRule(schema, type === 'integer') ?? type;
      default:
        return type;
    }
  }

  #string(schema: Schema): string {
    const { pattern, format, minLength, maxLength } = schema as Record<string, unknown>;
    if (pattern !== undefined) return `"\\"" ${this.#pattern(schema)} "\\""`;
    if (format !== undefined) {
      if (minLength !== undefined || maxLength !== undefined)
        throw refuse('format', 'is not supported beside a length');
      return `"\\"" ${formatCharacters(format)} "\\""`;
    }
    if (minLength === undefined && maxLength === undefined) return 'string';
    return String.raw`"\"" char${this.#range(schema, 'minLength', 'maxLength', LIMITS.length)} "\""`;
  }

  #pattern(schema: Schema): string {
    if (schema['format'] !== undefined) throw refuse('format', "is not supported beside 'pattern'");
    const { rule, shortest, longest } = patternRule(schema['pattern']);
    if (shortest < (this.#bound(schema, 'minLength', LIMITS.length) ?? 0))
      throw refuse('minLength', "is more than 'pattern' says");
    const most = this.#bound(schema, 'maxLength', Number.MAX_SAFE_INTEGER) ?? longest;
    if (longest > most) throw refuse('maxLength', "is less than 'pattern' allows");
    this.#repeat(0, longest, LIMITS.repeats);
    return rule;
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
    this.#ways(place, Math.max(1, names.length - required.length), 'properties');
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
