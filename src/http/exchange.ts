import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Admission, AdmissionRequest, Decision, Gate, ModelGrant, Report, Resource } from '#kernel/gate.ts';
import type { Principal } from '#kernel/principal.ts';
import { Roster } from '#kernel/roster.ts';
import type { GuardedRoute, Input, PublicRoute } from './route.ts';

/** What the steps hand on while one request is under way. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: GuardedRoute<unknown, unknown, unknown> | PublicRoute<unknown, unknown, unknown>;
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
  readonly address: string;
  /** Of the trusted proxy in between; null where there is none. */
  readonly peer: string | null;
  readonly abort: AbortController;
  /** Set when an admission was `stale`: every cache is passed by on the next attempt. */
  fresh: boolean;
  rawBody: Buffer;
  principal: Principal | null;
  input: Input<unknown, unknown, unknown> | null;
  resource: Resource | null;
  decision: Decision | null;
  /** What it asks of a model, as policy granted it. */
  grant: ModelGrant | null;
  /** The sentence and the digest of an operation that needs a fresh second factor. */
  operation: string | null;
  digest: string | null;
  admissionRequest: AdmissionRequest | null;
  admission: Admission | null;
  report: (() => Report) | null;
}

export interface PipelineDeps {
  readonly gate: Gate;
  /** The origin that changes are accepted from, besides a missing Origin header. */
  readonly isOwnOrigin: (origin: string, host: string) => boolean;
  readonly onEnd: (exchange: Exchange, status: number, code: string | null, durationMs: number) => void;
  readonly onError: (exchange: Exchange, error: unknown) => void;
  readonly monotonic: () => number;
}

/** What is under way, so that a stop can end it in order: cut off, recorded, and only then gone. */
export class ActiveExchanges {
  readonly #active = new Roster<{ readonly exchange: Exchange; readonly done: Promise<void> }>();

  get size(): number {
    return this.#active.size;
  }

  async track(exchange: Exchange, done: Promise<void>): Promise<void> {
    const leave = this.#active.add({ exchange, done });
    await done;
    leave();
  }

  /** Aborts everything with `reason` and waits until each has written its outcome. */
  async cut(reason: unknown): Promise<void> {
    const active = this.#active.members();
    for (const { exchange } of active) exchange.abort.abort(reason);
    await Promise.allSettled(active.map(({ done }) => done));
  }
}
