import assert from 'node:assert/strict';
import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { environmentFor, findPlaces, openSandbox, sandboxAt, tryLevels } from '#engine/llama/sandbox.system.ts';
import { brokenPromise, type SandboxLevel } from '#engine/llama/sandbox.ts';
import { silentLog } from '#kernel/log.ts';
import { answer, DEMO_FILE, DEMO_TEXT, demoSpec, openLlama } from '../engine/demo.ts';

const SECRETS = { DATABASE_URL: 'postgres://canary', STRONGROOM_KEYS__SEAL_FILE: '/canary', HOME: '/home/canary' };

describe('promise 15: the process that parses a model', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-sandbox-'));
  });
  after(() => rm(folder, { recursive: true }));

  const environment = { ...process.env, ...SECRETS };
  const places = findPlaces(environment);

  it('at every level that this machine offers it sees no secret and holds no socket, and the level keeps its promise', async () => {
    const trials = await tryLevels(places, environmentFor(environment), folder, 'all');
    const tried = trials.filter(({ reach }) => reach !== null);
    assert.ok(tried.some(({ level }) => level === 'process'));
    for (const trial of tried) {
      assert.equal(brokenPromise(trial), null, trial.level);
      assert.deepEqual(trial.reach?.variables, [], trial.level);
      assert.equal(trial.reach?.sockets, 0, trial.level);
    }
    // That the trial sees a hole where there is one: at the lowest level all is open.
    const bare = tried.find(({ level }) => level === 'process');
    assert.deepEqual([bare?.reach?.network, bare?.reach?.read, bare?.reach?.write], [true, true, true]);
    for (const { level, reach } of tried) {
      if (level === 'process') continue;
      assert.deepEqual([reach?.read, reach?.write, reach?.signal], [false, false, false], level);
      if (level === 'full') assert.equal(reach?.network, false);
    }
  });

  it('a variable too many is found', async () => {
    const passed = environmentFor(environment);
    assert.deepEqual(
      Object.keys(passed).filter((name) => name in SECRETS),
      ['HOME'],
    );
    assert.equal(passed['HOME'], '/nonexistent');
  });

  it('a model answers at the best level, from a file that nobody else may name', async () => {
    const sandbox = await openSandbox('preferred', environment, folder, silentLog);
    const file = join(folder, 'model.gguf');
    await copyFile(DEMO_FILE, file);
    await chmod(folder, 0o700);
    for (const level of new Set<SandboxLevel>([sandbox.level, 'process'])) {
      const choice = { level, network: level === 'full' ? ('none' as const) : sandbox.network, faults: [] };
      const engine = openLlama(await demoSpec({ file }), {
        sandbox: sandboxAt(choice, places, environmentFor(environment)),
      });
      try {
        await engine.load();
        assert.equal((await answer(engine)).text, DEMO_TEXT, level);
      } finally {
        await engine.close();
      }
    }
  });

  it('required is kept or the start refused', async () => {
    const best = await openSandbox('preferred', environment, folder, silentLog);
    const required = openSandbox('required', environment, folder, silentLog);
    if (best.level === 'process') await assert.rejects(required, /no sandbox works here/);
    else assert.equal((await required).level, best.level);
  });
});
