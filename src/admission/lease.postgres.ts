import { prepared, type Queryable } from '#postgres/pool.ts';

interface OrphanRow {
  event_id: string;
  request_id: string;
  actor: string;
  action: string;
  resource: string;
  tokens: string;
}
const RENEW = prepared('renew_lease', 'SELECT strongroom.renew_lease($1)');
const ORPHANS = prepared<OrphanRow>('orphaned_intents', 'SELECT * FROM strongroom.orphaned_intents()');
const KEEP_HOUSE = prepared('keep_house', 'SELECT strongroom.keep_house()');

/** The upkeep functions of migrations/0003. */
export function postgresLease(pool: Queryable, instance: string) {
  return {
    renew: async () => {
      await RENEW(pool, instance);
    },
    orphans: async () => {
      const { rows } = await ORPHANS(pool);
      return rows.map((row) => ({
        eventId: row.event_id,
        requestId: row.request_id,
        actor: row.actor,
        action: row.action,
        resource: row.resource,
        tokens: Number(row.tokens),
      }));
    },
    keepHouse: async () => {
      await KEEP_HOUSE(pool);
    },
  };
}
