import { z } from 'zod';

const Finite = z.number();
const Name = z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,63}$/, 'letters, digits and _, beginning with a letter');
const FEATURES = 512;

const common = {
  schema: z.literal('score-model/1'),
  id: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'lower-case letters, digits and -'),
  version: z.number().int().min(1).max(1_000_000),
  title: z.string().min(1).max(120),
  features: z
    .array(
      z.strictObject({
        name: Name,
        mean: Finite,
        scale: Finite.positive(),
        clip: z.tuple([Finite, Finite]),
      }),
    )
    .min(1)
    .max(FEATURES),
  weights: z.array(Finite).min(1).max(FEATURES),
  bias: Finite,
  decimals: z.number().int().min(0).max(4).describe('Digits of a score; more would tell about the key (CPA-D).'),
  /** Where it comes from, in a sentence or two: data, date, who answers for it. */
  provenance: z.string().min(1).max(2000),
  /** Raw features and the score that they must give, after the link, unrounded. */
  testVectors: z
    .array(z.strictObject({ x: z.array(Finite).min(1).max(FEATURES), score: Finite }))
    .min(1)
    .max(64),
};

/** A model that scores encrypted customers, as an admin installs it. Data only: nothing in it is executed. */
export const ScoreModel = z.discriminatedUnion('kind', [
  z.strictObject({ ...common, kind: z.literal('linear'), params: z.literal('lin-4096/1'), link: z.literal('none') }),
  z.strictObject({ ...common, kind: z.literal('logistic'), params: z.literal('lin-4096/1'), link: z.literal('logit') }),
  z.strictObject({
    ...common,
    kind: z.literal('mlp-square'),
    params: z.literal('quad-8192/1'),
    link: z.enum(['none', 'logit']),
    /** weights[j] * (hidden.weights[j] . x + hidden.biases[j])^2, summed. */
    hidden: z.strictObject({
      weights: z.array(z.array(Finite).min(1).max(FEATURES)).min(1).max(64),
      biases: z.array(Finite).min(1).max(64),
    }),
  }),
  z.strictObject({
    ...common,
    kind: z.literal('logistic-poly'),
    params: z.literal('std-8192/1'),
    link: z.literal('none'),
    /** In place of the sigmoid: c0 + c1 z + c3 z^3, for z between -interval and interval. */
    polynomial: z.strictObject({ c0: Finite, c1: Finite, c3: Finite, interval: Finite.positive() }),
  }),
]);
export type ScoreModel = z.infer<typeof ScoreModel>;
