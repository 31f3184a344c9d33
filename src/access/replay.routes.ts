import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import { ReplayRequest, ReplayResult } from './policies.contract.ts';
import type { Replay } from './replay.ts';

/** What the route needs of the service. */
export interface ReplayPort {
  replay(
    draft: { readonly model?: string | undefined; readonly policy: string },
    days: number,
    cursor: string | null,
  ): Promise<{ readonly replay: Replay; readonly next: string | null }>;
}

/** An auditor asks a draft the questions of the last days: reads of his, so each is on the record. */
export function replayRoutes(port: ReplayPort): Route[] {
  return [
    route<undefined, undefined, ReplayRequest>({
      id: 'audit.policies.replay',
      method: 'POST',
      path: '/audit/policies/replay',
      summary: 'Which decisions of the last days a draft of the policy would change',
      access: { action: 'policy.replay', resource: () => ({ type: 'audit', id: 'events' }), denial: 'forbidden' },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'full',
      body: ReplayRequest,
      bodyLimit: 6 * 1024 * 1024,
      response: ReplayResult,
      handle: async ({ body, report }) => {
        let asked = 0;
        const facts = () => ({ days: body.days, cursor: body.cursor ?? null, decisions: asked });
        report(() => ({ ran: true, tokens: null, facts: facts(), opening: null }));
        const { replay, next } = await port.replay(body, body.days, body.cursor ?? null);
        asked = replay.decisions;
        const { decisions, changed, unreadable, examples } = replay;
        const answer: ReplayResult = { decisions, changed, unreadable, examples, next_cursor: next };
        return { kind: 'json', body: answer };
      },
    }),
  ];
}
