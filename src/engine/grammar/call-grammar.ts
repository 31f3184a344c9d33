import type { FunctionTool, ResponseFormat, ToolUse } from '#engine/engine.ts';
import { parametersOf, parametersRule } from './call-parameters.ts';
import { type CallSyntax, triggerOf } from './call-syntax.ts';
import { formatRule, JsonGrammar } from './json-grammar.ts';
import { literal } from './json-keywords.ts';
import { textUntil } from './text-until.ts';

/** More calls than this in one answer are a model that has lost its way. */
const MOST_CALLS = 16;

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
  return grammar.text(textUntil(grammar, trigger, grammar.rule(calls(opening.slice(trigger.length))), true));
}

function callOf(grammar: JsonGrammar, { middle, parameters }: CallSyntax, tool: FunctionTool, index: number): string {
  const param = `tools[${index}].function.parameters`;
  if (parameters !== undefined) return `${literal(tool.name)} ${parametersRule(grammar, parameters, tool, param)}`;
  const values = grammar.expression(parametersOf(tool), param);
  return `${literal(tool.name)} ${literal(middle)} ${grammar.rule(values)}`;
}
