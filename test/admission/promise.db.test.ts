import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Item, Verdict } from '#admission/admission.ts';
import { AdmissionGate } from '#admission/gate.service.ts';
import { postgresReceipts } from '#audit/receipt.postgres.ts';
import { RefusalBudget } from '#audit/refusal-budget.ts';
import { systemClock } from '#kernel/clock.ts';
import type { AdmissionRequest } from '#kernel/gate.ts';
import { newRequestId, sha256Hex } from '#kernel/id.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const NOTHING = {} as never;

describe('what a gate promises', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  /** `lose`: each batch is sent twice, as when the first answer was lost on the way. */
  function gateOf(estate: Estate, lose: boolean) {
    const { commit, pool } = estate.gateway('gw');
    const submit = async (item: Item): Promise<Verdict> => {
      if (lose) await commit([item]);
      const [verdict] = await commit([item]);
      return verdict ?? assert.fail();
    };
    const find = postgresReceipts(pool);
    return new AdmissionGate({
      submit,
      recorder: NOTHING,
      budget: new RefusalBudget(),
      findPrincipal: NOTHING,
      loadPolicy: NOTHING,
      decide: NOTHING,
      bound: NOTHING,
      challenge: NOTHING,
      check: NOTHING,
      watch: NOTHING,
      hash: sha256Hex,
      clock: systemClock,
      onLimit: () => {},
      promise: async ({ seq, at, leaf }) => `${seq} ${at} ${leaf}`,
      positionOf: async (subject, requestId, kind) => {
        const found = (await find(subject, requestId)).findLast((one) => one.kind === kind);
        return found === undefined ? null : { seq: found.seq, at: JSON.parse(found.record).at, leaf: found.leaf };
      },
    });
  }

  const requestOf = ({ who }: Estate): AdmissionRequest => ({
    requestId: newRequestId(),
    routeId: 'chat',
    principal: {
      subject: who.account,
      username: 'somebody',
      roles: ['analyst'],
      attributes: { department: '', clearance: 0, branch: '', certifications: [] },
      credential: { kind: 'session', ref: who.session },
      hasTotp: false,
      hasPasskey: false,
      restricted: false,
      strength: 'password',
      scope: null,
      epoch: 1,
      expiresAt: null,
    },
    action: 'infer',
    resource: { type: 'model', id: 'demo' },
    decision: {
      allowed: true,
      policyVersion: 1,
      rule: 'r',
      conditions: null,
      because: 'policy',
      resource: { classification: 0, owner: '' },
    },
    grant: null,
    address: '127.0.0.1',
    peer: null,
    reserve: { tokens: 10, least: 10 },
    proof: null,
  });

  for (const lose of [false, true]) {
    it(`is of the very record, ${lose ? 'also where the answer of the first try was lost' : 'of intent and outcome'}`, async () => {
      await using estate = await openEstate(cluster);
      const gate = gateOf(estate, lose);
      const request = requestOf(estate);
      const admission = await gate.admit(request);
      assert.ok(typeof admission === 'object');
      const outcome = await gate.settle(
        request,
        admission,
        { outcome: 'completed', code: null },
        { ran: true, tokens: 5, facts: {}, opening: null },
      );
      const rows = await estate.rows<{ record: string; leaf: string; seq: string }>(
        "SELECT seq, record, encode(hash, 'hex') AS leaf FROM entry JOIN leaf USING (seq) ORDER BY seq",
      );
      const [intended, done] = rows.map(({ seq, record, leaf }) => `${seq} ${JSON.parse(record).at} ${leaf}`);
      assert.equal(rows.length, 2);
      assert.deepEqual([await admission.promise(), outcome], [intended, done]);
    });
  }
});
