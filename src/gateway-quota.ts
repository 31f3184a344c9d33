import { countersOf } from '#admission/gate.ts';
import type { Recorder } from '#audit/recorder.ts';
import type { Route } from '#http/route.ts';
import type { Principal } from '#kernel/principal.ts';
import type { Queryable } from '#postgres/pool.ts';
import { postgresQuotas } from '#quota/quota.postgres.ts';
import { quotaRoutes } from '#quota/quota.routes.ts';
import { Quotas, wordsOf } from '#quota/quota.service.ts';
import { orUnavailable } from './gateway-database.ts';

export interface QuotaWiring {
  readonly pool: Queryable;
  readonly zone: string;
  readonly recorder: Recorder;
  /** The catalogue. */
  readonly models: () => readonly string[];
  readonly mayUse: (principal: Principal, model: string, address: string) => boolean;
}

/** What callers and admins see of quotas; that they hold is admission's business. */
export function openQuotas({ pool, zone, recorder, models, mayUse }: QuotaWiring): Route[] {
  const store = orUnavailable(postgresQuotas(pool, zone));
  const quotas = new Quotas({ store, recorder, hasModel: (id) => models().includes(id) });
  return quotaRoutes({
    store,
    timeZone: zone,
    countersOf,
    modelsOf: (principal, address) => models().filter((id) => mayUse(principal, id, address)),
    quotas: {
      list: () => quotas.list(),
      assertScope: (scope) => quotas.assertScope(scope),
      find: (place) => quotas.find(place),
      set: (place, value, actor) => quotas.set(place, value, actor),
      clear: (place, actor) => quotas.clear(place, actor),
      describe: wordsOf,
    },
  });
}
