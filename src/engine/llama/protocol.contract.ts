import { z } from 'zod';

/**
 * The messages between the gateway and the child process that runs one model. Engine-neutral: nothing here names
 * llama.cpp, so that another engine can stand behind the same child. JSON over Node's IPC channel.
 * Both sides check what they receive: the child parses hostile files, so the gateway does not trust its word.
 */
/** 65,536 dimensions. */
const MOST_VECTOR_TEXT = 349_528;

const count = z.int().nonnegative();
const id = z.int().positive();

const approvedFile = z.strictObject({
  file: z.string().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Bytes of this open file were found to have this digest before. */
  verified: z.boolean(),
});

const loadMessage = z.strictObject({
  t: z.literal('load'),
  model: approvedFile,
  /** What is put on the model; null: nothing. */
  adapter: approvedFile.extend({ scale: z.number().min(-100).max(100) }).nullable(),
  /** What foresees so many tokens at once; null: nothing. */
  draft: approvedFile.extend({ tokens: z.int().min(1).max(16) }).nullable(),
  /** Load with every weight checked, make one token, say `probed`. */
  probe: z.boolean(),
  /** Null: the one inside the file, if its digest is the approved one. */
  chatTemplate: z.string().nullable(),
  approvedTemplateSha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  /** It turns texts into vectors, and does nothing else; it has no chat template. */
  embedding: z.boolean(),
  contextSize: z.int().positive(),
  parallel: z.int().min(1).max(128),
  threads: z.int().positive(),
  gpu: z.enum(['auto', 'cuda', 'vulkan', 'cpu']),
  /** So many of its layers go to the GPU; null: as the engine thinks best. */
  gpuLayers: count.nullable(),
  /** Prompt tokens per step while others are generating: the knob between their latency and the newcomer's. */
  prefillChunk: z.int().min(16).max(512),
  /** Conversations per step, and how long prompts may hold it up while others are generating. */
  maxBatchSize: z.int().min(1).max(128),
  maxWaitMs: z.int().nonnegative(),
  /** Approved ones, computed once; strangers share their state. */
  systemPrompts: z.array(z.string().min(1)).max(4),
  kvType: z.enum(['f16', 'q8_0', 'q4_0']),
  flashAttention: z.union([z.boolean(), z.literal('auto')]),
});

const toolCall = z.strictObject({
  id: z.string(),
  type: z.literal('function'),
  function: z.strictObject({ name: z.string(), arguments: z.string() }),
});

const schema = z.record(z.string(), z.unknown());

/** What may be called. The grammar of that is made by the child, which knows how its template writes calls. */
const toolUse = z.strictObject({
  functions: z.array(
    z.strictObject({
      name: z.string(),
      description: z.string().optional(),
      parameters: schema.optional(),
      strict: z.boolean().nullish(),
    }),
  ),
  choice: z.union([z.enum(['auto', 'required']), z.strictObject({ name: z.string() })]),
  parallel: z.boolean(),
  /** Of an answer that is no call. */
  format: z.discriminatedUnion('type', [
    z.strictObject({ type: z.enum(['text', 'json_object']) }),
    z.strictObject({ type: z.literal('json_schema'), name: z.string(), schema }),
  ]),
});

const generate = z.strictObject({
  t: z.literal('generate'),
  id,
  subject: z.string(),
  messages: z.array(
    z.strictObject({
      role: z.enum(['system', 'user', 'assistant', 'tool']),
      content: z.string(),
      tool_calls: z.array(toolCall).optional(),
      tool_call_id: z.string().optional(),
    }),
  ),
  /** In place of messages: taken as it stands. */
  prompt: z.string().min(1).optional(),
  maxTokens: z.int().positive(),
  temperature: z.number().min(0).max(2),
  topP: z.number().positive().max(1),
  seed: z.int().min(0).max(0xffffffff),
  stop: z.array(z.string().min(1)),
  /** GBNF made by `json-grammar.ts`; never a client's own. */
  grammar: z.string().nullable(),
  /** What the answer must fit in the end, where it must. */
  schema: schema.optional(),
  tools: toolUse.optional(),
  logitBias: z.record(z.string().regex(/^\d{1,10}$/), z.number().min(-100).max(100)).optional(),
  frequencyPenalty: z.number().min(-2).max(2).optional(),
  presencePenalty: z.number().min(-2).max(2).optional(),
  topLogprobs: z.int().min(0).max(20).optional(),
  stream: z.boolean(),
  /** Tokens of prompt and answer that are paid for; the child waits where it would go beyond. */
  credit: count,
});

/** A conversation or a prompt, never both and never neither. */
const generateMessage = generate.refine(({ messages, prompt }) => messages.length > 0 === (prompt === undefined));

/** Texts to be turned into vectors, one after another. */
const embedMessage = z.strictObject({
  t: z.literal('embed'),
  id,
  subject: z.string(),
  inputs: z.array(z.string().min(1)).min(1),
  credit: count,
});

/** More is paid for. `final`: the last of it, an answer that reaches it ends with `length`. */
const creditMessage = z.strictObject({ t: z.literal('credit'), id, total: count, final: z.boolean() });
const cancelMessage = z.strictObject({ t: z.literal('cancel'), id });

const parentMessage = z.discriminatedUnion('t', [
  loadMessage,
  generateMessage,
  embedMessage,
  creditMessage,
  cancelMessage,
]);

