import {
  type LlamaGrammar,
  LlamaGrammarEvaluationState,
  type LlamaModel,
  type SequenceEvaluateOptions,
  type Token,
  TokenBias,
} from 'node-llama-cpp';
import type { GenerateMessage } from '#engine/llama/protocol.contract.ts';
import { Refusal } from '#engine/refusal.ts';
import type { Batches, Sampler } from './batch.llama.ts';
import type { SpentMemory } from './spent-memory.ts';

/** A bias of 100 leaves nothing else; logits of trained models stay far below. */
const CERTAIN = 10_000;

/** @throws Refusal for ids that are no tokens of this model, or whose likelihood the library does not let us change */
export function biasOf(request: GenerateMessage, model: LlamaModel): TokenBias | null {
  const asked = Object.entries(request.logitBias ?? {});
  if (asked.length === 0) return null;
  const size = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  const bias = TokenBias.for(model);
  for (const [id, value] of asked) {
    const token = Number(id) as Token;
    if (token >= size) throw refused(`this model has no token ${id}, its vocabulary has ${size}`);
    if (model.isEogToken(token)) throw refused(`token ${id} ends an answer, and can't be made more or less likely`);
    bias.set(token, value === -100 ? 'never' : { logit: value === 100 ? CERTAIN : value });
  }
  return bias;
}

const refused = (why: string) => new Refusal('invalid_parameter', `logit_bias: ${why}.`, 'logit_bias');

/**
 * The library's default of 40 would be a setting that the caller did not ask for, and of its 0, which is as many as there are, it
 * makes a sampler that sorts the whole vocabulary for each token. Of null it makes none (3.22.1).
 */
const NO_LIMIT = null as unknown as number;

/** llama.cpp takes this seed for "any", and draws one; another one stands in for it, since the same seed is to say the same. */
const ANY_SEED = 0xffffffff;
const INSTEAD_OF_ANY = 0x9e3779b9;

/** The seed as llama.cpp is given it. */
export const seedOf = (seed: number): number => (seed === ANY_SEED ? INSTEAD_OF_ANY : seed);

/** How the library is to choose a token. @param sampled the answer so far, which penalties look at */
function choiceOf(
  { temperature, topP, seed, frequencyPenalty = 0, presencePenalty = 0 }: GenerateMessage,
  bias: TokenBias | null,
  sampled: readonly Token[],
  contextSize: number,
): SequenceEvaluateOptions {
  const isPenalised = frequencyPenalty !== 0 || presencePenalty !== 0;
  return {
    temperature,
    topP,
    topK: NO_LIMIT,
    seed: seedOf(seed),
    ...(bias === null ? {} : { tokenBias: bias }),
    ...(isPenalised
      ? {
          repeatPenalty: {
            punishTokens: () => sampled as Token[],
            maxPunishTokens: contextSize,
            penalty: 1,
            frequencyPenalty,
            presencePenalty,
          },
        }
      : {}),
  };
}

/** What choosing tokens needs beside the request. */
export interface ChoiceTools {
  readonly model: LlamaModel;
  readonly contextSize: number;
  /** Compiles a grammar, or takes it from a small cache. @throws Error for a grammar that llama.cpp refuses. */
  readonly grammar: (text: string) => Promise<LlamaGrammar>;
  readonly spent: SpentMemory;
  readonly batches: Pick<Batches, 'sampler' | 'weigh'>;
}

/** Chooses the tokens of one answer the way it was asked for. */
export class TokenChoice {
  readonly #request: GenerateMessage;
  readonly #tools: ChoiceTools;
  readonly #bias: TokenBias | null;
  /** The answer so far, where penalties look at it. */
  readonly #history: Token[] | null;
  #grammar: LlamaGrammarEvaluationState | null = null;
  #sampler: Sampler | null = null;

  /** @throws Refusal */
  constructor(request: GenerateMessage, tools: ChoiceTools) {
    this.#request = request;
    this.#tools = tools;
    this.#bias = biasOf(request, tools.model);
    this.#history = request.frequencyPenalty || request.presencePenalty ? [] : null;
  }

  /** No choice depends on what was chosen before. */
  get isByPlace(): boolean {
    return this.#history === null;
  }

  get options(): SequenceEvaluateOptions {
    const choice = choiceOf(this.#request, this.#bias, this.#history ?? [], this.#tools.contextSize);
    return this.#grammar === null ? choice : { ...choice, grammarEvaluationState: this.#grammar };
  }

  /** What chooses the first token, and follows the grammar from there. */
  async begin(grammar: string | null): Promise<Sampler> {
    const { model, spent, batches } = this.#tools;
    if (grammar !== null)
      this.#grammar = new LlamaGrammarEvaluationState({ model, grammar: await this.#tools.grammar(grammar) });
    spent.sampler();
    this.#sampler = batches.sampler();
    this.#sampler.use(this.options);
    return this.#sampler;
  }

  /** What chooses the next one; null before `begin`. */
  get sampler(): Sampler | null {
    if (this.#history !== null) this.#sampler?.use(this.options);
    return this.#sampler;
  }

  chosen(token: Token): void {
    this.#history?.push(token);
  }

  end(): void {
    this.#sampler?.free();
    this.#sampler = null;
  }
}
