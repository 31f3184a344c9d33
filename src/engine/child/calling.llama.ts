import { randomUUID } from 'node:crypto';
import type { LlamaModel, Token } from 'node-llama-cpp';
import type { FunctionTool } from '#engine/engine.ts';
import { callGrammar } from '#engine/grammar/call-grammar.ts';
import { isText, parametersOf } from '#engine/grammar/call-parameters.ts';
import { type CallPiece, CallReader } from '#engine/grammar/call-reader.ts';
import { fitsSchema } from '#engine/grammar/schema-check.vm.ts';
import type { GenerateMessage } from '#engine/llama/protocol.contract.ts';
import { Refusal } from '#engine/refusal.ts';
import { Problem } from '#kernel/problem.ts';
import type { PromptRenderer } from './prompt.llama.ts';
import { StopFilter } from './text-stream.ts';

const newCallId = (): string => `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`;

/** What one answer may call: the grammar that holds it to that, and what its tokens turn out to be. */
export class Calling {
  /** GBNF of the whole answer. */
  readonly grammar: string;
  readonly #reader: CallReader;
  readonly #functions: readonly FunctionTool[];
  readonly #made: { name: string; values: string }[] = [];
  /** Stop texts are looked for in the text of an answer, not in its calls. */
  readonly #filter: StopFilter;
  /** Control tokens with which this template writes calls: they are read like text. */
  readonly #marks: ReadonlySet<number>;

  /** @throws Refusal */
  constructor(
    { format, ...use }: NonNullable<GenerateMessage['tools']>,
    stop: readonly string[],
    { model, prompts }: { readonly model: LlamaModel; readonly prompts: PromptRenderer },
  ) {
    const { syntax } = prompts.tools;
    try {
      this.grammar = callGrammar(syntax, use, format);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      throw new Refusal('invalid_parameter', error.message, error.detail.param);
    }
    this.#functions = use.functions;
    const toolOf = (name: string) => use.functions.find((one) => one.name === name);
    this.#reader = new CallReader(syntax, newCallId, (name, key) => isText(toolOf(name), key));
    this.#filter = new StopFilter(stop);
    const { opening, middle, between, closing, parameters } = syntax;
    const written = [opening, middle, between ?? '', closing, ...Object.values(parameters ?? {})].join(' ');
    this.#marks = new Set(model.tokenize(written, true).filter((token) => model.isSpecialToken(token)));
  }

  /** Whether tokens are to be read with what control tokens spell. */
  shows(tokens: readonly number[]): boolean {
    return this.#marks.size > 0 && tokens.some((token) => this.#marks.has(token as Token));
  }

  get hasCalled(): boolean {
    return this.#reader.calls > 0;
  }

  get isText(): boolean {
    return this.#reader.isText;
  }

  /** @throws Error for calls that are not written as the template writes them */
  read(piece: string): { readonly text: string; readonly stopped: boolean; readonly calls: readonly CallPiece[] } {
    const { text, calls } = this.#reader.push(piece);
    for (const { index, name = '', arguments: part } of calls) {
      this.#made[index] ??= { name, values: '' };
      this.#made[index].values += part;
    }
    return { ...this.#filter.push(text), calls };
  }

  /** Whether what was called fits the schemas of what may be called. */
  get isSound(): boolean {
    return this.#made.every(({ name, values }) => {
      const tool = this.#functions.find((one) => one.name === name);
      return tool !== undefined && fitsSchema(values, parametersOf(tool));
    });
  }

  /** What was held back and is text after all. */
  end(): { readonly text: string; readonly stopped: boolean } {
    const last = this.#filter.push(this.#reader.end());
    return last.stopped ? last : { text: last.text + this.#filter.flush(), stopped: false };
  }
}
