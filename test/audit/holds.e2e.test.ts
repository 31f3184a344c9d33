import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Session, TestGateway } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';

describe('legal holds', () => {
  let test: TestGateway;
  let admin: Session;
  before(async () => {
    test = await TestGateway.open({ models: {} });
    admin = await test.signIn('admin');
  });
  after(() => test[Symbol.asyncDispose]());

  const hold = { actor: 'usr_1', from: '2026-01-01T00:00:00Z', reason: 'case 4711' };
  /** Answers the challenge, and sends the same once more with its proof. */
  const withFactor = async (path: string, body: object): Promise<{ operation: string; answer: Answer }> => {
    const first = await test.client.post(path, body, admin.bearer);
    assert.equal(first.status, 401, first.text);
    const { challenge, operation } = first.json<{ challenge: string; operation: string }>();
    const code = await test.code();
    const proof = await test.client.post('/auth/step-up', { challenge, code }, admin.bearer);
    assert.equal(proof.status, 200, proof.text);
    const headers = { ...admin.bearer, 'step-up-proof': String(proof.json()['proof']) };
    return { operation, answer: await test.client.post(path, body, headers) };
  };

  it('are placed and released by an admin with a second factor each, on record, and seen by auditors', async () => {
    const { operation, answer } = await withFactor('/admin/holds', hold);
    assert.equal(operation, 'Place a legal hold on records with actor usr_1, from 2026-01-01T00:00:00Z');
    assert.equal(answer.status, 201, answer.text);
    const placed = answer.json<{ id: string; placed_by: string; released_at: null }>();
    assert.deepEqual([placed.placed_by, placed.released_at], [admin.subject, null]);

    const auditor = await test.signIn('auditor');
    const seen = await test.client.get('/admin/holds', auditor.bearer);
    assert.deepEqual(
      seen.json<{ data: { id: string; reason: string }[] }>().data.map(({ id, reason }) => [id, reason]),
      [[placed.id, 'case 4711']],
    );
    assert.equal((await test.client.post('/admin/holds', hold, auditor.bearer)).status, 403);
    assert.equal(
      (await test.client.post(`/admin/holds/${placed.id}/release`, { reason: 'x' }, auditor.bearer)).status,
      403,
    );
    const analyst = await test.signIn('analyst');
    assert.equal((await test.client.get('/admin/holds', analyst.bearer)).status, 403);

    const released = await withFactor(`/admin/holds/${placed.id}/release`, { reason: 'case closed' });
    assert.equal(released.answer.status, 200, released.answer.text);
    const records = await test.database.sql<{ action: string; record: string }>(
      "SELECT action, record FROM entry WHERE kind = 'change' AND action LIKE 'hold.%' ORDER BY seq",
    );
    assert.deepEqual(
      records.map(({ action, record }) => [action, JSON.parse(record).event.reason]),
      [
        ['hold.place', 'case 4711'],
        ['hold.release', 'case closed'],
      ],
    );
    assert.equal(JSON.parse(records[0]?.record ?? '{}').event.held_actor, 'usr_1');
    const again = await withFactor(`/admin/holds/${placed.id}/release`, { reason: 'once more' });
    assert.equal(again.answer.status, 409);
  });

  it('name something, and say why in one line', async () => {
    const wrong = [{ reason: 'everything' }, { actor: 'usr_1' }, { ...hold, reason: 'a\nb' }, { ...hold, to: 'soon' }];
    const answers = await Promise.all(wrong.map((body) => test.client.post('/admin/holds', body, admin.bearer)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [400, 422, 400, 400],
    );
    const unknown = `/admin/holds/hold_${'0'.repeat(32)}/release`;
    assert.equal((await test.client.post(unknown, { reason: 'x' }, admin.bearer)).status, 404);
  });

  it('a receipt that is not there says that retention may have taken it', async () => {
    const analyst = await test.signIn('analyst');
    const path = `/v1/receipts/req_${'0'.repeat(32)}`;
    assert.match((await test.client.get(path, analyst.bearer)).text, /There is nothing here/);
    await test.database.sql("INSERT INTO dropped_range VALUES (0, 1, '2024-05-01T00:00:00Z', 9, now())");
    const gone = await test.client.get(path, analyst.bearer);
    assert.equal(gone.status, 404);
    assert.match(gone.text, /Records up to 2024-05-01 have been dropped by retention/);
  });

  it('the metrics say how the log grows, and that it is signed', async () => {
    const text = await (await fetch(`http://${test.gateway.metricsAddress}/metrics`)).text();
    assert.match(text, /^strongroom_tree_leader 1$/m);
    assert.match(text, /^strongroom_tree_fault 0$/m);
    assert.match(text, /^strongroom_tree_size [1-9]/m);
    assert.match(text, /^strongroom_checkpoint_age_seconds \d/m);
  });
});
