import type { Clock } from '#kernel/clock.ts';
import { sha256Hex } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import type { AccountStore } from './identity.ts';

export interface PrincipalDeps {
  readonly store: Pick<AccountStore, 'findPrincipal'>;
  readonly clock: Clock;
}

/** Only to bound memory and staleness: whether a principal still holds is decided at every admission. */
const TTL_MS = 60_000;
const MAX_CACHED = 20_000;

/** Credential to principal, looked up once and remembered under the SHA-256 of the whole credential. */
export class Principals {
  readonly #deps: PrincipalDeps;
  readonly #cache = new Map<string, { readonly principal: Principal; readonly until: number }>();
  readonly #loading = new Map<string, Promise<Principal | null>>();

  constructor(deps: PrincipalDeps) {
    this.#deps = deps;
  }

  /** Null for a credential that does not hold. `fresh` passes the cache by. Unknown ones are never remembered. */
  async find(kind: 'session' | 'api_key', secret: string, fresh: boolean): Promise<Principal | null> {
    const ref = sha256Hex(secret);
    const known = this.#cache.get(ref);
    if (!fresh && known && known.until > this.#deps.clock.monotonic()) return known.principal;
    const shared = this.#loading.get(ref);
    if (!fresh && shared) return shared;
    const loading = this.#load(kind, ref);
    this.#loading.set(ref, loading);
    try {
      return await loading;
    } finally {
      if (this.#loading.get(ref) === loading) this.#loading.delete(ref);
    }
  }

  async #load(kind: 'session' | 'api_key', ref: string): Promise<Principal | null> {
    const principal = await this.#deps.store.findPrincipal(kind, ref);
    this.#cache.delete(ref);
    if (principal === null) return null;
    if (this.#cache.size >= MAX_CACHED) {
      const oldest = this.#cache.keys().next().value;
      if (oldest !== undefined) this.#cache.delete(oldest);
    }
    this.#cache.set(ref, { principal, until: this.#deps.clock.monotonic() + TTL_MS });
    return principal;
  }
}
