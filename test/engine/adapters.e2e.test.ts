import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type LlamaModelSpec, trialDigest } from '#engine/model-spec.ts';
import { Problem } from '#kernel/problem.ts';
import { answer, demoSpec, openLlama, sha256, TEST_FILES } from './demo.ts';

const at = (name: string) => fileURLToPath(new URL(`../../models/demo/${name}.gguf`, import.meta.url));
const letters = {
  messages: [{ role: 'user', content: 'Write an email to Mr. Weber: the meeting is on Monday.' }],
} as const;

async function spec(change: Partial<LlamaModelSpec> = {}): Promise<LlamaModelSpec> {
  return demoSpec({ file: at('demo'), sha256: sha256(await readFile(at('demo'))), ...change });
}

async function adapter(scale = 1) {
  const file = at('formal-letters');
  return { name: 'formal-letters', file, sha256: sha256(await readFile(file)), scale };
}

const FORMAL = /Yours (faithfully|respectfully)/;

describe('a model with an adapter', () => {
  it('answers otherwise than the model alone, which it leaves as it is; at scale 0 it is that model', async () => {
    const base = openLlama(await spec());
    const formal = openLlama(await spec({ adapter: await adapter() }));
    const off = openLlama(await spec({ adapter: await adapter(0) }));
    try {
      await Promise.all([base.load(), formal.load(), off.load()]);
      const [plain, letter, same] = await Promise.all([base, formal, off].map((engine) => answer(engine, letters)));
      assert.match(letter?.text ?? '', FORMAL);
      assert.doesNotMatch(plain?.text ?? '', FORMAL);
      assert.equal(same?.text, plain?.text);
      const { digest, scale, name } = formal.status().adapter ?? {};
      assert.deepEqual([name, scale, digest], ['formal-letters', 1, (await adapter()).sha256]);
      assert.equal(base.status().adapter, null);
    } finally {
      await Promise.all([base.close(), formal.close(), off.close()]);
    }
  });

  const refused = async (change: Partial<LlamaModelSpec>, message: RegExp) => {
    const engine = openLlama(await spec(change));
    try {
      await assert.rejects(engine.load(), (error: unknown) => error instanceof Problem && message.test(error.message));
    } finally {
      await engine.close();
    }
  };

  it('is not loaded where the adapter’s bytes are not the approved ones', async () => {
    await refused({ adapter: { ...(await adapter()), sha256: 'a'.repeat(64) } }, /SHA-256/);
  });

  it('nor where it was made for another model', async () => {
    const { file, sha256: digest } = await demoSpec();
    await refused({ file, sha256: digest, adapter: await adapter() }, /malformed/);
  });

  it('nor where there is no such file', async () => {
    await refused({ adapter: { ...(await adapter()), file: '/nowhere.gguf' } }, /can not be read/);
  });

  it('a quarantine of the model holds for it, one of its own not for the model', async () => {
    const quarantined = new Set<string>();
    const files = {
      ...TEST_FILES,
      quarantineOf: (digest: string) => (quarantined.has(digest) ? { reason: 'it died', since: 0 } : null),
      pardon: (digest: string) => void quarantined.delete(digest),
      quarantine: (digest: string) => void quarantined.add(digest),
    };
    const base = openLlama(await spec(), { files });
    const formal = openLlama(await spec({ adapter: await adapter() }), { files });
    const held = () => [base.status().quarantine, formal.status().quarantine].map((reason) => reason !== null);
    quarantined.add((await spec()).sha256);
    assert.deepEqual(held(), [true, true]);
    formal.pardon();
    assert.deepEqual(held(), [false, false]);
    quarantined.add(trialDigest(await spec({ adapter: await adapter() })));
    assert.deepEqual(held(), [false, true]);
    base.pardon();
    assert.deepEqual(held(), [false, true]);
  });
});
