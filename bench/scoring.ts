import { readFileSync } from 'node:fs';
import { ScoringClient } from '#scoring/client.shared.ts';
import { type Mode, resultOf, rotationSteps } from '#scoring/descriptor.shared.ts';
import { Evaluator } from '#scoring/evaluator.seal.ts';
import { decodeFrame, encodeFrame } from '#scoring/frame.shared.ts';
import { setOf } from '#scoring/parameters.shared.ts';
import { descriptorOf, plainScore, planOf, type ScoreModelDocument } from '#scoring/score-model.ts';
import type { SecretSeal } from '#scoring/secret.shared.ts';
import { madeModel, madeRows, openSeal, SESSION } from '../test/scoring/models.ts';
import { circumstances, type Spread, spreadOf, spreadText, table, writeResult } from './report.ts';

const ROUNDS = 9;
const WARM_UP = 3;

interface Case {
  readonly name: string;
  readonly kind: ScoreModelDocument['kind'];
  readonly mode: Mode;
  readonly customers: number;
  /** Evaluations in one round. */
  readonly times: number;
}

const CASES: readonly Case[] = [
  { name: 'one customer, 32 features', kind: 'logistic', mode: 'single', customers: 1, times: 20 },
  { name: 'batch of 2,048, 32 features', kind: 'logistic', mode: 'batch', customers: 2048, times: 3 },
  { name: 'cubic sigmoid, batch of 4,096', kind: 'logistic-poly', mode: 'batch', customers: 4096, times: 2 },
  { name: 'MLP 32-16-1, batch of 4,096', kind: 'mlp-square', mode: 'batch', customers: 4096, times: 1 },
];

/**
 * Encrypted scoring (goals.md, `scoring`): processor time of the server for one frame, from the bytes on the wire to the bytes
 * on the wire, with the gate and everything that SEAL loads; the same customers in plain arithmetic; bytes; errors.
 */
export async function runScoring(): Promise<void> {
  const seal = await openSeal();
  const benches = CASES.map((one) => prepare(seal, one));
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    // In another order each time, so that no case always follows the same one.
    for (let at = 0; at < benches.length; at++) benches[(at + round + WARM_UP) % benches.length]?.run(round >= 0);
  }
  const results = benches.map((bench) => bench.result());
  const milliseconds = (spread: Spread) => spreadText(spread, 2);
  console.log(
    table(
      ['', 'server CPU ms', 'scores/s/core', 'plain ms', 'client ms', 'up B', 'down B', 'keys B', 'largest error'],
      results.map((result) => [
        result.name,
        milliseconds(result.serverMs),
        Math.round(result.scoresPerSecondPerCore.median).toLocaleString('en'),
        milliseconds(result.plainMs),
        milliseconds(result.clientMs),
        result.bytesUp.toLocaleString('en'),
        result.bytesDown.toLocaleString('en'),
        result.keyBytes.toLocaleString('en'),
        result.largestError,
      ]),
    ),
  );
  const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const packages = { 'node-seal': dependencies['node-seal'] ?? '' };
  console.log(await writeResult('scoring', { ...circumstances(packages), rounds: ROUNDS, results }));
}

function prepare(seal: SecretSeal, { name, kind, mode, customers, times }: Case) {
  const model = madeModel(kind);
  const descriptor = descriptorOf(model, 'ab'.repeat(32));
  const client = new ScoringClient(seal, descriptor);
  const evaluator = new Evaluator(seal, model.params);
  const steps = rotationSteps(descriptor);
  const opened = client.keys();
  const keys =
    mode === 'single' ? evaluator.rotationKeys(decodeFrame(opened)?.payload ?? new Uint8Array(), steps) : null;
  const rows = madeRows(model, customers);
  const [first = []] = rows;
  const encrypt = () => (mode === 'single' ? client.encryptSingle(first, SESSION) : client.encryptBatch(rows, SESSION));
  const plan = planOf(model);
  const [server, plain, browser]: [number[], number[], number[]] = [[], [], []];
  let [bytesUp, bytesDown, largestError] = [0, 0, 0];

  const run = (counts: boolean): void => {
    const clientStarted = performance.now();
    const frame = encrypt();
    const encrypted = performance.now() - clientStarted;
    const decoded = decodeFrame(frame);
    if (decoded === null) throw new Error('the frame can not be read back');
    let payload = new Uint8Array();
    const before = process.cpuUsage();
    for (let time = 0; time < times; time++) {
      payload = evaluator.evaluate(plan, mode, decoded.payload, keys) as Uint8Array<ArrayBuffer>;
    }
    const { user, system } = process.cpuUsage(before);
    const result = encodeFrame(
      { ...decoded.head, kind: 'result', objects: resultOf(setOf(model.params), kind).polynomials },
      payload,
    );
    const decryptStarted = performance.now();
    const scores = client.exactly(result, mode);
    const decrypted = performance.now() - decryptStarted;
    const plainStarted = performance.now();
    const expected = rows.map((row) => plainScore(model, row));
    const plainMs = performance.now() - plainStarted;
    for (const [index, score] of scores.entries()) {
      largestError = Math.max(largestError, Math.abs(score - (expected[index] ?? Number.NaN)));
    }
    [bytesUp, bytesDown] = [frame.length, result.length];
    if (!counts) return;
    server.push((user + system) / 1000 / times);
    plain.push(plainMs);
    browser.push(encrypted + decrypted);
  };
  const result = () => ({
    name,
    serverMs: spreadOf(server),
    scoresPerSecondPerCore: spreadOf(server.map((ms) => (customers / ms) * 1000)),
    plainMs: spreadOf(plain),
    clientMs: spreadOf(browser),
    bytesUp,
    bytesDown,
    keyBytes: mode === 'single' ? opened.length : 0,
    // As text: files of results keep three digits after the point.
    largestError: largestError.toExponential(1),
  });
  return { run, result };
}
