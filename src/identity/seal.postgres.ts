import { prepared, type Queryable } from '#postgres/pool.ts';
import type { KeyRegistry, KeyState, KnownKey, SealedSecret } from './seal.ts';

interface KeyRow {
  fingerprint: string;
  state: KeyState;
}

const KNOWN = prepared<KeyRow>('key_files', 'SELECT * FROM strongroom.key_files($1)');
const HOLD = prepared<KeyRow>('hold_seal_keys', 'SELECT * FROM strongroom.hold_seal_keys($1, $2)');
const WITHOUT = prepared<{ n: string }>('without_seal_key', 'SELECT strongroom.without_seal_key($1) AS n');
const SEALED = prepared<{ account: string; place: SealedSecret['place']; sealed: Buffer }>(
  'sealed_otherwise',
  'SELECT * FROM strongroom.sealed_otherwise($1)',
);

const keysOf = (rows: readonly KeyRow[]): KnownKey[] =>
  rows.map(({ fingerprint, state }) => ({ name: fingerprint, state }));

/** `instance`: the gateway that says what it holds. */
export function postgresKeys(pool: Queryable, instance: string): KeyRegistry {
  return {
    known: async (purpose) => keysOf((await KNOWN(pool, purpose)).rows),
    hold: async (names) => keysOf((await HOLD(pool, instance, names)).rows),
    countWithout: async (name) => Number((await WITHOUT(pool, name)).rows[0]?.n ?? 0),
    sealedOtherwise: async (name) => (await SEALED(pool, name)).rows,
  };
}
