import type { FileMemory, Quarantine } from '#engine/llama/file-memory.ts';
import { sha256Hex } from '#kernel/id.ts';
import { type DraftCosts, draftUse } from './draft-use.ts';
import type { ModelStatus } from './engine.ts';

/** Which processor does the arithmetic. `auto` takes the best that is there. */
export type GpuChoice = 'auto' | 'cuda' | 'vulkan' | 'cpu';

/** A file and the digest by which an admin approved it. */
export interface ApprovedFile {
  /** Absolute path. */
  readonly file: string;
  /** SHA-256 of its bytes, hex. A file with another digest is never parsed. */
  readonly sha256: string;
}

/** A LoRA adapter that is put on a model; with it the model is another one. */
export interface AdapterSpec extends ApprovedFile {
  readonly name: string;
  readonly scale: number;
}

/** A small model of the same vocabulary that foresees up to `tokens` at once. */
export interface DraftSpec extends ApprovedFile {
  readonly tokens: number;
}

/** A model that runs in a child process of ours. Every value comes from the configuration file alone. */
export interface LlamaModelSpec {
  /** Name in the catalogue. */
  readonly id: string;
  /** Absolute path of the GGUF file. */
  readonly file: string;
  /** Approved SHA-256 of the file's bytes, hex. A file with another digest is never parsed. */
  readonly sha256: string;
  /**
   * Text of the pinned Jinja chat template. Null: the one inside the model file, which is used only if its SHA-256 is the
   * one that an admin approved.
   */
  readonly chatTemplate: string | null;
  /** Hex; needed where `chatTemplate` is null. */
  readonly approvedTemplateSha256?: string;
  /** Tokens per conversation, prompt and answer together. */
  readonly contextSize: number;
  /** It turns texts into vectors, and does nothing else. Default false. */
  readonly embedding?: boolean;
  /** Conversations that run at once, 1 to 128. */
  readonly parallel: number;
  /** Upper bound of completion tokens when the caller names none. */
  readonly maxOutputTokens: number;
  /** CPU threads for the arithmetic. */
  readonly threads: number;
  readonly gpu: GpuChoice;
  /** GPUs that it may use, as `CUDA_VISIBLE_DEVICES` names them; absent: all. */
  readonly devices?: string;
  /** GPUs that it may use by Vulkan, as that numbers them; absent: all. */
  readonly vulkanDevices?: string;
  /** Layers that go to a GPU. Default `auto`: as many as its budget allows. */
  readonly gpuLayers?: number | 'auto';
  /** Bytes that the child may take for itself, without the pages of the model's file; absent: no bound. */
  readonly memoryLimit?: number;
  /** What keys and values are kept as. Default f16. */
  readonly kvType?: 'f16' | 'q8_0' | 'q4_0';
  /** Default `auto`. */
  readonly flashAttention?: boolean | 'auto';
  /** Prompt tokens that a step takes in at most while others are answered, 16 to 512. */
  readonly prefillChunk?: number;
  /** Conversations that a step takes further at most; with more under way they take turns. */
  readonly maxBatchSize?: number;
  /** How long prompts may hold up a step while others are answered; never longer than the step takes without them. */
  readonly maxWaitMs?: number;
  /** Texts of approved system prompts, at most 4: what is computed of these alone is shared between users. */
  readonly systemPrompts?: readonly string[];
  readonly adapter?: AdapterSpec;
  readonly draft?: DraftSpec;
}

/**
 * How many of the machine's cores do the arithmetic of a model. Its threads wait for each other at every step, spinning, and the
 * library makes them anew for each: where one has to wait for a core, all do. So one is left to the gateway, the database and
 * the child's own JavaScript. On two cores with others at work, two threads made 5 to 10 tokens/s where one made 40.
 */
export const defaultThreads = (cores: number): number => Math.max(1, cores - 1);

export const BATCHING = { prefillChunk: 128, maxBatchSize: 32, maxWaitMs: 50 } as const;

/** A model behind any OpenAI-compatible server. */
export interface UpstreamModelSpec {
  /** Name in the catalogue. */
  readonly id: string;
  /** Base addresses of the servers that have it, http or https, without `/v1`: `https://gpu-7.bank.internal:8000`. */
  readonly urls: readonly string[];
  /** What the servers are called on the record and on pages, in that order; absent: by host and port. */
  readonly names?: readonly string[];
  /** Name of the model on those servers. */
  readonly model: string;
  readonly apiKey?: Rotating<string>;
  readonly tls?: Rotating<UpstreamTls>;
  /** Tokens per conversation, where it is known. */
  readonly contextSize?: number;
  readonly maxOutputTokens: number;
  /** Requests under way at once; the rest waits in our queue. Default 256. */
  readonly parallel?: number;
  /** False where the server does not enforce `response_format`: then it is refused instead of ignored. Default true. */
  readonly structuredOutput?: boolean;
  /** Sends a `cache_salt` per user, which vLLM keeps cached prefixes of users apart by (promise 17). Default false. */
  readonly cacheSalt?: boolean;
  /** Of several servers: the one that has a conversation's prefix, unless it is much busier, or the least busy. */
  readonly routing?: 'prefix' | 'least_busy';
  /** What is fetched to see whether a server is up. Default `v1/models`. */
  readonly probePath?: string;
  /** It turns texts into vectors, and does nothing else. Default false. */
  readonly embedding?: boolean;
}

