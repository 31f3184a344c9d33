import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chmod, link, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { GenerationEvent } from '#engine/engine.ts';
import type { EngineEvent } from '#engine/engine-event.ts';
import { forgetfulMemory } from '#engine/llama/file-memory.ts';
import type { LlamaDeps, LlamaEngine } from '#engine/llama/port.llama.ts';
import type { LlamaModelSpec } from '#engine/model-spec.ts';
import { systemClock } from '#kernel/clock.ts';
import { Problem } from '#kernel/problem.ts';
import {
  answer,
  collect,
  DEMO_FILE,
  DEMO_TEXT,
  demoSpec,
  madeSpec,
  NEVER,
  openLlama,
  request,
  sha256,
  told,
  until,
  untilFirstDelta,
} from './demo.ts';

const failure = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Problem, String(error));
  assert.equal(error.code, 'engine_failed');
  assert.match(error.message, message);
  return true;
};

const signal = (engine: LlamaEngine, name: NodeJS.Signals): void => {
  const { pid } = engine.status();
  assert.ok(pid !== null);
  process.kill(pid, name);
};

/** The demo model with one more entry in its header, of such a length that everything behind it keeps its alignment. */
function asserting(sound: Buffer): Buffer {
  const text = (value: string) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(value.length));
    return Buffer.concat([length, Buffer.from(value)]);
  };
  const entry = Buffer.concat([
    text('llama.rope.scaling.type'),
    Buffer.from([8, 0, 0, 0]),
    text('neither-of-those-here'),
  ]);
  assert.equal(entry.length % 32, 0);
  const bytes = Buffer.concat([sound.subarray(0, 24), entry, sound.subarray(24)]);
  bytes.writeBigUInt64LE(bytes.readBigUInt64LE(16) + 1n, 16);
  return bytes;
}

