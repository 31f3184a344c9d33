import type { QuotaChange, QuotaRecord } from '#quota/quota.contract.ts';
import type { Call, StepUps } from './portal-call.ts';
import { json, problem } from './portal-reply.ts';

const set = { dry_run: false, raise: null, changed_by: 'system', changed_at: '2026-11-20T08:00:00Z' } as const;

/** The limits as an admin sees and changes them. */
export class PortalQuotas {
  readonly #stepUps: StepUps;
  #limits: readonly QuotaRecord[] = [
    { ...set, scope: 'role:analyst', name: null, kind: 'requests_day', amount: 1000 },
    { ...set, scope: 'user:usr_7', name: 'li.wei', kind: 'tokens_day', amount: 5_000_000 },
  ];

  constructor(stepUps: StepUps) {
    this.#stepUps = stepUps;
  }

  answer(call: Call) {
    const { request, response, url, body } = call;
    if (request.method === 'GET') return json(response, 200, { data: this.#limits });
    const [, , , scope = '', kind = ''] = url.pathname.split('/').map(decodeURIComponent);
    if (scope.startsWith('department:nowhere')) return problem(response, url.pathname, 404, 'not_found');
    if (!this.#stepUps.passes(call, `Set the quota of ${scope}`)) return;
    const others = this.#limits.filter((limit) => limit.scope !== scope || limit.kind !== kind);
    if (request.method === 'DELETE') {
      this.#limits = others;
      return json(response, 204);
    }
    const { amount, dry_run, raise = null } = body as QuotaChange;
    const made = { ...set, scope, name: null, kind: kind as QuotaRecord['kind'], amount, dry_run, raise };
    this.#limits = [...others, made];
    json(response, 200, made);
  }
}
