import { sha256Hex } from '#kernel/id.ts';

/** Which processor does the arithmetic. `auto` takes the best that is there. */
export type GpuChoice = 'auto' | 'cuda' | 'vulkan' | 'cpu';

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
  /** Conversations that run at once, 1 to 64. */
  readonly parallel: number;
  /** Upper bound of completion tokens when the caller names none. */
  readonly maxOutputTokens: number;
  /** CPU threads for the arithmetic. */
  readonly threads: number;
  readonly gpu: GpuChoice;
  /** GPUs that it may use, as `CUDA_VISIBLE_DEVICES` names them; absent: all. */
  readonly devices?: string;
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
}

export const BATCHING = { prefillChunk: 128, maxBatchSize: 32, maxWaitMs: 50 } as const;

/** A model behind any OpenAI-compatible server. */
export interface UpstreamModelSpec {
  /** Name in the catalogue. */
  readonly id: string;
  /** Base addresses of the servers that have it, http or https, without `/v1`: `https://gpu-7.bank.internal:8000`. */
  readonly urls: readonly string[];
  /** Name of the model on those servers. */
  readonly model: string;
  readonly apiKey?: RotatingKey;
  /** PEM certificates that the server's certificate must chain to; absent: the system's. */
  readonly ca?: string;
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

/** A secret that may be replaced while we run. */
export interface RotatingKey {
  readonly current: string;
  /** Looks at once. Resolves with whether it is another one now. Never rejects. */
  reload(): Promise<boolean>;
}

/** SHA-256 of the pinned template in hex, as `GET /admin/models` and the record show it. */
export const templateDigest = ({ chatTemplate, approvedTemplateSha256 }: LlamaModelSpec): string =>
  chatTemplate === null ? (approvedTemplateSha256 ?? '') : sha256Hex(chatTemplate);

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
  integer('parallel', spec.parallel, 1, 64);
  integer('maxOutputTokens', spec.maxOutputTokens, 1, spec.contextSize);
  integer('threads', spec.threads, 1, 512);
  if (spec.contextSize * sequencesOf(spec) > 16_777_216)
    faults.push('contextSize times parallel must be at most 16777216');
  if (!/^[0-9a-f]{64}$/.test(spec.sha256)) faults.push('sha256 must be 64 lower-case hex digits');
  if (spec.embedding) integer('contextSize of a model for vectors', spec.contextSize, 16, 32_768);
  else if (spec.chatTemplate === null && spec.approvedTemplateSha256 === undefined)
    faults.push('chatTemplate or approvedTemplateSha256 is needed');
  if (!spec.file.startsWith('/')) faults.push('file must be an absolute path');
  return faults;
}
