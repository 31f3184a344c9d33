import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openCheckpoint } from '#audit/checkpoint.shared.ts';
import { verifyConsistency, verifyInclusion } from '#audit/merkle.shared.ts';
import { parseVerifierKey } from '#audit/note.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { openPromise } from '#audit/promise.shared.ts';
import { verifyReceipt } from '#audit/receipt.shared.ts';
import { fromBase64, toHex } from '#kernel/bytes.ts';
import { DEMO_TEXT } from '../engine/demo.ts';
import { demoEntry, eventually, present, type Session, TestGateway } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';

const { sha256 } = nodeCrypto;
const MESSAGES = [{ role: 'user', content: 'What are you? 你好' }];
const ASK = { model: 'demo', messages: MESSAGES };

describe('promises, receipts and proofs over the whole gateway', () => {
  let test: TestGateway;
  let analyst: Session;
  let auditor: Session;
  let verifierKey: string;
  before(async () => {
    test = await TestGateway.open(async () => ({
      models: { demo: await demoEntry() },
      audit: { origin: 'bank.example/strongroom' },
    }));
    [analyst, auditor] = [await test.signIn('analyst'), await test.signIn('auditor')];
    const [start] = await test.database.sql<{ record: string }>(
      "SELECT record FROM entry WHERE action = 'gateway.start'",
    );
    verifierKey = JSON.parse(present(start).record).event.audit_key;
  });
  after(() => test[Symbol.asyncDispose]());

  const key = () => parseVerifierKey(sha256, verifierKey);
  const ask = (body: object = {}) => test.client.post('/v1/chat/completions', { ...ASK, ...body }, analyst.bearer);
  const bytes = (text: string) => present(fromBase64(text));
  const leafOf = async (seq: number) =>
    present(
      (
        await test.database.sql<{ leaf: string }>("SELECT encode(hash, 'hex') AS leaf FROM leaf WHERE seq = $1", [seq])
      )[0],
    ).leaf;
  const requestOf = (answer: Answer) => String(answer.headers['x-request-id']);
  const receiptOf = async (answer: Answer, who = analyst) =>
    test.client.get(String(answer.headers['x-audit-receipt']), who.bearer);

  it('a plain answer carries the signed promise of its outcome, bound to seq, leaf and time', async () => {
    const answer = await ask();
    const promise = await openPromise(nodeCrypto, String(answer.headers['x-audit-promise']), await key());
    const outcome = await test.outcome(requestOf(answer));
    assert.equal(promise.seq, outcome.seq);
    assert.equal(promise.origin, 'bank.example/strongroom');
    assert.equal(toHex(promise.leaf), await leafOf(outcome.seq));
    const said = String(answer.headers['x-audit-promise']);
    for (const forged of [
      said.replace(` ${promise.seq} `, ` ${promise.seq + 1} `),
      said.replace(promise.at, '2020-01-01T00:00:00.000000Z'),
      said.replace('bank.example', 'bonk.example'),
    ]) {
      assert.notEqual(forged, said);
      await assert.rejects(openPromise(nodeCrypto, forged, await key()), /promise/);
    }
  });

  it('so do many at once', async () => {
    const answers = await Promise.all(Array.from({ length: 24 }, () => ask()));
    const lines = answers.map(({ headers }) => String(headers['x-audit-promise']));
    const seqs = await Promise.all(lines.map(async (line) => (await openPromise(nodeCrypto, line, await key())).seq));
    const outcomes = await Promise.all(answers.map((answer) => test.outcome(requestOf(answer))));
    assert.deepEqual(
      seqs,
      outcomes.map(({ seq }) => seq),
    );
  });

  it('a stream carries the promise of its intent in the header, of its outcome before [DONE]', async () => {
    const answer = await ask({ stream: true });
    const [intent, outcome] = await test.records(requestOf(answer));
    const first = await openPromise(nodeCrypto, String(answer.headers['x-audit-promise']), await key());
    assert.equal(first.seq, intent?.seq);
    const [, line] = /\n\n: audit-promise (.+)\n\ndata: \[DONE\]\n\n$/.exec(answer.text) ?? [];
    const last = await openPromise(nodeCrypto, present(line), await key());
    assert.equal(last.seq, outcome?.seq);
    assert.equal(toHex(last.leaf), await leafOf(last.seq));
  });

  it('a receipt proves prompt and answer offline, with nothing but the verifier key', async () => {
    for (const stream of [false, true]) {
      const answer = await ask({ stream });
      assert.equal(answer.headers['x-audit-receipt'], `/v1/receipts/${requestOf(answer)}`);
      const receipt = await receiptOf(answer);
      assert.equal(receipt.status, 200, receipt.text);
      const texts = { prompt: MESSAGES, answer: DEMO_TEXT };
      const checks = await verifyReceipt(nodeCrypto, receipt.json(), verifierKey, texts);
      assert.deepEqual(
        checks.filter(({ ok }) => !ok),
        [],
      );
      assert.ok(
        ['prompt', 'answer', 'outcome_inclusion', 'pair'].every((one) => checks.some(({ name }) => name === one)),
      );
      const other = await verifyReceipt(nodeCrypto, receipt.json(), verifierKey, {
        ...texts,
        answer: 'Something else.',
      });
      assert.deepEqual(
        other.filter(({ ok }) => !ok).map(({ name }) => name),
        ['answer'],
      );
    }
  });

  it('nobody gets the receipt of another, and nobody learns whether there is one', async () => {
    const answer = await ask();
    const theirs = await receiptOf(answer, auditor);
    assert.deepEqual([theirs.status, theirs.code], [404, 'not_found']);
    const none = await test.client.get(`/v1/receipts/req_${'0'.repeat(32)}`, auditor.bearer);
    const anonymous = ({ text }: Answer) => text.replaceAll(/req_[0-9a-f]{32}/g, '');
    assert.equal(anonymous(theirs), anonymous(none));
    assert.equal((await test.client.get(String(answer.headers['x-audit-receipt']))).status, 401);
  });

  it('an auditor’s own reads have receipts, which no commitment opens', async () => {
    const read = await test.client.get('/audit/events?limit=1', auditor.bearer);
    const receipt = await receiptOf(read, auditor);
    const checks = await verifyReceipt(nodeCrypto, receipt.json(), verifierKey);
    assert.ok(checks.length >= 6 && checks.every(({ ok }) => ok));
    assert.equal(receipt.json()['opening'], null);
  });

  it('checkpoints grow out of each other, by the proofs of the routes alone', async () => {
    const checkpoint = async () => {
      const answer = await test.client.get('/audit/checkpoint', auditor.bearer);
      assert.match(String(answer.headers['content-type']), /^text\/plain/);
      return openCheckpoint(nodeCrypto, answer.text, await key());
    };
    const before = await checkpoint();
    const answer = await ask();
    await receiptOf(answer);
    const now = await checkpoint();
    assert.ok(now.size > before.size);
    const consistency = (
      await test.client.get(`/audit/proof/consistency?from=${before.size}&to=${now.size}`, auditor.bearer)
    ).json<{ proof: string[] }>();
    assert.ok(
      await verifyConsistency(sha256, before.size, now.size, before.root, now.root, consistency.proof.map(bytes)),
    );
    const { seq } = await test.outcome(requestOf(answer));
    const inclusion = (
      await test.client.get(`/audit/proof/inclusion?seq=${seq}&size=${now.size}`, auditor.bearer)
    ).json<{ proof: string[]; leaf: string }>();
    assert.equal(toHex(bytes(inclusion.leaf)), await leafOf(seq));
    assert.ok(
      await verifyInclusion(sha256, bytes(inclusion.leaf), seq, now.size, inclusion.proof.map(bytes), now.root),
    );
  });

  it('proves nothing that is not signed yet, and says which parameter is wrong', async () => {
    for (const [path, param] of [
      ['inclusion?seq=0&size=999999999', 'size'],
      ['inclusion?seq=999999999', 'seq'],
      ['consistency?from=1&to=999999999', 'to'],
      ['consistency?from=3&to=2', 'from'],
    ] as const) {
      const answer = await test.client.get(`/audit/proof/${path}`, auditor.bearer);
      assert.deepEqual([answer.status, answer.json()['param']], [400, param], path);
    }
    for (const path of [
      'inclusion?seq=-1',
      'inclusion?seq=01',
      'inclusion',
      'consistency?from=1.5',
      'inclusion?seq=1e3',
    ])
      assert.equal((await test.client.get(`/audit/proof/${path}`, auditor.bearer)).status, 400, path);
  });

  it('a checkpoint follows within a second', async () => {
    for (let round = 0; round < 3; round++) {
      const { seq } = await test.outcome(requestOf(await ask()));
      const started = performance.now();
      await eventually(async () => {
        const [row] = await test.database.sql<{ size: string }>('SELECT size FROM latest_checkpoint()');
        return Number(row?.size) > seq;
      });
      assert.ok(performance.now() - started < 1500);
    }
  });

  it('while no checkpoint can be signed answers go on, and their receipts come later', async () => {
    await test.database.sql('ALTER TABLE checkpoint ADD CONSTRAINT never CHECK (false) NOT VALID');
    const answer = await ask();
    assert.equal(answer.status, 200);
    assert.ok(answer.headers['x-audit-promise']);
    const early = await receiptOf(answer);
    assert.deepEqual([early.status, early.code, early.headers['retry-after']], [503, 'audit_unavailable', '1']);
    await test.database.sql('ALTER TABLE checkpoint DROP CONSTRAINT never');
    const receipt = await eventually(async () => {
      const again = await receiptOf(answer);
      return again.status === 200 && again;
    });
    assert.ok((await verifyReceipt(nodeCrypto, receipt.json(), verifierKey)).every(({ ok }) => ok));
  });

  it('every read of the tree by an auditor is on record', async () => {
    const answer = await test.client.get('/audit/proof/inclusion?seq=2', auditor.bearer);
    const records = await test.records(requestOf(answer));
    assert.deepEqual(
      records.map(({ kind, action, resource }) => `${kind} ${action} ${resource}`),
      ['intent audit.read audit:tree', 'outcome audit.read audit:tree'],
    );
    assert.equal(records[1]?.event['seq'], 2);
  });
});
