import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type FactName, storyOf, type Told } from '#portal/decision-story.ts';
import { proofEn } from '#portal/i18n/proof.en.ts';
import { DEMO_FILE, sha256, TEMPLATE_FILE } from '../engine/demo.ts';
import { demoEntry, type Session, TestGateway } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';

const MESSAGES = [{ role: 'user', content: 'What are you?' }];

describe('the story of a decision is told from what is really recorded', () => {
  let test: TestGateway;
  let analyst: Session;
  let auditor: Session;
  before(async () => {
    test = await TestGateway.open(async () => ({ models: { demo: await demoEntry() } }));
    [analyst, auditor] = [await test.signIn('analyst'), await test.signIn('auditor')];
  });
  after(() => test[Symbol.asyncDispose]());

  const ask = (body: object) =>
    test.client.post('/v1/chat/completions', { model: 'demo', messages: MESSAGES, ...body }, analyst.bearer);
  /** A rule that allows by a condition, as a policy of a bank's own has it. */
  const allowByCondition = () =>
    test.database.sql(
      `INSERT INTO policy_version (version, model, policy, sha256, created_by, created_at)
       SELECT 2, model, replace(policy, 'model, *, infer, *, 0, allow, ,', 'model, *, infer, *, 0, allow, time in Mon-Sun 00:00-24:00,'),
              sha256, created_by, now() FROM policy_version`,
    );
  /** As the portal reads them: each record of the request, through the auditor's API. */
  const told = async (answer: Answer): Promise<Told[]> => {
    const request = String(answer.headers['x-request-id']);
    await test.recorded(request);
    const page = await test.client.get(`/audit/events?request_id=${request}`, auditor.bearer);
    const { data } = page.json<{ data: Told[] }>();
    const records = await Promise.all(
      data.map(async (summary) => {
        const detail = await test.client.get(`/audit/events/${summary.seq}`, auditor.bearer);
        const record = JSON.parse(detail.json<{ record: string }>().record) as { event: Told['facts'] };
        return { ...summary, facts: record.event };
      }),
    );
    return records.sort((a, b) => Number(a.seq) - Number(b.seq));
  };

  it('every fact that it knows stands under that name in a record', async () => {
    const answered = await ask({ temperature: 0.5, top_p: 0.9, seed: 7, max_tokens: 5 });
    assert.equal(answered.status, 200, answered.text);
    await test.outcome(String(answered.headers['x-request-id']));
    const denied = await ask({ model: 'no-such-model' });
    assert.equal(denied.status, 404);
    await allowByCondition();
    const conditional = await ask({ max_tokens: 1 });
    assert.equal(conditional.status, 200, conditional.text);
    await test.outcome(String(conditional.headers['x-request-id']));
    const unusual = await ask({
      n: 2,
      logit_bias: { 5: 1 },
      frequency_penalty: 1,
      presence_penalty: 1,
      logprobs: true,
      top_logprobs: 1,
      max_tokens: 1,
    });
    assert.equal(unusual.status, 200, unusual.text);
    await test.outcome(String(unusual.headers['x-request-id']));
    const stories = await Promise.all([answered, denied, conditional, unusual].map(told));
    const names = new Set(stories.flat().flatMap(({ facts }) => Object.keys(facts)));
    // Of models with an adapter, of templates that can call, of models elsewhere and behind a proxy: test/models/adapters,
    // test/gateway/chat-tools, upstream and proxied find them.
    for (const name of ['adapter_sha256', 'tools', 'tool_calls', 'reasoning_bytes', 'answered_by', 'peer'])
      names.add(name);
    const known = Object.keys(proofEn.storyFacts) as FactName[];
    assert.deepEqual(
      known.filter((name) => !names.has(name)),
      [],
    );
  });

  it('for one answer: rule, policy version, quota, digests of weights and template, sampler, counts and timings', async () => {
    const answer = await ask({ temperature: 0.5, top_p: 0.9, seed: 7, max_tokens: 5 });
    await test.outcome(String(answer.headers['x-request-id']));
    const story = storyOf(await told(answer));
    assert.deepEqual(
      story.map(({ kind }) => kind),
      ['asked', 'allowed', 'quota', 'made', 'counted', 'ended'],
    );
    const facts = new Map(story.flatMap((step) => step.facts.map(({ name, value }) => [name, value])));
    const digest = async (file: string) => sha256(await readFile(file));
    assert.equal(facts.get('weights_sha256'), await digest(DEMO_FILE));
    assert.equal(facts.get('template_sha256'), await digest(TEMPLATE_FILE));
    const sampler = ['temperature', 'top_p', 'seed', 'max_tokens'] as const;
    assert.deepEqual(
      sampler.map((name) => facts.get(name)),
      ['0.5', '0.9', '7', '5'],
    );
    for (const name of ['engine_build', 'queue_ms', 'prefill_ms', 'first_token_ms', 'duration_ms', 'roles'] as const) {
      assert.ok(facts.get(name), name);
    }
    const words = Object.fromEntries(story.map((step) => [step.kind, step.words]));
    const { usage } = answer.json<{ usage: { prompt_tokens: number; completion_tokens: number } }>();
    assert.deepEqual(words['counted']?.slice(0, 2), [String(usage.prompt_tokens), String(usage.completion_tokens)]);
    assert.deepEqual(words['allowed'], ['analyst-infer', '2']);
    assert.match(facts.get('conditions') ?? '', /^time in /);
    assert.equal(words['quota']?.[0], '1');
    assert.ok(Number(words['quota']?.[1]?.replace(',', '')) > 0);
  });
});
