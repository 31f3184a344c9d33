import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { ScoringClient } from '#scoring/client.shared.ts';
import { type Mode, resultOf, rotationSteps } from '#scoring/descriptor.shared.ts';
import { Evaluator } from '#scoring/evaluator.seal.ts';
import { decodeFrame, encodeFrame } from '#scoring/frame.shared.ts';
import { setOf } from '#scoring/parameters.shared.ts';
import { descriptorOf, plainScore, planOf, type ScoreModelDocument } from '#scoring/score-model.ts';
import type { SecretSeal } from '#scoring/secret.shared.ts';
import { madeModel, madeRows, openSeal, SESSION } from './models.ts';

/** What every score may be off by. */
const ERROR = 1e-5;

/** Client and evaluator as they are in the product, with only frames between them. */
function pair(seal: SecretSeal, model: ScoreModelDocument) {
  const descriptor = descriptorOf(model, 'ab'.repeat(32));
  const client = new ScoringClient(seal, descriptor);
  const evaluator = new Evaluator(seal, model.params);
  const steps = rotationSteps(descriptor);
  const opened = decodeFrame(client.keys());
  const keys = steps.length === 0 ? null : evaluator.rotationKeys(opened?.payload ?? new Uint8Array(), steps);
  const plan = planOf(model);
  const { polynomials } = resultOf(setOf(model.params), plan.kind);
  return {
    client,
    score(frame: Uint8Array, mode: Mode): number[] {
      const decoded = decodeFrame(frame);
      assert.ok(decoded !== null);
      const payload = evaluator.evaluate(plan, mode, decoded.payload, keys);
      const result = encodeFrame({ ...decoded.head, kind: 'result', objects: polynomials }, payload);
      assert.deepEqual(
        client.decrypt(result, mode),
        client.exactly(result, mode).map((score) => Math.round(score * 1e4) / 1e4),
      );
      return client.exactly(result, mode);
    },
  };
}

function worstOf(model: ScoreModelDocument, rows: readonly (readonly number[])[], scores: readonly number[]): number {
  assert.equal(scores.length, rows.length);
  return scores.reduce((worst, score, index) => {
    return Math.max(worst, Math.abs(score - plainScore(model, rows[index] ?? [])));
  }, 0);
}

describe('encrypted scores agree with float64', () => {
  let seal: SecretSeal;
  before(async () => {
    seal = await openSeal();
  });

  for (const kind of ['linear', 'logistic'] as const) {
    it(`${kind}: 10,000 random customers in batches`, () => {
      const model = madeModel(kind);
      const { client, score } = pair(seal, model);
      const rows = madeRows(model, 10_000);
      for (let at = 0; at < rows.length; at += 2048) {
        const part = rows.slice(at, at + 2048);
        const worst = worstOf(model, part, score(client.encryptBatch(part, SESSION), 'batch'));
        assert.ok(worst <= ERROR, `off by ${worst}`);
      }
      client.close();
    });

    it(`${kind}: customers one by one, with the rotations' keys`, () => {
      const model = madeModel(kind);
      const { client, score } = pair(seal, model);
      for (const row of madeRows(model, 25, 3)) {
        const worst = worstOf(model, [row], score(client.encryptSingle(row, SESSION), 'single'));
        assert.ok(worst <= ERROR, `off by ${worst}`);
      }
      client.close();
    });
  }

  it('logistic-poly: 10,000 random customers in batches, without any key', () => {
    const model = madeModel('logistic-poly');
    const { client, score } = pair(seal, model);
    const rows = madeRows(model, 10_000);
    for (let at = 0; at < rows.length; at += 4096) {
      const part = rows.slice(at, at + 4096);
      const worst = worstOf(model, part, score(client.encryptBatch(part, SESSION), 'batch'));
      assert.ok(worst <= ERROR, `off by ${worst}`);
    }
    client.close();
  });

  it('mlp-square: 10,000 random customers in batches, without any key', () => {
    const model = madeModel('mlp-square');
    const { client, score } = pair(seal, model);
    const rows = madeRows(model, 10_000);
    for (let at = 0; at < rows.length; at += 4096) {
      const part = rows.slice(at, at + 4096);
      const worst = worstOf(model, part, score(client.encryptBatch(part, SESSION), 'batch'));
      assert.ok(worst <= ERROR, `off by ${worst}`);
    }
    client.close();
  });

  it('mlp-square with outer weights of one sign, and units that see nothing', () => {
    const { hidden, weights } = madeModel('mlp-square');
    assert.ok(hidden);
    const negative = madeModel('mlp-square', { weights: weights.map((weight) => -Math.abs(weight)) });
    const blind = madeModel('mlp-square', {
      weights: weights.map((weight) => Math.abs(weight)),
      hidden: { ...hidden, weights: hidden.weights.map((row, unit) => (unit < 3 ? row.map(() => 0) : row)) },
    });
    for (const model of [negative, blind]) {
      const { client, score } = pair(seal, model);
      const rows = madeRows(model, 50);
      const worst = worstOf(model, rows, score(client.encryptBatch(rows, SESSION), 'batch'));
      assert.ok(worst <= ERROR, `off by ${worst}`);
      client.close();
    }
  });

  it('a weight of nought is no fault, and a model of one feature has no rotation', () => {
    const { features, weights } = madeModel('linear');
    const sparse = madeModel('linear', { weights: weights.map((weight, index) => (index % 3 === 0 ? 0 : weight)) });
    const single = madeModel('linear', { features: features.slice(0, 1), weights: weights.slice(0, 1) });
    for (const model of [sparse, single]) {
      const { client, score } = pair(seal, model);
      const rows = madeRows(model, 10);
      assert.ok(worstOf(model, rows, score(client.encryptBatch(rows, SESSION), 'batch')) <= ERROR);
      const [row = []] = rows;
      assert.ok(worstOf(model, [row], score(client.encryptSingle(row, SESSION), 'single')) <= ERROR);
      client.close();
    }
  });

  it('no more than four digits are shown, whatever the descriptor says', () => {
    const model = madeModel('linear');
    const { score } = pair(seal, model);
    const nosy = new ScoringClient(seal, { ...descriptorOf(model, 'ab'.repeat(32)), decimals: 15 });
    const frame = nosy.encryptBatch(madeRows(model, 3), SESSION);
    const head = decodeFrame(frame)?.head;
    assert.ok(head);
    const evaluator = new Evaluator(seal, model.params);
    const payload = evaluator.evaluate(planOf(model), 'batch', decodeFrame(frame)?.payload ?? new Uint8Array(), null);
    const shown = nosy.decrypt(encodeFrame({ ...head, kind: 'result', objects: 2 }, payload), 'batch');
    assert.ok(shown.every((value) => Math.abs(value * 1e4 - Math.round(value * 1e4)) < 1e-6));
    assert.ok(score);
    nosy.close();
  });
});
