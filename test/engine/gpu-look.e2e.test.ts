import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lookForGpus } from '#engine/llama/gpu-look.system.ts';
import { silentLog } from '#kernel/log.ts';
import { TEST_SANDBOX } from './demo.ts';

const HIDDEN = { CUDA_VISIBLE_DEVICES: '', GGML_VK_VISIBLE_DEVICES: '' };

/** What a child sees of them. */
const NAMED =
  "[process.env.CUDA_VISIBLE_DEVICES, process.env.CUDA_DEVICE_ORDER, process.env.GGML_VK_VISIBLE_DEVICES].join(' ')";

describe('asking the engine for GPUs', () => {
  it('tells that there is none, whatever libraries are here', async () => {
    const sandbox = {
      ...TEST_SANDBOX,
      environment: (owner: string) => ({ ...TEST_SANDBOX.environment(owner), ...HIDDEN }),
    };
    const none = { backend: 'cpu', names: [], totalBytes: 0, sharedBytes: 0 };
    for (const gpu of ['cuda', 'vulkan', 'auto'] as const)
      assert.deepEqual(await lookForGpus({ gpu }, sandbox, silentLog), none, gpu);
  });

  it('shows it the devices that the model names', async () => {
    const answer = `{ backend: ${NAMED}, names: [], totalBytes: 0, sharedBytes: 0 }`;
    const script = `process.once('message', () => process.send(${answer}))`;
    const seen: string[] = [];
    const sandbox = {
      ...TEST_SANDBOX,
      command: (path: string, owner: string) => {
        seen.push(path, owner);
        return [process.execPath, '-e', script];
      },
    };
    const found = await lookForGpus({ gpu: 'vulkan', devices: 'MIG-1', vulkanDevices: '2' }, sandbox, silentLog);
    assert.equal(found?.backend, 'MIG-1 PCI_BUS_ID 2');
    assert.match(seen.join(' '), /gpu-look\.llama\.ts gpus$/);
  });

  it('says nothing where that does not work, and the log says why', async () => {
    const warned: unknown[] = [];
    const log = { ...silentLog, warn: (_message: string, fields?: { error?: unknown }) => warned.push(fields?.error) };
    const ends = (script: string) => ({ ...TEST_SANDBOX, command: () => [process.execPath, '-e', script] });
    assert.equal(await lookForGpus({ gpu: 'cuda' }, ends('console.error("no driver"); process.exit(1)'), log), null);
    assert.match(String(warned[0]), /no driver/);
    assert.equal(await lookForGpus({ gpu: 'cuda' }, ends('process.send({ names: 7 })'), log), null);
    const missing = { ...TEST_SANDBOX, command: () => ['/nonexistent/program'] };
    assert.equal(await lookForGpus({ gpu: 'cuda' }, missing, log), null);
    assert.equal(warned.length, 3);
  });
});
