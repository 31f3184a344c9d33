import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LlamaEmbeddingContext, LlamaModel, Token, Tokenizer } from 'node-llama-cpp';
import type { ChildMessage, EmbedMessage, GenerateMessage, LoadMessage } from '#engine/llama/protocol.contract.ts';
import { Refusal } from '#engine/refusal.ts';
import { vectorText } from '#engine/vector-text.ts';
import { tokenizerOf } from './tokenizer.llama.ts';

export interface EmbedderOptions {
  readonly context: Pick<LlamaEmbeddingContext, 'calculateInputLength' | 'getEmbeddingFor'>;
  readonly model: { readonly tokenize: Tokenizer };
  /** Tokens of one text, what the model puts around it included. */
  readonly contextSize: number;
  readonly send: (message: ChildMessage) => void;
  /** For our own diagnosis only. */
  readonly report: (error: unknown) => void;
}

/** One request: its texts as tokens, and how far it is. */
interface Work {
  readonly id: number;
  readonly subject: string;
  readonly texts: readonly Token[][];
  readonly tokens: number;
  credit: number;
  next: number;
  cancelled: boolean;
}

/**
 * An embedding context on a model that was just loaded. A text is computed in one batch: pooling over several would be
 * wrong, and models that look both ways have to see all of it. Where the file is on trial, one text shows what is wrong.
 */
export async function openEmbedder(
  model: LlamaModel,
  { contextSize, threads, probe }: LoadMessage,
  deps: Pick<EmbedderOptions, 'send' | 'report'>,
): Promise<Embedder> {
  const context = await model.createEmbeddingContext({ contextSize, batchSize: contextSize, threads });
  if (probe) await context.getEmbeddingFor(model.tokenize('x', false));
  return new Embedder({ context, model: { tokenize: tokenizerOf(model) }, contextSize, ...deps });
}

/** Of so many users it is remembered when they last had their turn. */
const USERS_KEPT = 256;

/**
 * Turns texts into vectors, one at a time: the library's context holds a single sequence, and erases it before each text.
 * Users take turns after every text, and a user's requests among themselves, so that neither a list of hundreds nor
 * several of them hold anybody up for longer than a text takes.
 */
export class Embedder {
  readonly #options: EmbedderOptions;
  readonly #works: Work[] = [];
  /** When each user last had his turn; also of those who come again, so that many short requests are no way to the front. */
  readonly #turns = new Map<string, number>();
  #turn = 0;
  #running = false;
  /** Set while nobody may go on. */
  #wake: (() => void) | null = null;
  /** Texts done. */
  steps = 0;

  constructor(options: EmbedderOptions) {
    this.#options = options;
  }

  /** @throws Refusal for a text that does not fit, before anything was computed */
  readonly add = (message: GenerateMessage | EmbedMessage): void => {
    if (message.t !== 'embed') throw new Refusal('invalid_parameter', 'This model makes vectors and does not answer.');
    const { id, subject, inputs, credit } = message;
    const { model, context, contextSize, send } = this.#options;
    const texts = inputs.map((text) => model.tokenize(text, false));
    const lengths = texts.map((tokens) => context.calculateInputLength(tokens));
    const tooLong = lengths.findIndex((length) => length >= contextSize);
    if (tooLong >= 0) {
      throw new Refusal(
        'context_length_exceeded',
        `Input ${tooLong} has ${lengths[tooLong]} tokens; this model takes ${contextSize - 1} at a time.`,
      );
    }
    if (lengths.some((length) => length === 0)) throw new Refusal('invalid_parameter', 'An input has no tokens.');
    const tokens = lengths.reduce((sum, length) => sum + length, 0);
    // Behind everybody who waits, and before him whose text is in work.
    if (!this.#turns.has(subject)) this.#turns.set(subject, this.#turn - 0.5);
    this.#works.push({ id, subject, texts, tokens, credit, next: 0, cancelled: false });
    send({ t: 'started', id, promptTokens: tokens, longest: Math.max(...lengths) });
    this.#wake?.();
    if (this.#running) return;
    this.#running = true;
    this.#run().catch((error: unknown) => {
      // The state is unknown: the parent must start anew.
      this.#options.report(error);
      process.exit(70);
    });
  };

  readonly cancel = (id: number): void => {
    const work = this.#works.find((one) => one.id === id);
    if (work) work.cancelled = true;
    this.#wake?.();
  };

  /** So many tokens of it are paid for. */
  readonly extend = (id: number, total: number): void => {
    const work = this.#works.find((one) => one.id === id);
    if (work) work.credit = total;
    this.#wake?.();
  };

  async #run(): Promise<void> {
    while (this.#works.length > 0) {
      const work = this.#next();
      if (work === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
        continue;
      }
      if (!work.cancelled) this.#hadTurn(work.subject);
      // It stays in the list while it is computed: it can be cancelled there.
      const end = await this.#step(work);
      this.#works.splice(this.#works.indexOf(work), 1);
      if (end === null) this.#works.push(work);
      else this.#options.send(end);
      // Lets messages in: cancellations, newcomers, credit.
      await nextTurn();
    }
    this.#running = false;
  }

  readonly #turnOf = ({ subject }: Work): number => this.#turns.get(subject) ?? 0;

  /** Whoever has hung up leaves at once; else the oldest request of him who has waited longest. */
  #next(): Work | undefined {
    const cancelled = this.#works.find((work) => work.cancelled);
    if (cancelled !== undefined) return cancelled;
    const paid = this.#works.filter(({ credit, tokens }) => credit >= tokens);
    const longest = Math.min(...paid.map(this.#turnOf));
    return paid.find((work) => this.#turnOf(work) === longest);
  }

  #hadTurn(subject: string): void {
    this.#turns.delete(subject);
    this.#turns.set(subject, ++this.#turn);
    for (const known of this.#turns.keys()) {
      if (this.#turns.size <= USERS_KEPT) break;
      if (!this.#works.some((work) => work.subject === known)) this.#turns.delete(known);
    }
  }

  /** @returns the message that ends it, or null while texts are left */
  async #step(work: Work): Promise<ChildMessage | null> {
    const { id, texts, tokens, next: index } = work;
    const text = texts[index];
    if (work.cancelled) return { t: 'cancelled', id };
    if (text === undefined) {
      const usage = { promptTokens: tokens, completionTokens: 0, cachedTokens: 0 };
      return { t: 'finished', id, reason: 'stop', usage };
    }
    try {
      const { vector } = await this.#options.context.getEmbeddingFor(text);
      this.#options.send({ t: 'vector', id, index, values: vectorText(vector) });
    } catch (error) {
      this.#options.report(error);
      const message = 'The engine could not turn this text into a vector.';
      return { t: 'failed', id, code: 'engine_failed', param: 'input', message };
    }
    work.next++;
    this.steps++;
    return null;
  }
}
