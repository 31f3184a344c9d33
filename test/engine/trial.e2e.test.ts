import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { EngineEvent } from '#engine/engine-event.ts';
import { openFileMemory } from '#engine/llama/file-memory.files.ts';
import { type FileMemory, forgetfulMemory } from '#engine/llama/file-memory.ts';
import { systemClock } from '#kernel/clock.ts';
import { sha256Hex } from '#kernel/id.ts';
import { silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { answer, DEMO_FILE, DEMO_TEXT, demoSpec, openLlama, sha256, TEMPLATE_FILE, until } from './demo.ts';

const says = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Problem, String(error));
  assert.match(error.message, pattern);
  return true;
};

describe('a file that was never loaded before', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-trial-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** The demo model with some bytes changed. */
  const altered = async (name: string, change: (bytes: Buffer) => void) => {
    const bytes = await readFile(DEMO_FILE);
    change(bytes);
    const file = join(folder, name);
    await writeFile(file, bytes);
    return demoSpec({ file, sha256: sha256(bytes) });
  };

  it('is tried in a child of its own, once for each digest', async () => {
    const files = forgetfulMemory();
    const { sha256: digest } = await demoSpec();
    for (const known of [false, true]) {
      assert.equal(files.isProbed(digest), known);
      const engine = openLlama(await demoSpec(), { files });
      try {
        await engine.load();
        assert.equal((await answer(engine)).text, DEMO_TEXT);
      } finally {
        await engine.close();
      }
    }
  });

  it('is refused when a weight is not a number', async () => {
    const spec = await altered('nan.gguf', (bytes) => bytes.writeFloatLE(Number.NaN, bytes.length - 1024 * 200));
    // Where the bytes lie: not in the header, in a tensor of 16-bit numbers; two of them are NaN together.
    const engine = openLlama(spec, { files: forgetfulMemory() });
    try {
      await assert.rejects(engine.load(), says(/the engine refused it/));
      assert.equal(engine.status().state, 'failed');
    } finally {
      await engine.close();
    }
  });

  it('is not read again when it was found to be the approved one, and is when its bytes may have changed', async () => {
    const spec = await altered('known.gguf', () => undefined);
    const asked: boolean[] = [];
    const memory = await openFileMemory(folder, 'catalogue', systemClock, silentLog);
    const files: FileMemory = {
      ...memory,
      isProbed: () => true,
      isVerified: (...file) => {
        asked.push(memory.isVerified(...file));
        return asked.at(-1) === true;
      },
    };
    const load = async () => {
      const engine = openLlama(spec, { files });
      await engine.load().finally(() => engine.close());
    };
    await load();
    await load();
    assert.deepEqual(asked, [false, true]);
    const bytes = await readFile(spec.file);
    bytes[bytes.length - 1] = 1;
    await writeFile(spec.file, bytes);
    await assert.rejects(load(), says(/SHA-256 differs/));
  });

  it('that kills its child three times is in quarantine, over a restart, until an admin says so', async () => {
    const events: EngineEvent[] = [];
    const memory = await openFileMemory(folder, 'catalogue', systemClock, silentLog);
    const spec = await demoSpec();
    const engine = openLlama(spec, { files: memory, onEvent: (event) => events.push(event) });
    try {
      const killed = new Set<number>();
      const loading = assert.rejects(engine.load(), says(/quarantine: its engine died again and again/));
      const killer = setInterval(() => {
        const { pid } = engine.status();
        if (pid === null || killed.has(pid)) return;
        killed.add(pid);
        process.kill(pid, 'SIGABRT');
      }, 5);
      await loading;
      clearInterval(killer);
      assert.deepEqual(
        events.map(({ type }) => type),
        ['crashed', 'crashed', 'crashed', 'quarantined'],
      );
      assert.match(engine.status().quarantine ?? '', /SIGABRT/);
      await until(() => memory.quarantineOf(spec.sha256) !== null);
    } finally {
      await engine.close();
    }
    // The next gateway knows.
    let later = await openFileMemory(folder, 'catalogue', systemClock, silentLog);
    while (later.quarantineOf(spec.sha256) === null)
      later = await openFileMemory(folder, 'catalogue', systemClock, silentLog);
    const next = openLlama(spec, { files: later });
    try {
      await assert.rejects(next.load(), says(/is in quarantine/));
      next.pardon();
      await next.load();
      assert.equal(next.status().quarantine, null);
    } finally {
      await next.close();
    }
  });

  it('its own template is used only where its digest is the approved one', async () => {
    const own = sha256Hex(await readFile(TEMPLATE_FILE, 'utf8'));
    for (const [approvedTemplateSha256, works] of [
      [own, true],
      [sha256Hex('another'), false],
    ] as const) {
      const engine = openLlama(await demoSpec({ chatTemplate: null, approvedTemplateSha256 }));
      try {
        if (works) await engine.load();
        else await assert.rejects(engine.load(), says(/its own chat template is not the approved one/));
        assert.equal(engine.status().templateDigest, approvedTemplateSha256);
      } finally {
        await engine.close();
      }
    }
  });

  it('a template without end is killed by the load’s deadline', async () => {
    const chatTemplate = "{% for i in range(100000000) %}{% endfor %}{{ messages[0]['content'] }}";
    const engine = openLlama(await demoSpec({ chatTemplate }), { limits: { loadMs: 1500 } });
    try {
      await assert.rejects(engine.load(), says(/in time/));
      assert.equal(engine.status().pid, null);
    } finally {
      await engine.close();
    }
  });
});
