/** What one client has opened: bound to who he is, to one version of one model, and to his evaluation keys. */
export interface ScoringSession {
  /** 32 hex digits, random: what stands in every frame. */
  readonly id: string;
  readonly subject: string;
  /** Reference of the credential that it was opened with; another one can not use it. */
  readonly credential: string;
  readonly modelId: string;
  readonly modelHash: string;
  readonly steps: readonly number[];
  readonly keys: Uint8Array;
  /** SHA-256 of the frame that brought the keys. */
  readonly keysHash: string;
}

export interface SessionLimits {
  /** Milliseconds without use. */
  readonly idleMs: number;
  /** Of all sessions together. */
  readonly maxBytes: number;
  readonly maxPerSubject: number;
}

export const SESSION_LIMITS: SessionLimits = { idleMs: 20 * 60_000, maxBytes: 256 * 1024 * 1024, maxPerSubject: 8 };

interface Held {
  readonly session: ScoringSession;
  readonly forget: () => void;
  usedAt: number;
}

/**
 * Evaluation keys in memory, as the bytes they came in: never written, never shared. They go when they have not been used
 * for a while, when their session ends, and the longest unused first when there are too many.
 */
export class ScoringSessions {
  readonly #limits: SessionLimits;
  readonly #now: () => number;
  /** In the order of use. */
  readonly #held = new Map<string, Held>();
  #bytes = 0;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number, limits: SessionLimits = SESSION_LIMITS) {
    this.#now = now;
    this.#limits = limits;
  }

  get size(): number {
    return this.#held.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `forget` is called once, when the session goes. */
  open(session: ScoringSession, forget: () => void): void {
    this.sweep();
    const own = [...this.#held.values()].filter((held) => held.session.subject === session.subject);
    for (const { session: old } of own.slice(0, Math.max(0, own.length + 1 - this.#limits.maxPerSubject)))
      this.#drop(old.id);
    for (const [id] of this.#held) {
      if (this.#bytes + session.keys.length <= this.#limits.maxBytes) break;
      this.#drop(id);
    }
    this.#held.set(session.id, { session, forget, usedAt: this.#now() });
    this.#bytes += session.keys.length;
  }

  /** His own session, or null: gone, of somebody else, or of another sign-in. */
  use(id: string, subject: string, credential: string): ScoringSession | null {
    this.sweep();
    const held = this.#held.get(id);
    if (held === undefined || held.session.subject !== subject || held.session.credential !== credential) return null;
    held.usedAt = this.#now();
    this.#held.delete(id);
    this.#held.set(id, held);
    return held.session;
  }

  close(id: string): void {
    this.#drop(id);
  }

  sweep(): void {
    const oldest = this.#now() - this.#limits.idleMs;
    for (const [id, { usedAt }] of this.#held) if (usedAt < oldest) this.#drop(id);
  }

  clear(): void {
    for (const id of [...this.#held.keys()]) this.#drop(id);
  }

  #drop(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#bytes -= held.session.keys.length;
    // What a core dump or a later bug could show.
    held.session.keys.fill(0);
    held.forget();
  }
}
