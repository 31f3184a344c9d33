import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { watchGpus } from '#engine/gpu.system.ts';
import { readGpus, readGpuUse, visibleGpus } from '#engine/gpu.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** As nvidia-smi 580 writes it: two that tell everything, one that shares the machine's memory, one in a bad state. */
const GPUS = `0, GPU-5f2c9f0e-3d1b-4d0e-8a7a-0c6a4f1f6e11, 580.95.05, NVIDIA H200, 143771, 41984
1, GPU-a1b2c3d4-0000-1111-2222-333344445555, 580.95.05, NVIDIA A100-SXM4-80GB, 81920, 3
2, GPU-0f0f0f0f-9999-8888-7777-666655554444, 580.95.05, NVIDIA GB10, [N/A], [N/A]
3, GPU-eeeeeeee-9999-8888-7777-666655554444, 580.95.05, NVIDIA A100-SXM4-80GB, [Unknown Error], [GPU requires reset]
`;
/** A process on both GPUs, one of somebody else, one that the driver does not tell about, and what it says of none. */
const USE = '4711, 30720\n4711, 1024\n902, 512\n77, [N/A]\n[Not Supported]\n';

describe('what nvidia-smi says', () => {
  it('is read line by line; what has no figures is left out', () => {
    assert.deepEqual(
      readGpus(GPUS).map(({ index, name, driver, totalBytes, usedBytes }) => [
        index,
        name,
        driver,
        totalBytes / MIB,
        usedBytes / MIB,
      ]),
      [
        [0, 'NVIDIA H200', '580.95.05', 143_771, 41_984],
        [1, 'NVIDIA A100-SXM4-80GB', '580.95.05', 81_920, 3],
      ],
    );
    assert.deepEqual(readGpus('No devices were found\n'), []);
    assert.deepEqual(readGpus('NVIDIA-SMI has failed because it couldn’t communicate with the NVIDIA driver.'), []);
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
    const seen = (devices?: string) => visibleGpus(gpus, devices).map(({ index }) => index);
    assert.deepEqual(seen(), [0, 1]);
    assert.deepEqual(seen('1'), [1]);
    assert.deepEqual(seen('1,0'), [0, 1]);
    assert.deepEqual(seen('GPU-5f2c9f0e'), [0]);
    assert.deepEqual(seen('7'), []);
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
      '--query-gpu=index,uuid,driver_version,name,memory.total,memory.used --format=csv,noheader,nounits',
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
});
