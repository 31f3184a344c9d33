import type { Queryable } from '#postgres/pool.ts';
import type { RegisteredKey } from './signing-keys.ts';

interface Row {
  readonly origin: string;
  readonly public_key: Buffer;
  readonly from_size: string;
  readonly note: string | null;
}

/** Registers the first key of a log; where there is one it stays. */
export async function registerSigningKey(on: Queryable, origin: string, publicKey: Uint8Array): Promise<void> {
  await on.query('SELECT strongroom.register_signing_key($1, $2)', [origin, Buffer.from(publicKey)]);
}

/** The keys of this log, the one in force last. Nothing is believed of them before their notes were opened. */
export async function registeredKeys(on: Queryable): Promise<RegisteredKey[]> {
  const { rows } = await on.query<Row>('SELECT origin, public_key, from_size, note FROM strongroom.signing_keys()');
  return rows.map((row) => ({
    origin: row.origin,
    publicKey: row.public_key,
    after: Number(row.from_size),
    note: row.note,
  }));
}
