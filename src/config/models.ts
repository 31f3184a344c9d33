import { z } from 'zod';

const File = z.string().min(1);
/** A GPU takes a step with so many in little more time than with one. */
const MOST_PARALLEL = 128;

const common = {
  classification: z
    .number()
    .int()
    .min(0)
    .max(4)
    .default(0)
    .describe('Least clearance (0 to 4) that a user needs to see the model.'),
  ownerDepartment: z
    .string()
    .trim()
    .max(64)
    .default('')
    .describe('Department that owns the model, for rules that ask for it.'),
  maxOutputTokens: z
    .number()
    .int()
    .min(1)
    .max(1_048_576)
    .default(1024)
    .describe('Longest answer when the caller names no limit.'),
  embedding: z
    .boolean()
    .default(false)
    .describe('Whether the model turns texts into vectors; it then does nothing else, and needs no chat template.'),
  maxQueue: z
    .number()
    .int()
    .min(0)
    .max(10_000)
    .default(64)
    .describe('Requests that may wait for a place; the next one is told to come back later.'),
  maxQueueMs: z
    .number()
    .int()
    .min(0)
    .max(600_000)
    .default(30_000)
    .describe('How long a request waits for a place before it is told to come back later.'),
};

const Digest = z.string().regex(/^[0-9a-f]{64}$/);

const MOST_NAME = 64;
const ModelName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}$/);

const Adapter = z.strictObject({
  file: File.describe('GGUF file of a LoRA adapter for this model.'),
  sha256: Digest.describe('Approved digest of the file; another file is never parsed.'),
  scale: z.number().min(-100).max(100).default(1).describe('How strongly it is put on.'),
  classification: z
    .number()
    .int()
    .min(0)
    .max(4)
    .optional()
    .describe('Least clearance for the model with this adapter; never less than for the model without.'),
  ownerDepartment: z.string().trim().max(64).optional().describe('Department that owns it; default: the model’s.'),
  parallel: z
    .number()
    .int()
    .min(1)
    .max(MOST_PARALLEL)
    .optional()
    .describe('Conversations at once; default: the model’s.'),
});

const LocalModel = z.strictObject({
  ...common,
  file: File.describe('GGUF file.'),
  sha256: Digest.describe('Approved digest of the file; another file is never parsed.'),
  chatTemplateFile: File.optional().describe(
    'Pinned Jinja chat template; the one inside the model file is not trusted.',
  ),
  chatTemplateSha256: Digest.optional().describe('Digest of that file; another one stops the start.'),
  approvedTemplateSha256: Digest.optional().describe(
    'In place of chatTemplateFile: the template inside the model file, if its digest is this one.',
  ),
  contextSize: z.number().int().min(16).max(1_048_576).default(4096).describe('Tokens per conversation.'),
  parallel: z
    .number()
    .int()
    .min(1)
    .max(MOST_PARALLEL)
    .default(4)
    .describe('Conversations that run at once; of a model for vectors, requests of one user.'),
  threads: z
    .number()
    .int()
    .min(1)
    .max(512)
    .optional()
    .describe('CPU threads; default: the cores of this machine but one.'),
  gpu: z.enum(['auto', 'cuda', 'vulkan', 'cpu']).default('auto').describe('Which processor does the arithmetic.'),
  cudaDevices: z
    .string()
    .regex(/^[\w-]+(,[\w-]+)*$/)
    .optional()
    .describe(
      'GPUs that it may use by CUDA, as CUDA_VISIBLE_DEVICES names them: places, GPU-… or MIG-…; default: all, or those of that variable.',
    ),
  vulkanDevices: z
    .string()
    .regex(/^\d+(,\d+)*$/)
    .optional()
    .describe(
      'GPUs that it may use by Vulkan, as `vulkaninfo --summary` numbers them; default: all that are no processors. Models that share one name the same.',
    ),
  pin: z.boolean().default(false).describe('Never evicted while in service, until an admin unpins it.'),
  gpuLayers: z
    .union([z.literal('auto'), z.number().int().min(0).max(10_000)])
    .default('auto')
    .describe('Layers that go to a GPU; auto: as many as engine.vramPercent allows.'),
  kvType: z.enum(['f16', 'q8_0', 'q4_0']).default('f16').describe('What keys and values of a context are kept as.'),
  flashAttention: z
    .union([z.boolean(), z.literal('auto')])
    .default('auto')
    .describe('Whether attention is computed in tiles; a quantised kvType needs it.'),
  maxBatchSize: z
    .number()
    .int()
    .min(1)
    .max(MOST_PARALLEL)
    .default(32)
    .describe('Conversations that a step takes further at most; where more are under way they take turns.'),
  maxWaitMs: z
    .number()
    .int()
    .min(0)
    .max(10_000)
    .default(50)
    .describe(
      'How long the prompts of newcomers may hold up a step in which others are answered, or as long as it takes without them, if that is less. A partial batch never waits for another request to arrive.',
    ),
  prefillChunk: z
    .number()
    .int()
    .min(16)
    .max(512)
    .default(128)
    .describe('Prompt tokens that such a step takes in at most.'),
  adapters: z
    .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/), Adapter)
    .default({})
    .describe('LoRA adapters: each makes another model of this one, named MODEL+ADAPTER, in a process of its own.'),
  draft: z
    .strictObject({
      file: File.describe('GGUF file of a small model with the same vocabulary.'),
      sha256: Digest.describe('Approved digest of the file; another file is never parsed.'),
      tokens: z.number().int().min(1).max(16).default(4).describe('Tokens that it foresees at once.'),
    })
    .optional()
    .describe(
      'A draft model: while one conversation alone is answered, and as long as it is measured to pay, it foresees tokens that the model then checks in one step. The answers are the same; default: none.',
    ),
  systemPrompts: z
    .array(
      z.strictObject({
        file: File.describe('Text of the system prompt; a line break at its end does not belong to it.'),
        sha256: Digest.describe('Approved digest of the file; another one stops the start.'),
      }),
    )
    .max(4)
    .default([])
    .describe(
      'Approved system prompts. What is computed of them is kept and shared between users, of everything else nothing; each takes the memory of one more conversation.',
    ),
});

