import type { TokenCredit, Usage } from '#engine/engine.ts';
import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { UpstreamError } from './answer.upstream.ts';
import type { UpstreamPiece } from './completion.contract.ts';
import { bytesBound, countOf, type ReportedUsage, tokensBound } from './upstream-count.ts';

/** A server that counts wrongly does so at every answer: told so often, counted always. */
const TOLD_EVERY_MS = 60_000;

/** What the answers of a model are found to be beside what their server says of them. */
export class AnswerTally {
  readonly #spec: UpstreamModelSpec;
  readonly #deps: { readonly log: Log; readonly clock: Clock };
  readonly #told = new Map<string, number>();
  miscounted = 0;
  misnamed = 0;

  constructor(spec: UpstreamModelSpec, deps: { readonly log: Log; readonly clock: Clock }) {
    this.#spec = spec;
    this.#deps = deps;
  }

  begin(asked: Asked): Tally {
    return new Tally(asked, this.#spec.model, {
      miscounted: (what) => {
        this.miscounted++;
        this.#warn(`a model server reports ${what} tokens that can't be; our own count stands`);
      },
      misnamed: () => {
        this.misnamed++;
        this.#warn('a model server answers as another model than was asked for');
      },
    });
  }

  #warn(message: string): void {
    const now = this.#deps.clock.monotonic();
    if (now - (this.#told.get(message) ?? Number.NEGATIVE_INFINITY) < TOLD_EVERY_MS) return;
    this.#told.set(message, now);
    this.#deps.log.warn(message, { model: this.#spec.id });
  }
}

interface Asked {
  /** Of the prompt. */
  readonly texts: readonly string[];
  /** The most tokens that the prompt can have; the longest answer in tokens. */
  readonly prompt: number;
  readonly asked: number;
  readonly mayCall: boolean;
}

interface Complaints {
  readonly miscounted: (what: string) => void;
  readonly misnamed: () => void;
}

/** One answer, counted while it comes. */
class Tally {
  readonly #asked: Asked;
  readonly #model: string;
  readonly #complaints: Complaints;
  #bytes = 0;
  #reported: ReportedUsage | null = null;
  #isNamed = false;
  /** The most tokens that it can have had so far. */
  sampled = 0;

  constructor(asked: Asked, model: string, complaints: Complaints) {
    this.#asked = asked;
    this.#model = model;
    this.#complaints = complaints;
  }

  /** What the server says that it has counted; the last time that it says so is the one. */
  reported(usage: ReportedUsage | null): void {
    this.#reported = usage ?? this.#reported;
  }

  /**
   * The most tokens that this piece stands for; null where nothing is said in it. `wordsOfCalls`: bytes of its calls.
   *
   * @throws UpstreamError for text that no answer of that length can have
   */
  take({ text, thought, usage, model }: UpstreamPiece, wordsOfCalls: number): number | null {
    this.reported(usage);
    if (!this.#isNamed && model !== null) {
      this.#isNamed = true;
      if (model !== this.#model) this.#complaints.misnamed();
    }
    const unseen = Buffer.byteLength(thought) + wordsOfCalls;
    if (text === '' && unseen === 0) return null;
    const { asked } = this.#asked;
    const bytes = unseen + (text === '' ? 0 : tokensBound(text));
    this.#bytes += bytes;
    if (this.#bytes > bytesBound(asked)) throw new UpstreamError('longer than was asked for');
    // It was told the longest answer, so that there are no more tokens than that, however many bytes.
    const tokens = Math.min(bytes, asked - this.sampled);
    this.sampled += tokens;
    return tokens;
  }

  /** Of an answer that ended here; of tokens of which nothing was seen, if they are paid for. @throws Problem */
  async usage(credit: Pick<TokenCredit, 'covers'>): Promise<Usage> {
    const own = { ...this.#asked, completion: this.sampled, bytes: this.#bytes };
    const { usage, disagrees } = countOf(this.#reported, own);
    if (disagrees !== null) this.#complaints.miscounted(disagrees);
    const { promptTokens, completionTokens } = usage;
    const isPaid = completionTokens <= this.sampled || (await credit.covers(promptTokens + completionTokens));
    return isPaid ? usage : { ...usage, completionTokens: this.sampled };
  }

  /** Of an answer whose last piece did not leave. */
  without(tokens: number): Usage {
    return { promptTokens: this.#asked.prompt, completionTokens: this.sampled - tokens, cachedTokens: 0 };
  }
}
