import type { FunctionTool, ResponseFormat, ToolUse } from '#engine/engine.ts';
import { type CallSyntax, triggerOf } from './call-syntax.ts';
import { formatRule, JsonGrammar } from './json-grammar.ts';
import { literal } from './json-keywords.ts';

/** More calls than this in one answer are a model that has lost its way. */
const MOST_CALLS = 16;

/** A function without parameters takes an empty object. */
export const parametersOf = ({ parameters }: FunctionTool): Readonly<Record<string, unknown>> =>
  parameters ?? { type: 'object', properties: {}, additionalProperties: false };

/**
 * The grammar of an answer that may or must call functions, written as the template writes calls. Text in front of calls
 * can't hold what opens them, so that at every point there is one way to read on.
 *
 * @throws Problem `invalid_parameter`
 */
export function callGrammar(
  syntax: CallSyntax,
  { functions, choice, parallel }: ToolUse,
  format: ResponseFormat,
): string {
  const grammar = new JsonGrammar();
  const chosen = typeof choice === 'object' ? functions.filter(({ name }) => name === choice.name) : functions;
  const call = grammar.rule(chosen.map((tool) => callOf(grammar, syntax, tool, functions.indexOf(tool))).join(' | '));
  const more = MOST_CALLS - 1;
  const rest =
    syntax.between === null || !parallel || typeof choice === 'object'
      ? ''
      : ` (${literal(syntax.between)} ${call}){0,${more}}`;
  const calls = (opening: string) => `${literal(opening)} ${call}${rest} ${literal(syntax.closing)}`;
  const opening = syntax.opening.trimStart();
  if (choice !== 'auto') return grammar.text(calls(opening));
  if (format.type !== 'text') return grammar.text(`${formatRule(grammar, format)} | ${calls(opening)}`);
  const trigger = triggerOf(syntax);
  return grammar.text(textUntil(grammar, trigger, grammar.rule(calls(opening.slice(trigger.length)))));
}

function callOf(grammar: JsonGrammar, { middle }: CallSyntax, tool: FunctionTool, index: number): string {
  const values = grammar.expression(parametersOf(tool), `tools[${index}].function.parameters`);
  return `${literal(tool.name)} ${literal(middle)} ${grammar.rule(values)}`;
}

/**
 * Any text, which ends the answer or is followed by `trigger` and what comes then: an automaton with a state for each
 * beginning of the trigger that the text may end with (Knuth, Morris and Pratt).
 */
function textUntil(grammar: JsonGrammar, trigger: string, then: string): string {
  const wanted = [...trigger];
  const states = wanted.map(() => grammar.rule(''));
  for (const [at, state] of states.entries()) {
    const next = new Map<number, string[]>();
    for (const character of new Set(wanted.slice(0, at + 1))) {
      const to = longestBeginning(wanted, [...wanted.slice(0, at), character]);
      next.set(to, [...(next.get(to) ?? []), character]);
    }
    const known = [...next.values()].flat();
    const moves = [...next].map(([to, characters]) => `[${characters.map(inClass).join('')}] ${states[to] ?? then}`);
    grammar.define(state, `([^${known.map(inClass).join('')}] ${states[0]} | ${moves.join(' | ')})?`);
  }
  return states[0] as string;
}

/** How much of `wanted` the end of `text` is the beginning of. */
function longestBeginning(wanted: readonly string[], text: readonly string[]): number {
  let length = Math.min(wanted.length, text.length);
  while (text.slice(text.length - length).some((character, at) => character !== wanted[at])) length--;
  return length;
}

/** A character in a GBNF class. */
function inClass(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}
