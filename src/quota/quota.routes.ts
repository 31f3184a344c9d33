import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import { UsageResponse } from './quota.contract.ts';
import type { Budget, UsageStore } from './quota.ts';

export function quotaRoutes(store: UsageStore, timeZone: string): Route[] {
  return [
    route({
      id: 'usage',
      method: 'GET',
      path: '/v1/usage',
      summary: 'What is left of today’s requests and tokens',
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
      handle: async ({ principal }) => {
        const today = await store.usageToday(principal.subject, principal.roles);
        const answer: UsageResponse = {
          object: 'usage',
          day: today.day,
          time_zone: timeZone,
          resets_at: today.resetsAt,
          requests: withRemaining(today.requests),
          tokens: withRemaining(today.tokens),
        };
        return { kind: 'json', body: answer };
      },
    }),
  ];
}

const withRemaining = ({ limit, used }: Budget) => ({ limit, used, remaining: Math.max(0, limit - used) });
