import { z } from 'zod';
import { ScoreModel } from './score-model.contract.ts';

export const ModelPath = z.object({ id: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/) });
export const KeyPath = z.object({ id: z.string().regex(/^[0-9a-f]{32}$/) });
export const ModelQuery = z.object({ model: ModelPath.shape.id });
export const ModeQuery = z.object({ mode: z.enum(['single', 'batch']) });

const Mode = z.enum(['single', 'batch']);

/** The public descriptor of a model: all that a client needs to score with it, and no weight. */
export const DescriptorAnswer = z.object({
  object: z.literal('scoring.model'),
  id: z.string(),
  version: z.number().int(),
  title: z.string(),
  kind: z.enum(['linear', 'logistic', 'mlp-square', 'logistic-poly']),
  sha256: z.string(),
  params: z.string(),
  params_sha256: z.string(),
  features: z.array(
    z.object({ name: z.string(), mean: z.number(), scale: z.number(), clip: z.tuple([z.number(), z.number()]) }),
  ),
  link: z.enum(['logit', 'none']),
  decimals: z.number().int(),
  modes: z.array(Mode),
  provenance: z.string(),
  rotations: z.array(z.number().int()),
  batch_size: z.number().int(),
  bytes: z.object({
    keys: z.number().int(),
    single: z.number().int().nullable(),
    batch: z.number().int(),
  }),
});
export type DescriptorAnswer = z.infer<typeof DescriptorAnswer>;

export const DescriptorList = z.object({ object: z.literal('list'), data: z.array(DescriptorAnswer) });
export type DescriptorList = z.infer<typeof DescriptorList>;

export const KeysAnswer = z.object({ object: z.literal('scoring.keys'), id: z.string(), expires_in: z.number().int() });
export type KeysAnswer = z.infer<typeof KeysAnswer>;

export const InstallRequest = z.strictObject({
  document: ScoreModel,
  classification: z.number().int().min(0).max(4).default(0),
});
export type InstallRequest = z.infer<typeof InstallRequest>;

export const ActivateRequest = z.strictObject({ version: z.number().int().min(1).nullable() });
export type ActivateRequest = z.infer<typeof ActivateRequest>;

const Installed = z.object({
  id: z.string(),
  version: z.number().int(),
  sha256: z.string(),
  title: z.string(),
  kind: z.string(),
  classification: z.number().int(),
  active: z.boolean(),
  installed_by: z.string(),
  installed_at: z.string(),
});
export const InstalledList = z.object({ object: z.literal('list'), data: z.array(Installed) });
export type InstalledList = z.infer<typeof InstalledList>;

export const InstallAnswer = z.object({
  id: z.string(),
  version: z.number().int(),
  sha256: z.string(),
  /** Largest error of a test vector under encryption, and processor time of one request in microseconds. */
  self_test: z.object({
    max_error: z.number(),
    cpu_us: z.object({ single: z.number().optional(), batch: z.number().optional() }),
  }),
});
export type InstallAnswer = z.infer<typeof InstallAnswer>;
