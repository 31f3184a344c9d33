import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, sessionOf, upstreamEntry } from '../harness/gateway.ts';
import { GatewayProcess } from '../harness/gateway-process.ts';

const ASKED = 1100;
const LEFT = 1000;
const ASK = { model: 'demo', messages: [{ role: 'user', content: 'x' }], max_tokens: 8 };

describe('promise 13: over three gateway processes, one of them killed', () => {
  const answers = Promise.withResolvers<void>();
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  const gateways: GatewayProcess[] = [];

  before(async () => {
    upstream = await startFakeUpstream({ until: answers.promise });
    const config = { models: { demo: upstreamEntry(upstream.url, { parallel: 1024 }) } };
    const first = await GatewayProcess.start(config);
    gateways.push(first);
    while (gateways.length < 3) gateways.push(await GatewayProcess.start(config, first.dataDir));
  });
  after(async () => {
    for (const gateway of gateways.toReversed()) await gateway[Symbol.asyncDispose]();
    await upstream.close();
  });

  it(`1,100 at once with 1,000 left: 1,000 are admitted, and what the dead one had open is closed and charged`, async () => {
    const [first, second, third] = gateways;
    assert.ok(first && second && third);
    const { database } = first;
    const { username, password } = first.account('analyst');
    const { bearer, subject } = sessionOf(await first.client.post('/auth/login', { username, password }));
    await database.sql(
      `INSERT INTO quota_limit (scope, kind, amount)
         SELECT $1, kind, CASE kind WHEN 'requests_day' THEN $2::int ELSE 100000000 END
         FROM unnest('{requests_day,tokens_day,requests_minute,tokens_minute,concurrent}'::text[]) kind`,
      [`user:${subject}`, LEFT],
    );
    const count = async (sql: string, values: unknown[] = []) =>
      Number((await database.sql<{ n: string }>(`SELECT count(*) AS n FROM ${sql}`, values))[0]?.n);

    const statuses: number[] = [];
    const asked = Array.from({ length: ASKED }, async (_, n) => {
      const { client } = gateways[n % 3] ?? first;
      const answer = await client.post('/v1/chat/completions', ASK, bearer).catch(() => null);
      statuses.push(answer?.status ?? 0);
    });
    // All are judged; those who were admitted wait for the model.
    await eventually(
      async () => (await count("entry WHERE kind = 'intent'")) === LEFT && statuses.length === ASKED - LEFT,
    );
    assert.deepEqual(new Set(statuses), new Set([429]));
    const open = await count('open_intent WHERE actor = $1', [subject]);
    assert.equal(open, LEFT);

    third.kill('SIGKILL');
    await third.ended;
    answers.resolve();
    await Promise.all(asked);
    const answered = statuses.filter((status) => status === 200).length;
    const lost = statuses.filter((status) => status === 0).length;
    assert.deepEqual([answered + lost, answered > 0, lost > 0], [LEFT, true, true]);
    assert.equal(await count('open_intent'), lost, 'what the dead one had open');

    // Its lease has ten seconds to run; nobody need wait for that.
    await database.sql(
      "UPDATE instance SET lease_until = now() - interval '1 s' WHERE id IN (SELECT instance FROM open_intent)",
    );
    await eventually(async () => (await count('open_intent')) === 0);
    assert.equal(await count("entry WHERE kind = 'outcome' AND outcome = 'unknown'"), lost);
    const [books] = await database.sql<Record<string, string>>(
      `SELECT requests_day::text AS requests, tokens_day::text AS tokens, concurrent::text AS open,
              (SELECT sum((record::json->'event'->>'quota_tokens')::bigint)::text FROM entry WHERE kind = 'outcome') AS recorded
         FROM quota_counter WHERE subject = $1`,
      [`user:${subject}`],
    );
    assert.deepEqual([books?.['requests'], books?.['open']], [String(LEFT), '0']);
    assert.equal(books?.['tokens'], books?.['recorded'], 'what is counted is what is on the record');
    assert.equal((await second.client.post('/v1/chat/completions', ASK, bearer)).status, 429);
  });
});
