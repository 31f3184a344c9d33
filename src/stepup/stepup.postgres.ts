import { prepared, type Queryable } from '#postgres/pool.ts';
import type { ChallengeStore } from './stepup.ts';

const FIND = prepared<{ operation: string; digest: string; totp_secret: Buffer | null }>(
  'find_challenge',
  'SELECT * FROM strongroom.find_challenge($1, $2)',
);

export function postgresChallenges(pool: Queryable): ChallengeStore {
  return {
    findChallenge: async (ref, session) => {
      const { rows } = await FIND(pool, ref, session);
      const [row] = rows;
      return row ? { operation: row.operation, digest: row.digest, totpSecret: row.totp_secret } : null;
    },
  };
}
