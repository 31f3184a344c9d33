import { readFileSync } from 'node:fs';
import type { Explanation, PolicyImport, PolicyVersion } from '#access/policies.contract.ts';
import { checkPolicy, hasErrors } from '#access/policy-check.ts';
import { diffPolicies } from '#access/policy-diff.ts';
import type { Call, StepUps } from './portal-call.ts';
import { json, problem } from './portal-reply.ts';

const read = (name: string): string => readFileSync(new URL(`../../policies/${name}`, import.meta.url), 'utf8');
const [MODEL, SHIPPED, BANK] = [read('model.conf'), read('policy.csv'), read('examples/policy.csv')];
const AROUND = { zones: new Set(['head-office', 'branch']), models: null };

const EXPLANATION: Explanation = {
  allowed: false,
  policy_version: 2,
  rule: 'office-hours',
  because: 'Denied by the rule office-hours: Analysts work in office hours; what runs at night is an application.',
  rules: [
    {
      rule: 'office-hours',
      effect: 'deny',
      explanation: 'Analysts work in office hours; what runs at night is an application.',
      applies: true,
      conditions: [
        { asks: 'subject role:analyst', found: 'user:usr_1, role:analyst, authenticated', met: true },
        { asks: 'time not in Mon-Fri 07:00-20:00|Sat 09:00-13:00', found: 'Wed 23:30', met: true },
      ],
    },
    {
      rule: 'service-infer',
      effect: 'allow',
      explanation: 'Applications ask the models that their clearance reaches.',
      applies: false,
      conditions: [{ asks: 'subject role:service', found: 'user:usr_1, role:analyst, authenticated', met: false }],
    },
  ],
};

/** Numbered policies, checked and compared by the product's own rules. */
export class PortalPolicies {
  readonly #stepUps: StepUps;
  readonly #texts = [SHIPPED, BANK];
  readonly #versions: PolicyVersion[] = [
    { version: 2, created_by: 'usr_61646d696e', reason: 'hours and zones of the bank', restored: null },
    { version: 1, created_by: 'system', reason: 'policies/', restored: null },
  ].map((version) => ({ ...version, sha256: 'a'.repeat(64), created_at: '2026-11-20T08:15:00Z' }));

  constructor(stepUps: StepUps) {
    this.#stepUps = stepUps;
  }

  /** False where it is none of its calls. */
  answer(call: Call): boolean {
    const [, version = '', rest = ''] = /^\/admin\/policies\/(\w+)(?:\/(\w+))?$/.exec(call.url.pathname) ?? [];
    const policy = this.#texts[Number(version) - 1] ?? '';
    if (call.path === 'GET /admin/policies') this.#list(call);
    else if (call.path === 'POST /admin/policies') this.#put(call, (call.body as PolicyImport).policy, null);
    else if (call.path === 'GET /admin/policies/explain') json(call.response, 200, EXPLANATION);
    else if (rest === 'rollback') this.#put(call, policy, Number(version));
    else if (rest === 'diff')
      json(call.response, 200, this.#diff(this.#texts[Number(call.url.searchParams.get('against')) - 1] ?? '', policy));
    else if (version !== '') json(call.response, 200, { version: Number(version), sha256: '', model: MODEL, policy });
    else return false;
    return true;
  }

  #diff(before: string, after: string) {
    return diffPolicies({ model: MODEL, policy: before }, { model: MODEL, policy: after });
  }

  #list({ response }: Call): void {
    const diff = this.#diff(this.#texts.at(-1) ?? '', SHIPPED);
    const differs = this.#texts.at(-1) !== SHIPPED;
    json(response, 200, { current: this.#texts.length, folder: { sha256: '', differs, diff }, data: this.#versions });
  }

  #put(call: Call, policy: string, restored: number | null): void {
    const operation = restored === null ? 'Put a new policy in force' : `Put policy ${restored} in force again`;
    if (!this.#stepUps.passes(call, operation)) return;
    const faults = checkPolicy({ model: MODEL, policy }, AROUND);
    if (hasErrors(faults)) {
      const message = faults.map(({ line, rule, message: fault }) => `line ${line}, ${rule}: ${fault}`).join('\n');
      problem(call.response, '/admin', 422, 'policy_invalid', { message });
      return;
    }
    const diff = this.#diff(this.#texts.at(-1) ?? '', policy);
    this.#texts.push(policy);
    const version = {
      version: this.#texts.length,
      sha256: 'b'.repeat(64),
      created_by: call.user.id,
      created_at: '2026-11-21T08:15:00Z',
      reason: (call.body as { reason?: string }).reason ?? '',
      restored,
    };
    this.#versions.unshift(version);
    json(call.response, 201, { version, warnings: [], diff });
  }
}
