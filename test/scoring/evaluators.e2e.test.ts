import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { ScoringClient } from '#scoring/client.shared.ts';
import { type Mode, rotationSteps } from '#scoring/descriptor.shared.ts';
import type { Evaluation } from '#scoring/evaluation.ts';
import { EvaluatorPool, POOL_LIMITS, type PoolLimits } from '#scoring/evaluator-pool.node.ts';
import { decodeFrame } from '#scoring/frame.shared.ts';
import { descriptorOf, planOf, type ScoreModelDocument } from '#scoring/score-model.ts';
import type { SecretSeal } from '#scoring/secret.shared.ts';
import { madeModel, madeRows, numbers, openSeal, SESSION } from './models.ts';

const NEVER = new AbortController().signal;
const LINEAR = madeModel('linear');

describe('evaluators are expendable', () => {
  let seal: SecretSeal;
  let linear: Evaluation;
  let single: Evaluation;
  let squared: Evaluation;
  before(async () => {
    seal = await openSeal();
    linear = evaluationOf(LINEAR, 'batch');
    single = evaluationOf(LINEAR, 'single');
    squared = evaluationOf(madeModel('mlp-square'), 'batch');
  });
  const pools: EvaluatorPool[] = [];
  const poolOf = (change: Partial<PoolLimits> = {}): EvaluatorPool => {
    const pool = new EvaluatorPool({ ...POOL_LIMITS, ...change });
    pools.push(pool);
    return pool;
  };
  after(() => {
    for (const pool of pools) pool[Symbol.dispose]();
  });

  function evaluationOf(model: ScoreModelDocument, mode: Mode): Evaluation {
    const descriptor = descriptorOf(model, 'ab'.repeat(32));
    const client = new ScoringClient(seal, descriptor);
    const [row = [], ...rows] = madeRows(model, 5);
    const frame = mode === 'single' ? client.encryptSingle(row, SESSION) : client.encryptBatch(rows, SESSION);
    const [payload, wire] = [decodeFrame(frame)?.payload, decodeFrame(client.keys())?.payload];
    assert.ok(payload && wire);
    client.close();
    const keys = mode === 'single' ? { session: SESSION, wire, steps: rotationSteps(descriptor) } : null;
    return { plan: planOf(model), mode, payload, keys };
  }

  it('no two tenants ever share a process, and one’s own is used again', async () => {
    const pool = poolOf({ processes: 1 });
    await pool.evaluate('usr_1', linear, NEVER);
    const first = pool.pids();
    await pool.evaluate('usr_1', linear, NEVER);
    assert.deepEqual(pool.pids(), first);
    await pool.evaluate('usr_2', linear, NEVER);
    assert.notDeepEqual(pool.pids(), first);
  });

  it('one that is killed at work gives one clear error, and the next request a new process', async () => {
    const pool = poolOf({ processes: 1 });
    await pool.evaluate('usr_1', linear, NEVER);
    const running = pool.evaluate('usr_1', squared, NEVER);
    const [pid] = pool.pids();
    assert.ok(pid);
    process.kill(pid, 'SIGKILL');
    await assert.rejects(running, { name: 'Problem', code: 'engine_failed' });
    assert.ok((await pool.evaluate('usr_1', linear, NEVER)).payload.length > 0);
  });

  it('one that stands still is killed at its deadline; one that takes too much memory, too', async () => {
    const slow = poolOf({ processes: 1, evaluateMs: 300 });
    await slow.evaluate('usr_1', linear, NEVER).catch(() => undefined);
    slow.warm();
    const [pid] = slow.pids();
    assert.ok(pid);
    process.kill(pid, 'SIGSTOP');
    await assert.rejects(slow.evaluate('usr_1', linear, NEVER), { code: 'engine_failed' });
    const heavy = poolOf({ processes: 1, memoryBytes: 1 });
    await assert.rejects(heavy.evaluate('usr_1', squared, NEVER), { code: 'engine_failed' });
  });

  it('what waits is bounded, for one and for all, and leaves when its client does', async () => {
    const pool = poolOf({ processes: 1, maxQueuePerTenant: 1, maxQueue: 2 });
    const running = pool.evaluate('usr_1', squared, NEVER);
    const waiting = pool.evaluate('usr_1', linear, NEVER);
    await assert.rejects(pool.evaluate('usr_1', linear, NEVER), { code: 'overloaded' });
    const client = new AbortController();
    const other = pool.evaluate('usr_2', linear, client.signal);
    await assert.rejects(pool.evaluate('usr_3', linear, NEVER), { code: 'overloaded' });
    client.abort(new Error('hung up'));
    await assert.rejects(other, /hung up/);
    await Promise.all([running, waiting]);
  });

  it('a thousand hostile payloads: each refused before SEAL or scored, the process unharmed and no larger', async () => {
    const pool = poolOf({ processes: 1 });
    const next = numbers(42);
    await pool.evaluate('usr_1', linear, NEVER);
    const [pid] = pool.pids();
    const memory = async () => {
      return Number((await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1]) * 4096;
    };
    const outcomes = { refused: 0, scored: 0 };
    const attempt = async (evaluation: Evaluation): Promise<void> => {
      try {
        await pool.evaluate('usr_1', evaluation, NEVER);
        outcomes.scored++;
      } catch (thrown) {
        assert.equal((thrown as { code?: string }).code, 'frame_invalid');
        outcomes.refused++;
      }
    };
    // One ciphertext is as good as 32 to be wrong in.
    const size = linear.payload.length / 32;
    const plan = { ...linear.plan, rows: linear.plan.rows.map((row) => row.slice(0, 1)) };
    const one: Evaluation = { ...linear, plan, payload: linear.payload.slice(0, size) };
    const mutate = (bytes: Uint8Array): Uint8Array => {
      const changed = bytes.slice();
      const at = Math.floor(next() * changed.length);
      const kind = Math.floor(next() * 4);
      if (kind === 0) changed[at] = (changed[at] as number) ^ (1 << Math.floor(next() * 8));
      else if (kind === 1) changed.fill(255, at, at + 64);
      else if (kind === 2) changed.fill(0, at, at + 64);
      else return changed.subarray(0, at);
      return changed;
    };
    for (let round = 0; round < 100; round++) await attempt({ ...one, payload: mutate(one.payload) });
    const settled = await memory();
    for (let round = 0; round < 800; round++) await attempt({ ...one, payload: mutate(one.payload) });
    const keys = single.keys;
    assert.ok(keys);
    for (let round = 0; round < 100; round++) {
      await attempt({ ...single, keys: { ...keys, session: `s${round}`, wire: mutate(keys.wire) } });
    }
    assert.ok(outcomes.refused > 300 && outcomes.scored > 200, JSON.stringify(outcomes));
    assert.deepEqual(pool.pids(), [pid], 'the process never had to be replaced');
    assert.ok((await memory()) - settled < 64 * 1024 * 1024, 'its memory is flat');
  });
});
