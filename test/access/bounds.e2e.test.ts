import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';
import { firstAdmin, stepped } from '../identity/people.ts';

const POLICY = readFileSync(new URL('../../policies/policy.csv', import.meta.url), 'utf8');

const idOf = ({ headers }: Answer): string => String(headers['x-request-id']);

describe('bounds on what a request asks of a model', () => {
  let upstream: FakeUpstream;
  let test: TestGateway;
  let analyst: Session;

  before(async () => {
    upstream = await startFakeUpstream();
    test = await TestGateway.open({ models: { demo: upstreamEntry(upstream.url) } });
    analyst = await test.signIn('analyst');
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const ask = (body: object) =>
    test.client.post(
      '/v1/chat/completions',
      { model: 'demo', messages: [{ role: 'user', content: 'x' }], ...body },
      analyst.bearer,
    );
  const seen = () => upstream.seen.at(-1)?.body ?? {};

  it('the shipped ones clamp: a plain client is answered, its model is asked within bounds, and the record says so', async () => {
    const answer = await ask({ temperature: 0, top_p: 1, max_tokens: 100_000 });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([seen()['temperature'], seen()['top_p'], seen()['max_tokens']], [0.1, 0.95, 2048]);
    const [intent, outcome] = await test.records(idOf(answer));
    assert.deepEqual(intent?.event['bounds'], [
      'temperature 0 -> 0.1 (analyst-temperature)',
      'top_p 1 -> 0.95 (analyst-top-p)',
      'max_tokens 100000 -> 2048 (analyst-max-tokens)',
    ]);
    assert.deepEqual([outcome?.event['temperature'], outcome?.event['max_tokens']], ['0.1', 2048]);
    const quota = intent?.event['quota'] as { tokens: number };
    assert.ok(quota.tokens < 2048 + 1000, 'no more is reserved than can be answered');
  });

  it('what is inside stays as it is, and nothing is said of it', async () => {
    const answer = await ask({ temperature: 0.3, top_p: 0.9, max_tokens: 7 });
    assert.deepEqual([seen()['temperature'], seen()['top_p'], seen()['max_tokens']], [0.3, 0.9, 7]);
    const [intent] = await test.records(idOf(answer));
    assert.equal(intent?.event['bounds'], undefined);
  });

  it('a refusing bound answers 400 with the allowed range, in OpenAI’s shape, and is on record; nothing runs', async () => {
    const admin = await firstAdmin(test);
    const strict = POLICY.replace('1 to 2048, clamp', '1 to 2048, refuse')
      .concat('b, analyst-tools, role:analyst, demo, tools, clock, refuse, Only the clock.\n')
      .concat('b, analyst-context, role:analyst, demo, context, 1 to 400, refuse, Short prompts.\n');
    const imported = await stepped(test, admin, { method: 'POST', path: '/admin/policies', body: { policy: strict } });
    assert.equal(imported.status, 201, imported.text);
    const before = upstream.seen.length;
    const answer = await ask({ max_tokens: 4096 });
    assert.equal(answer.status, 400, answer.text);
    const { error } = answer.json<{ error: Record<string, unknown> }>();
    assert.deepEqual(
      [error['code'], error['param'], error['allowed'], error['bound'], error['type']],
      ['out_of_bounds', 'max_tokens', '1 to 2048', 'analyst-max-tokens', 'invalid_request_error'],
    );
    const [denial] = await test.recorded(idOf(answer));
    assert.deepEqual([denial?.kind, denial?.event['outcome_code']], ['denial', 'out_of_bounds']);
    assert.match(String(denial?.event['bound']), /1 to 2048/);
    const shell = await ask({ tools: [{ type: 'function', function: { name: 'shell' } }] });
    assert.deepEqual([shell.status, shell.json<{ error: { param: string } }>().error.param], [400, 'tools']);
    assert.equal(upstream.seen.length, before);
    assert.equal((await ask({ tools: [{ type: 'function', function: { name: 'clock' } }] })).status, 200);
    const long = await ask({ messages: [{ role: 'user', content: 'x'.repeat(4000) }] });
    assert.deepEqual([long.status, long.json<{ error: { code: string } }>().error.code], [400, 'out_of_bounds']);
    assert.equal((await test.outcome(idOf(long))).outcome, 'not_run');
  });
});
