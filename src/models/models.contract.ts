import { z } from 'zod';

export const ModelPath = z.object({ id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}$/) });

/** One model as OpenAI lists it; `context_length` and `state` are ours. */
export const Model = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.number().int(),
  owned_by: z.string(),
  context_length: z.number().int().nullable(),
  state: z.enum(['unloaded', 'loading', 'ready', 'failed']),
});
export type Model = z.infer<typeof Model>;

/** GET /v1/models: only the models that policy lets the caller use. */
export const ModelList = z.object({ object: z.literal('list'), data: z.array(Model) });
export type ModelList = z.infer<typeof ModelList>;

/** GET /admin/models: what runs on this replica. */
export const AdminModel = z.object({
  id: z.string(),
  engine: z.enum(['llama', 'upstream']),
  state: z.enum(['unloaded', 'loading', 'ready', 'failed']),
  context_size: z.number().int().nullable(),
  max_output_tokens: z.number().int(),
  digest: z.string().nullable(),
  template_digest: z.string().nullable(),
  classification: z.number().int(),
  slots: z.number().int(),
  busy: z.number().int(),
  queued: z.number().int(),
  pid: z.number().int().nullable(),
  restarts: z.number().int(),
  /** What admins have set: only a model in service is loaded; a pinned one is never evicted. */
  in_service: z.boolean(),
  pinned: z.boolean(),
});
export type AdminModel = z.infer<typeof AdminModel>;
export const AdminModelList = z.object({ instance: z.string(), data: z.array(AdminModel) });
export type AdminModelList = z.infer<typeof AdminModelList>;