const usage = z
  .strictObject({
    promptTokens: count,
    completionTokens: count,
    cachedTokens: count,
    /** Of a model that thinks: tokens of the answer that are no part of what it says. */
    reasoningTokens: count.optional(),
  })
  .refine(({ completionTokens, reasoningTokens = 0 }) => reasoningTokens <= completionTokens);

const LOAD_FAILURE_REASONS = [
  'unreadable',
  'digest_mismatch',
  'malformed',
  'split',
  'context_too_large',
  'no_backend',
  'template',
  'draft',
  'out_of_memory',
  'failed',
] as const;

const childMessage = z.discriminatedUnion('t', [
  /** The file's bytes have the approved digest; parsing begins. */
  z.strictObject({ t: z.literal('verified') }),
  z.strictObject({ t: z.literal('progress'), phase: z.enum(['verify', 'load']), done: z.number().min(0).max(1) }),
  /** The file has stood the trial; this process is of no more use. */
  z.strictObject({ t: z.literal('probed') }),
  z.strictObject({
    t: z.literal('ready'),
    backend: z.string().max(40),
    build: z.string().max(60).optional(),
    /** Layers that lie on a GPU, and all there are. */
    layers: z.strictObject({ onGpu: count, of: count }).optional(),
    /** Bytes that it has on GPUs, as the engine counts them: without what the driver takes for a process. */
    gpuMemory: count.optional(),
  }),
  z.strictObject({
    t: z.literal('load_failed'),
    reason: z.enum(LOAD_FAILURE_REASONS),
    /** For our log. */
    detail: z.string().max(2000),
  }),
  /** The prompt is rendered and counted; the first prefill follows. `longest`: of several texts, in tokens. */
  z.strictObject({ t: z.literal('started'), id, promptTokens: count, longest: count.optional() }),
  /** What one text was turned into: 32-bit floats, least byte first, in Base64. */
  z.strictObject({ t: z.literal('vector'), id, index: count, values: z.base64().min(8).max(MOST_VECTOR_TEXT) }),
  /** It waits for credit. */
  z.strictObject({ t: z.literal('starved'), id }),
  z.strictObject({ t: z.literal('finished'), id, reason: z.enum(['stop', 'length', 'tool_calls']), usage }),
  z.strictObject({ t: z.literal('cancelled'), id }),
  z.strictObject({
    t: z.literal('failed'),
    id,
    code: z.enum(['context_length_exceeded', 'invalid_parameter', 'engine_failed']),
    /** What of the request is at fault, where it is at fault. */
    param: z.string().max(200),
    message: z.string().max(2000),
  }),
  /** Once a second, so that a blocked child is noticed; figures since the load. */
  z.strictObject({
    t: z.literal('beat'),
    steps: count,
    batches: count,
    sequences: count,
    largestBatch: count,
    /** Tokens that were foreseen, and those of them that were chosen. */
    foreseen: count,
    right: count,
    /** Milliseconds that a token takes with what foresees it, and without. */
    costs: z.strictObject({ drafted: z.number().nullable(), plain: z.number().nullable() }).readonly(),
  }),
]);

const likelyToken = {
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int().min(0).max(255)).readonly().nullable(),
};
/** What comes with a text where it was asked for. */
const deltaDetail = z.strictObject({
  logprobs: z
    .array(z.strictObject({ ...likelyToken, top_logprobs: z.array(z.strictObject(likelyToken)).max(20).readonly() }))
    .readonly()
    .optional(),
  calls: z
    .array(
      z.strictObject({
        index: count,
        id: z.string().optional(),
        name: z.string().optional(),
        arguments: z.string(),
      }),
    )
    .readonly()
    .optional(),
  /** What the model thinks: no part of the text. */
  thought: z.string().optional(),
});
type DeltaDetail = z.infer<typeof deltaDetail>;

export type DeltaItem = readonly [id: number, text: string, tokens: number, detail?: DeltaDetail];

/** The token path: all that one step yielded, one message. */
export interface DeltasMessage {
  readonly t: 'deltas';
  readonly items: readonly DeltaItem[];
}

export type ApprovedFileMessage = z.infer<typeof approvedFile>;
export type LoadMessage = z.infer<typeof loadMessage>;
export type GenerateMessage = z.infer<typeof generateMessage>;
export type EmbedMessage = z.infer<typeof embedMessage>;
export type ParentMessage = z.infer<typeof parentMessage>;
export type ChildMessage = z.infer<typeof childMessage> | DeltasMessage;
export type LoadFailure = Extract<ChildMessage, { t: 'load_failed' }>['reason'];

/** @returns null for anything that is not a message of this protocol. */
export function readParentMessage(value: unknown): ParentMessage | null {
  const parsed = parentMessage.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** @returns null for anything that is not a message of this protocol. Deltas are checked by hand: they come per token. */
export function readChildMessage(value: unknown): ChildMessage | null {
  if (isDeltas(value)) return value;
  const parsed = childMessage.safeParse(value);
  return parsed.success ? parsed.data : null;
}

function isDeltas(value: unknown): value is DeltasMessage {
  if (typeof value !== 'object' || value === null) return false;
  const { t, items } = value as { t?: unknown; items?: unknown };
  return t === 'deltas' && Array.isArray(items) && items.every(isDelta);
}

function isDelta(item: unknown): boolean {
  return (
    Array.isArray(item) &&
    (item.length === 3 || (item.length === 4 && deltaDetail.safeParse(item[3]).success)) &&
    Number.isSafeInteger(item[0]) &&
    typeof item[1] === 'string' &&
    Number.isSafeInteger(item[2]) &&
    item[2] >= 0
  );
}
