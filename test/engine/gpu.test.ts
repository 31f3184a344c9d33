import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type GpuWatch, gpuTool, toolAt, watchGpus, withEngineGpus } from '#engine/gpu.system.ts';
import { type EngineGpus, engineGpu, type GpuUse, readGpus, readGpuUse, visibleGpus } from '#engine/gpu.ts';
import { silentLog } from '#kernel/log.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** As nvidia-smi 580 writes it: two that tell everything, one that shares the machine's memory, one in a bad state. */
const GPUS = `0, GPU-5f2c9f0e-3d1b-4d0e-8a7a-0c6a4f1f6e11, 580.95.05, NVIDIA H200, 143771, 41984, Disabled
1, GPU-a1b2c3d4-0000-1111-2222-333344445555, 580.95.05, NVIDIA L40S, 46068, 3, [N/A]
2, GPU-0f0f0f0f-9999-8888-7777-666655554444, 580.95.05, NVIDIA GB10, [N/A], [N/A], [N/A]
3, GPU-eeeeeeee-9999-8888-7777-666655554444, 580.95.05, NVIDIA A100-SXM4-80GB, [Unknown Error], [GPU requires reset], [N/A]
`;
/** One that is cut into slices, for somebody who may not see what is in use on it. */
const SLICED = `0, GPU-5f2c9f0e-3d1b-4d0e-8a7a-0c6a4f1f6e11, 580.95.05, NVIDIA H200, 143771, [Insufficient Permissions], Enabled
1, GPU-a1b2c3d4-0000-1111-2222-333344445555, 580.95.05, NVIDIA H200, 143771, 9, Disabled
`;
/** A process on both GPUs, one of somebody else, one that the driver does not tell about, and what it says of none. */
const USE = '4711, 30720\n4711, 1024\n902, 512\n77, [N/A]\n78, [Insufficient Permissions]\n[Not Supported]\n';
const CUDA: GpuUse = { gpu: 'cuda' };

describe('what nvidia-smi says', () => {
  it('is read line by line; what has no figures is left out', () => {
    assert.deepEqual(
      readGpus(GPUS).map(({ index, name, driver, totalBytes, usedBytes }) => [
        index,
        name,
        driver,
        totalBytes / MIB,
        (usedBytes ?? 0) / MIB,
      ]),
      [
        [0, 'NVIDIA H200', '580.95.05', 143_771, 41_984],
        [1, 'NVIDIA L40S', '580.95.05', 46_068, 3],
      ],
    );
    assert.deepEqual(readGpus('No devices were found\n'), []);
    assert.deepEqual(readGpus('NVIDIA-SMI has failed because it couldn’t communicate with the NVIDIA driver.'), []);
  });

  it('one that is cut into slices is there, and nobody is put on the whole of it', () => {
    const gpus = readGpus(SLICED);
    assert.deepEqual(
      gpus.map(({ kind = 'whole', usedBytes }) => [kind, usedBytes]),
      [
        ['sliced', null],
        ['whole', 9 * MIB],
      ],
    );
    const seen = (devices?: string) =>
      visibleGpus(gpus, { ...CUDA, ...(devices === undefined ? {} : { devices }) }).map(({ index }) => index);
    assert.deepEqual([seen(), seen('0,1'), seen('0'), seen('MIG-41b4aef1-8b4d-5c8e-9d0f')], [[1], [1], [], []]);
  });

  it('counts a process on all GPUs together, and says nothing of whom the driver does not know', () => {
    assert.deepEqual(
      [...readGpuUse(USE)],
      [
        [4711, 31 * GIB],
        [902, GIB / 2],
      ],
    );
    assert.deepEqual([...readGpuUse('')], []);
  });

  it('a model sees the GPUs that CUDA_VISIBLE_DEVICES names, by place or by uuid', () => {
    const gpus = readGpus(GPUS);
    const seen = (devices?: string) =>
      visibleGpus(gpus, { ...CUDA, ...(devices === undefined ? {} : { devices }) }).map(({ index }) => index);
    assert.deepEqual(seen(), [0, 1]);
    assert.deepEqual(seen('1'), [1]);
    assert.deepEqual(seen('1,0'), [0, 1]);
    assert.deepEqual(seen('GPU-5f2c9f0e'), [0]);
    assert.deepEqual(seen('7'), []);
    assert.deepEqual(visibleGpus(gpus, { gpu: 'cpu' }), []);
    // What Vulkan calls the first is no place of nvidia-smi's.
    assert.equal(visibleGpus(gpus, { gpu: 'vulkan', vulkanDevices: '0' }).length, 2);
  });
});

