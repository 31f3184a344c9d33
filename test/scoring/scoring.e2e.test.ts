import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { ScoringClient } from '#scoring/client.shared.ts';
import type { Descriptor } from '#scoring/descriptor.shared.ts';
import { FRAME_TYPE } from '#scoring/frame.shared.ts';
import { plainScore } from '#scoring/score-model.ts';
import type { SecretSeal } from '#scoring/secret.shared.ts';
import { eventually, present, type Session, TestGateway } from '../harness/gateway.ts';
import { firstAdmin, forgetGuesses, type Person, stepped } from '../identity/people.ts';
import { CREDIT_RISK, madeModel, madeRows, openSeal } from './models.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface Bytes {
  readonly status: number;
  readonly code: string | undefined;
  readonly requestId: string;
  readonly body: Buffer;
}

describe('encrypted scoring through the whole gateway', () => {
  let test: TestGateway;
  let analyst: Session;
  let admin: Person;
  let seal: SecretSeal;
  before(async () => {
    test = await TestGateway.open({ models: {}, scoring: { enabled: true } });
    [analyst, admin, seal] = [await test.signIn('analyst'), await firstAdmin(test), await openSeal()];
    await eventually(async () => (await list()).length > 0);
  });
  after(() => test[Symbol.asyncDispose]());

  const list = async (who = analyst) =>
    (await test.client.get('/v1/scoring/models', who.bearer)).json<{ data: Descriptor[] }>().data;
  const descriptorOf = async (id: string) => present((await list()).find((model) => model.id === id));
  const send = async (
    path: string,
    raw: Uint8Array,
    who = analyst,
    headers: Record<string, string> = {},
  ): Promise<Bytes> => {
    const answer = await test.client.open('POST', path, {
      raw: Buffer.from(raw),
      headers: { 'content-type': FRAME_TYPE, ...who.bearer, ...headers },
    });
    const parts: Buffer[] = [];
    for await (const part of answer.message) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    const text = answer.status === 200 ? '' : body.toString();
    return {
      status: answer.status,
      code: text === '' ? undefined : (JSON.parse(text).error?.code ?? JSON.parse(text).code),
      requestId: String(answer.headers['x-request-id']),
      body,
    };
  };
  const open = async (client: ScoringClient, model = 'credit-risk', who = analyst): Promise<string> => {
    const answer = await send(`/v1/scoring/keys?model=${model}`, client.keys(), who);
    assert.equal(answer.status, 201, answer.body.toString());
    return (JSON.parse(answer.body.toString()) as { id: string }).id;
  };
  const evaluate = (mode: string, frame: Uint8Array, who = analyst, model = 'credit-risk') =>
    send(`/v1/scoring/models/${model}/evaluate?mode=${mode}`, frame, who);

  it('the built-in model is there, described without a weight', async () => {
    const answer = await test.client.get('/v1/scoring/models/credit-risk', analyst.bearer);
    assert.equal(answer.status, 200);
    for (const weight of CREDIT_RISK.weights) assert.ok(!answer.text.includes(String(weight)));
    assert.equal(answer.json<{ features: unknown[] }>().features.length, CREDIT_RISK.features.length);
  });

  it('an analyst scores one customer and 2,000 of them; the record holds digests and counts, and nothing else', async () => {
    const client = new ScoringClient(seal, await descriptorOf('credit-risk'));
    const keys = client.keys();
    const opened = await send('/v1/scoring/keys?model=credit-risk', keys);
    const session = (JSON.parse(opened.body.toString()) as { id: string }).id;
    const kept = await test.outcome(opened.requestId);
    assert.deepEqual([kept.event['keys_sha256'], kept.event['keys_bytes']], [sha256(keys), keys.length]);
    const rows = madeRows(CREDIT_RISK, 2000);
    const expected = rows.map((row) => plainScore(CREDIT_RISK, row));

    const batch = client.encryptBatch(rows, session);
    const scored = await evaluate('batch', batch);
    assert.equal(scored.status, 200, scored.body.toString());
    const scores = client.decrypt(scored.body, 'batch');
    assert.equal(scores.length, 2000);
    scores.forEach((score, index) => {
      assert.ok(Math.abs(score - present(expected[index])) <= 6e-5);
    });

    const [row = []] = rows;
    const single = await evaluate('single', client.encryptSingle(row, session));
    assert.ok(Math.abs(present(client.decrypt(single.body, 'single')[0]) - present(expected[0])) <= 6e-5);

    const [intent, outcome] = await test.records(scored.requestId);
    assert.deepEqual([intent?.kind, outcome?.kind, outcome?.outcome], ['intent', 'outcome', 'completed']);
    const event = present(outcome).event;
    assert.equal(event['request_sha256'], sha256(batch));
    assert.equal(event['result_sha256'], sha256(scored.body));
    assert.equal(event['score_model_version'], 1);
    assert.equal(event['customers'], 2000);
    assert.ok(Number(event['cpu_us']) > 0);
    assert.equal(event['quota_tokens'], 2000 + Math.ceil(Number(event['cpu_us']) / 1000));
    client.close();
  });

  it('no feature and no score is anywhere in the database or the log', async () => {
    const client = new ScoringClient(seal, await descriptorOf('credit-risk'));
    const session = await open(client);
    const row = CREDIT_RISK.features.map((_, index) => 1234.567 + index);
    const answer = await evaluate('single', client.encryptSingle(row, session));
    assert.equal(answer.status, 200);
    const [score] = client.decrypt(answer.body, 'single');
    const records = JSON.stringify(await test.database.sql('SELECT * FROM entry'));
    for (const secret of [...row.map(String), String(score)]) {
      assert.ok(!records.includes(secret) && !JSON.stringify(test.log).includes(secret), secret);
    }
    client.close();
  });

  it('a length that does not fit is refused before a byte of the body is read, also for chunks', async () => {
    const path = '/v1/scoring/models/credit-risk/evaluate?mode=batch';
    const headers = { 'content-type': FRAME_TYPE, ...analyst.bearer };
    for (const size of [0, 103, 1_000_000]) {
      const answer = await send(path, new Uint8Array(size));
      assert.deepEqual([answer.status, answer.code], [400, 'length_mismatch'], String(size));
    }
    const chunked = await test.client.request('POST', path, { raw: Buffer.alloc(1000), chunked: true, headers });
    assert.equal(chunked.code, 'length_mismatch');
    // Announced, and never sent: the answer does not wait for it.
    const announced = await test.client.request('POST', path, {
      headers: { ...headers, 'content-length': '99999999' },
    });
    assert.equal(announced.code, 'length_mismatch');
  });

  it('frames of another session, model, parameter set or kind are refused, and sessions belong to one sign-in', async () => {
    const client = new ScoringClient(seal, await descriptorOf('credit-risk'));
    const session = await open(client);
    const rows = madeRows(CREDIT_RISK, 5);
    const good = client.encryptBatch(rows, session);
    const changed = (at: number, xor = 1) => {
      const frame = good.slice();
      frame[at] = (frame[at] as number) ^ xor;
      return frame;
    };
    for (const [at, code] of [
      [0, 'frame_invalid'],
      [4, 'frame_invalid'],
      [5, 'frame_invalid'],
      [6, 'frame_invalid'],
      [16, 'frame_invalid'],
      [48, 'frame_invalid'],
      [96, 'frame_invalid'],
      [80, 'scoring_session_gone'],
    ] as const) {
      const answer = await evaluate('batch', changed(at));
      assert.equal(answer.code, code, `byte ${at}`);
    }
    const full = good.slice();
    full.fill(255, 104, 104 + 4608);
    assert.equal((await evaluate('batch', full)).code, 'frame_invalid');
    assert.equal((await evaluate('batch', client.encryptBatch(rows, 'ab'.repeat(16)))).code, 'scoring_session_gone');
    const elsewhere = await test.signIn('analyst');
    assert.equal((await evaluate('batch', good, elsewhere)).code, 'scoring_session_gone');
    assert.equal((await evaluate('batch', good)).status, 200);
    client.close();
  });

  it('a session that was closed, or whose owner signed out, is gone with its keys', async () => {
    const client = new ScoringClient(seal, await descriptorOf('credit-risk'));
    const own = await test.signIn('analyst');
    const session = await open(client, 'credit-risk', own);
    const frame = client.encryptBatch(madeRows(CREDIT_RISK, 1), session);
    assert.equal((await evaluate('batch', frame, own)).status, 200);
    const closed = await test.client.request('DELETE', `/v1/scoring/keys/${session}`, { headers: own.bearer });
    assert.equal(closed.status, 204);
    assert.equal((await evaluate('batch', frame, own)).code, 'scoring_session_gone');

    const keysHeld = async () => {
      const metrics = await (await fetch(`http://${test.gateway.metricsAddress}/metrics`)).text();
      return Number(/^strongroom_scoring_key_bytes (\d+)$/m.exec(metrics)?.[1]);
    };
    const before = await keysHeld();
    const again = await open(client, 'credit-risk', own);
    assert.ok((await keysHeld()) > before);
    assert.equal((await test.client.request('POST', '/auth/logout', { headers: own.bearer })).status, 204);
    await eventually(async () => (await keysHeld()) === before);
    assert.equal((await evaluate('batch', client.encryptBatch(madeRows(CREDIT_RISK, 1), again), own)).status, 401);
    client.close();
  });

  it('who may not score is told nothing, and what was refused costs nothing', async () => {
    const auditor = await test.signIn('auditor');
    assert.equal((await test.client.get('/v1/scoring/models/credit-risk', auditor.bearer)).code, 'model_not_found');
    assert.equal((await evaluate('batch', new Uint8Array(10), auditor)).code, 'model_not_found');
    assert.equal((await evaluate('batch', new Uint8Array(10), analyst, 'nothing')).code, 'model_not_found');
    const before = await test.usage(analyst);
    const client = new ScoringClient(seal, await descriptorOf('credit-risk'));
    await open(client);
    await evaluate('batch', client.encryptBatch(madeRows(CREDIT_RISK, 1), 'ab'.repeat(16)));
    assert.equal((await test.usage(analyst)).requests.used, before.requests.used);
    client.close();
  });

  it('scores and processor time are taken of the token budget: where it is used up, nothing is computed', async () => {
    const client = new ScoringClient(seal, await descriptorOf('credit-risk'));
    const session = await open(client);
    const frame = client.encryptBatch(madeRows(CREDIT_RISK, 1500), session);
    const before = (await test.usage(analyst)).tokens.used;
    const scored = await evaluate('batch', frame);
    const micros = Number((await test.outcome(scored.requestId)).event['cpu_us']);
    const after = (await test.usage(analyst)).tokens.used;
    assert.equal(after - before, 1500 + Math.ceil(micros / 1000));
    await forgetGuesses(test);
    const path = `/admin/quotas/user:${analyst.subject}/tokens_day`;
    const set = await stepped(test, admin, { method: 'PUT', path, body: { amount: after + 3499 } });
    assert.ok(set.status < 300, set.text);
    const refused = await evaluate('batch', frame);
    assert.deepEqual([refused.status, refused.code], [429, 'rate_limit_exceeded']);
    assert.equal((await test.usage(analyst)).tokens.used, after);
    const cleared = await stepped(test, admin, { method: 'DELETE', path });
    assert.ok(cleared.status < 300, cleared.text);
    client.close();
  });

  describe('installing', () => {
    const made = (version: number, change: object = {}) => {
      const model = { ...madeModel('mlp-square'), version, ...change };
      const testVectors = madeRows(model, 4).map((x) => ({ x, score: plainScore(model, x) }));
      return { schema: 'score-model/1', ...model, testVectors };
    };
    const install = (document: object) =>
      stepped(test, admin, { method: 'POST', path: '/admin/scoring/models', body: { document } });

    it('needs a second factor, tests the model under encryption, and is on the record; a rollback too', async () => {
      await forgetGuesses(test);
      const bare = await test.client.post('/admin/scoring/models', { document: made(1) }, admin.bearer);
      assert.equal(bare.code, 'step_up_required');
      const first = await install(made(1));
      assert.equal(first.status, 201, first.text);
      assert.ok(first.json<{ self_test: { max_error: number } }>().self_test.max_error <= 1e-5);
      assert.equal((await install(made(2, { bias: 0.25 }))).status, 201);
      assert.equal((await descriptorOf('made')).version, 2);
      assert.equal((await install(made(2))).code, 'conflict');

      const activate = (version: number | null) =>
        stepped(test, admin, { method: 'POST', path: '/admin/scoring/models/made/activate', body: { version } });
      assert.equal((await activate(1)).status, 204);
      assert.equal((await descriptorOf('made')).version, 1);
      assert.equal((await activate(9)).code, 'not_found');

      const client = new ScoringClient(seal, await descriptorOf('made'));
      const session = await open(client, 'made');
      const frame = client.encryptBatch(madeRows(madeModel('mlp-square'), 3), session);
      assert.equal((await evaluate('batch', frame, analyst, 'made')).status, 200);
      assert.equal((await evaluate('single', frame, analyst, 'made')).code, 'length_mismatch');
      // Another version: what was encrypted for the old one is refused.
      assert.equal((await activate(2)).status, 204);
      assert.equal((await evaluate('batch', frame, analyst, 'made')).code, 'frame_invalid');
      assert.equal((await activate(null)).status, 204);
      assert.equal((await evaluate('batch', frame, analyst, 'made')).code, 'model_not_found');
      const changes = await test.database.sql<{ action: string; outcome: string }>(
        "SELECT action, outcome FROM entry WHERE resource = 'score_model:made' AND kind = 'change' ORDER BY seq",
      );
      const [installed, switched] = ['score_model.install', 'score_model.activate'];
      assert.deepEqual(
        changes.map(({ action, outcome }) => `${action} ${outcome}`),
        [
          ...[`${installed} completed`, `${installed} completed`, `${installed} denied`],
          ...[`${switched} completed`, `${switched} denied`, `${switched} completed`, `${switched} completed`],
        ],
      );
      client.close();
    });

    it('refuses a document that is not sound, and one that its own vectors deny', async () => {
      await forgetGuesses(test);
      const wild = await install({ ...made(7), weights: made(7).weights.map(() => 400) });
      assert.equal(wild.code, 'invalid_parameter');
      const odd = await test.client.post(
        '/admin/scoring/models',
        { document: { ...made(7), script: 'x' } },
        admin.bearer,
      );
      assert.equal(odd.code, 'schema_invalid');
    });
  });
});
