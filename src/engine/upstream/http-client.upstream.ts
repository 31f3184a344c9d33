import { Pool } from 'undici';
import type { Rotating, UpstreamModelSpec, UpstreamTls } from '#engine/model-spec.ts';
import { type Patience, UpstreamAnswer } from './answer.upstream.ts';
import { Turns } from './turns.upstream.ts';

export interface UpstreamLimits extends Patience {
  /** Until a connection stands, TLS included. Milliseconds. */
  readonly connectMs: number;
  readonly maxQueue: number;
  readonly maxQueueMs: number;
  /** An answer that is not streamed may have so many bytes. */
  readonly maxAnswerBytes: number;
  /** How often each server is looked at, and how long it may take to answer. */
  readonly probeMs: number;
  readonly probeTimeoutMs: number;
  /** So many failures in a row open a server's circuit, for so long. */
  readonly failures: number;
  readonly openMs: number;
}

export const UPSTREAM_LIMITS: UpstreamLimits = {
  connectMs: 5_000,
  firstByteMs: 60_000,
  nextByteMs: 30_000,
  answerMs: 600_000,
  maxQueue: 64,
  maxQueueMs: 30_000,
  maxAnswerBytes: 16 * 1024 * 1024,
  probeMs: 10_000,
  probeTimeoutMs: 5_000,
  failures: 5,
  openMs: 10_000,
};

const SYSTEM_TLS: Rotating<UpstreamTls> = { current: {}, reload: async () => false };

/** A head may not be longer, whatever is in it. */
const MOST_HEAD_BYTES = 16 * 1024;

/** Keeps connections to one server. HTTP/1.1 only; no redirect is followed, and no encoded answer is asked for. */
export class UpstreamClient {
  /** Host and port, and the path where there is one. Safe to show: an address with a secret in it is not taken. */
  readonly name: string;
  readonly #origin: string;
  readonly #base: string;
  readonly #key: Rotating<string> | null;
  readonly #tls: Rotating<UpstreamTls>;
  readonly #limits: UpstreamLimits;
  readonly #turns = new Turns();
  #pool: Pool;
  /** What its connections were made with. */
  #poolTls: UpstreamTls;
  /** Pools of earlier certificates, until their last answer has ended. */
  readonly #retired = new Set<Pool>();
  #headersFor: string | null = null;
  #headers: string[] = [];

  constructor(url: string, spec: UpstreamModelSpec, limits: UpstreamLimits) {
    const { origin, host, pathname } = new URL(url);
    this.#base = pathname.endsWith('/') ? pathname : `${pathname}/`;
    this.name = `${host}${this.#base.slice(0, -1)}`;
    this.#key = spec.apiKey ?? null;
    this.#limits = limits;
    this.#origin = origin;
    this.#tls = spec.tls ?? SYSTEM_TLS;
    this.#poolTls = this.#tls.current;
    this.#pool = this.#open();
  }

  /** Sends a question. `whole`: its answer is not streamed. */
  post(path: string, body: string, whole: boolean): UpstreamAnswer {
    const answer = new UpstreamAnswer(this.#limits, whole, this.#turns);
    this.#connections().dispatch({ method: 'POST', path: this.#base + path, headers: this.#head(), body }, answer);
    return answer;
  }

  get(path: string): UpstreamAnswer {
    const { probeTimeoutMs: most } = this.#limits;
    const answer = new UpstreamAnswer({ firstByteMs: most, nextByteMs: most, answerMs: most }, false, this.#turns);
    this.#connections().dispatch({ method: 'GET', path: this.#base + path, headers: this.#head() }, answer);
    return answer;
  }

  /** Breaks all connections. */
  close(): void {
    for (const pool of [this.#pool, ...this.#retired]) void pool.destroy();
  }

  /** Whoever was trusted by certificates that were replaced is asked nothing more; what he answers now he may end. */
  #connections(): Pool {
    if (this.#poolTls !== this.#tls.current) {
      this.#retired.add(this.#pool);
      const before = this.#pool;
      void before.close().finally(() => this.#retired.delete(before));
      this.#poolTls = this.#tls.current;
      this.#pool = this.#open();
    }
    return this.#pool;
  }

  #open(): Pool {
    return new Pool(this.#origin, {
      allowH2: false,
      pipelining: 1,
      maxHeaderSize: MOST_HEAD_BYTES,
      // Answers keep their own time.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: this.#limits.connectMs, minVersion: 'TLSv1.2', ...this.#poolTls },
    });
  }

  #head(): string[] {
    const key = this.#key?.current ?? '';
    if (key !== this.#headersFor) {
      this.#headersFor = key;
      this.#headers = ['accept', 'application/json, text/event-stream', 'content-type', 'application/json'];
      if (key !== '') this.#headers.push('authorization', `Bearer ${key}`);
    }
    return this.#headers;
  }
}
