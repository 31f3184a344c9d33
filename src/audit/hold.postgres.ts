import { prepared, type Queryable } from '#postgres/pool.ts';
import type { ListHolds } from './hold.ts';

interface Row {
  readonly id: string;
  readonly actor: string | null;
  readonly action: string | null;
  readonly resource: string | null;
  readonly request_id: string | null;
  readonly since: Date | null;
  readonly until: Date | null;
  readonly reason: string;
  readonly placed_by: string;
  readonly placed_at: Date;
  readonly released_by: string | null;
  readonly release_reason: string | null;
  readonly released_at: Date | null;
}

const LIST = prepared<Row>('list_holds', 'SELECT * FROM strongroom.list_holds()');

export const postgresHolds =
  (on: Queryable): ListHolds =>
  async () =>
    (await LIST(on)).rows.map(({ since, until, ...row }) => ({
      ...row,
      from: since?.toISOString() ?? null,
      to: until?.toISOString() ?? null,
      placed_at: row.placed_at.toISOString(),
      released_at: row.released_at?.toISOString() ?? null,
    }));
