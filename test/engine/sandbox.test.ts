import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { warmUpFor } from '#engine/child/warm-up.ts';
import { gpuDevices, groupsFor, linkerFolders } from '#engine/llama/gpu-files.ts';
import { loadingMs } from '#engine/llama/process.llama.ts';
import { environmentFor, sandboxAt } from '#engine/llama/sandbox.system.ts';
import {
  brokenPromise,
  chooseSandbox,
  commandAt,
  type Reach,
  type SandboxPlaces,
  type Trial,
} from '#engine/llama/sandbox.ts';
import type { GpuChoice } from '#engine/model-spec.ts';

const WALLED: Reach = { network: false, read: false, write: false, signal: false, sockets: 0, variables: [] };
const OPEN: Reach = { ...WALLED, network: true, read: true, write: true, signal: true };
const trial = (level: Trial['level'], reach: Reach | null, fault: string | null = null): Trial => ({
  level,
  reach,
  fault,
});

const PLACES: SandboxPlaces = {
  node: '/opt/node',
  program: '/opt/strongroom',
  packages: '/opt/strongroom/node_modules',
  libraries: [],
  devices: [],
  groups: [],
  kernels: null,
  files: ['/proc/self/fd/4', '/proc/self/fd/5', '/proc/self/fd/6'],
};

describe('which sandbox', () => {
  const full = trial('full', WALLED);
  const uid = trial('uid', { ...WALLED, network: true });
  const bare = trial('process', OPEN);

  it('is the best that kept its promise', () => {
    assert.equal(chooseSandbox('preferred', [full, uid, bare]).level, 'full');
    assert.deepEqual(chooseSandbox('preferred', [trial('full', null, 'not there'), uid, bare]), {
      level: 'uid',
      network: 'open',
      faults: ['full: not there'],
    });
    assert.equal(chooseSandbox('preferred', [bare]).level, 'process');
  });

  it('is none that only claims to be one', () => {
    for (const hole of ['network', 'read', 'write', 'signal'] as const) {
      const leaky = trial('full', { ...WALLED, [hole]: true });
      assert.notEqual(brokenPromise(leaky), null, hole);
      assert.equal(chooseSandbox('preferred', [leaky, bare]).level, 'process', hole);
    }
    for (const leak of [{ sockets: 1 }, { variables: ['DATABASE_URL'] }])
      for (const level of ['full', 'uid', 'process'] as const)
        assert.notEqual(brokenPromise(trial(level, { ...WALLED, ...leak })), null, level);
    assert.throws(() => chooseSandbox('preferred', [trial('process', { ...OPEN, sockets: 2 })]), /holds sockets/);
  });

  it('required means at least a user id of its own, and says why there is none', () => {
    assert.equal(chooseSandbox('required', [trial('full', null, 'no namespaces'), uid, bare]).level, 'uid');
    assert.throws(
      () => chooseSandbox('required', [trial('full', null, 'no namespaces'), bare]),
      /full: no namespaces.*install bubblewrap/,
    );
  });

  it('off is the least, and says so', () => {
    assert.deepEqual(chooseSandbox('off', []), {
      level: 'process',
      network: 'open',
      faults: ['engine.sandbox is off'],
    });
  });
});

describe('the command line', () => {
  it('ends with the command at every level, behind the limits', () => {
    for (const level of ['full', 'uid', 'process'] as const) {
      const line = commandAt(level, 'none', PLACES, 64_123, ['/opt/node', 'child.ts']);
      assert.deepEqual(line.slice(-2), ['/opt/node', 'child.ts']);
      assert.match(line[2] ?? '', /ulimit -c 0.*oom_score_adj/);
    }
  });

  it('shows bubblewrap the program and nothing else of ours', () => {
    const line = commandAt('full', 'none', PLACES, 1, ['/opt/node']);
    const shown = line.filter((_word, at) => line[at - 1]?.startsWith('--ro-bind') || line[at - 1] === '--bind');
    assert.ok(line.includes('--unshare-all') && !line.includes('--share-net'));
    assert.deepEqual(
      shown.filter((path) => !/^\/(usr|lib|lib64|etc\/)/.test(path)),
      ['/opt/node', '/opt/strongroom/package.json', '/opt/strongroom/src', '/opt/strongroom/node_modules'],
    );
    assert.ok(!line.includes('/'.concat('home')) && !line.includes('/root'));
  });

  it('shows a GPU, and where its driver is named, and writes kernels into one folder', () => {
    const places = {
      ...PLACES,
      devices: ['/dev/nvidia0', '/dev/dri'],
      groups: [44, 105],
      kernels: '/data/kernels/full-1',
    };
    const full = commandAt('full', 'none', places, 1, ['/opt/node']);
    const bound = (option: string) => full.filter((_word, at) => full[at - 1] === option);
    assert.deepEqual(bound('--dev-bind'), places.devices);
    assert.deepEqual(bound('--bind'), [places.kernels]);
    for (const path of ['/sys', '/etc/vulkan', '/etc/glvnd']) assert.ok(bound('--ro-bind-try').includes(path), path);
    // A user id of its own opens what belongs to a group of graphics only as one of them.
    assert.ok(commandAt('uid', 'none', places, 64_123, ['/opt/node']).includes('--groups=44,105'));
    assert.ok(commandAt('uid', 'none', PLACES, 64_123, ['/opt/node']).includes('--clear-groups'));
  });
});

