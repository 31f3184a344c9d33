import type { JsonGrammar } from './json-grammar.ts';

/**
 * Any text, followed by `trigger` and what comes `then`: an automaton with a state for each beginning of the trigger that
 * the text may end with (Knuth, Morris and Pratt). `mayEnd`: the answer may also end without it.
 *
 * @returns the rule of it
 */
export function textUntil(grammar: JsonGrammar, trigger: string, then: string, mayEnd: boolean): string {
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
    const body = `[^${known.map(inClass).join('')}] ${states[0]} | ${moves.join(' | ')}`;
    grammar.define(state, mayEnd ? `(${body})?` : body);
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
