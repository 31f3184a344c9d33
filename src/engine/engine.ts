import type { CallPiece } from '#engine/grammar/call-reader.ts';
import type { Problem } from '#kernel/problem.ts';
import type { DraftCosts, DraftUse } from './draft-use.ts';
import type { Priority } from './priority.ts';
import type { UpstreamStatus } from './upstream-status.ts';

/** A call of a function as it was made; in OpenAI's shape, since it is passed on and committed to in that. */
export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  /** `arguments`: JSON text. */
  readonly function: { readonly name: string; readonly arguments: string };
}

/** One turn of a conversation, as the engine sees it: plain text, roles already validated. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  /** Of an assistant: each is answered by a `tool` message that follows. */
  readonly tool_calls?: readonly ToolCall[] | undefined;
  /** Of a tool: which call it answers. */
  readonly tool_call_id?: string | undefined;
}

export interface FunctionTool {
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON Schema of an object; absent: no parameters. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  readonly strict?: boolean | null | undefined;
}

/** What the model may call. Calls are forced to the schemas where they are made, or the request is refused. */
export interface ToolUse {
  readonly functions: readonly FunctionTool[];
  readonly choice: 'none' | 'auto' | 'required' | { readonly name: string };
  /** False: at most one call. */
  readonly parallel: boolean;
}

/** How the answer must look. `json_schema` is enforced by the engine's grammar or refused, never ignored. */
export type ResponseFormat =
  | { readonly type: 'text' }
  | { readonly type: 'json_object' }
  | { readonly type: 'json_schema'; readonly name: string; readonly schema: Readonly<Record<string, unknown>> };

/**
 * What an answer may cost, in tokens of prompt and answer together. An engine MUST NOT compute or pass on a token beyond
 * `total`; it tells how far it is, and more is reserved ahead of need up to what `begin` said.
 */
export interface TokenCredit {
  /** Paid for at this moment. */
  readonly total: number;
  /** Nothing will be added: an answer that reaches `total` ends with `length`. */
  readonly final: boolean;
  /** More could not be reserved and nobody knows why not: the answer MUST end with it. */
  readonly failure: Problem | null;
  /**
   * Before the first prefill: the prompt's true length (or an upper bound) and the longest answer. Null: go on. `whole`:
   * the answer can't be stopped on its way, so all of it is reserved now, as far as there is.
   *
   * @throws Problem `rate_limit_exceeded`, `audit_unavailable`: nothing may be computed
   */
  begin(promptTokens: number, most: number, whole: boolean): Promise<void> | null;
  /** So many are used. */
  reach(tokens: number): void;
  /** Whether so many are paid for; a promise while that is not known; false: they never will be. @throws Problem */
  covers(tokens: number): boolean | Promise<boolean>;
  /** Calls back when `total`, `final` or `failure` have changed. Returns how to stop. */
  watch(changed: () => void): () => void;
}

/** One generation. Everything is validated by the caller; absent means the model's own default. */
export interface GenerationRequest {
  /** Our request id, for logs. */
  readonly requestId: string;
  /** A name from the catalogue, never a path. */
  readonly model: string;
  /** A conversation, put into the model's words by its chat template. None where there is a `prompt`. */
  readonly messages: readonly ChatMessage[];
  /** In place of `messages`: text that the model goes on from as it stands. What in it spells a control token is text. */
  readonly prompt?: string;
  /** Upper bound of completion tokens, at least 1. Absent: the rest of the context up to the model's `maxOutputTokens`. */
  readonly maxTokens?: number;
  /** 0 (greedy) to 2. */
  readonly temperature?: number;
  /** Greater than 0, at most 1. */
  readonly topP?: number;
  /** Unsigned 32 bit. Same seed, same text. */
  readonly seed?: number;
  /** Up to four texts at which the answer ends; the text itself is not part of the answer. */
  readonly stop?: readonly string[];
  readonly responseFormat: ResponseFormat;
  /** Added to what the model thinks of a token, by its id: -100 (never) to 100 (nothing else). */
  readonly logitBias?: Readonly<Record<string, number>>;
  /** -2 to 2: against tokens by how often the answer has them already, and against those that it has at all. */
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  /** With each token its probability, and so many of the likeliest others, 0 to 20. Absent: no probabilities. */
  readonly topLogprobs?: number;
  /** Absent: nothing to call. */
  readonly tools?: ToolUse | undefined;
  /** Opaque id of the user: KV prefixes are reused within one user only (promise 17). */
  readonly subject: string;
  /** Of those who share a subject: keeps their prefixes apart, too. */
  readonly cacheSalt?: string;
  /** Who goes first where several wait; absent: interactive. */
  readonly priority?: Priority;
  /** False: the caller wants the whole answer at once, so an engine may deliver one single delta. */
  readonly stream: boolean;
  readonly credit: TokenCredit;
}

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens that were found in the KV cache; part of `promptTokens`. */
  readonly cachedTokens: number;
  /** Of `completionTokens`, those of a thought and its marks. Absent: the model is not known to think. */
  readonly reasoningTokens?: number | undefined;
}

