import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import type { Config } from '#config/schema.ts';
import { postgresKeys } from '#identity/seal.postgres.ts';
import type { KeyRegistry, SealKey } from '#identity/seal.ts';
import { makeSealKey, newSealKey, readSealKeys, replaceSealKeys, sealFileState } from '#identity/seal-key.files.ts';
import { SealKeys } from '#identity/seal-keys.service.ts';
import { SealRotation } from '#identity/seal-rotation.service.ts';
import { openSealKey } from '#identity/sealer.crypto.ts';
import type { Log } from '#kernel/log.ts';
import type { Queryable } from '#postgres/pool.ts';

export interface KeysOptions {
  readonly config: Config;
  readonly base: string;
  readonly pool: Queryable;
  readonly recorder: Recorder;
  readonly instance: string;
  /** With the embedded database the seal key is made on the first run. */
  readonly embedded: boolean;
  readonly log: Log;
}

export interface OpenKeys {
  readonly sealer: SealKeys;
  readonly registry: KeyRegistry;
  /** Enters the first key of a purpose into the database, on the record. */
  readonly registerKey: (purpose: 'seal' | 'token', name: string) => Promise<void>;
}

/** The seal keys, checked against the database. @throws Error that names the file when they are not those of the database */
export async function openKeys({
  config,
  base,
  pool,
  recorder,
  instance,
  embedded,
  log,
}: KeysOptions): Promise<OpenKeys> {
  const file = sealFile(config, base);
  if (config.keys.sealFile === undefined && embedded) await makeSealKey(file);
  const registry = postgresKeys(pool, instance);
  const registerKey: OpenKeys['registerKey'] = async (purpose, name) => {
    await registerKeyBy(recorder, purpose, name, {});
  };
  try {
    const sealer = await SealKeys.open({
      read: () => readKeys(file),
      state: () => sealFileState(file),
      registry,
      register: (name) => registerKey('seal', name),
      log,
    });
    return { sealer, registry, registerKey };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(why.includes(file) ? why : `${file}: ${why}`, { cause });
  }
}

/** Where the seal keys lie. */
export const sealFile = ({ keys, dataDir }: Config, base: string): string =>
  keys.sealFile === undefined ? join(resolve(base, dataDir), 'keys', 'seal.key') : resolve(base, keys.sealFile);

export const readKeys = async (file: string): Promise<SealKey[]> => (await readSealKeys(file)).map(openSealKey);

/** `replace`: the key that signs tokens is followed by this one. */
export const registerKeyBy = (
  recorder: Recorder,
  purpose: 'seal' | 'token',
  name: string,
  { replace = false, facts = {} }: { readonly replace?: boolean; readonly facts?: Readonly<Record<string, string>> },
) =>
  recorder.change(
    'key.register',
    { purpose, fingerprint: name, replace: String(replace) },
    {
      kind: 'change',
      actor: SYSTEM,
      action: 'keys.register',
      resource: `keys:${purpose}`,
      outcome: 'completed',
      request: null,
      facts: { ...facts, key: name },
    },
  );

/** Gateways look at their file every two seconds; one that has not by now can't. */
const PATIENCE_MS = 20_000;

/** A rotation of the seal keys in this file. */
export function openRotation({
  file,
  pool,
  recorder,
  facts,
}: {
  readonly file: string;
  readonly pool: Queryable;
  readonly recorder: Recorder;
  readonly facts: Readonly<Record<string, string>>;
}): SealRotation {
  const end = performance.now() + PATIENCE_MS;
  return new SealRotation({
    registry: postgresKeys(pool, ''),
    recorder,
    read: () => readKeys(file),
    replace: (keys) =>
      replaceSealKeys(
        file,
        keys.map(({ bytes }) => bytes),
      ),
    newKey: () => openSealKey(newSealKey()),
    patience: async () => {
      await sleep(250);
      return performance.now() < end;
    },
    facts,
  });
}
