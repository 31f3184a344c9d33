import { prepared, type Queryable } from '#postgres/pool.ts';
import type { DesiredStore } from './model-state.ts';

const STATES = prepared<{ model: string; number: string; in_service: boolean; pinned: boolean }>(
  'model_states',
  'SELECT * FROM strongroom.model_states()',
);

export const postgresDesiredStates = (pool: Queryable): DesiredStore => ({
  desired: async () => {
    const { rows } = await STATES(pool);
    return new Map(
      rows.map((row) => [row.model, { inService: row.in_service, pinned: row.pinned, number: Number(row.number) }]),
    );
  },
});
