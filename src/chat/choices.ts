import type { Commitment } from '#audit/commitment.ts';
import { answerText } from '#audit/transcript.shared.ts';
import type { GenerationDelta, Usage } from '#engine/engine.ts';
import type { Report } from '#kernel/gate.ts';
import type { CreditShare } from '#quota/credit-shares.ts';
import type { Completion } from './completion.ts';

/** One of several answers and what its tokens are paid from. */
export interface Choice {
  readonly completion: Completion;
  readonly credit: Pick<CreditShare, 'close'>;
}

/** What one of the answers has to say; `delta` null: it has ended. */
export interface ChoicePiece {
  readonly index: number;
  readonly delta: GenerationDelta | null;
}

/**
 * Several answers to one request (`n`), made side by side as far as the model has places, else one after another. They
 * are one request on the record: their tokens are added up, and their texts are committed to together.
 */
export class Choices {
  readonly #choices: readonly Choice[];
  readonly #places: number;
  readonly #commitment: Commitment;
  /** Those whose prompt was taken before the answer's first byte. */
  #begun = 0;

  /** `places`: how many may run at once. */
  constructor(choices: readonly Choice[], places: number, commitment: Commitment) {
    this.#commitment = commitment;
    this.#choices = choices;
    this.#places = Math.max(1, Math.min(places, choices.length));
  }

  /** Waits until the model has taken the prompt of each that can run now. @throws Problem as one of them does */
  async begin(): Promise<void> {
    const first = this.#choices.slice(0, this.#places);
    this.#begun = first.length;
    const begun = await Promise.allSettled(first.map(({ completion }) => completion.begin()));
    const failure = begun.find((one) => one.status === 'rejected');
    if (failure === undefined) return;
    await this.#leave();
    throw failure.reason;
  }

  /** Makes them. What they say goes to `out` as it comes. @throws as one of them does, and what `out` throws */
  async make(out: (piece: ChoicePiece) => void | Promise<void>): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      for (let index = next++; index < this.#choices.length; index = next++) {
        const { completion, credit } = this.#choices[index] as Choice;
        if (index >= this.#begun) await completion.begin();
        await completion.make((delta) => out({ index, delta }));
        credit.close();
        await out({ index, delta: null });
      }
    };
    try {
      await Promise.all(Array.from({ length: this.#places }, work));
    } finally {
      await this.#leave();
    }
  }

  /** Ends what still runs. */
  async #leave(): Promise<void> {
    await Promise.all(this.#choices.map(({ completion }) => completion.leave()));
  }

  get completions(): readonly Completion[] {
    return this.#choices.map(({ completion }) => completion);
  }

  get usage(): Usage {
    return this.#choices
      .map(({ completion }) => completion.usage)
      .reduce((all, one) => ({
        promptTokens: all.promptTokens + one.promptTokens,
        completionTokens: all.completionTokens + one.completionTokens,
        cachedTokens: all.cachedTokens + one.cachedTokens,
        ...reasoningOf(all, one),
      }));
  }

  /** Where a quota ended one of them. */
  get stoppedBy(): Completion['stoppedBy'] {
    return this.#choices.map(({ completion }) => completion.stoppedBy).find((one) => 'stopped_by' in one) ?? {};
  }

  report(): Report {
    const reports = this.#choices.map(({ completion }) => completion.report());
    const [first] = reports as [Report];
    const { promptTokens, completionTokens, cachedTokens } = this.usage;
    const answers = this.#choices.map(({ completion }) => completion.answer);
    const calls = answers.reduce((sum, answer) => sum + answer.tool_calls.length, 0);
    const servers = new Set(reports.flatMap(({ facts }) => facts['answered_by'] ?? []));
    const thought = answers.reduce((sum, { reasoning_content: one = '' }) => sum + Buffer.byteLength(one), 0);
    const reasons = reports.map(({ facts }) => facts['finish_reason'] ?? null);
    return {
      ran: reports.some(({ ran }) => ran),
      tokens: promptTokens + completionTokens,
      facts: {
        ...first.facts,
        choices: this.#choices.length,
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        cached_tokens: cachedTokens,
        finish_reason: reasons.includes(null) ? null : (reasons.find((one) => one !== 'stop') ?? 'stop'),
        // Each of them may have been answered by another one.
        ...(servers.size > 1 ? { answered_by: [...servers].join(', ') } : {}),
        ...(calls === 0 ? {} : { tool_calls: calls }),
        ...(thought === 0 ? {} : { reasoning_bytes: thought }),
        answer_commitment: this.#commitment.to(answerText(answers)),
      },
      opening: first.opening,
    };
  }
}

/** Of several answers; one that was broken off does not say. */
function reasoningOf(all: Usage, one: Usage): Pick<Usage, 'reasoningTokens'> {
  if (all.reasoningTokens === undefined && one.reasoningTokens === undefined) return {};
  return { reasoningTokens: (all.reasoningTokens ?? 0) + (one.reasoningTokens ?? 0) };
}
