import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Ledger } from '#admission/admission.service.ts';
import type { AdmitItem, Item, Verdict } from '#admission/admission.ts';
import { type Estate, holdHead, openEstate, waiting } from '../fakes/ledger-estate.ts';
import { admit, change, note, settle, type Who } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

interface Load {
  readonly verdicts: Verdict[];
  stop(): Promise<void>;
  /** Resolves once so many admissions were answered. */
  reached(count: number): Promise<void>;
}

/** Admissions of one subject without a pause, `width` at a time through each ledger, settled when admitted. */
function load(ledgers: readonly Ledger[], who: Who, width: number): Load {
  const verdicts: Verdict[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  let stopped = false;
  const loop = async (ledger: Ledger): Promise<void> => {
    while (!stopped) {
      const item = admit(who, { facts: { session: who.session } });
      const verdict = await ledger.submit(item);
      verdicts.push(verdict);
      if (verdict.verdict === 'admitted') await ledger.submit(settle(item));
      for (const { count, resolve } of waiting) if (verdicts.length >= count) resolve();
    }
  };
  const loops = ledgers.flatMap((ledger) => Array.from({ length: width }, () => loop(ledger)));
  return {
    verdicts,
    stop: async () => {
      stopped = true;
      await Promise.all(loops);
    },
    reached: (count) => new Promise((resolve) => waiting.push({ count, resolve })),
  };
}

describe('the order of the log is the order of truth', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const isDense = async (estate: Estate) => {
    const [row] = await estate.rows<{ n: string; size: string; top: string; leaves: string; back: string }>(`
      SELECT count(*) AS n, max(seq) + 1 AS top, (SELECT size FROM head) AS size, (SELECT count(*) FROM leaf) AS leaves,
             count(*) FILTER (WHERE at < before) AS back
      FROM (SELECT seq, at, lag(at) OVER (ORDER BY seq) AS before FROM entry) e`);
    assert.ok(row);
    assert.deepEqual([row.top, row.size, row.leaves, row.back], [row.n, row.n, row.n, '0']);
    return Number(row.n);
  };

  /** Of each change made under load: after its record no admission that rested on what was before. */
  const MADE: Record<string, { item: (who: Who) => Item; refusal: 'revoked' | 'stale' }> = {
    'signing out': { item: ({ session }) => change('session.end', { ref: session }), refusal: 'revoked' },
    'a new password': {
      item: ({ account }) => change('password.set', { account, epoch: 1, password_hash: 'h' }),
      refusal: 'revoked',
    },
    'a new policy': {
      item: () => change('policy.put', { model: 'm', policy: 'p2', sha256: 's', by: 'x', after: 1 }),
      refusal: 'stale',
    },
  };
  for (const [name, { item, refusal }] of Object.entries(MADE)) {
    it(`${name} in the midst of admissions over two gateways`, async () => {
      await using estate = await openEstate(cluster, { analysts: 2 });
      const [who, other] = estate.analysts;
      assert.ok(who && other);
      const ledgers = [estate.gateway('gw_1').ledger, estate.gateway('gw_2').ledger] as const;
      const [own, others] = [load(ledgers, who, 24), load(ledgers, other, 8)];
      await own.reached(400);
      const ended = await ledgers[0].submit(item(who));
      assert.equal(ended.verdict, 'changed');
      const answered = own.verdicts.length;
      await own.reached(answered + 400);
      await Promise.all([own.stop(), others.stop()]);

      const seq = ended.position?.seq ?? assert.fail();
      const log = await estate.rows<{ seq: string; actor: string }>(
        "SELECT seq, actor FROM entry WHERE kind = 'intent' AND outcome = 'admitted' ORDER BY seq",
      );
      const mine = log.filter(({ actor }) => actor === who.account).map((row) => Number(row.seq));
      assert.ok(mine.length >= 300, 'it was busy before');
      assert.deepEqual(
        mine.filter((one) => one > seq),
        [],
      );
      assert.equal(mine.length, own.verdicts.filter(({ verdict }) => verdict === 'admitted').length);
      const refused = own.verdicts.filter(({ verdict }) => verdict !== 'admitted');
      assert.deepEqual([...new Set(refused.map(({ verdict }) => verdict))], [refusal]);
      if (refusal === 'stale') assert.ok(refused.every(({ position }) => position === null));
      else assert.ok(log.some((row) => row.actor === other.account && Number(row.seq) > seq));
      await isDense(estate);
    });
  }

  const WHILE_WAITING: Record<string, string> = {
    revoked: 'UPDATE session SET ended_at = now()',
    stale: 'UPDATE account SET epoch = epoch + 1',
    'quota requests_day:user': "UPDATE quota_limit SET amount = 0 WHERE kind = 'requests_day'",
    'quota tokens_day:user':
      "INSERT INTO quota_counter VALUES ('user:usr_0', (now() AT TIME ZONE 'Asia/Shanghai')::date, 0, 999999999, now(), 0, 0, 0)",
    step_up: 'UPDATE step_up_challenge SET spent_at = now()',
  };
  for (const [verdict, made] of Object.entries(WHILE_WAITING)) {
    it(`what changes while a batch waits for the lock counts: ${verdict}`, async () => {
      await using estate = await openEstate(cluster);
      await estate.dba.query(
        "INSERT INTO step_up_challenge (ref, account_id, session, digest, operation, proof_ref, proof_until, created_at) VALUES ('c', 'usr_0', 's', 'd', 'o', 'p', now() + interval '1 h', now())",
      );
      const gateway = estate.gateway('gw');
      const head = await holdHead(estate);
      const answer = gateway.commit([admit(estate.who, { proof: { ref: 'p', digest: 'd' } })]);
      await waiting(estate, gateway, 1);
      await head.release(made);
      const [judged] = await answer;
      assert.equal(judged?.code === null ? judged.verdict : `${judged?.verdict} ${judged?.code}`, verdict);
    });
  }

  it('two gateways with 50 batches each at once: dense, no deadlock, everything counted', async () => {
    await using estate = await openEstate(cluster, { analysts: 40 });
    const batchesOf = (name: string) => {
      // More connections than a gateway has, so that batches really wait for the head lock side by side.
      const { commit } = estate.gateway(name, { max: 6 });
      return Array.from({ length: 50 }, async (_, batch) => {
        // Each batch names the subjects in its own order: locked by row, they would deadlock.
        const order = [...estate.analysts].sort((a, b) => rank(a, batch) - rank(b, batch)).slice(0, 24);
        const intents = order.map((who) => admit(who, { tokens: 5 }));
        const first = await commit([...intents, note()]);
        const second = await commit([
          ...[...intents].reverse().map((intent) => settle(intent, 2)),
          change('session.end', { ref: `none ${batch}` }),
        ]);
        return [...first, ...second].map(({ verdict }) => verdict);
      });
    };
    const verdicts = (await Promise.all(['gw_1', 'gw_2'].flatMap(batchesOf))).flat();
    const counts = Object.groupBy(verdicts, (verdict) => verdict);
    assert.deepEqual(
      Object.entries(counts).map(([verdict, list]) => [verdict, list?.length]),
      [
        ['admitted', 2400],
        ['recorded', 100],
        ['settled', 2400],
        ['changed', 100],
      ],
    );
    assert.equal(await isDense(estate), 5000);
    assert.deepEqual(
      await estate.rows(
        'SELECT sum(requests_day)::int AS requests, sum(tokens_day)::int AS tokens, sum(concurrent)::int AS open FROM quota_counter',
      ),
      [{ requests: 2400, tokens: 4800, open: 0 }],
    );
    assert.equal(await estate.value('SELECT count(*)::int FROM open_intent'), 0);
  });

  it('interleaves the upkeep of two gateways with batches', async () => {
    await using estate = await openEstate(cluster, { analysts: 8 });
    await estate.dba.query(`
      INSERT INTO session SELECT 'old' || n, 'usr_' || n % 8, '{}', now(), now() - interval '3 days', 60, now() - interval '2 days'
        FROM generate_series(1, 400) n;
      INSERT INTO quota_counter SELECT 'user:gone_' || n, current_date - 10 - n, 0, 1, now(), 0, 0, 0 FROM generate_series(1, 200) n`);
    const gateways = [estate.gateway('gw_1', { max: 4 }), estate.gateway('gw_2', { max: 4 })];
    await Promise.all(
      gateways.flatMap(({ commit, pool }) =>
        Array.from({ length: 20 }, async (_, round) => {
          const intents: AdmitItem[] = estate.analysts.map((who) => admit(who));
          await Promise.all([
            commit([
              ...intents,
              change('password.set', { account: `usr_${round % 8}`, epoch: 99, password_hash: 'h' }),
            ]),
            pool.query('SELECT keep_house(), renew_lease($1)', [`gw_${round}`]),
          ]);
        }),
      ),
    );
    assert.equal(await estate.value("SELECT count(*)::int FROM session WHERE ref LIKE 'old%'"), 0);
    await isDense(estate);
  });
});

/** Some order that differs from batch to batch, the same in every run. */
const rank = ({ account }: Who, batch: number): number => (Number(account.slice(4)) * 7919 + batch * 104_729) % 9973;
