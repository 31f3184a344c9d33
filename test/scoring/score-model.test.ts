import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ScoreModel } from '#scoring/score-model.contract.ts';
import { descriptorOf, modelFaults, plainScore, planOf, type ScoreModelDocument } from '#scoring/score-model.ts';
import { CREDIT_RISK, madeModel, madeRows } from './models.ts';

const withVectors = (model: ScoreModelDocument): ScoreModelDocument => ({
  ...model,
  testVectors: madeRows(model, 3).map((x) => ({ x, score: plainScore(model, x) })),
});
const linear = () => withVectors(madeModel('linear'));
const mlp = () => withVectors(madeModel('mlp-square'));
const faultsOf = (model: ScoreModelDocument): string => modelFaults(model).join('; ');

describe('a score model', () => {
  it('of each kind is sound, and so is the built-in one', () => {
    for (const model of [linear(), withVectors(madeModel('logistic')), mlp(), CREDIT_RISK]) {
      assert.deepEqual(modelFaults(model), []);
      assert.equal(ScoreModel.safeParse({ schema: 'score-model/1', ...model }).success, true);
    }
  });

  const faulty: readonly (readonly [string, ScoreModelDocument, RegExp])[] = [
    [
      'two features of one name',
      { ...linear(), features: linear().features.map((one) => ({ ...one, name: 'x' })) },
      /same name/,
    ],
    [
      'an empty clip',
      { ...linear(), features: linear().features.map((one) => ({ ...one, clip: [1, 1] })) },
      /clip is empty/,
    ],
    ['a weight too few', { ...linear(), weights: linear().weights.slice(1) }, /one weight for each/],
    ['a hidden row too short', { ...mlp(), hidden: { weights: [[1]], biases: [0] } }, /a weight per feature/],
    [
      'hidden biases that are missing',
      { ...mlp(), hidden: { weights: mlp().hidden?.weights ?? [], biases: [] } },
      /one bias/,
    ],
    [
      'nothing but noughts',
      withVectors({ ...madeModel('linear'), weights: madeModel('linear').weights.map(() => 0) }),
      /all weights are zero/,
    ],
    [
      'a score that could wrap around',
      withVectors({ ...madeModel('linear'), weights: madeModel('linear').weights.map(() => 2) }),
      /clip narrower/,
    ],
    [
      'a test vector that its own weights deny',
      { ...linear(), testVectors: [{ x: linear().testVectors[0]?.x ?? [], score: 9 }] },
      /test vector 0 says 9/,
    ],
    [
      'a test vector of another width',
      { ...linear(), testVectors: [{ x: [1], score: 1 }] },
      /has 1 features instead of 32/,
    ],
    ['a parameter set that is not ours', { ...linear(), params: 'deep-16384/1' }, /not known/],
  ];
  for (const [name, model, message] of faulty) {
    it(`with ${name} is refused in words`, () => assert.match(faultsOf(model), message));
  }

  it('is data of one shape: anything more, less or not finite is refused by its schema', () => {
    const good = { schema: 'score-model/1', ...linear() };
    const bad: object[] = [
      { ...good, script: 'x' },
      { ...good, schema: 'score-model/2' },
      { ...good, bias: Number.POSITIVE_INFINITY },
      { ...good, bias: Number.NaN },
      { ...good, kind: 'tree' },
      { ...good, link: 'logit' },
      { ...good, decimals: 5 },
      { ...good, id: '../x' },
      { ...good, features: [] },
    ];
    for (const document of bad)
      assert.equal(ScoreModel.safeParse(document).success, false, JSON.stringify(document).slice(-80));
  });

  it('tells nobody its weights', () => {
    const model = mlp();
    const told = JSON.stringify(descriptorOf(model, 'ab'.repeat(32)));
    for (const secret of [
      ...model.weights,
      ...(model.hidden?.weights.flat() ?? []),
      ...(model.hidden?.biases ?? []),
      model.bias,
    ]) {
      assert.ok(!told.includes(String(secret)));
    }
  });

  it('folded into squares of one sign each, computes the same', () => {
    const model = mlp();
    const plan = planOf(model);
    for (const row of madeRows(model, 20)) {
      const x = model.features.map(({ mean, scale, clip: [low, high] }, index) =>
        Math.min(high, Math.max(low, ((row[index] ?? 0) - mean) / scale)),
      );
      const folded = plan.rows.reduce((sum, weights, unit) => {
        const inner = weights.reduce((dot, weight, index) => dot + weight * (x[index] ?? 0), plan.biases[unit] ?? 0);
        return sum + (plan.signs[unit] ?? 0) * inner * inner;
      }, plan.bias);
      assert.ok(Math.abs(folded - plainScore(model, row)) < 1e-9);
    }
  });
});
