import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Config } from '#config/schema.ts';
import type { ModelStatus } from '#engine/engine.ts';
import type { GpuWatch } from '#engine/gpu.system.ts';
import { type Gpu, visibleGpus } from '#engine/gpu.ts';
import { type FileMemory, forgetfulMemory } from '#engine/llama/file-memory.ts';
import type { MemoryFigures } from '#engine/placement.ts';
import { machineBudget, Placements } from '../../src/gateway-memory.ts';
import { demoSpec } from '../engine/demo.ts';
import { present } from '../harness/gateway.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const gpu = (index: number, totalBytes: number): Gpu => ({
  ...{ index, uuid: `GPU-${index}`, driver: '580', name: 'NVIDIA', totalBytes, usedBytes: 0 },
});
const watching = (...gpus: Gpu[]): GpuWatch => ({
  gpus: () => gpus,
  seenBy: (use) => visibleGpus(gpus, use),
  usedBy: () => null,
  [Symbol.dispose]: () => {},
});
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

describe('what a GPU of its own kind has for models', () => {
  const shared: Gpu = { ...gpu(0, 64 * GIB), kind: 'shared' };
  const vulkan = (watch: GpuWatch): GpuWatch => ({ ...watch, seenBy: () => watch.gpus() });

  it('no budget where its memory is the machine’s: a model lies there whole, and counts as it would on the machine', async () => {
    assert.deepEqual(machineBudget(CONFIG, watching(shared)).vram, 0);
    const placements = new Placements(CONFIG, vulkan(watching(shared)), null);
    const spec = await demoSpec({ gpu: 'vulkan' });
    placements.add(spec);
    const { needs, onGpu, of } = present(await placements.find(spec.id));
    assert.deepEqual([needs.vram, onGpu], [0, of]);
    const onMachine = new Placements(CONFIG, watching(), null);
    onMachine.add({ ...spec, gpu: 'cpu' });
    const bare = present(await onMachine.find(spec.id));
    assert.ok(needs.ram > bare.needs.ram);
    assert.deepEqual([bare.onGpu, bare.of], [0, of]);
  });

  it('none where it is cut into slices; one that the engine found has one as any', () => {
    const sliced: Gpu = { ...gpu(0, 80 * GIB), kind: 'sliced' };
    assert.equal(machineBudget(CONFIG, watching(sliced, gpu(1, 20 * GIB))).vram, 10 * GIB);
    assert.equal(machineBudget(CONFIG, watching(sliced, gpu(1, 20 * GIB))).perGpu, undefined);
  });

  it('what was measured is the driver’s word, then the engine’s with what a process has, then what was thought', async () => {
    const measured: (MemoryFigures | undefined)[] = [];
    const files: FileMemory = { ...forgetfulMemory(), measured: (_digest, _shape, figures) => measured.push(figures) };
    const spec = await demoSpec({ gpu: 'cuda' });
    const observe = async (usedBy: number | null, status: Partial<ModelStatus>, only: Gpu = gpu(0, 80 * GIB)) => {
      const placements = new Placements(
        CONFIG,
        { ...watching(only), seenBy: () => [only], usedBy: () => usedBy },
        files,
      );
      placements.add(spec);
      await placements.find(spec.id);
      const ready = { state: 'ready', pid: 7, memory: GIB, backend: 'cuda' } as const;
      placements.observe(spec.id, { ...ready, ...status } as ModelStatus);
      return [measured.pop()?.vram, placements.of(spec.id)?.needs.vram];
    };
    assert.equal((await observe(3 * GIB, { gpuMemory: GIB }))[0], 3 * GIB);
    assert.equal((await observe(null, { gpuMemory: GIB }))[0], GIB + 512 * MIB);
    const [found, thought] = await observe(null, {});
    assert.equal(found, thought);
    assert.equal((await observe(null, { gpuMemory: 0 }))[0], 0);
    assert.equal((await observe(null, { gpuMemory: GIB, backend: 'cpu' }))[0], 0);
    assert.equal((await observe(null, { gpuMemory: GIB }, shared))[0], 0);
  });
});