describe('the files of a GPU', () => {
  it('are NVIDIA’s, and the kernel’s own where something computes', () => {
    const dev = ['null', 'nvidia0', 'nvidiactl', 'nvidia-uvm', 'nvidia-caps', 'dri', 'kvm'];
    assert.deepEqual(gpuDevices(dev, ['card0', 'renderD128']), [
      ...['nvidia0', 'nvidiactl', 'nvidia-uvm', 'nvidia-caps', 'dri'],
    ]);
    // AMD's or Intel's, without a file of NVIDIA's.
    assert.deepEqual(gpuDevices(['null', 'dri', 'kfd'], ['by-path', 'card1', 'renderD128']), ['dri']);
    // What shows a server's console computes nothing.
    assert.deepEqual(gpuDevices(['null', 'dri'], ['card0']), []);
  });

  it('are opened by their group where not everybody may, and never by root’s', () => {
    const file = (mode: number, gid: number) => ({ mode: 0o020_000 | mode, gid });
    assert.deepEqual(
      groupsFor([file(0o660, 105), file(0o660, 105), file(0o666, 44), file(0o660, 0), file(0o600, 7)]),
      [105],
    );
  });

  it('libraries that the linker finds outside of /usr are shown as well', () => {
    const texts = [
      'include /etc/ld.so.conf.d/*.conf\n',
      '/opt/cuda/lib64 # CUDA\n/usr/lib/wsl/lib\n',
      '/opt/cuda/lib64\n/lib/i386\n',
    ];
    assert.deepEqual(linkerFolders(texts), ['/opt/cuda/lib64']);
  });

  it('what is compiled for one model is not what another one’s child runs', async () => {
    const kernels = await mkdtemp(join(tmpdir(), 'strongroom-kernels-'));
    try {
      const choice = { level: 'process', network: 'open', faults: [] } as const;
      const sandbox = sandboxAt(choice, { ...PLACES, kernels }, { PATH: '/usr/bin' });
      const [one, other] = ['one', 'other'].map((owner) => sandbox.environment(owner));
      for (const name of ['CUDA_CACHE_PATH', 'MESA_SHADER_CACHE_DIR', '__GL_SHADER_DISK_CACHE_PATH']) {
        const [mine = '', theirs = ''] = [one?.[name], other?.[name]];
        assert.equal(dirname(mine), kernels, name);
        assert.notEqual(mine, theirs);
        assert.ok(sandbox.command('child.ts', 'one').includes(`--allow-fs-write=${mine}`));
        assert.ok(!sandbox.command('child.ts', 'one').some((word) => word.includes(theirs)));
        assert.equal((await stat(mine)).mode & 0o777, 0o700);
      }
      const bare = sandboxAt(choice, PLACES, { PATH: '/usr/bin' });
      assert.deepEqual(bare.environment('one'), { PATH: '/usr/bin' });
    } finally {
      await rm(kernels, { recursive: true });
    }
  });

  it('a driver that the operator names is the one that the child loads', () => {
    const named = { GGML_VK_VISIBLE_DEVICES: '1', VK_DRIVER_FILES: '/usr/share/vulkan/icd.d/radeon.json' };
    const passed = environmentFor({ ...named, DATABASE_URL: 'postgres://' });
    assert.deepEqual({ ...passed, ...named }, passed);
  });
});

describe('how long a load may take', () => {
  it('is longer where kernels may have to be compiled', () => {
    const limits = { loadMs: 10, probeMs: 5, compileMs: 100 };
    const of = (gpu: GpuChoice, gpuLayers: number | null, probe = false) =>
      loadingMs({ limits, probe, spec: { gpu }, gpuLayers });
    assert.deepEqual([of('cpu', null), of('cuda', 0), of('cuda', 33), of('auto', null)], [10, 10, 110, 110]);
    assert.deepEqual([of('cpu', null, true), of('vulkan', 3, true)], [5, 105]);
  });
});

describe('what a model is asked before anybody asks it', () => {
  const of = (backend: string, probe: boolean, contextSize = 4096) => warmUpFor({ backend, probe, contextSize });

  it('is nothing on the processor, but for the one token of a trial', () => {
    assert.equal(of('cpu', false), null);
    assert.deepEqual(of('cpu', true), { content: 'x', maxTokens: 1 });
  });

  it('on a GPU is a prompt and tokens after the first, as far as the context has room', () => {
    for (const probe of [true, false]) {
      const { content = '', maxTokens = 0 } = of('cuda', probe) ?? {};
      assert.ok(content.split(' ').length > 64 && maxTokens > 1);
    }
    assert.equal(of('vulkan', false, 16)?.content, 'x x');
    assert.equal(of('vulkan', false, 1)?.content, 'x');
  });
});
