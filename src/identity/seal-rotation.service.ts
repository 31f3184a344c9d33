import { type AuditEvent, SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { toHex } from '#kernel/bytes.ts';
import { type KeyRegistry, missingKey, type SealedSecret, type SealKey } from './seal.ts';

export interface SealRotationDeps {
  readonly registry: KeyRegistry;
  readonly recorder: Recorder;
  readonly read: () => Promise<readonly SealKey[]>;
  /** Whole or not at all, on disk when it resolves. */
  readonly replace: (keys: readonly SealKey[]) => Promise<void>;
  readonly newKey: () => SealKey;
  /** Waits a moment while gateways take up the new file; false once that has taken too long. */
  readonly patience: () => Promise<boolean>;
  /** Who does this, for the record. */
  readonly facts: Readonly<Record<string, string>>;
}

/** What has been done; after any of these the process may end, and the next run goes on from there. */
export type RotationStep = 'written' | 'prepared' | 'advanced' | 'resealed' | 'retired' | 'removed';

/**
 * A new seal key in the place of the old one, while gateways run. The new key is in every gateway's hands before anything
 * is sealed under it, and the old one in the file until nothing is sealed under it any more: at no moment is there a
 * secret whose key is gone. Each change is on the record; beginning again goes on with what was interrupted.
 */
export class SealRotation {
  readonly #deps: SealRotationDeps;

  constructor(deps: SealRotationDeps) {
    this.#deps = deps;
  }

  /** @throws Error with a sentence for the operator where it can't go on */
  async *run(): AsyncGenerator<RotationStep> {
    const { registry } = this.#deps;
    if (!(await this.#isUnderWay())) {
      await this.#begin();
      yield 'written';
    }
    const next = await this.#next();
    if (next !== null) {
      yield 'prepared';
      await this.#advance(next);
      yield 'advanced';
    }
    const head = await this.#head();
    for (const { name } of (await registry.known('seal')).filter(({ state }) => state === 'old')) {
      do {
        for await (const _ of this.#reseal(head)) yield 'resealed';
      } while (!(await this.#retire(name)));
      yield 'retired';
    }
    await this.#deps.replace([head]);
    yield 'removed';
  }

  /** Something is prepared or still read, or the file holds more than the key in use. */
  async #isUnderWay(): Promise<boolean> {
    const { known, keys } = await this.#look();
    return (
      known.some(({ state }) => state === 'next' || state === 'old') ||
      keys.some(({ name }) => !known.some((one) => one.name === name && one.state === 'head'))
    );
  }

  async #look() {
    const known = await this.#deps.registry.known('seal');
    const keys = await this.#deps.read();
    const missing = missingKey(
      keys.map(({ name }) => name),
      known,
    );
    if (missing !== null) throw new Error(missing);
    return { known, keys };
  }

  async #begin(): Promise<void> {
    const { known, keys } = await this.#look();
    if (!known.some(({ state }) => state === 'head'))
      throw new Error('no gateway has been started on this database yet: there is nothing to rotate');
    await this.#deps.replace([...keys, this.#deps.newKey()]);
  }

  /** The key that waits to be used, made known to the database; null where it is in use already. */
  async #next(): Promise<SealKey | null> {
    const { known, keys } = await this.#look();
    const prepared = known.find(({ state }) => state === 'next');
    if (prepared !== undefined) {
      const key = keys.find(({ name }) => name === prepared.name);
      if (key !== undefined) return key;
      throw new Error(`the next seal key is ${prepared.name}, and it is not here: run this where the rotation began`);
    }
    const unknown = keys.find(({ name }) => !known.some((one) => one.name === name));
    if (unknown === undefined || known.some(({ state }) => state === 'old')) return null;
    await this.#change('seal.prepare', { fingerprint: unknown.name }, { key: unknown.name });
    return unknown;
  }

  async #advance({ name }: SealKey): Promise<void> {
    for (;;) {
      const without = await this.#deps.registry.countWithout(name);
      if (without === 0 && (await this.#change('seal.advance', { fingerprint: name }, { key: name }))) return;
      if (!(await this.#deps.patience()))
        throw new Error(
          `${without} running gateways do not hold the new seal key yet: copy the key file to them, and run this again`,
        );
    }
  }

  async #head(): Promise<SealKey> {
    const { known, keys } = await this.#look();
    const head = keys.find(({ name }) => known.some((one) => one.name === name && one.state === 'head'));
    if (head === undefined) throw new Error('the database knows no seal key');
    return head;
  }

  async *#reseal(head: SealKey): AsyncGenerator<void> {
    const keys = await this.#deps.read();
    for (;;) {
      const portion = await this.#deps.registry.sealedOtherwise(head.name);
      if (portion.length === 0) return;
      for (const secret of portion) {
        await this.#resealOne(secret, keys, head);
        yield;
      }
    }
  }

  async #resealOne({ account, place, sealed }: SealedSecret, keys: readonly SealKey[], head: SealKey): Promise<void> {
    const context = `totp ${account}`;
    const text = keys.map((key) => openedBy(key, sealed, context)).find((opened) => opened !== null) ?? null;
    if (text === null) throw new Error(`no key of the file opens the second factor of ${account}`);
    const change = { account, place, old: toHex(sealed), new: toHex(head.seal(text, context)) };
    // Refused where its owner has changed it at this moment: then the next portion shows what it is now.
    await this.#change('totp.reseal', change, { key: head.name, place }, `account:${account}`);
  }

  /** False where a gateway has just sealed something under it once more. */
  #retire(name: string): Promise<boolean> {
    return this.#change('seal.retire', { fingerprint: name }, { key: name });
  }

  async #change(name: string, change: Record<string, unknown>, facts: Record<string, string>, resource = 'keys:seal') {
    const event: AuditEvent = {
      kind: 'change',
      actor: SYSTEM,
      action: name,
      resource,
      outcome: 'completed',
      request: null,
      facts: { ...this.#deps.facts, ...facts },
    };
    return (await this.#deps.recorder.change(name, change, event)).verdict === 'changed';
  }
}

function openedBy(key: SealKey, sealed: Uint8Array, context: string): string | null {
  try {
    return key.open(sealed, context);
  } catch {
    return null;
  }
}
