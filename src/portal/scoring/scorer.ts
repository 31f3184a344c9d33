import type { Api } from '#portal/api.ts';
import { Refusal } from '#portal/refusal.ts';
import { FRAME_TYPE } from '#scoring/frame.shared.ts';
import type { DescriptorAnswer, KeysAnswer } from '#scoring/scoring.contract.ts';
import type { Answers, Ask, Said } from './messages.ts';

const WORKER = '/scoring-worker.js';

/** Trusted Types: the one address that may become a worker. */
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string };
}
const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
const policy = trustedTypes?.createPolicy('strongroom-worker', {
  createScriptURL: (url) => {
    if (url !== WORKER) throw new TypeError('no other worker is started here');
    return url;
  },
});

/** What went wrong in the worker: a table that can't be read, or `failed`. */
export class ScorerFault extends Error {
  override readonly name = 'ScorerFault';
  readonly code: string;
  readonly line: number;
  readonly column: string;

  constructor({ code, line, column }: { readonly code: string; readonly line: number; readonly column: string }) {
    super(code);
    this.code = code;
    this.line = line;
    this.column = column;
  }
}

export const failureOf = (thrown: unknown): Refusal | ScorerFault =>
  thrown instanceof ScorerFault ? thrown : Refusal.from(thrown);

export interface Scored {
  readonly names: readonly string[];
  readonly scores: readonly number[];
  /** Bytes that went to the gateway, and how long it all took, in milliseconds. */
  readonly bytes: number;
  readonly ms: number;
}

/** Scores customers of one model: encrypts here, has the gateway compute, decrypts here. `close` ends its key. */
export class Scorer {
  readonly #api: Api;
  readonly #descriptor: DescriptorAnswer;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #count = 0;
  #session: string | null = null;
  #keys: Promise<Uint8Array<ArrayBuffer>>;

  constructor(api: Api, descriptor: DescriptorAnswer) {
    this.#api = api;
    this.#descriptor = descriptor;
    this.#worker = new Worker(policy?.createScriptURL(WORKER) ?? WORKER, { type: 'module' });
    this.#worker.addEventListener('message', ({ data }: MessageEvent<Said>) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.ok) waiting?.resolve(data.answer);
      else waiting?.reject(new ScorerFault(data));
    });
    this.#worker.addEventListener('error', () => {
      for (const waiting of this.#waiting.values())
        waiting.reject(new ScorerFault({ code: 'failed', line: 0, column: '' }));
      this.#waiting.clear();
    });
    this.#keys = this.#ask('open', { op: 'open', descriptor });
    this.#keys.catch(() => undefined);
  }

  /** One customer by his features. @throws ScorerFault, Refusal */
  async one(row: readonly number[], signal: AbortSignal): Promise<number> {
    await this.#keys;
    await this.#ask('one', { op: 'one', row });
    const mode = this.#descriptor.modes.includes('single') ? 'single' : 'batch';
    const { scores } = await this.#part(mode, 0, 1, signal);
    return scores[0] ?? Number.NaN;
  }

  /** Everybody in a file, in groups as large as a ciphertext holds. @throws ScorerFault, Refusal */
  async file(file: Blob, signal: AbortSignal, progress: (done: number, all: number) => void): Promise<Scored> {
    const started = performance.now();
    await this.#keys;
    const { names } = await this.#ask('read', { op: 'read', file });
    const scores: number[] = [];
    let bytes = 0;
    progress(0, names.length);
    for (let from = 0; from < names.length; from += this.#descriptor.batch_size) {
      const to = Math.min(names.length, from + this.#descriptor.batch_size);
      const part = await this.#part('batch', from, to, signal);
      scores.push(...part.scores);
      bytes += part.bytes;
      progress(to, names.length);
    }
    return { names, scores, bytes, ms: performance.now() - started };
  }

  /** Ends the worker, and with it the secret key; the gateway forgets the evaluation keys. */
  close(): void {
    this.#worker.terminate();
    if (this.#session !== null)
      void this.#api.send('DELETE', `/v1/scoring/keys/${this.#session}`).catch(() => undefined);
    this.#session = null;
  }

  async #part(mode: 'single' | 'batch', from: number, to: number, signal: AbortSignal) {
    try {
      return await this.#try(mode, from, to, signal);
    } catch (thrown) {
      // Forgotten meanwhile, or another replica answers: once more with a session of its own.
      if (!(thrown instanceof Refusal) || thrown.code !== 'scoring_session_gone') throw thrown;
      this.#session = null;
      return this.#try(mode, from, to, signal);
    }
  }

  async #try(mode: 'single' | 'batch', from: number, to: number, signal: AbortSignal) {
    const session = await this.#open(signal);
    const frame = await this.#ask('encrypt', { op: 'encrypt', mode, from, to, session });
    const path = `/v1/scoring/models/${encodeURIComponent(this.#descriptor.id)}/evaluate?mode=${mode}`;
    const response = await this.#api.open('POST', path, { bytes: { type: FRAME_TYPE, data: frame }, signal });
    const result = new Uint8Array(await response.arrayBuffer());
    const scores = await this.#ask('decrypt', { op: 'decrypt', mode, frame: result });
    return { scores, bytes: frame.length };
  }

  /** One session for all parts: its keys travel once. */
  async #open(signal: AbortSignal): Promise<string> {
    if (this.#session !== null) return this.#session;
    const bytes = { type: FRAME_TYPE, data: await this.#keys };
    const path = `/v1/scoring/keys?model=${encodeURIComponent(this.#descriptor.id)}`;
    const { id } = await this.#api.send<KeysAnswer>('POST', path, { bytes, signal });
    this.#session = id;
    return id;
  }

  #ask<Op extends Ask['op']>(_op: Op, ask: Extract<Ask, { op: Op }>): Promise<Answers[Op]> {
    const waiting = Promise.withResolvers<unknown>();
    const id = ++this.#count;
    this.#waiting.set(id, waiting);
    this.#worker.postMessage({ id, ask });
    return waiting.promise as Promise<Answers[Op]>;
  }
}
