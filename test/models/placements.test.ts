import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Config } from '#config/schema.ts';
import type { Gpu } from '#engine/gpu.ts';
import { machineBudget, Placements } from '../../src/gateway-memory.ts';
import { demoSpec } from '../engine/demo.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const gpu = (index: number, totalBytes: number): Gpu => ({
  ...{ index, uuid: `GPU-${index}`, driver: '580', name: 'NVIDIA', totalBytes, usedBytes: 0 },
});
const watching = (...gpus: Gpu[]) => ({ gpus: () => gpus, usedBy: () => null, [Symbol.dispose]: () => {} });
const CONFIG = Config.parse({ engine: { vramPercent: 50 } });

async function placementsOf(gpus: readonly Gpu[], devices?: string) {
  const placements = new Placements(CONFIG, watching(...gpus), null);
  const spec = await demoSpec({ gpu: 'cuda', ...(devices === undefined ? {} : { devices }) });
  placements.add(spec);
  return { placements, spec };
}

describe('a machine with several GPUs', () => {
  // As where one in a bad state is left out of what nvidia-smi tells.
  const two = [gpu(0, 80 * GIB), gpu(2, 40 * GIB)];

  it('has a budget for each of them; one alone has none beside its own', () => {
    assert.deepEqual(machineBudget(CONFIG, watching(...two)).perGpu, [40 * GIB, 0, 20 * GIB]);
    assert.equal(machineBudget(CONFIG, watching(gpu(0, GIB))).perGpu, undefined);
    assert.equal(machineBudget(CONFIG, watching()).perGpu, undefined);
  });

  it('a model lies on those that it may use, on each by its size', async () => {
    const needs = { ram: 1, vram: 30 * GIB };
    const perGpu = async (devices?: string) => {
      const { placements, spec } = await placementsOf(two, devices);
      return placements.spread(spec.id, needs).perGpu;
    };
    assert.deepEqual(await perGpu(), [20 * GIB, 0, 10 * GIB]);
    assert.deepEqual(await perGpu('2'), [0, 0, 30 * GIB]);
    assert.deepEqual(await perGpu('GPU-0'), [30 * GIB, 0, 0]);
    const { placements, spec } = await placementsOf(two, '2');
    assert.equal(placements.vramFor(spec), 20 * GIB);
    assert.deepEqual(placements.spread(spec.id, { ram: 1, vram: 0 }), { ram: 1, vram: 0 });
    assert.deepEqual(placements.spread('another', needs), needs);
  });

  it('what fits on all of them together fits on each', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 2, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.double({ min: 0, max: 1, noNaN: true }), async (mebibytes, part) => {
        const gpus = mebibytes.map((size, index) => gpu(index, size * MIB));
        const { perGpu = [], vram } = machineBudget(CONFIG, watching(...gpus));
        const { placements, spec } = await placementsOf(gpus);
        const spread = placements.spread(spec.id, { ram: 0, vram: Math.floor(vram * part) }).perGpu ?? [];
        for (const [index, bytes] of spread.entries()) assert.ok(bytes <= (perGpu[index] ?? 0), `GPU ${index}`);
      }),
      { numRuns: 50 },
    );
  });
});
