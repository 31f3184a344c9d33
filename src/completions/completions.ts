import type { GenerationRequest, ModelStatus, TokenCredit } from '#engine/engine.ts';
import type { ModelAsk, ModelGrant, Reserve } from '#kernel/gate.ts';
import { SLICE_TOKENS } from '#quota/reservation.ts';

/** The body of POST /v1/completions after its schema. */
export interface CompletionBody {
  readonly model: string;
  readonly prompt: string | readonly string[];
  readonly stream?: boolean | null | undefined;
  readonly max_tokens?: number | null | undefined;
  readonly temperature?: number | null | undefined;
  readonly top_p?: number | null | undefined;
  readonly stop?: string | readonly string[] | null | undefined;
  readonly seed?: number | null | undefined;
  readonly n?: number | null | undefined;
  readonly logprobs?: number | null | undefined;
}

/** OpenAI's, where the caller says nothing. */
const MAX_TOKENS = 16;
const BYTES_PER_TOKEN = 4;
const AROUND_TOKENS = 8;

/** The prompt of each choice: every one of them as often as `n` says. */
const promptsOf = ({ prompt, n }: CompletionBody): readonly string[] =>
  (typeof prompt === 'string' ? [prompt] : prompt).flatMap((one) => new Array<string>(n ?? 1).fill(one));

/** What the body asks of its model, for policy to bound. */
export const askOf = (
  body: CompletionBody,
  defaults: { readonly temperature: number; readonly top_p: number } | undefined,
): ModelAsk => ({
  temperature: body.temperature ?? undefined,
  top_p: body.top_p ?? undefined,
  max_tokens: body.max_tokens ?? undefined,
  defaults: { ...defaults, max_tokens: MAX_TOKENS },
});

type CountedBy = Pick<ModelStatus, 'engine' | 'contextSize'>;

/** Another server's tokenizer is not ours: its prompt is taken for as long as it can be, a token for each byte. */
const promptEstimate = (prompt: string, model: CountedBy | undefined): number =>
  AROUND_TOKENS + Math.ceil(Buffer.byteLength(prompt) / (model?.engine === 'upstream' ? 1 : BYTES_PER_TOKEN));

/**
 * As a conversation has it, for each choice: its prompt's estimate, and the first slice of its answer. One token of an answer is
 * enough to begin. What another server answers at once can't be stopped on its way, and is reserved whole.
 */
export function tokensToReserve(body: CompletionBody, grant: ModelGrant | null, model: CountedBy | undefined): Reserve {
  const prompts = promptsOf(body);
  const longest = Math.min(grant?.max_tokens ?? MAX_TOKENS, model?.contextSize ?? Number.POSITIVE_INFINITY);
  const one = model?.engine === 'upstream' && body.stream !== true ? longest : Math.min(SLICE_TOKENS, longest);
  const prompt = prompts.reduce((sum, text) => sum + promptEstimate(text, model), 0);
  return { tokens: prompt + prompts.length * one, least: prompt + Math.min(1, one) };
}

/** What was reserved, dealt out: to each choice its prompt's estimate, and of the rest the same to each. */
export function shareOut(tokens: number, body: CompletionBody, model: CountedBy | undefined): number[] {
  const estimates = promptsOf(body).map((prompt) => promptEstimate(prompt, model));
  const rest = Math.max(0, tokens - estimates.reduce((sum, one) => sum + one, 0));
  let left = tokens;
  return estimates.map((estimate, index) => {
    const share = Math.min(
      left,
      estimate + Math.floor(rest / estimates.length) + (index < rest % estimates.length ? 1 : 0),
    );
    left -= share;
    return share;
  });
}

/** What each choice of a request is made of, but for what its tokens are paid from. */
export function generationRequests(
  body: CompletionBody,
  grant: ModelGrant | null,
  about: Pick<GenerationRequest, 'requestId' | 'subject' | 'priority' | 'cacheSalt'>,
  credits: readonly TokenCredit[],
): GenerationRequest[] {
  const { temperature, top_p: topP, max_tokens: maxTokens } = grant ?? {};
  const stop = typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []);
  return promptsOf(body).flatMap((prompt, index) => {
    const credit = credits[index];
    if (credit === undefined) return [];
    return {
      ...about,
      model: body.model,
      messages: [],
      prompt,
      responseFormat: { type: 'text' },
      stream: body.stream === true,
      credit,
      maxTokens: maxTokens ?? MAX_TOKENS,
      ...(temperature === undefined ? {} : { temperature }),
      ...(topP === undefined ? {} : { topP }),
      // The same seed would say the same to the same prompt.
      ...(body.seed == null ? {} : { seed: (body.seed + (index % (body.n ?? 1))) % 2 ** 32 }),
      ...(body.logprobs == null ? {} : { topLogprobs: body.logprobs }),
      ...(stop.length === 0 ? {} : { stop }),
    };
  });
}