/** How an answer is made: what the caller left open, as the engine filled it in. Null where only an upstream knows. */
export interface Making {
  /** The engine and its build, such as `llama.cpp b7531 cuda`. */
  readonly build: string | null;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly seed: number | null;
  /** Waited for a place, in milliseconds. */
  readonly queuedMs: number;
  /** Which of an upstream's servers answers, as it is called on the record; absent for a model of our own. */
  readonly server?: string;
}

/** How likely the model itself held a token to be, before sampler, bias and grammar. In OpenAI's names, as it is sent. */
export interface LikelyToken {
  readonly token: string;
  /** Natural logarithm. */
  readonly logprob: number;
  /** UTF-8; null where the token is not whole characters. */
  readonly bytes: readonly number[] | null;
}

export interface TokenLogprob extends LikelyToken {
  readonly top_logprobs: readonly LikelyToken[];
}

/**
 * What a generation tells, in this order: one `started`, any number of `delta`, one `finished`. A generator that returns
 * without `finished` was left, or has failed; it then MUST have thrown. Deltas go to {@link Take}: thousands a second, each
 * of which would be handed on from generator to generator. The rest, its {@link Milestone}s, is yielded.
 */
export type GenerationEvent =
  /** Before the first prefill: the prompt's true length in tokens. Upstreams without a tokenizer send an upper bound. */
  | { readonly type: 'started'; readonly promptTokens: number; readonly making?: Making }
  /** A piece of text, always whole Unicode characters, or of a thought before it, and how many sampled tokens it stands for. */
  | GenerationDelta
  | { readonly type: 'finished'; readonly reason: FinishReason; readonly usage: Usage };

export type Milestone = Exclude<GenerationEvent, GenerationDelta>;

/** Takes the deltas. MUST NOT throw. False: no more is wanted, which leaves the generation as its `return()` does. */
export type Take = (delta: GenerationDelta) => boolean | Promise<boolean>;

export type FinishReason = 'stop' | 'length' | 'tool_calls';

export interface GenerationDelta {
  readonly type: 'delta';
  readonly text: string;
  readonly tokens: number;
  /** Of the tokens whose text this is, where they were asked for. */
  readonly logprobs?: readonly TokenLogprob[] | undefined;
  readonly calls?: readonly CallPiece[] | undefined;
  readonly thought?: string | undefined;
}

/** Texts of which each is turned into a vector. They are computed one after another, in turn with other users' texts. */
export interface EmbeddingRequest {
  readonly requestId: string;
  readonly model: string;
  /** At least one, none of them empty. */
  readonly inputs: readonly string[];
  readonly subject: string;
  /** Default `interactive`. */
  readonly priority?: Priority;
  readonly credit: TokenCredit;
}

/** One text's vector, as long as the model makes them and not normalised. */
export interface VectorEvent {
  readonly type: 'vector';
  /** Place of its text in the request. */
  readonly index: number;
  readonly values: Float32Array;
}

/** One `started`, with the tokens of all texts; a `vector` for each text, in their order; one `finished`. */
export type EmbeddingEvent =
  | (Extract<GenerationEvent, { type: 'started' }> & {
      /** Tokens of the longest text. */
      readonly longest: number;
    })
  | VectorEvent
  | Extract<GenerationEvent, { type: 'finished' }>;

export type ModelState = 'unloaded' | 'loading' | 'ready' | 'failed';

