import initialize from 'node-seal';
import { ScoringClient } from './client.shared.ts';
import { type Mode, resultOf, rotationSteps } from './descriptor.shared.ts';
import { Evaluator } from './evaluator.seal.ts';
import { decodeFrame, encodeFrame } from './frame.shared.ts';
import { setOf } from './parameters.shared.ts';
import { descriptorOf, planOf, type ScoreModelDocument } from './score-model.ts';
import type { SecretSeal } from './secret.shared.ts';
import type { SelfTestAnswer } from './self-test.ts';

/**
 * The self-test of a model that is about to be installed: client and server in one process of its own, with a throwaway
 * key. It is the only place on the server where a secret key exists, and no customer's data ever comes near it.
 */
const SESSION = '0'.repeat(32);

function run(seal: SecretSeal, model: ScoreModelDocument): SelfTestAnswer {
  const descriptor = descriptorOf(model, SESSION.repeat(2));
  const client = new ScoringClient(seal, descriptor);
  const evaluator = new Evaluator(seal, model.params);
  const steps = rotationSteps(descriptor);
  const keys =
    steps.length === 0 ? null : evaluator.rotationKeys(decodeFrame(client.keys())?.payload ?? new Uint8Array(), steps);
  const plan = planOf(model);
  const { polynomials } = resultOf(setOf(model.params), plan.kind);
  const cost: Partial<Record<Mode, number>> = {};
  let worst = 0;
  const score = (frame: Uint8Array, mode: Mode): number[] => {
    const decoded = decodeFrame(frame);
    if (decoded === null) throw new Error('the frame can not be read back');
    const before = process.cpuUsage();
    const payload = evaluator.evaluate(plan, mode, decoded.payload, keys);
    const { user, system } = process.cpuUsage(before);
    cost[mode] = user + system;
    return client.exactly(encodeFrame({ ...decoded.head, kind: 'result', objects: polynomials }, payload), mode);
  };
  const compare = (scores: readonly number[], expected: readonly number[]) => {
    scores.forEach((value, index) => {
      worst = Math.max(worst, Math.abs(value - (expected[index] as number)));
    });
  };
  const expected = model.testVectors.map((vector) => vector.score);
  const rows = model.testVectors.map(({ x }) => x);
  // Twice, so that the cost is that of a process that is warm.
  for (let round = 0; round < 2; round++) {
    if (descriptor.modes.includes('single')) {
      rows.forEach((row, index) => {
        compare(score(client.encryptSingle(row, SESSION), 'single'), [expected[index] as number]);
      });
    }
    compare(score(client.encryptBatch(rows, SESSION), 'batch'), expected);
  }
  return { t: 'tested', worst, cost };
}

process.once('message', async (model: ScoreModelDocument) => {
  const seal = (await initialize()) as unknown as SecretSeal;
  process.send?.(run(seal, model), () => process.exit(0));
});
