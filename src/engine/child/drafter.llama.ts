import type { Llama, LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp';
import { checkDraft, DraftFault } from '#engine/gguf/gguf-draft.ts';
import { checkGguf, type GgufFacts } from '#engine/gguf/gguf-header.ts';
import type { LoadMessage } from '#engine/llama/protocol.contract.ts';
import { DraftPace } from './draft-pace.ts';
import type { VerifiedFile } from './model-file.llama.ts';
import { isRewindable, keepBeginning, REMEMBERING } from './sequence-state.llama.ts';

/** Prompt tokens that the draft model takes in between two tokens of an answer. */
const CHUNK = 256;

/** A small model that foresees what the large one will say; for one conversation at a time. */
export class Drafter {
  readonly #model: LlamaModel;
  readonly #sequence: LlamaContextSequence;
  readonly #most: number;
  /** Whose conversation its state holds. */
  #subject: string | null = null;
  readonly pace = new DraftPace();
  /** The last time it had more to read than what a step yields. */
  wasBehind = false;

  /** @param most tokens that it foresees at once */
  constructor(model: LlamaModel, sequence: LlamaContextSequence, most: number) {
    this.#model = model;
    this.#sequence = sequence;
    this.#most = most;
  }

  /**
   * The likeliest next tokens, `most` at most; none while it has not read all that was said. Its state is one user's, as
   * the large model's: another user's is wiped, and what is computed for him does not depend on it.
   */
  async foresee(subject: string, tokens: readonly Token[], most: number): Promise<Token[]> {
    const wanted = Math.min(most, this.#most, this.#sequence.contextSize - tokens.length - 1);
    if (wanted <= 0) return [];
    if (this.#subject !== subject) await this.#sequence.clearHistory();
    this.#subject = subject;
    await keepBeginning(this.#sequence, tokens.slice(0, -1));
    const unread = tokens.slice(this.#sequence.nextTokenIndex);
    this.wasBehind = unread.length > this.#most + 1;
    if (unread.length > CHUNK) {
      await this.#sequence.evaluateWithoutGeneratingNewTokens(unread.slice(0, CHUNK));
      return [];
    }
    const foreseen: Token[] = [];
    const sampled = this.#sequence.evaluate(unread, { temperature: 0, topK: 0, yieldEogToken: true });
    for await (const token of sampled) {
      foreseen.push(token);
      if (foreseen.length >= wanted || this.#model.isEogToken(token)) break;
    }
    return foreseen;
  }
}

/**
 * Checks a draft model against the large one, loads it and gives it a context. What was foreseen wrongly must be taken back, in
 * either model's state: where it can't, each such token would cost the whole conversation.
 *
 * @throws GgufFault, DraftFault
 */
export async function openDrafter(
  llama: Llama,
  { draft, probe, contextSize, threads, gpuLayers }: LoadMessage,
  file: VerifiedFile,
  large: GgufFacts,
  answering: LlamaContextSequence,
): Promise<Drafter | null> {
  if (draft === null) return null;
  checkDraft(await checkGguf(file.readAt, file.size), large);
  if (!isRewindable(answering)) throw new DraftFault('the state of this model can not be taken back');
  const model = await llama.loadModel({
    modelPath: draft.file,
    checkTensors: probe,
    gpuLayers: gpuLayers === null ? 'auto' : gpuLayers > 0 ? 'max' : 0,
  });
  const context = await model.createContext({
    sequences: 1,
    contextSize: Math.min(contextSize, model.trainContextSize),
    batchSize: CHUNK,
    threads,
    failedCreationRemedy: false,
  });
  const sequence = context.getSequence(REMEMBERING);
  if (!isRewindable(sequence)) throw new DraftFault('the state of the draft model can not be taken back');
  const drafter = new Drafter(model, sequence, draft.tokens);
  // What is wrong with its weights shows here or never.
  if (probe) await drafter.foresee('', [model.tokens.bos ?? model.tokenize('x')[0]].filter(isToken), 1);
  return drafter;
}

const isToken = (token: Token | null | undefined): token is Token => token != null;
