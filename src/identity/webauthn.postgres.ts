import { prepared, type Queryable } from '#postgres/pool.ts';
import type { Passkey, PasskeyStore } from './webauthn.ts';

interface PasskeyRow {
  id: string;
  credential_id: Buffer;
  public_key: Buffer;
  sign_count: string;
  transports: string[];
  name: string;
  created_at: Date;
  last_used_at: Date | null;
}

const LIST = prepared<PasskeyRow>('list_passkeys', 'SELECT * FROM strongroom.list_passkeys($1)');
const TAKE = prepared<{ account: string; username: string; epoch: string }>(
  'take_webauthn_challenge',
  'SELECT * FROM strongroom.take_webauthn_challenge($1, $2, $3)',
);

export function postgresPasskeys(pool: Queryable): PasskeyStore {
  return {
    listPasskeys: async (account) => (await LIST(pool, account)).rows.map(passkeyOf),
    takeChallenge: async (ref, purpose, session) => {
      const [row] = (await TAKE(pool, ref, purpose, session)).rows;
      return row === undefined ? null : { ...row, epoch: Number(row.epoch) };
    },
  };
}

const passkeyOf = (row: PasskeyRow): Passkey => ({
  id: row.id,
  credentialId: row.credential_id,
  publicKey: row.public_key,
  signCount: Number(row.sign_count),
  transports: row.transports,
  name: row.name,
  createdAt: row.created_at.toISOString(),
  lastUsedAt: row.last_used_at?.toISOString() ?? null,
});
