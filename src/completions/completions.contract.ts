import { z } from 'zod';
import { ChatUsage } from '#chat/chat.contract.ts';

/** Prompts of one request, each as often as `n` says: each is a choice of its own, and all are one admission. */
const MOST_CHOICES = 64;

const Text = z.string('a prompt is text; prompts of token ids are not taken here').min(1, 'a prompt must not be empty');

/** The member is known and not served: a value that asks for something is refused by its name, never passed over. */
const unserved = <T extends string | number | boolean | null>(neutral: T, message: string) =>
  z.literal(neutral, message).nullish();

/** POST /v1/completions: OpenAI's names, limits and defaults (`max_tokens` is 16 where nothing is said). */
export const CompletionRequest = z
  .object({
    model: z.string().min(1).max(64),
    prompt: z.union([Text, z.array(Text).min(1).max(MOST_CHOICES, `at most ${MOST_CHOICES} prompts`)]),
    stream: z.boolean().nullish(),
    stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
    max_tokens: z.number().int().min(1).max(2_147_483_647).nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().gt(0).max(1).nullish(),
    stop: z.union([z.string().min(1).max(256), z.array(z.string().min(1).max(256)).max(4)]).nullish(),
    seed: z.number().int().min(0).max(4_294_967_295).nullish(),
    /** vLLM's: keeps cached prefixes apart for a caller who speaks for several people. */
    cache_salt: z.string().min(1).max(256).nullish(),
    /** Choices of each prompt; those of the first one come first. */
    n: z.number().int().min(1).max(8).nullish(),
    best_of: unserved(1, 'this gateway makes one answer and shows it: best_of must be 1'),
    echo: unserved(false, 'the prompt is not sent back: echo must be false'),
    suffix: unserved('', 'models here go on from a prompt; none fills in before a suffix'),
    /** Of how many alternatives to each token to tell; 0: of the token alone. */
    logprobs: z.number().int().min(0).max(5).nullish(),
    frequency_penalty: unserved(0, 'penalties are not served: frequency_penalty must be 0'),
    presence_penalty: unserved(0, 'penalties are not served: presence_penalty must be 0'),
    logit_bias: z
      .record(z.string(), z.number())
      .refine((bias) => Object.keys(bias).length === 0, 'logit_bias is not served here')
      .nullish(),
  })
  .refine(({ prompt, n }) => (Array.isArray(prompt) ? prompt.length : 1) * (n ?? 1) <= MOST_CHOICES, {
    path: ['n'],
    error: `at most ${MOST_CHOICES} choices in all: prompts times n`,
  });
export type CompletionRequest = z.infer<typeof CompletionRequest>;

/** OpenAI's older form; the chosen token is always among `top_logprobs`. Offsets count characters of the choice's text. */
const Logprobs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number()),
  top_logprobs: z.array(z.record(z.string(), z.number())),
  text_offset: z.array(z.number().int()),
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
      logprobs: Logprobs.nullable(),
      finish_reason: z.enum(['stop', 'length']).nullable(),
    }),
  ),
  usage: ChatUsage.nullish(),
  /** Beside `finish_reason: "length"` where a quota was used up: which one. */
  stopped_by: z.object({ quota: z.string(), scope: z.string() }).optional(),
});
export type TextCompletion = z.infer<typeof TextCompletion>;
