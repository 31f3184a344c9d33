import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cudaRelease, findGpus, layersIn, readGpu, readLayers, requireGpu, spelledOut } from '../../bench/gpu.ts';

/** As llama-server writes it. */
const LOG = `llama_model_load_from_file_impl: using device CUDA0 (NVIDIA H200) (0000:19:00.0) - 142653 MiB free
llama_model_load_from_file_impl: using device CUDA1 (NVIDIA H200) (0000:3b:00.0) - 142653 MiB free
load_tensors: offloading output layer to GPU
load_tensors: offloaded 17/17 layers to GPU
`;

const lacking =
  (...absent: readonly string[]) =>
  async (names: readonly string[]): Promise<string[]> =>
    names.filter((name) => absent.some((word) => name.includes(word)));

describe('a benchmark on a GPU', () => {
  it('is on CUDA where nothing else is said', () => {
    assert.deepEqual(spelledOut(['--gpu', '--rounds=1']), ['--gpu=cuda', '--rounds=1']);
    assert.deepEqual(spelledOut(['--gpu=vulkan']), ['--gpu=vulkan']);
    assert.deepEqual([readGpu(undefined), readGpu('cuda'), readGpu('vulkan')], [null, 'cuda', 'vulkan']);
    assert.throws(() => readGpu('rocm'), /cuda or vulkan/);
    assert.deepEqual([readLayers('all'), readLayers('0'), readLayers('12')], ['all', 0, 12]);
    assert.throws(() => readLayers('-1'), /a number, or all/);
  });

  it('takes the build for the release of CUDA that is here, and names what is missing where none is', async () => {
    assert.equal(await cudaRelease(lacking()), 13);
    assert.equal(await cudaRelease(lacking('.so.13')), 12);
    assert.equal(await cudaRelease(lacking('libcuda.so.1')), null);
    await requireGpu('cuda', lacking('.so.13'));
    await requireGpu('vulkan', lacking('cuda'));
    await requireGpu(null, lacking('.so'));
    await assert.rejects(requireGpu('cuda', lacking('cublas')), /libcublas\.so\.13, libcublasLt\.so\.13 not found/);
    await assert.rejects(requireGpu('vulkan', lacking('vulkan')), /libvulkan\.so\.1 is not found/);
  });

  it('says on what, and how much of a model lay there; where nothing is found it does not begin', async () => {
    const asked: string[] = [];
    const ask = async (gpu: string) => {
      asked.push(gpu);
      return ['AMD Radeon PRO W7900'];
    };
    assert.deepEqual(await findGpus('vulkan', ask), ['AMD Radeon PRO W7900']);
    assert.deepEqual(await findGpus(null, ask), []);
    assert.deepEqual(asked, ['vulkan']);
    await assert.rejects(
      findGpus('cuda', async () => []),
      /the engine finds no GPU by cuda/,
    );
    assert.equal(layersIn(LOG), '17/17');
    assert.equal(layersIn('load_tensors: no device found\n'), null);
  });
});
