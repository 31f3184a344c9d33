import { type LlamaModel, type SequenceEvaluateOptions, type Token, TokenBias } from 'node-llama-cpp';
import { Refusal } from '#engine/refusal.ts';
import type { GenerateMessage } from './protocol.contract.ts';

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

/** How the library is to choose a token. @param sampled the answer so far, which penalties look at */
export function samplerOf(
  { temperature, topP, seed, frequencyPenalty = 0, presencePenalty = 0 }: GenerateMessage,
  bias: TokenBias | null,
  sampled: readonly Token[],
  contextSize: number,
): SequenceEvaluateOptions {
  const isPenalised = frequencyPenalty !== 0 || presencePenalty !== 0;
  return {
    temperature,
    topP,
    // 0: no limit. The library's default of 40 would be a setting that the caller did not ask for.
    topK: 0,
    seed,
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
