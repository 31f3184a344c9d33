import { prepared, type Queryable } from '#postgres/pool.ts';
import type { Standing } from './admission.ts';

type StandingVerdict = 'valid' | 'revoked' | 'stale';

const CHECK = prepared<{ o_verdict: StandingVerdict }>(
  'check_principals',
  'SELECT o_verdict FROM strongroom.check_principals($1::json) ORDER BY o_ord',
);

/** The read batch of standings: the judgement of admission, without the head lock. */
export const standingChecker =
  (pool: Queryable) =>
  async (standings: readonly Standing[]): Promise<readonly StandingVerdict[]> => {
    const principals = standings.map(({ credential, epoch, policyVersion }) => ({
      kind: credential.kind,
      ref: credential.ref,
      epoch,
      policy: policyVersion,
    }));
    const { rows } = await CHECK(pool, JSON.stringify(principals));
    return rows.map((row) => row.o_verdict);
  };
