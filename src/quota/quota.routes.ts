import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import type { Origin } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import { KIND_WORDS, type QuotaKind } from './limit.ts';
import { QuotaChange, QuotaList, QuotaPath, QuotaRecord, UsageResponse } from './quota.contract.ts';
import { type QuotaLimit, strictest, type UsageCounter, type UsageEntry, type UsageStore } from './quota.ts';

interface Place {
  readonly scope: string;
  readonly kind: QuotaKind;
}
interface Value {
  readonly amount: number;
  readonly dryRun: boolean;
  readonly raise: { readonly amount: number; readonly until: string } | null;
}
interface Actor extends Origin {
  readonly id: string;
}

export interface QuotaRoutesDeps {
  readonly store: UsageStore;
  readonly timeZone: string;
  /** What a caller counts on, without and with a model. */
  readonly countersOf: (principal: Principal, models: readonly string[]) => readonly UsageCounter[];
  /** The models that the caller may use. */
  readonly modelsOf: (principal: Principal, address: string) => readonly string[];
  readonly quotas: {
    list(): Promise<readonly QuotaLimit[]>;
    assertScope(scope: string): Promise<void>;
    find(place: Place): Promise<QuotaLimit | null>;
    set(place: Place, value: Value, actor: Actor): Promise<QuotaLimit>;
    clear(place: Place, actor: Actor): Promise<void>;
    describe(value: Value | null): string;
  };
}

const admin = { credentials: 'session', counts: 'none' } as const;
const access = (action: string) =>
  ({ action, resource: () => ({ type: 'directory', id: 'quotas' }), denial: 'forbidden' }) as const;
const actorOf = ({ principal, origin }: { principal: Principal; origin: Origin }): Actor => ({
  id: principal.subject,
  ...origin,
});

export function quotaRoutes({ store, timeZone, countersOf, modelsOf, quotas }: QuotaRoutesDeps): Route[] {
  return [
    route({
      id: 'usage',
      method: 'GET',
      path: '/v1/usage',
      summary: 'What is left of the caller’s quotas, and when they begin anew',
      access: {
        action: 'usage.read',
        resource: (_input, principal) => ({ type: 'usage', id: principal.subject }),
        denial: 'forbidden',
      },
      credentials: 'any',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'none',
      response: UsageResponse,
      handle: async ({ principal, address }) => {
        const entries = await store.usageOf(countersOf(principal, modelsOf(principal, address)));
        return { kind: 'json', body: usageOf(entries, timeZone) };
      },
    }),
    route({
      ...admin,
      id: 'admin.quotas',
      method: 'GET',
      path: '/admin/quotas',
      summary: 'Every limit that is set',
      access: access('quotas.list'),
      stepUp: NO_STEP_UP,
      records: 'denials',
      response: QuotaList,
      handle: async () => ({ kind: 'json', body: { data: (await quotas.list()).map(recordOf) } satisfies QuotaList }),
    }),
    route<Place, undefined, QuotaChange>({
      ...admin,
      id: 'admin.quotas.set',
      method: 'PUT',
      path: '/admin/quotas/:scope/:kind',
      summary: 'Set or raise a limit; holds from the next request on every replica',
      access: access('quotas.set'),
      stepUp: async (_admin, { params, body }) => {
        await quotas.assertScope(params.scope);
        const old = await quotas.find(params);
        return `Set the quota of ${old?.name ?? params.scope}: ${KIND_WORDS[params.kind]}, ${quotas.describe(quotaOf(body))} (so far: ${quotas.describe(old)})`;
      },
      records: 'full',
      params: QuotaPath,
      body: QuotaChange,
      response: QuotaRecord,
      handle: async (call) => ({
        kind: 'json',
        body: recordOf(await quotas.set(call.params, quotaOf(call.body), actorOf(call))),
      }),
    }),
    route<Place>({
      ...admin,
      id: 'admin.quotas.clear',
      method: 'DELETE',
      path: '/admin/quotas/:scope/:kind',
      summary: 'Take a limit away; whoever has none at all is refused',
      access: access('quotas.clear'),
      stepUp: async (_admin, { params }) => {
        const old = await quotas.find(params);
        return `Take away the quota of ${old?.name ?? params.scope}: ${KIND_WORDS[params.kind]} (so far: ${quotas.describe(old)})`;
      },
      records: 'full',
      params: QuotaPath,
      handle: async (call) => {
        await quotas.clear(call.params, actorOf(call));
        return { kind: 'empty' };
      },
    }),
  ];
}

function usageOf(entries: readonly UsageEntry[], timeZone: string): UsageResponse {
  const day = entries.find(({ kind, resetsAt }) => kind === 'requests_day' && resetsAt !== null);
  return {
    object: 'usage',
    day: day?.startsAt == null ? '' : dateIn(timeZone, day.startsAt),
    time_zone: timeZone,
    resets_at: day?.resetsAt ?? '',
    requests: strictest(entries, 'requests_day'),
    tokens: strictest(entries, 'tokens_day'),
    limits: entries.map(({ scope, kind, limit, used, dryRun, resetsAt }) => ({
      scope,
      kind,
      limit,
      used,
      remaining: Math.max(0, limit - used),
      dry_run: dryRun,
      resets_at: resetsAt,
    })),
  };
}

/** The date of a moment in a zone, as `2026-11-20`. */
const dateIn = (timeZone: string, moment: string): string =>
  new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' }).format(new Date(moment));

const quotaOf = ({ amount, dry_run, raise }: QuotaChange): Value => ({ amount, dryRun: dry_run, raise: raise ?? null });

const recordOf = (limit: QuotaLimit): QuotaRecord => ({
  scope: limit.scope,
  name: limit.name,
  kind: limit.kind,
  amount: limit.amount,
  dry_run: limit.dryRun,
  raise: limit.raise,
  changed_by: limit.changedBy,
  changed_at: limit.changedAt,
});