/** Whom we trust, and who we are, towards an upstream's servers. PEM. */
export interface UpstreamTls {
  /** Certificates that the server's must chain to; absent: the system's. */
  readonly ca?: string;
  /** Ours, which the server asks for; and its key. Both, or neither. */
  readonly cert?: string;
  readonly key?: string;
}

/** What may be replaced while we run. What it holds is another object then. */
export interface Rotating<T> {
  readonly current: T;
  /** Looks at once. Resolves with whether it is another one now. Never rejects. */
  reload(): Promise<boolean>;
}

/** SHA-256 of the pinned template in hex, as `GET /admin/models` and the record show it. */
export const templateDigest = ({ chatTemplate, approvedTemplateSha256 }: LlamaModelSpec): string =>
  chatTemplate === null ? (approvedTemplateSha256 ?? '') : sha256Hex(chatTemplate);

/** The files that a child opens, in the order in which they are handed over. */
export const filesOf = ({ file, sha256, adapter, draft }: LlamaModelSpec): readonly ApprovedFile[] => [
  { file, sha256 },
  ...[adapter, draft].filter((one) => one !== undefined),
];

/** What is tried out, and put in quarantine: a model file, or what is put on it together with it. */
export const trialDigest = (spec: LlamaModelSpec): string => {
  const digests = filesOf(spec).map(({ sha256 }) => sha256);
  return digests.length === 1 ? spec.sha256 : sha256Hex(digests.join(' '));
};

/** A bad model is bad with anything on it; a bad adapter is not the model's fault. */
export const quarantineOf = (spec: LlamaModelSpec, files: Pick<FileMemory, 'quarantineOf'>): Quarantine | null =>
  files.quarantineOf(spec.sha256) ?? files.quarantineOf(trialDigest(spec));

/** What anybody may know of what stands beside a model: what is put on it, and what foresees its words and how well. */
export const besideOf = (
  { adapter, draft }: LlamaModelSpec,
  { foreseen, right, costs }: { readonly foreseen: number; readonly right: number; readonly costs: DraftCosts },
  busy: number,
): Pick<ModelStatus, 'adapter' | 'draft'> => ({
  adapter: adapter === undefined ? null : { name: adapter.name, digest: adapter.sha256, scale: adapter.scale },
  draft: draft === undefined ? null : { digest: draft.sha256, foreseen, right, use: draftUse(costs, busy), costs },
});

/** Vectors are made a text at a time, so a place costs no more than the texts of a request. */
const VECTOR_PLACES = 16;

/** Requests that are inside at once; of a model for vectors `parallel` is how many of them may be one user's. */
export const placesOf = ({ embedding, parallel }: LlamaModelSpec): number =>
  embedding ? Math.max(VECTOR_PLACES, parallel) : parallel;

/** Contexts that are kept: one for each conversation and for each approved system prompt, or the one that makes vectors. */
export const sequencesOf = ({ embedding, parallel, systemPrompts }: LlamaModelSpec): number =>
  embedding ? 1 : parallel + (systemPrompts?.length ?? 0);

/**
 * What the engine could not survive, found in the figures: a huge context ends in the kernel's out-of-memory killer,
 * not in an exception. Empty when the specification is sound.
 */
export function specFaults(spec: LlamaModelSpec): string[] {
  const faults: string[] = [];
  const integer = (name: string, value: number, least: number, most: number) => {
    if (!Number.isSafeInteger(value) || value < least || value > most)
      faults.push(`${name} must be ${least} to ${most}`);
  };
  integer('contextSize', spec.contextSize, 16, 1_048_576);
  integer('parallel', spec.parallel, 1, 128);
  integer('maxOutputTokens', spec.maxOutputTokens, 1, spec.contextSize);
  integer('threads', spec.threads, 1, 512);
  if (spec.contextSize * sequencesOf(spec) > 16_777_216)
    faults.push('contextSize times parallel must be at most 16777216');
  for (const { file, sha256 } of filesOf(spec)) {
    if (!/^[0-9a-f]{64}$/.test(sha256)) faults.push('sha256 must be 64 lower-case hex digits');
    if (!file.startsWith('/')) faults.push('file must be an absolute path');
  }
  if (spec.adapter !== undefined && !(Math.abs(spec.adapter.scale) <= 100)) faults.push('scale must be -100 to 100');
  if (spec.embedding && (spec.adapter ?? spec.draft) !== undefined)
    faults.push('a model for vectors takes neither adapter nor draft model');
  if (spec.draft !== undefined) integer('tokens of the draft model', spec.draft.tokens, 1, 16);
  if (spec.embedding) integer('contextSize of a model for vectors', spec.contextSize, 16, 32_768);
  else if (spec.chatTemplate === null && spec.approvedTemplateSha256 === undefined)
    faults.push('chatTemplate or approvedTemplateSha256 is needed');
  return faults;
}
