import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  brokenPromise,
  chooseSandbox,
  commandAt,
  type Reach,
  type SandboxPlaces,
  type Trial,
} from '#engine/llama/sandbox.ts';

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
});
