import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { signCheckpoint } from '#audit/checkpoint.shared.ts';
import { Commitment } from '#audit/commitment.ts';
import { inclusionPath, RootBuilder } from '#audit/merkle.shared.ts';
import { formatVerifierKey } from '#audit/note.shared.ts';
import { nodeCrypto, nodeSigner, sha256 } from '#audit/note-crypto.node.ts';
import { PromiseSigner } from '#audit/promise.shared.ts';
import { type Check, type Receipt, receiptRecord, verifyReceipt } from '#audit/receipt.shared.ts';
import { webCrypto } from '#audit/web-crypto.shared.ts';
import { canonicalJson } from '#kernel/canonical-json.ts';

const PROMPT = [{ role: 'user', content: 'Was ist „Strongroom“? 什么' }];
const ANSWER = 'A gateway.\n🙂';
const signer = nodeSigner('bank.example/strongroom', generateKeyPairSync('ed25519').privateKey);
const key = await formatVerifierKey(sha256, signer);

const recordAt = (seq: number, event: Record<string, string | null>) =>
  canonicalJson({ at: `2026-11-21T02:16:5${seq}.000000Z`, event, seq, v: 1 });
const common = { actor: 'usr_1', action: 'infer', resource: 'model:demo', request: 'req_1' };

async function makeReceipt(change: { outcome?: Record<string, string> } = {}): Promise<Receipt> {
  const secret = new Commitment(randomBytes(32));
  const records = [
    recordAt(0, { ...common, kind: 'system', outcome: 'completed', request: null }),
    recordAt(1, { ...common, kind: 'intent', outcome: 'admitted' }),
    recordAt(2, { ...common, kind: 'system', outcome: 'completed', request: null }),
    recordAt(3, {
      ...common,
      kind: 'outcome',
      outcome: 'completed',
      prompt_commitment: secret.to(canonicalJson(PROMPT)),
      answer_commitment: secret.to(ANSWER),
      ...change.outcome,
    }),
    recordAt(4, { ...common, kind: 'system', outcome: 'completed', request: null }),
  ];
  const nodes = new Map<string, Uint8Array>();
  const builder = new RootBuilder(sha256, (level, index, hash) => nodes.set(`${level}/${index}`, hash));
  for (const [seq, record] of records.entries()) {
    const leaf = sha256(Buffer.concat([Buffer.of(0), Buffer.from(record)]));
    nodes.set(`0/${seq}`, leaf);
    builder.append(leaf);
  }
  const read = (level: number, index: number) => nodes.get(`${level}/${index}`) ?? assert.fail();
  const one = async (seq: number) => receiptRecord(seq, records[seq] ?? '', await inclusionPath(sha256, seq, 5, read));
  return {
    v: 1,
    origin: signer.name,
    checkpoint: await signCheckpoint(nodeCrypto, { origin: signer.name, size: 5, root: builder.root() }, signer),
    intent: await one(1),
    outcome: await one(3),
    opening: secret.opening,
  };
}

const failed = (checks: Check[]) => checks.filter(({ ok }) => !ok).map(({ name }) => name);