/** How far a load is; `done` from 0 to 1. */
export interface LoadProgress {
  readonly phase: 'verify' | 'probe' | 'load';
  readonly done: number;
}

/** What is known of a model at this moment. No path, no URL: an analyst may see this. */
export interface ModelStatus {
  readonly id: string;
  readonly engine: 'llama' | 'upstream';
  readonly state: ModelState;
  /** What it is for: a model either answers or turns texts into vectors. */
  readonly makes: 'text' | 'vectors';
  /** Tokens per conversation; null where an upstream does not say. */
  readonly contextSize: number | null;
  /** Upper bound of completion tokens when the caller names none. */
  readonly maxOutputTokens: number;
  /** SHA-256 of the weights in hex; null for an upstream. */
  readonly digest: string | null;
  /** What is put on the weights, and how strongly; null where nothing is. */
  readonly adapter: { readonly name: string; readonly digest: string; readonly scale: number } | null;
  /** The model that foresees tokens: how many since the load, and how many of them rightly; null where none does. */
  readonly draft: {
    readonly digest: string;
    readonly foreseen: number;
    readonly right: number;
    readonly use: DraftUse;
    readonly costs: DraftCosts;
  } | null;
  /** SHA-256 of the chat template in hex; null for an upstream. */
  readonly templateDigest: string | null;
  /** Conversations that run at once, and how many do now. */
  readonly slots: number;
  readonly busy: number;
  readonly queued: number;
  /** Process id of the engine's child while there is one. */
  readonly pid: number | null;
  /** How often the child has died since the gateway started. */
  readonly restarts: number;
  readonly progress: LoadProgress | null;
  /** Why its file is not loaded until an admin says so; null while it is not in quarantine. */
  readonly quarantine: string | null;
  /** What does the arithmetic (`cpu`, `cuda`, …) and how many of its layers lie on a GPU; null where it never ran. */
  readonly backend: string | null;
  readonly layers: { readonly onGpu: number; readonly of: number } | null;
  /** Bytes of memory that its child was measured to take, the last time it ran; null where it never did. */
  readonly memory: number | null;
  /** Bytes that the engine says it has on GPUs; null where it does not say. */
  readonly gpuMemory?: number | null;
  /** The servers behind an upstream that is in service; what they say of themselves changes under the reader. */
  readonly upstream?: UpstreamStatus;
}

/**
 * The port behind which a model runs (`llama` in a child process, `upstream` over HTTP).
 *
 * - MUST NOT throw anything but `Problem`: `model_loading` and `overloaded` (with `retryAfter`), `model_not_loaded`,
 *   `context_length_exceeded` (message names prompt and context size in tokens), `invalid_parameter`, `engine_failed`.
 * - MUST count a generation that failed before its `started` event as not run: no token was computed.
 * - MUST call `credit.begin` before anything is computed, and `started` follows only when that was granted.
 * - MUST stop within one second of the signal's abort and release what it holds; the generator then throws `signal.reason`.
 *   Leaving the loop early (`return()`) MUST have the same effect. A text that is being turned into a vector is not
 *   broken off, those after it are left.
 * - MUST refuse `generate` for a model that makes vectors, and `embed` for one that makes text, with `invalid_parameter`.
 * - MUST NOT lose text between the last delta and `finished`, and MUST NOT buffer a delta when the caller waits for it.
 * - MUST NOT go on while `take` has not answered: that is the back-pressure of a slow client.
 */
export interface Engine {
  generate(request: GenerationRequest, signal: AbortSignal, take: Take): AsyncGenerator<Milestone, void, undefined>;
  embed(request: EmbeddingRequest, signal: AbortSignal): AsyncGenerator<EmbeddingEvent, void, undefined>;
  status(): ModelStatus;
  /**
   * Brings the model into memory. Resolves when it is ready; rejects with a Problem when it can't be. An upstream is put
   * in service: it resolves when its servers were looked at, and its state is what they are from then on.
   */
  load(): Promise<void>;
  /** Lifts the quarantine of its file, if there is one: an admin wants it tried again. */
  pardon(): void;
  /** Ends running generations with `engine_failed` and frees everything. Idempotent. */
  close(): Promise<void>;
}
