import type { ControlledEvaluateInputItem, LlamaContextSequence, SequenceEvaluateOptions, Token } from 'node-llama-cpp';
import type { Drafter } from './drafter.llama.ts';
import { seedOf } from './sampling.llama.ts';
import { keepBeginning } from './sequence-state.llama.ts';

type Choice = Omit<SequenceEvaluateOptions, 'seed'> & { readonly seed: number };

/**
 * Chooses the tokens of an answer, several in one step where a draft model foresaw them. The library's own way of doing so
 * counts one foreseen token a step at most (3.22.1: `validatedTokens` is never filled), so the steps are made here of what
 * it has in public: one batch in which every place chooses its next token, and an end that is erased where the model
 * chose otherwise.
 *
 * What is chosen never depends on what was foreseen: each place chooses with a seed of its own, made of the caller's and
 * its position, so that the same seed gives the same text whether there was time to foresee or not.
 */
export class ForeseenTokens {
  readonly #sequence: LlamaContextSequence;
  readonly #choice: Choice;
  readonly #tokens: Token[];
  readonly #now: () => number;

  constructor(sequence: LlamaContextSequence, prompt: readonly Token[], choice: Choice, now: () => number) {
    this.#sequence = sequence;
    this.#tokens = [...prompt];
    this.#choice = choice;
    this.#now = now;
  }

  /** One token, and up to `most` more that the drafter foresaw rightly. */
  async next(drafter: Drafter | null, subject: string, most: number): Promise<Token[]> {
    const began = this.#now();
    const asked = drafter?.pace.wantsDraft && most > 0 ? drafter : null;
    const foreseen = (await asked?.foresee(subject, this.#tokens, most)) ?? [];
    const unread = this.#tokens.slice(this.#sequence.nextTokenIndex);
    const last = unread.pop();
    if (last === undefined) throw new Error('nothing left to evaluate');
    const places = [last, ...foreseen].map((token, at) => this.#place(token, this.#tokens.length + at));
    const results = await this.#sequence.controlledEvaluate([...unread, ...places]);
    const chosen = results.slice(unread.length).map((result) => {
      const token = result?.next.token;
      if (token === undefined || token === null) throw new Error('the engine stopped sampling');
      return token;
    });
    const right = chosen.findIndex((token, at) => token !== foreseen[at]);
    const taken = chosen.slice(0, right + 1);
    this.#tokens.push(...taken);
    if (right < foreseen.length) await keepBeginning(this.#sequence, this.#tokens.slice(0, -1));
    const draft = asked === null ? null : { foreseen: foreseen.length, right };
    const isTypical = unread.length === 0 && !(asked?.wasBehind ?? false);
    drafter?.pace.told(taken.length, this.#now() - began, draft, isTypical);
    return taken;
  }

  #place(token: Token, position: number): ControlledEvaluateInputItem {
    const options = { ...this.#choice, seed: seedAt(this.#choice.seed, position) };
    return [token, { generateNext: { token: true, options } }];
  }
}

/** Well mixed, so that neighbouring places have nothing in common. */
function seedAt(seed: number, position: number): number {
  let mixed = (seed ^ Math.imul(position, 0x9e3779b1)) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return seedOf((mixed ^ (mixed >>> 16)) >>> 0);
}
