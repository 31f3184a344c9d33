import { z } from 'zod';

/** Prompts of one request: each is a choice of its own, and all are one admission. */
const MOST_PROMPTS = 64;

const Text = z.string('a prompt is text; prompts of token ids are not taken here').min(1, 'a prompt must not be empty');

/** The member is known and not served: a value that asks for something is refused by its name, never passed over. */
const unserved = <T extends string | number | boolean | null>(neutral: T, message: string) =>
  z.literal(neutral, message).nullish();

/** POST /v1/completions: OpenAI's names, limits and defaults (`max_tokens` is 16 where nothing is said). */
export const CompletionRequest = z.object({
  model: z.string().min(1).max(64),
  prompt: z.union([Text, z.array(Text).min(1).max(MOST_PROMPTS, `at most ${MOST_PROMPTS} prompts`)]),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
  max_tokens: z.number().int().min(1).max(2_147_483_647).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  stop: z.union([z.string().min(1).max(256), z.array(z.string().min(1).max(256)).max(4)]).nullish(),
  seed: z.number().int().min(0).max(4_294_967_295).nullish(),
  /** vLLM's: keeps cached prefixes apart for a caller who speaks for several people. */
  cache_salt: z.string().min(1).max(256).nullish(),
  n: unserved(1, 'this gateway answers each prompt with one choice: n must be 1'),
  best_of: unserved(1, 'this gateway makes one answer and shows it: best_of must be 1'),
  echo: unserved(false, 'the prompt is not sent back: echo must be false'),
  suffix: unserved('', 'models here go on from a prompt; none fills in before a suffix'),
  logprobs: unserved(null, 'no probabilities are sent for completions of a prompt'),
  frequency_penalty: unserved(0, 'penalties are not served: frequency_penalty must be 0'),
  presence_penalty: unserved(0, 'penalties are not served: presence_penalty must be 0'),
  logit_bias: z
    .record(z.string(), z.number())
    .refine((bias) => Object.keys(bias).length === 0, 'logit_bias is not served here')
    .nullish(),
});
export type CompletionRequest = z.infer<typeof CompletionRequest>;

const Usage = z.object({
  prompt_tokens: z.number().int(),
  completion_tokens: z.number().int(),
  total_tokens: z.number().int(),
  prompt_tokens_details: z.object({ cached_tokens: z.number().int() }),
});

/** A whole answer, and each event of a stream: there `finish_reason` is null but in a choice's last one. */
export const TextCompletion = z.object({
  id: z.string(),
  object: z.literal('text_completion'),
  created: z.number().int(),
  model: z.string(),
  /** In the order of the prompts; in a stream whichever comes. */
  choices: z.array(
    z.object({
      text: z.string(),
      index: z.number().int(),
      logprobs: z.null(),
      finish_reason: z.enum(['stop', 'length']).nullable(),
    }),
  ),
  usage: Usage.nullish(),
  /** Beside `finish_reason: "length"` where a quota was used up: which one. */
  stopped_by: z.object({ quota: z.string(), scope: z.string() }).optional(),
});
export type TextCompletion = z.infer<typeof TextCompletion>;
