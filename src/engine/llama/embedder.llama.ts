import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LlamaEmbeddingContext, LlamaModel, Token } from 'node-llama-cpp';
import { Refusal } from '#engine/refusal.ts';
import { vectorText } from '#engine/vector-text.ts';
import type { ChildMessage, EmbedMessage, GenerateMessage, LoadMessage } from './protocol.contract.ts';

export interface EmbedderOptions {
  readonly context: Pick<LlamaEmbeddingContext, 'calculateInputLength' | 'getEmbeddingFor'>;
  readonly model: Pick<LlamaModel, 'tokenize'>;
  /** Tokens of one text, what the model puts around it included. */
  readonly contextSize: number;
  readonly send: (message: ChildMessage) => void;
  /** For our own diagnosis only. */
  readonly report: (error: unknown) => void;
}

/** One request: its texts as tokens, and how far it is. */
interface Work {
  readonly id: number;
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
  return new Embedder({ context, model, contextSize, ...deps });
}

/**
 * Turns texts into vectors, one at a time: the library's context holds a single sequence, and erases it before each text.
 * Requests take turns after every text, so that a list of hundreds holds nobody up.
 */
export class Embedder {
  readonly #options: EmbedderOptions;
  readonly #works: Work[] = [];
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
    const { id, inputs, credit } = message;
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
    this.#works.push({ id, texts, tokens, credit, next: 0, cancelled: false });
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
      const work = this.#works.find(({ cancelled, credit, tokens }) => cancelled || credit >= tokens);
      if (work === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
        continue;
      }
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
