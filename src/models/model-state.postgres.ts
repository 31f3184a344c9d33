import { prepared, type Queryable } from '#postgres/pool.ts';
import type { DesiredStore } from './model-state.ts';

const STATES = prepared<{ model: string; number: string; in_service: boolean; pinned: boolean; loaded: string }>(
  'desired_states',
  'SELECT * FROM strongroom.desired_states()',
);

export const postgresDesiredStates = (pool: Queryable): DesiredStore => ({
  desired: async () => {
    const { rows } = await STATES(pool);
    return new Map(
      rows.map(({ model, number, in_service: inService, pinned, loaded }) => [
        model,
        { inService, pinned, number: Number(number), loaded: Number(loaded) },
      ]),
    );
  },
});
