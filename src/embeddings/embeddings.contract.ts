import { z } from 'zod';

/** Texts of one request. How long they are together, the largest body and the quota bound. */
const MOST_INPUTS = 256;

const Text = z.string('an input is text; inputs of token ids are not taken here').min(1, 'an input must not be empty');

/** POST /v1/embeddings: OpenAI's names and limits. Unknown members are ignored, as OpenAI does. */
export const EmbeddingsRequest = z.object({
  model: z.string().min(1).max(64),
  input: z.union([Text, z.array(Text).min(1).max(MOST_INPUTS, `at most ${MOST_INPUTS} inputs`)]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.literal(null, 'vectors are sent whole: dimensions is not served').optional(),
});
export type EmbeddingsRequest = z.infer<typeof EmbeddingsRequest>;

/** Vectors of length 1, in the order of the inputs. */
export const Embeddings = z.object({
  object: z.literal('list'),
  model: z.string(),
  data: z.array(
    z.object({
      object: z.literal('embedding'),
      index: z.number().int(),
      /** Numbers, or 32-bit floats, least byte first, in Base64. */
      embedding: z.union([z.array(z.number()), z.string()]),
    }),
  ),
  usage: z.object({ prompt_tokens: z.number().int(), total_tokens: z.number().int() }),
});
export type Embeddings = z.infer<typeof Embeddings>;