describe('what kills a child', () => {
  let folder: string;
  let endless: { readonly spec: LlamaModelSpec; readonly remove: () => Promise<void> };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-deaths-'));
    endless = await madeSpec({ loop: true }, { contextSize: 4096, maxOutputTokens: 4000 });
  });
  after(async () => {
    await endless.remove();
    await rm(folder, { recursive: true });
  });

  /** An engine whose answers have no end, for as long as `use` takes. */
  const withEndless = async (limits: NonNullable<LlamaDeps['limits']>, use: (engine: LlamaEngine) => Promise<void>) => {
    const engine = openLlama(endless.spec, { limits });
    try {
      await engine.load();
      await use(engine);
    } finally {
      await engine.close();
    }
  };
  /** Serves again, in another process than before. */
  const isBack = async (engine: LlamaEngine, dead: number | null) => {
    assert.equal((await answer(engine, { maxTokens: 3 })).usage.completionTokens, 3);
    assert.notEqual(engine.status().pid, dead);
    assert.equal(engine.status().restarts, 1);
  };

  it('a file on which llama.cpp aborts by GGML_ASSERT: in quarantine after three deaths, while another model answers', async () => {
    const file = join(folder, 'asserts.gguf');
    const bytes = asserting(await readFile(DEMO_FILE));
    await writeFile(file, bytes);
    const events: EngineEvent[] = [];
    const files = forgetfulMemory();
    const digest = sha256(bytes);
    const bad = openLlama(await demoSpec({ file, sha256: digest }), { files, onEvent: (event) => events.push(event) });
    await withEndless({}, async (good) => {
      const control = new AbortController();
      const other = told(good, request(), control.signal);
      await untilFirstDelta(other);
      await assert.rejects(bad.load(), failure(/quarantine: its engine died again and again \(last: SIGABRT\)/));
      assert.deepEqual(
        events.map(({ type, how }) => [type, how]),
        [...Array.from({ length: 3 }, () => ['crashed', 'SIGABRT']), ['quarantined', 'SIGABRT']],
      );
      assert.notEqual(files.quarantineOf(digest), null);
      assert.equal(bad.status().pid, null);
      // The answer next door has noticed nothing.
      await untilFirstDelta(other);
      assert.equal(good.status().restarts, 0);
      control.abort(new Error('enough'));
      await assert.rejects(collect(other), /enough/);
    });
    await bad.close();
  });

  it('an abort in one of four models: three stream on to their end, the fourth’s caller gets one error', async () => {
    const engines = await Promise.all(Array.from({ length: 3 }, async () => openLlama(await demoSpec())));
    try {
      await Promise.all(engines.map((engine) => engine.load()));
      await withEndless({}, async (dying) => {
        const lost = told(dying, request(), NEVER);
        await untilFirstDelta(lost);
        const others = engines.map((engine) => answer(engine));
        signal(dying, 'SIGABRT');
        await assert.rejects(collect(lost), failure(/./));
        for (const { text, reason } of await Promise.all(others)) assert.deepEqual([text, reason], [DEMO_TEXT, 'stop']);
        assert.deepEqual(
          engines.map((engine) => engine.status().restarts),
          [0, 0, 0],
        );
      });
    } finally {
      await Promise.all(engines.map((engine) => engine.close()));
    }
  });

  const stopped = async (engine: LlamaEngine, generation: AsyncGenerator<GenerationEvent>) => {
    const { pid } = engine.status();
    signal(engine, 'SIGSTOP');
    await assert.rejects(collect(generation), failure(/./));
    await isBack(engine, pid);
  };

  it('one that makes no first token in its time, though it lives', () =>
    withEndless({ firstTokenMs: 1500 }, async (engine) => {
      const generation = told(engine, request({ messages: [{ role: 'user', content: '7'.repeat(3900) }] }), NEVER);
      assert.equal((await generation.next()).value?.type, 'started');
      await stopped(engine, generation);
    }));

  it('one that makes no next token in its time', () =>
    withEndless({ nextTokenMs: 1500 }, async (engine) => {
      const generation = told(engine, request(), NEVER);
      await untilFirstDelta(generation);
      await stopped(engine, generation);
    }));

  it('but none whose time was lost by the gateway, which stood still itself', async () => {
    let lost = 0;
    let looks = 0;
    const clock = {
      ...systemClock,
      monotonic: () => {
        looks++;
        return systemClock.monotonic() + lost;
      },
    };
    const engine = openLlama(endless.spec, { clock });
    try {
      await engine.load();
      const control = new AbortController();
      const generation = told(engine, request(), control.signal);
      await untilFirstDelta(generation);
      // Nothing comes, and an hour is over: as where both were frozen.
      signal(engine, 'SIGSTOP');
      await until(() => readFileSync(`/proc/${engine.status().pid}/stat`, 'utf8').includes(') T '));
      // What it said until then is heard.
      for (let turn = 0; turn < 20; turn++) await nextTurn();
      lost = 3_600_000;
      const before = looks;
      await until(() => looks > before + 8);
      signal(engine, 'SIGCONT');
      await untilFirstDelta(generation);
      assert.equal(engine.status().restarts, 0);
      control.abort(new Error('enough'));
      await assert.rejects(collect(generation), /enough/);
    } finally {
      await engine.close();
    }
  });

  it('one that does not let go of an answer that nobody wants any more: its slot comes back', () =>
    withEndless({ cancelMs: 1500 }, async (engine) => {
      const control = new AbortController();
      const generation = told(engine, request(), control.signal);
      await untilFirstDelta(generation);
      const { pid } = engine.status();
      signal(engine, 'SIGSTOP');
      control.abort(new Error('hung up'));
      await assert.rejects(collect(generation), /hung up/);
      await until(() => engine.status().restarts === 1);
      await isBack(engine, pid);
    }));

  it('one whose file is written to in its place: it says nothing of that for long, and is not loaded again', async () => {
    const file = join(folder, 'written.gguf');
    const bytes = await readFile(DEMO_FILE);
    await writeFile(file, bytes);
    const engine = openLlama(await demoSpec({ file, sha256: sha256(bytes) }));
    try {
      await engine.load();
      // Another name for it, and who may read it: that is not what it says.
      await link(file, join(folder, 'linked.gguf'));
      await chmod(file, 0o640);
      const handle = await open(file, 'r+');
      await handle.write(Buffer.alloc(4096, 7), 0, 4096, bytes.length - 4096);
      await handle.close();
      await until(() => engine.status().state === 'failed');
      assert.equal(engine.status().restarts, 1);
      await assert.rejects(engine.load(), failure(/not the approved one/));
    } finally {
      await engine.close();
    }
  });

  it('one that does not come to the end of its file in time: it is not tried again by itself', async () => {
    const engine = openLlama(await demoSpec(), { limits: { verifyMs: 1500 } });
    const loading = assert.rejects(engine.load(), failure(/in time/));
    signal(engine, 'SIGSTOP');
    await loading;
    assert.deepEqual([engine.status().state, engine.status().pid], ['failed', null]);
    await engine.close();
  });
});
