import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, it } from 'node:test';

const LAUNCHER = new URL('../../src/strongroom.mjs', import.meta.url).pathname;

/** The launcher runs in place of itself where Node can do that, and as a parent where it can't: both must hold. */
const WITHOUT_EXECVE = `data:text/javascript,${encodeURIComponent('delete process.execve')}`;
const WAYS: readonly (readonly [string, readonly string[]])[] = [
  ['in place', []],
  ['as a child', [`--import=${WITHOUT_EXECVE}`]],
];

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly errors: string;
}

function launch(way: readonly string[], ...args: string[]): ChildProcess {
  return spawn(process.execPath, [...way, LAUNCHER, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function ended(child: ChildProcess): Promise<Ended> {
  let output = '';
  let errors = '';
  child.stdout?.on('data', (text: Buffer) => {
    output += text.toString();
  });
  child.stderr?.on('data', (text: Buffer) => {
    errors += text.toString();
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, output, errors };
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

async function goesAway(pid: number): Promise<boolean> {
  for (let waited = 0; waited < 5000; waited += 50) {
    if (!isRunning(pid)) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

for (const [name, way] of WAYS) {
  describe(`the launcher, ${name}`, { timeout: 60_000 }, () => {
    it('runs the pinned Node, hardened and silent', async () => {
      const program = `
        const seen = { version: process.version };
        try { new Function('return 1')(); } catch (error) { seen.eval = error.name; }
        try { ({}).__proto__; } catch (error) { seen.proto = error.code; }
        console.log(JSON.stringify(seen));`;
      const { code, output, errors } = await ended(launch(way, '--node', '-e', program));
      assert.equal(code, 0);
      assert.deepEqual(JSON.parse(output), { version: 'v24.21.0', eval: 'EvalError', proto: 'ERR_PROTO_ACCESS' });
      assert.equal(errors, '');
    });

    it('lets no site of a request make its objects in the old generation, nor a small heap be collected all the time', async () => {
      const { output } = await ended(launch(way, '--node', '-p', 'JSON.stringify(process.execArgv)'));
      const flags = new Set(JSON.parse(output) as string[]);
      for (const flag of ['--no-allocation-site-pretenuring', '--heap-growing-percent=400'])
        assert.ok(flags.has(flag), output);
    });

    it('passes arguments through as they are', async () => {
      const args = ['with blank', '', '--flag=1', '$HOME', "quo'te"];
      const { output } = await ended(
        launch(way, '--node', '-p', 'JSON.stringify(process.argv.slice(1))', '--', ...args),
      );
      assert.deepEqual(JSON.parse(output), args);
    });

    it('ends with the exit code of the program', async () => {
      for (const code of [0, 1, 7, 77]) {
        assert.equal((await ended(launch(way, '--node', '-e', `process.exit(${code})`))).code, code);
      }
    });

    it('ends by the signal that ended the program', async () => {
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        const result = await ended(
          launch(way, '--node', '-e', `process.kill(process.pid, '${signal}'); setInterval(() => {}, 1000)`),
        );
        assert.equal(result.signal, signal);
      }
    });

    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      it(`passes ${signal} on, once, and waits for the program to drain`, async () => {
        const program = `
          let heard = 0;
          process.on('${signal}', () => { if (++heard === 1) setTimeout(() => { console.log('heard', heard); process.exit(5); }, 300); });
          setInterval(() => {}, 1000);
          console.log('ready');`;
        const child = launch(way, '--node', '-e', program);
        const end = ended(child);
        if (child.stdout !== null) await once(child.stdout, 'data');
        child.kill(signal);
        const { code, output } = await end;
        assert.equal(output, 'ready\nheard 1\n');
        assert.equal(code, 5);
      });
    }

    it('leaves nothing behind when it is killed', async () => {
      const child = launch(way, '--node', '-e', 'setInterval(() => {}, 1000); console.log(process.pid)');
      const [line] = (await once(child.stdout as NonNullable<typeof child.stdout>, 'data')) as [Buffer];
      child.kill('SIGKILL');
      assert.ok(await goesAway(Number(line.toString())));
    });

    it('does not outlive an npm that was killed', { skip: process.platform !== 'linux' }, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'strongroom-npm-'));
      const program = join(folder, 'program.mjs');
      await writeFile(program, 'setInterval(() => {}, 1000); console.log("pid", process.pid);');
      const start = ['node', ...way, LAUNCHER, '--node', program].map((part) => `"${part}"`).join(' ');
      await writeFile(
        join(folder, 'package.json'),
        JSON.stringify({ name: 'x', private: true, scripts: { start: `true && ${start}` } }),
      );
      const path = `${join(process.execPath, '..')}${delimiter}${process.env['PATH']}`;
      const npm = spawn('npm', ['start', '--silent'], {
        cwd: folder,
        env: { ...process.env, PATH: path },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      try {
        let output = '';
        while (!/pid \d+/.test(output)) output += ((await once(npm.stdout, 'data')) as [Buffer])[0].toString();
        const pid = Number(/pid (\d+)/.exec(output)?.[1]);
        npm.kill('SIGKILL');
        assert.ok(await goesAway(pid));
      } finally {
        npm.stdout.destroy();
        await rm(folder, { recursive: true, force: true });
      }
    });

    it('lives on when a parent that merely started it goes', async () => {
      const starter = `
        const { spawn } = require('node:child_process');
        const child = spawn(process.execPath, ${JSON.stringify([...way, LAUNCHER, '--node', '-e', 'setTimeout(() => {}, 20000)'])}, { stdio: 'ignore', detached: true });
        console.log(child.pid);
        process.exit(0);`;
      const { output } = await ended(spawn(process.execPath, ['-e', starter], { stdio: ['ignore', 'pipe', 'pipe'] }));
      const pid = Number(output);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.equal(isRunning(pid), true);
      process.kill(pid, 'SIGTERM');
      assert.ok(await goesAway(pid));
    });
  });
}

describe('the launcher file', () => {
  it('may be executed', () => access(LAUNCHER, 1));
});