describe('a receipt', () => {
  it('is verified with the key alone, and its texts by who holds them', async () => {
    const receipt: unknown = JSON.parse(JSON.stringify(await makeReceipt()));
    const checks = await verifyReceipt(nodeCrypto, receipt, key, { prompt: PROMPT, answer: ANSWER });
    assert.deepEqual(failed(checks), []);
    assert.deepEqual(
      checks.map(({ name }) => name),
      [
        'checkpoint',
        'intent_record',
        'intent_inclusion',
        'outcome_record',
        'outcome_inclusion',
        'pair',
        'prompt',
        'answer',
      ],
    );
  });

  it('is verified by WebCrypto as well, which browsers have', async () => {
    const good = await makeReceipt();
    const checks = await verifyReceipt(webCrypto, good, key, { prompt: PROMPT, answer: ANSWER });
    assert.deepEqual(failed(checks), []);
    assert.equal(checks.length, 8);
    const bent = { ...good, checkpoint: good.checkpoint.replace('\n5\n', '\n6\n') };
    assert.deepEqual(failed(await verifyReceipt(webCrypto, bent, key)), [
      'checkpoint',
      'intent_inclusion',
      'outcome_inclusion',
    ]);
    assert.equal(await webCrypto.verify(new Uint8Array(32), new Uint8Array(1), new Uint8Array(3)), false);
  });

  it('of a request that still runs has an intent alone', async () => {
    const checks = await verifyReceipt(nodeCrypto, { ...(await makeReceipt()), outcome: null, opening: null }, key);
    assert.deepEqual(failed(checks), []);
    assert.equal(checks.length, 3);
  });

  it('is held against the promise that came with the answer', async () => {
    const good = await makeReceipt();
    const { intent, outcome } = good;
    assert.ok(outcome);
    const promises = await PromiseSigner.open(sha256, signer);
    const at = '2026-11-21T02:16:53.000000Z';
    const leafOf = (record: string) => sha256(Buffer.concat([Buffer.of(0), Buffer.from(record)]));
    const promiseOf = (seq: number, record: string) => ({ origin: signer.name, seq, leaf: leafOf(record), at });
    const lineOf = async (seq: number, record: string) => (await promises.sign([promiseOf(seq, record)]))[0] ?? '';
    const check = async (promise: string, withKey = key) => {
      const checks = await verifyReceipt(nodeCrypto, good, withKey, { promise });
      return checks.find(({ name }) => name === 'promise');
    };
    for (const { seq, record } of [intent, outcome]) assert.equal((await check(await lineOf(seq, record)))?.ok, true);
    // What was promised was rewritten before the next checkpoint: the receipt is sound in itself, and yet a lie.
    const rewritten = await check(await lineOf(3, outcome.record.replace('completed', 'failed')));
    assert.deepEqual([rewritten?.ok, rewritten?.detail], [false, 'the record is not the one that was promised']);
    const three = await promises.sign([1, 2, 3].map((seq) => promiseOf(seq, outcome.record)));
    assert.equal((await check(three[2] ?? ''))?.ok, true);
    assert.match((await check(await lineOf(2, outcome.record)))?.detail ?? '', /another record/);
    const line = await lineOf(3, outcome.record);
    assert.equal((await check(line.replace(' 3 ', ' 4 ')))?.ok, false);
    assert.equal((await check('v1'))?.ok, false);
    const other = nodeSigner(signer.name, generateKeyPairSync('ed25519').privateKey);
    assert.equal((await check(line, await formatVerifierKey(sha256, other)))?.ok, false);
    const foreign = await PromiseSigner.open(sha256, other);
    const [forged = ''] = await foreign.sign([promiseOf(3, outcome.record)]);
    assert.match((await check(forged))?.detail ?? '', /not signed by this key/);
  });

  it('says which of its parts is false', async () => {
    const good = await makeReceipt();
    const { intent, outcome } = good;
    assert.ok(outcome);
    const other = nodeSigner(signer.name, generateKeyPairSync('ed25519').privateKey);
    const stranger = await formatVerifierKey(sha256, other);
    const fails = async (receipt: unknown, names: string[], texts = {}, withKey = key) =>
      assert.deepEqual(failed(await verifyReceipt(nodeCrypto, receipt, withKey, texts)), names);
    await fails(good, ['prompt'], { prompt: [{ role: 'system', content: PROMPT[0]?.content ?? '' }] });
    await fails(good, ['answer'], { answer: `${ANSWER} ` });
    await fails({ ...good, opening: null }, ['answer'], { answer: ANSWER });
    await fails({ ...good, opening: '00'.repeat(32) }, ['answer'], { answer: ANSWER });
    await fails({ ...good, opening: 'no hex' }, ['answer'], { answer: ANSWER });
    await fails({ ...good, outcome: null }, ['prompt'], { prompt: PROMPT });
    await fails(good, ['checkpoint', 'intent_inclusion', 'outcome_inclusion'], {}, stranger);
    await fails(good, ['key', 'intent_inclusion', 'outcome_inclusion'], {}, 'no key');
    await fails({ ...good, origin: 'another' }, ['checkpoint', 'intent_inclusion', 'outcome_inclusion']);
    await fails({ ...good, intent: outcome, outcome: intent }, ['intent_record', 'outcome_record', 'pair']);
    await fails({ ...good, intent: { ...intent, seq: 2 } }, ['intent_record', 'intent_inclusion']);
    await fails({ ...good, outcome: { ...outcome, proof: intent.proof } }, ['outcome_inclusion']);
    await fails({ ...good, outcome: { ...outcome, proof: [...outcome.proof, '!'] } }, ['outcome_inclusion']);
    const edited = outcome.record.replace('completed', 'cancelled');
    await fails({ ...good, outcome: { ...outcome, record: edited } }, ['outcome_inclusion']);
    const spaced = outcome.record.replace('"v":1', '"v": 1');
    await fails({ ...good, outcome: { ...outcome, record: spaced } }, ['outcome_record', 'outcome_inclusion', 'pair']);
    await fails(await makeReceipt({ outcome: { request: 'req_2' } }), ['pair']);
    await fails(await makeReceipt({ outcome: { actor: 'usr_2' } }), ['pair']);
  });

  it('may be anything: what is none is said to be none', async () => {
    const good = await makeReceipt();
    for (const it of [null, 7, 'x', [], {}, { ...good, v: 2 }, { ...good, intent: null }, { ...good, opening: 7 }]) {
      assert.deepEqual(failed(await verifyReceipt(nodeCrypto, it, key)), ['form']);
    }
    const long = { ...good.intent, proof: Array(65).fill('AA==') };
    assert.deepEqual(failed(await verifyReceipt(nodeCrypto, { ...good, intent: long }, key)), ['form']);
    const deep = { ...good.intent, record: '['.repeat(60_000) };
    assert.deepEqual(failed(await verifyReceipt(nodeCrypto, { ...good, intent: deep, outcome: null }, key)), [
      'intent_record',
      'intent_inclusion',
    ]);
  });
});
