import { hash, verify } from '@node-rs/argon2';
import { Problem } from '#kernel/problem.ts';
import type { PasswordHasher } from './identity.ts';

/** OWASP's second choice for Argon2id: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 } as const;
/** More at once would only make each slower, and is how sign-in becomes a way to stop the gateway. */
const MAX_RUNNING = 2;
const MAX_WAITING = 64;

/** @throws Problem `overloaded` from its methods when too many sign-ins wait. */
export function argon2Hasher(): PasswordHasher {
  const gate = new Turnstile();
  let decoy: Promise<string> | null = null;
  return {
    hash: (password) => gate.run(() => hash(password, PARAMETERS)),
    verify: async (stored, password) => {
      decoy ??= hash('no account has this password', PARAMETERS);
      const against = stored ?? (await decoy);
      const matches = await gate.run(() => verify(against, password));
      return stored !== null && matches;
    },
    isCurrent,
  };
}

/** The hash names its own parameters (PHC string): whichever of ours is higher now makes it an old one. */
function isCurrent(stored: string): boolean {
  const [, memory, time, lanes] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/.exec(stored) ?? [];
  return (
    Number(memory) >= PARAMETERS.memoryCost &&
    Number(time) >= PARAMETERS.timeCost &&
    Number(lanes) >= PARAMETERS.parallelism
  );
}

class Turnstile {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_RUNNING) {
      if (this.#waiting.length >= MAX_WAITING) throw new Problem('overloaded', { retryAfter: 2 });
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
