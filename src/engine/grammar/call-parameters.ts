import type { FunctionTool } from '#engine/engine.ts';
import { Problem } from '#kernel/problem.ts';
import type { JsonGrammar } from './json-grammar.ts';
import { ANNOTATIONS, literal } from './json-keywords.ts';
import { isSchema, type Schema } from './json-schema.ts';
import { textUntil } from './text-until.ts';

/** How a template writes arguments one by one: (`opening` KEY `middle` VALUE `closing`)*; texts as they are, the rest as JSON. */
export interface ParameterSyntax {
  readonly opening: string;
  readonly middle: string;
  readonly closing: string;
}

/** A function without parameters takes an empty object. */
export const parametersOf = ({ parameters }: FunctionTool): Readonly<Record<string, unknown>> =>
  parameters ?? { type: 'object', properties: {}, additionalProperties: false };

const OF_OBJECT = new Set(['type', 'properties', 'required', 'additionalProperties']);
const JSON_TYPES: ReadonlySet<unknown> = new Set(['integer', 'number', 'boolean', 'object', 'array', 'null']);
const KEY = /^[\w.-]{1,64}$/;

/** Whether a parameter is written as it is, without quotes. */
export function isText(tool: FunctionTool | undefined, key: string): boolean {
  const { properties } = tool === undefined ? {} : parametersOf(tool);
  const schema = isSchema(properties) ? properties[key] : undefined;
  return isSchema(schema) && (schema['type'] === 'string' || textsOf(schema) !== null);
}

/** The texts that an `enum` or `const` allows; null where there is none, or they are no texts. */
function textsOf(schema: Schema): readonly string[] | null {
  const values = schema['const'] === undefined ? schema['enum'] : [schema['const']];
  return Array.isArray(values) && values.every((one) => typeof one === 'string') ? values : null;
}

/**
 * The arguments of a call, in the order in which their schema declares them. What can't be told from its text is refused:
 * a value that may be a text or something else, and keywords about texts, which are written without JSON's bounds.
 *
 * @throws Problem `invalid_parameter`
 */
export function parametersRule(
  grammar: JsonGrammar,
  { opening, middle, closing }: ParameterSyntax,
  tool: FunctionTool,
  param: string,
): string {
  const refuse = (what: string) =>
    new Problem('invalid_parameter', { message: `${what}, with this model's way to write calls.`, param });
  const schema = parametersOf(tool);
  const { properties = {}, required = [], $defs, definitions } = schema;
  for (const keyword of Object.keys(schema))
    if (!OF_OBJECT.has(keyword) && !ANNOTATIONS.has(keyword)) throw refuse(`'${keyword}' is not supported`);
  if ((schema['type'] ?? 'object') !== 'object' || !isSchema(properties) || !Array.isArray(required))
    throw refuse('parameters must be an object');
  if (required.some((key) => !Object.hasOwn(properties, key))) throw refuse("'required' names no property");

  /** `then`: what follows the value. */
  const valueRule = (key: string, value: unknown, then: string): string => {
    if (!isSchema(value)) throw refuse(`'${key}' has no schema of its own`);
    const texts = textsOf(value);
    if (texts !== null) {
      if (texts.some((text) => text.includes(closing))) throw refuse(`'${key}' may hold what ends it`);
      return `(${texts.map(literal).join(' | ')}) ${literal(closing)} ${then}`;
    }
    if (value['type'] === 'string' && value['enum'] === undefined && value['const'] === undefined) {
      const other = Object.keys(value).find((keyword) => keyword !== 'type' && !ANNOTATIONS.has(keyword));
      if (other !== undefined) throw refuse(`'${other}' of '${key}' is not supported`);
      return textUntil(grammar, closing, then, false);
    }
    const values = value['enum'] ?? [value['const']];
    const isJson = JSON_TYPES.has(value['type']) || (Array.isArray(values) && values.every((one) => one !== undefined));
    if (!isJson || (Array.isArray(values) && values.some((one) => typeof one === 'string')))
      throw refuse(`'${key}' must be of one type`);
    // The whole would be another one there.
    if (/"\$ref":"#"/.test(JSON.stringify(value))) throw refuse("'$ref' to the whole is not supported");
    const own = { ...value, ...($defs === undefined ? {} : { $defs }), ...(definitions ? { definitions } : {}) };
    return `${grammar.rule(grammar.expression(own, param))} ${literal(closing)} ${then}`;
  };

  let rest = '""';
  for (const [key, value] of Object.entries(properties).toReversed()) {
    if (!KEY.test(key)) throw refuse(`'${key}' is no name of a parameter`);
    const own = `${literal(opening + key + middle)} ${valueRule(key, value, rest)}`;
    rest = grammar.rule(required.includes(key) ? own : `${own} | ${rest}`);
  }
  return rest;
}

/** Reads arguments that are written one by one, and gives them as JSON, each when it is complete. */
export class ParameterReader {
  readonly #syntax: ParameterSyntax;
  readonly #isText: (key: string) => boolean;
  #count = 0;
  isDone = false;

  constructor(syntax: ParameterSyntax, isText: (key: string) => boolean) {
    this.#syntax = syntax;
    this.#isText = isText;
  }

  /** @param held what has come and was not read yet @returns the JSON of what is complete, and how much of `held` that was */
  push(held: string): { readonly json: string; readonly length: number } {
    const { opening, middle, closing } = this.#syntax;
    let [json, at] = ['', 0];
    while (held.startsWith(opening, at)) {
      const key = at + opening.length;
      const keyEnd = held.indexOf(middle, key);
      const end = keyEnd < 0 ? -1 : held.indexOf(closing, keyEnd + middle.length);
      if (end < 0) return { json, length: at };
      const name = held.slice(key, keyEnd);
      const value = held.slice(keyEnd + middle.length, end);
      json += `${this.#count++ === 0 ? '{' : ','}${JSON.stringify(name)}:${this.#isText(name) ? JSON.stringify(value) : value}`;
      at = end + closing.length;
    }
    if (opening.startsWith(held.slice(at))) return { json, length: at };
    this.isDone = true;
    return { json: `${json}${this.#count === 0 ? '{}' : '}'}`, length: at };
  }
}