/** It stands in logs and on pages, so no secret may be in it. */
const ServerUrl = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !/[?#@]/.test(text), 'must have no user, query or fragment');
const Seconds = (most: number) => z.number().positive().max(most);

const Upstream = z.strictObject({
  url: ServerUrl.optional().describe('Base address of an OpenAI-compatible server, without /v1.'),
  urls: z
    .array(ServerUrl)
    .min(1)
    .max(64)
    .optional()
    .describe(
      'In place of url: of several that have the same model. Addresses of the servers themselves, not of a balancer.',
    ),
  names: z
    .array(z.string().regex(/^[\w.:/-]{1,100}$/))
    .min(1)
    .max(64)
    .optional()
    .describe(
      'What the record calls each of them, in that order; default: host and port. Who asked sees it in his receipt.',
    ),
  model: z.string().min(1).describe('Name of the model on those servers.'),
  apiKeyFile: File.optional().describe(
    'File that holds the API key for those servers; read again when it changes, at the latest after probeSeconds.',
  ),
  caFile: File.optional().describe(
    'PEM certificates that the servers must chain to, and nothing else; read again when it changes, as the key is.',
  ),
  certFile: File.optional().describe(
    'PEM: the certificate that this gateway shows to servers that ask for one; read again when it changes.',
  ),
  keyFile: File.optional().describe('PEM: its private key.'),
  routing: z
    .enum(['prefix', 'least_busy'])
    .default('prefix')
    .describe(
      'prefix: a conversation stays on the server that has its beginning cached, unless that is much busier; least_busy: no look at that.',
    ),
  cacheSalt: z
    .boolean()
    .default(true)
    .describe(
      'Sends a cache_salt per user, by which vLLM keeps cached prefixes of users apart: nobody can time what another asked. Others ignore it: set false only for a server that refuses it.',
    ),
  structuredOutput: z
    .boolean()
    .default(true)
    .describe('False for servers that do not enforce response_format: then it is refused, not ignored.'),
  connectSeconds: Seconds(60).default(5).describe('Until a connection stands, TLS included.'),
  firstByteSeconds: Seconds(3600).default(60).describe('From the question to the first byte of a streamed answer.'),
  nextByteSeconds: Seconds(3600).default(30).describe('Between bytes of an answer.'),
  answerSeconds: Seconds(86_400).default(600).describe('From the question to the last byte of any answer.'),
  probeSeconds: Seconds(3600).default(10).describe('How often each server is looked at, give or take a fifth.'),
  probePath: z
    .string()
    .regex(/^[\w.~-]+(\/[\w.~-]+)*$/)
    .default('v1/models')
    .describe('What is fetched for that: below 500, and not 401, is there. `health` on vLLM, `health/ready` here.'),
  breakerFailures: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(5)
    .describe('So many failures in a row, and a server is not asked any more.'),
  breakerSeconds: Seconds(3600).default(10).describe('For so long; then one question goes there, on trial.'),
});

const UpstreamModel = z.strictObject({
  ...common,
  contextSize: z.number().int().min(16).optional().describe('Tokens per conversation, where it is known.'),
  parallel: z.number().int().min(1).max(4096).default(256).describe('Requests under way at once.'),
  upstream: Upstream,
});

export type LocalModelConfig = z.infer<typeof LocalModel>;
export type UpstreamModelConfig = z.infer<typeof UpstreamModel>;

/** The name of a model with an adapter. */
export const adapterId = (model: string, adapter: string): string => `${model}+${adapter}`;

/** `models`: the catalogue. */
export const Models = z
  .record(ModelName, z.union([LocalModel, UpstreamModel]))
  .superRefine((models, context) => {
    for (const [id, model] of Object.entries(models)) {
      if ('upstream' in model) continue;
      const idle = { cuda: 'vulkanDevices', vulkan: 'cudaDevices', cpu: null, auto: null }[model.gpu];
      if (idle === 'vulkanDevices' || idle === 'cudaDevices') {
        const message = `gpu: ${model.gpu} does not look at it`;
        if (model[idle] !== undefined) context.addIssue({ code: 'custom', path: [id, idle], message });
      }
      for (const adapter of Object.keys(model.adapters)) {
        const path = [id, 'adapters', adapter];
        const own = adapterId(id, adapter);
        if (Object.hasOwn(models, own))
          context.addIssue({ code: 'custom', path, message: `'${own}' is a model already` });
        if (own.length > MOST_NAME) context.addIssue({ code: 'custom', path, message: `'${own}' is too long a name` });
      }
    }
  })
  .optional()
  .describe('What may be loaded at all; without it the built-in model `demo`.');

/** Every name under which a model of the catalogue can be asked: those with an adapter follow the one without. */
export const modelNames = (models: NonNullable<z.infer<typeof Models>>): string[] =>
  Object.entries(models).flatMap(([id, model]) => [
    id,
    ...('upstream' in model ? [] : Object.keys(model.adapters).map((adapter) => adapterId(id, adapter))),
  ]);
