import type { Pool } from 'pg';
import type { PolicyText } from './access.ts';

/** The policy with the highest number, or null in a database that has none yet. */
export async function currentPolicy(pool: Pool): Promise<PolicyText | null> {
  const { rows } = await pool.query<{ version: string; model: string; policy: string; sha256: string }>(
    'SELECT version, model, policy, sha256 FROM strongroom.current_policy()',
  );
  const [row] = rows;
  return row ? { ...row, version: Number(row.version) } : null;
}