describe('watching the GPUs', () => {
  it('asks for what it reads, and knows who uses what', async () => {
    const asked: string[] = [];
    using watch = await watchGpus(async (...words) => {
      asked.push(words.join(' '));
      return words[0]?.includes('compute-apps') ? USE : GPUS;
    });
    assert.deepEqual(asked, [
      '--query-gpu=index,uuid,driver_version,name,memory.total,memory.used,mig.mode.current --format=csv,noheader,nounits',
      '--query-compute-apps=pid,used_memory --format=csv,noheader,nounits',
    ]);
    assert.equal(watch.gpus().length, 2);
    assert.equal(watch.usedBy(4711), 31 * GIB);
    assert.equal(watch.usedBy(77), null);
  });

  it('a driver that does not answer, or none at all, is a machine without a GPU', async () => {
    using broken = await watchGpus(async () => {
      throw new Error('nvidia-smi: command not found');
    });
    assert.deepEqual([broken.gpus(), broken.usedBy(4711)], [[], null]);
    using none = await watchGpus(null);
    assert.deepEqual([none.gpus(), none.usedBy(4711)], [[], null]);
  });

  it('one that answered keeps its GPUs when it does not any more, and only what is used is not known', async (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    let works = true;
    const warned: string[] = [];
    const asked: string[] = [];
    const tool = async (...words: readonly string[]) => {
      asked.push(words[0] ?? '');
      if (!works) throw new Error('exit code 9');
      return words[0]?.includes('compute-apps') ? USE : GPUS;
    };
    using watch = await watchGpus(tool, { ...silentLog, warn: (message) => warned.push(message) });
    const later = async () => {
      const before = asked.length;
      context.mock.timers.tick(5000);
      for (const wanted = before + (works ? 2 : 1); asked.length < wanted; ) await new Promise(setImmediate);
      await new Promise(setImmediate);
    };
    works = false;
    await later();
    await later();
    assert.deepEqual([watch.gpus().map(({ usedBytes }) => usedBytes), watch.usedBy(4711)], [[null, null], null]);
    assert.deepEqual(warned, ['nvidia-smi does not tell of the GPUs']);
    works = true;
    await later();
    assert.equal(watch.usedBy(4711), 31 * GIB);
  });

  it('there is a driver where one of its files is, not only a device file, which nvidia-smi itself may make', () => {
    assert.equal(gpuTool(['/nonexistent']), null);
    assert.notEqual(gpuTool(['/nonexistent', process.execPath]), null);
  });

  it('a program that hangs, and will not end when it is asked to, is not waited for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-smi-'));
    const stand = async (name: string, script: string) => {
      const file = join(folder, name);
      await writeFile(file, `#!${process.execPath}\n${script}`);
      await chmod(file, 0o700);
      return file;
    };
    try {
      const hangs = toolAt(
        await stand('hangs.cjs', "process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6);"),
        50,
      );
      await assert.rejects(hangs(), /gave no answer/);
      const fails = toolAt(await stand('fails.cjs', "console.log('No devices were found'); process.exit(9);"), 60_000);
      await assert.rejects(fails());
      const tells = toolAt(await stand('tells.cjs', 'console.log(process.argv.slice(2).join());'), 60_000);
      assert.equal(await tells('a', 'b'), 'a,b\n');
      await assert.rejects(toolAt(join(folder, 'none'), 60_000)(), /ENOENT/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('what nvidia-smi does not show', () => {
  const AMD: EngineGpus = { backend: 'vulkan', names: ['AMD Radeon PRO W7900'], totalBytes: 48 * GIB, sharedBytes: 0 };
  const SLICE: EngineGpus = {
    backend: 'cuda',
    names: ['NVIDIA H200 MIG 1g.18gb'],
    totalBytes: 16 * GIB,
    sharedBytes: 0,
  };
  const asking = async (watch: GpuWatch, uses: readonly GpuUse[], found: (use: GpuUse) => EngineGpus | null) => {
    const asked: GpuUse[] = [];
    const all = await withEngineGpus(watch, uses, async (use) => {
      asked.push(use);
      return found(use);
    });
    return { all, asked };
  };

  it('is asked of the engine, once for each way to it, and found by two ways it is one', async () => {
    using none = await watchGpus(null);
    const [auto, vulkan, cpu]: GpuUse[] = [{ gpu: 'auto' }, { gpu: 'vulkan' }, { gpu: 'cpu' }];
    assert.ok(auto && vulkan && cpu);
    const { all, asked } = await asking(none, [auto, vulkan, { ...vulkan }, cpu], () => AMD);
    assert.deepEqual(asked, [auto, vulkan]);
    assert.deepEqual(
      all.gpus().map(({ index, name, totalBytes, usedBytes }) => [index, name, totalBytes, usedBytes]),
      [[0, 'AMD Radeon PRO W7900', 48 * GIB, null]],
    );
    assert.deepEqual([all.seenBy(auto), all.seenBy(vulkan), all.seenBy(cpu)], [all.gpus(), all.gpus(), []]);
  });

  it('a slice is a GPU of its own behind those that are known; who sees one of those is not asked about', async () => {
    using watch = await watchGpus(async (...words) => (words[0]?.includes('compute-apps') ? '' : SLICED));
    const whole = { ...CUDA, devices: '1' };
    const slice = { ...CUDA, devices: 'MIG-41b4aef1-8b4d-5c8e-9d0f' };
    const { all, asked } = await asking(watch, [whole, slice], () => SLICE);
    assert.deepEqual(asked, [slice]);
    assert.deepEqual(
      [all.seenBy(whole), all.seenBy(slice)].map((gpus) =>
        gpus.map(({ index, totalBytes }) => [index, totalBytes / MIB]),
      ),
      [[[1, 143_771]], [[2, 16 * 1024]]],
    );
  });

  it('is nothing where the engine finds nothing, or does not say', async () => {
    using none = await watchGpus(null);
    for (const found of [{ ...AMD, names: [] }, null]) {
      const { all } = await asking(none, [{ gpu: 'vulkan' }], () => found);
      assert.deepEqual([all.gpus(), all.seenBy({ gpu: 'vulkan' })], [[], []]);
    }
  });

  it('memory that is the machine’s is told apart; by itself a model does not go to the processor’s own graphics', () => {
    const chip = { ...AMD, sharedBytes: AMD.totalBytes };
    assert.equal(engineGpu(chip, { gpu: 'vulkan' })?.kind, 'shared');
    assert.equal(engineGpu(chip, { gpu: 'auto' }), null);
    assert.equal(engineGpu({ ...chip, backend: 'cuda' }, { gpu: 'auto' })?.kind, 'shared');
    // A card beside it: what counts is the card's.
    const both = engineGpu({ ...AMD, sharedBytes: 16 * GIB }, { gpu: 'auto' });
    assert.deepEqual([both?.kind, both?.totalBytes], [undefined, 32 * GIB]);
  });
});
