/**
 * One gateway of the day without its HTTP: asks, answers and settles as fast as the log takes it, for every user until
 * his day is used up. Forked by `day.ts`; tells what it has answered, and of whom nothing is left.
 */
import { batchCommitter } from '#admission/admission.postgres.ts';
import { Ledger } from '#admission/admission.service.ts';
import { AdmissionGate, voidOf } from '#admission/gate.service.ts';
import { Commitment } from '#audit/commitment.ts';
import { RefusalBudget } from '#audit/refusal-budget.ts';
import { systemClock } from '#kernel/clock.ts';
import type { AdmissionRequest } from '#kernel/gate.ts';
import { newKey, newRequestId, sha256Hex } from '#kernel/id.ts';
import { silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { openPool } from '#postgres/pool.ts';

/** What `day.ts` sends first. */
export interface TellerJob {
  readonly url: string;
  readonly instance: string;
  readonly users: readonly { readonly account: string; readonly session: string }[];
  readonly inFlight: number;
}
/** What it hears: ids of answers whose outcome is in the log, in portions. */
export interface TellerNews {
  readonly answered: readonly string[];
  readonly refused: number;
  readonly done: boolean;
}

const PORTION = 500;
const NEVER_ASKED = null as never;

process.once('message', (job: TellerJob) => void work(job));

async function work({ url, instance, users, inFlight }: TellerJob): Promise<void> {
  const pool = openPool(url, { applicationName: instance, log: silentLog, max: 2 });
  const commit = batchCommitter(pool, instance, 'Asia/Shanghai');
  const ledger = new Ledger({ commit, clock: systemClock, log: silentLog, voidOf });
  const gate = new AdmissionGate({
    submit: ledger.submit.bind(ledger),
    recorder: NEVER_ASKED,
    budget: new RefusalBudget(),
    findPrincipal: NEVER_ASKED,
    loadPolicy: NEVER_ASKED,
    decide: NEVER_ASKED,
    bound: NEVER_ASKED,
    challenge: NEVER_ASKED,
    check: NEVER_ASKED,
    watch: NEVER_ASKED,
    promise: async () => null,
    positionOf: async () => null,
    hash: sha256Hex,
    clock: systemClock,
    onLimit: () => {},
  });
  const left = [...users];
  let [next, refused] = [0, 0];
  let answered: string[] = [];
  const tell = (done: boolean) => {
    process.send?.({ answered, refused, done } satisfies TellerNews);
    answered = [];
    refused = 0;
  };
  const one = async (): Promise<void> => {
    while (left.length > 0) {
      const user = left[next++ % left.length];
      if (user === undefined) return;
      const request = requestOf(user);
      try {
        const admission = await gate.admit(request);
        if (typeof admission === 'string') throw new Error(`the admission was ${admission}`);
        const commitment = new Commitment(newKey());
        const facts = { model: 'demo', answer_commitment: commitment.to(request.requestId) };
        const report = { ran: true, tokens: 20 + (next % 180), facts, opening: commitment.opening };
        await gate.settle(request, admission, { outcome: 'completed', code: null }, report);
        if (answered.push(request.requestId) >= PORTION) tell(false);
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== 'rate_limit_exceeded') throw error;
        refused++;
        const at = left.indexOf(user);
        if (at >= 0) left.splice(at, 1);
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  await ledger[Symbol.asyncDispose]();
  await pool.close();
  tell(true);
  process.disconnect();
}

const requestOf = ({ account, session }: TellerJob['users'][number]): AdmissionRequest => ({
  requestId: newRequestId(),
  routeId: 'chat.completions',
  principal: {
    subject: account,
    username: account,
    roles: ['analyst'],
    attributes: { department: 'risk', clearance: 1, branch: '', certifications: [] },
    credential: { kind: 'session', ref: session },
    strength: 'password',
    hasTotp: false,
    hasPasskey: false,
    restricted: false,
    scope: null,
    epoch: 1,
    expiresAt: null,
  },
  action: 'infer',
  resource: { type: 'model', id: 'demo' },
  decision: {
    allowed: true,
    policyVersion: 1,
    rule: 'analyst-infer',
    conditions: null,
    because: 'policy',
    resource: { classification: 0, owner: '' },
  },
  grant: null,
  address: '10.0.0.1',
  peer: null,
  reserve: { tokens: 820, least: 309 },
  proof: null,
});
