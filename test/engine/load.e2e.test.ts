import assert from 'node:assert/strict';
import { appendFile, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { LlamaDeps } from '#engine/llama/port.llama.ts';
import { environmentFor, findPlaces, sandboxAt } from '#engine/llama/sandbox.system.ts';
import { filePaths } from '#engine/llama/sandbox.ts';
import { type LogFields, silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { gguf, type MetadataValue } from '../../models/demo/gguf-writer.ts';
import { answer, DEMO_FILE, DEMO_TEXT, demoSpec, openLlama, sha256, TEST_SANDBOX } from './demo.ts';

const failure = (code: Problem['code'], message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Problem, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

describe('what is not loaded', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-files-'));
  });
  after(() => rm(folder, { recursive: true }));

  const refused = async (change: Parameters<typeof demoSpec>[0], message: RegExp, deps: Partial<LlamaDeps> = {}) => {
    const engine = openLlama(await demoSpec(change), deps);
    try {
      await assert.rejects(engine.load(), failure('engine_failed', message));
      assert.deepEqual([engine.status().state, engine.status().pid], ['failed', null]);
      await assert.rejects(answer(engine), failure('engine_failed', message));
    } finally {
      await engine.close();
    }
  };

  it('a file whose SHA-256 is not the approved one', async () => {
    const file = join(folder, 'changed.gguf');
    await copyFile(DEMO_FILE, file);
    await appendFile(file, 'x');
    await refused({ file }, /SHA-256/);
  });

  it('a file that is not there', () => refused({ file: join(folder, 'none.gguf') }, /can not be read/));

  it('a context larger than the model was trained for', () => refused({ contextSize: 8192 }, /context/));

  it('a processor that is not there', async () => {
    // Not even where this machine has one.
    const hidden = { CUDA_VISIBLE_DEVICES: '', GGML_VK_VISIBLE_DEVICES: '' };
    const sandbox = {
      ...TEST_SANDBOX,
      environment: (owner: string) => ({ ...TEST_SANDBOX.environment(owner), ...hidden }),
    };
    await refused({ gpu: 'cuda' }, /no engine/, { sandbox });
    // Where Vulkan is installed without a GPU, its library opens, and would compute here.
    await refused({ gpu: 'vulkan' }, /no engine/, { sandbox });
  });

  it('but one that takes what there is, and says what it found', async () => {
    const engine = openLlama(await demoSpec({ gpu: 'auto' }));
    try {
      await engine.load();
      const { backend, layers, gpuMemory = null } = engine.status();
      assert.ok(gpuMemory !== null);
      assert.deepEqual([backend === 'cpu', layers?.onGpu === 0], [gpuMemory === 0, gpuMemory === 0]);
      assert.equal((await answer(engine)).text, DEMO_TEXT);
    } finally {
      await engine.close();
    }
  });

  it('is told to leave a GPU alone on which it has no layer and that it did not ask for by name', async () => {
    const told: unknown[] = [];
    const log = { ...silentLog, error: (_message: string, fields?: LogFields) => void told.push(fields?.error) };
    const says = `process.once('message', ({ gpu }) => process.send({ t: 'load_failed', reason: 'failed', detail: gpu }))`;
    const sandbox = { ...TEST_SANDBOX, command: () => [process.execPath, '-e', says] };
    for (const [gpu, layers] of [
      ['auto', 0],
      ['auto', 2],
      ['auto', null],
      ['cuda', 0],
    ] as const)
      await refused({ gpu }, /the engine refused it/, { sandbox, log, gpuLayers: () => layers });
    assert.deepEqual(told, ['cpu', 'auto', 'auto', 'cuda']);
  });

  it('an approved file that is no model', async () => {
    const file = join(folder, 'text.gguf');
    const bytes = Buffer.from('GGUF but not really');
    await writeFile(file, bytes);
    await refused({ file, sha256: sha256(bytes) }, /malformed/);
  });

  it('the first of several files that only together are a model, as large ones are handed out', async () => {
    const file = join(folder, 'large-00001-of-00003.gguf');
    const about = new Map<string, MetadataValue>([
      ['general.architecture', { type: 'string', value: 'llama' }],
      ['split.count', { type: 'u32', value: 3 }],
    ]);
    // The first one may hold no tensor at all.
    const bytes = gguf(about, []);
    await writeFile(file, bytes);
    await refused({ file, sha256: sha256(bytes) }, /one of several/);
  });

  it('but one whose open file is named as other systems do is', async () => {
    const sandbox = sandboxAt(
      { level: 'process', network: 'open', faults: [] },
      { ...findPlaces(process.env), files: filePaths('darwin') },
      environmentFor(process.env),
    );
    assert.deepEqual(sandbox.files, ['/dev/fd/4', '/dev/fd/5', '/dev/fd/6']);
    const engine = openLlama(await demoSpec(), { sandbox });
    try {
      await engine.load();
      assert.equal((await answer(engine)).text, DEMO_TEXT);
    } finally {
      await engine.close();
    }
    const file = join(folder, 'exchanged.gguf');
    await copyFile(DEMO_FILE, file);
    await appendFile(file, 'x');
    const other = openLlama(await demoSpec({ file }), { sandbox });
    await assert.rejects(other.load(), failure('engine_failed', /SHA-256/));
    await other.close();
  });

  it('a model on which llama.cpp would abort the process', async () => {
    const file = join(folder, 'no-heads.gguf');
    const bytes = await readFile(DEMO_FILE);
    const key = Buffer.from('llama.attention.head_count');
    bytes.writeUInt32LE(0, bytes.indexOf(key) + key.length + 4);
    await writeFile(file, bytes);
    await refused({ file, sha256: sha256(bytes) }, /malformed/);
  });
});
