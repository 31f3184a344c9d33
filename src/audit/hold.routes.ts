import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import { newEventId } from '#kernel/id.ts';
import { Problem } from '#kernel/problem.ts';
import type { AuditEvent } from './event.ts';
import { Hold, HoldList, HoldPath, HoldRelease, NewHold } from './hold.contract.ts';
import type { LegalHold, ListHolds } from './hold.ts';
import type { Recorder } from './recorder.ts';

export interface HoldDeps {
  readonly list: ListHolds;
  readonly recorder: Pick<Recorder, 'change'>;
}

const access = (action: string) =>
  ({ action, resource: () => ({ type: 'retention', id: 'holds' }), denial: 'forbidden' }) as const;
const common = { credentials: 'session', counts: 'none', records: 'full', response: Hold } as const;

/**
 * Legal holds. An admin places and releases them, each with a fresh second factor and a reason, and sees no record by it;
 * auditors see the list, and can change nothing.
 */
export function holdRoutes({ list, recorder }: HoldDeps): Route[] {
  const find = async (id: string): Promise<LegalHold> => {
    const hold = (await list()).find((one) => one.id === id);
    if (hold === undefined) throw new Problem('not_found');
    return hold;
  };
  return [
    route({
      ...common,
      id: 'admin.holds',
      method: 'GET',
      path: '/admin/holds',
      summary: 'All legal holds, also those that were released',
      access: access('holds.list'),
      stepUp: NO_STEP_UP,
      response: HoldList,
      handle: async () => ({ kind: 'json', body: { data: [...(await list())] } }),
    }),
    route<undefined, undefined, NewHold>({
      ...common,
      id: 'admin.holds.place',
      method: 'POST',
      path: '/admin/holds',
      summary: 'Keep the records that match, and those beside them, past their time',
      access: access('holds.place'),
      stepUp: (_admin, { body }) => `Place a legal hold on ${describe(body)}`,
      body: NewHold,
      handle: async ({ body, principal, requestId }) => {
        const id = `hold_${newEventId().replaceAll('-', '')}`;
        await recorder.change(
          'hold.place',
          { ...body, id, by: principal.subject },
          event('hold.place', id, principal.subject, requestId, { ...body }),
        );
        return { kind: 'json', status: 201, body: await find(id) };
      },
    }),
    route<{ id: string }, undefined, HoldRelease>({
      ...common,
      id: 'admin.holds.release',
      method: 'POST',
      path: '/admin/holds/:id/release',
      summary: 'End a legal hold; what it kept goes with the next retention',
      access: access('holds.release'),
      stepUp: async (_admin, { params }) => `Release the legal hold on ${describe(await find(params.id))}`,
      params: HoldPath,
      body: HoldRelease,
      handle: async ({ params, body, principal, requestId }) => {
        const { verdict } = await recorder.change(
          'hold.release',
          { ...params, ...body, by: principal.subject },
          event('hold.release', params.id, principal.subject, requestId, { ...body }),
        );
        if (verdict === 'refused') throw new Problem('conflict', { message: 'This hold was released already.' });
        return { kind: 'json', body: await find(params.id) };
      },
    }),
  ];
}

const event = (
  action: string,
  id: string,
  actor: string,
  request: string,
  facts: NonNullable<AuditEvent['facts']>,
): AuditEvent => ({
  kind: 'change',
  actor,
  action,
  resource: `hold:${id}`,
  outcome: 'completed',
  request,
  // What is held would stand where the event's own members do.
  facts: Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [name === 'reason' ? name : `held_${name}`, value]),
  ),
});

type Described = Partial<
  Record<'actor' | 'action' | 'resource' | 'request_id' | 'from' | 'to', string | null | undefined>
>;

function describe({ actor, action, resource, request_id, from, to }: Described): string {
  const parts = Object.entries({ actor, action, resource, request: request_id, from, to })
    .filter(([, value]) => typeof value === 'string')
    .map(([name, value]) => `${name} ${value}`);
  return `records with ${parts.join(', ')}`;
}
