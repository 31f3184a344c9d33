import type { Clock } from '#kernel/clock.ts';
import { sha256Hex } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import type { AccountStore } from './identity.ts';
import { UnknownCredentials } from './unknown-credentials.ts';

export interface PrincipalDeps {
  readonly store: Pick<AccountStore, 'findPrincipal'>;
  readonly clock: Clock;
}

/** Only to bound memory and staleness: whether a principal still holds is decided at every admission. */
const TTL_MS = 60_000;
const MAX_CACHED = 20_000;

interface Known {
  /** Null for a credential that was made here and has not been looked up yet. */
  readonly principal: Principal | null;
  readonly until: number;
}

/** Credential to principal, looked up once and remembered under the SHA-256 of the whole credential. */
export class Principals {
  readonly #deps: PrincipalDeps;
  readonly #cache = new Map<string, Known>();
  readonly #loading = new Map<string, Promise<Principal | null>>();
  readonly #unknown = new UnknownCredentials();

  constructor(deps: PrincipalDeps) {
    this.#deps = deps;
  }

  /**
   * Null for a credential that does not hold. `fresh` passes the cache by. `network`: where it came from; what nobody
   * holds is looked for so often only, and what is known here is never held up by that.
   *
   * @throws Problem `too_many_attempts`
   */
  async find(kind: 'session' | 'api_key', secret: string, fresh: boolean, network: string): Promise<Principal | null> {
    const ref = sha256Hex(secret);
    const known = this.#cache.get(ref);
    const now = this.#deps.clock.monotonic();
    if (!fresh && known && known.principal !== null && known.until > now) return known.principal;
    const shared = this.#loading.get(ref);
    if (!fresh && shared) return shared;
    if (known === undefined) {
      if (this.#unknown.isKnownBad(ref, now)) return null;
      const wait = this.#unknown.take(network, now);
      if (wait > 0) throw new Problem('too_many_attempts', { retryAfter: wait });
    }
    const loading = this.#load(kind, ref, known === undefined ? network : null);
    this.#loading.set(ref, loading);
    try {
      return await loading;
    } finally {
      if (this.#loading.get(ref) === loading) this.#loading.delete(ref);
    }
  }

  /** A credential that was just made here: its first look-up is nobody's guess. */
  expect(secret: string): void {
    this.#keep(sha256Hex(secret), { principal: null, until: 0 });
  }

  /** A token that has been followed by another one: it is looked up again from here on. */
  forget(secret: string): void {
    this.#cache.delete(sha256Hex(secret));
  }

  async #load(kind: 'session' | 'api_key', ref: string, network: string | null): Promise<Principal | null> {
    const principal = await this.#deps.store.findPrincipal(kind, ref);
    const now = this.#deps.clock.monotonic();
    this.#cache.delete(ref);
    if (principal === null) {
      // One that held a moment ago may hold again: an account that is let in anew.
      if (network !== null) this.#unknown.remember(ref, now);
      return null;
    }
    if (network !== null) this.#unknown.giveBack(network, now);
    this.#keep(ref, { principal, until: now + TTL_MS });
    return principal;
  }

  #keep(ref: string, known: Known): void {
    if (this.#cache.size >= MAX_CACHED) {
      const oldest = this.#cache.keys().next().value;
      if (oldest !== undefined) this.#cache.delete(oldest);
    }
    this.#cache.set(ref, known);
  }
}
