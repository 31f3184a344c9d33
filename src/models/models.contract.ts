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
  /** Which routes take it. */
  capabilities: z.array(z.enum(['chat', 'completions', 'embeddings'])),
});
export type Model = z.infer<typeof Model>;

/** GET /v1/models: only the models that policy lets the caller use. */
export const ModelList = z.object({ object: z.literal('list'), data: z.array(Model) });
export type ModelList = z.infer<typeof ModelList>;

/** Bytes of the machine's memory and of its GPUs'. */
const Room = z.object({ ram: z.number().int(), vram: z.number().int() });

/** A server behind an upstream model, as this gateway sees it. */
const Replica = z.object({
  /** Host and port. */
  name: z.string(),
  /** Of its circuit breaker: nobody is sent to an open one; to a half open one a single question, on trial. */
  state: z.enum(['closed', 'open', 'half_open']),
  /** It has asked for a pause. */
  resting: z.boolean(),
  busy: z.number().int(),
});

/** One model on one replica. */
export const AdminModel = z.object({
  id: z.string(),
  engine: z.enum(['llama', 'upstream']),
  state: z.enum(['unloaded', 'loading', 'ready', 'failed']),
  context_size: z.number().int().nullable(),
  max_output_tokens: z.number().int(),
  digest: z.string().nullable(),
  /** What is put on the weights, and how strongly. */
  adapter: z.object({ name: z.string(), digest: z.string(), scale: z.number() }).nullable(),
  /** What foresees tokens: how many since the load, and how many of them rightly. */
  draft: z
    .object({
      digest: z.string(),
      foreseen: z.number().int(),
      right: z.number().int(),
      /** Not used while several conversations are answered (`crowded`), nor where tokens took longer with it (`slower`). */
      use: z.enum(['untried', 'on', 'crowded', 'slower']),
      /** Milliseconds that a token takes with it and without; null: not measured yet. */
      costs: z.object({ drafted: z.number().nullable(), plain: z.number().nullable() }),
    })
    .nullable(),
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
  /** How far a load is, from 0 to 1. */
  progress: z.object({ phase: z.enum(['verify', 'probe', 'load']), done: z.number() }).nullable(),
  /** Why its file is not tried again until an admin loads it. */
  quarantine: z.string().nullable(),
  /** Null for a model of our own. */
  replicas: z.array(Replica).nullable(),
  /** What does the arithmetic; how many of its layers the budget gives a GPU, and how many lie there. */
  backend: z.string().nullable(),
  gpu_layers: z.object({
    planned: z.number().int().nullable(),
    loaded: z.number().int().nullable(),
    of: z.number().int().nullable(),
  }),
  /** Bytes: thought before it ever ran, and the most that was measured since. */
  memory: z.object({ estimated: Room.nullable(), measured: Room.nullable() }),
});
export type AdminModel = z.infer<typeof AdminModel>;

/** What one gateway runs, and on what. */
export const AdminReport = z.object({
  /** How the processes are walled in that run models here; null where none does. */
  sandbox: z.enum(['full', 'uid', 'process']).nullable(),
  /** What models may take of this machine, and what they do. */
  memory: z.object({ budget: Room, used: Room }),
  gpus: z.array(
    z.object({
      index: z.number().int(),
      name: z.string(),
      total: z.number().int(),
      /** Null where nobody tells, as of those that the engine alone finds. */
      used: z.number().int().nullable(),
    }),
  ),
  data: z.array(AdminModel),
});
export type AdminReport = z.infer<typeof AdminReport>;

/** Another gateway on the same database, as it reported itself. */
const OtherReplica = z.object({
  instance: z.string(),
  /** RFC 3339, by the database's clock. Told again when something changes; one that ended or froze is not listed. */
  reported_at: z.string(),
  /** Whether it offers the same models, with the same files and to the same people. */
  catalogue: z.enum(['same', 'differs']),
  /** Null where it runs another release, whose reports this one can't read. */
  report: AdminReport.nullable(),
});
export type OtherReplica = z.infer<typeof OtherReplica>;

/** GET /admin/models: the gateway that answers, and all others. */
export const AdminModelList = AdminReport.extend({
  instance: z.string(),
  replicas: z.array(OtherReplica),
});
export type AdminModelList = z.infer<typeof AdminModelList>;
