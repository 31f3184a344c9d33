import type { ToolUse } from '#engine/engine.ts';
import { parametersOf } from '#engine/grammar/call-parameters.ts';
import type { CallPiece } from '#engine/grammar/call-reader.ts';
import type { SchemaJudge } from '#engine/grammar/schema-judge.vm.ts';
import { isObjectText } from '#kernel/object-text.ts';
import { UpstreamError } from './answer.upstream.ts';
import { readCalls } from './completion.contract.ts';

/** Holds the calls of another server's answer against what was asked for. A server that did not keep to it has failed. */
export class CallCheck {
  readonly #use: ToolUse;
  readonly #calls: { id: string; name: string; arguments: string }[] = [];

  constructor(use: ToolUse) {
    this.#use = use;
  }

  get hasCalled(): boolean {
    return this.#calls.length > 0;
  }

  /** @throws UpstreamError for what is no call, or none that may be made */
  take(value: unknown): CallPiece[] {
    if (value === undefined || value === null) return [];
    const pieces = readCalls(value);
    if (pieces === null) throw new UpstreamError('malformed call');
    return pieces.map((piece) => this.#accept(piece));
  }

  #accept({ index, id, name, arguments: part }: CallPiece): CallPiece {
    const known = this.#calls[index];
    if (known !== undefined) {
      known.arguments += part;
      return { index, arguments: part };
    }
    const { functions, choice, parallel } = this.#use;
    const may = typeof choice === 'object' ? name === choice.name : functions.some((one) => one.name === name);
    if (choice === 'none' || !may) throw new UpstreamError('called what it may not call');
    if (id === undefined || name === undefined || index !== this.#calls.length)
      throw new UpstreamError('malformed call');
    if (index > 0 && !parallel) throw new UpstreamError('made several calls');
    this.#calls.push({ id, name, arguments: part });
    return { index, id, name, arguments: part };
  }

  /** The answer is complete. @throws UpstreamError where a call is missing, or its arguments are not what its schema asks for */
  async end(fits: SchemaJudge['fits']): Promise<void> {
    const { choice, functions } = this.#use;
    if (this.#calls.length === 0 && choice !== 'auto' && choice !== 'none') throw unfit('made no call', 'no call');
    for (const { name, arguments: values } of this.#calls) {
      const tool = functions.find((one) => one.name === name);
      if (tool === undefined || !isObjectText(values) || !(await fits(values, parametersOf(tool))))
        throw unfit('arguments of a call do not fit its schema', 'a call whose arguments do not fit its schema');
    }
  }
}

/** Nothing is wrong with the way there: a caller whose schema the server can't keep to has to hear that it was that. */
export const unfit = (message: string, made: string): UpstreamError =>
  new UpstreamError(message, { told: `The model server made ${made}, so that it is not passed on. Try again.` });

/** Bytes of what pieces of calls say; at least one, for what a name costs. */
export const wordsOf = (calls: readonly CallPiece[]): number =>
  calls.reduce((sum, { name = '', arguments: part }) => sum + Math.max(1, Buffer.byteLength(name + part)), 0);
