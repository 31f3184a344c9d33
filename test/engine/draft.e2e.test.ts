import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Problem } from '#kernel/problem.ts';
import { recurrentModel } from '../fakes/state-models.ts';
import { answer, DEMO_FILE, demoSpec, openLlama, sha256, TEST_FILES, until, writeModel } from './demo.ts';

const at = (name: string) => fileURLToPath(new URL(`../../models/demo/${name}.gguf`, import.meta.url));

async function spec(draft?: string) {
  const file = at('demo');
  const approved = async (path: string) => ({ file: path, sha256: sha256(await readFile(path)) });
  return demoSpec({
    ...(await approved(file)),
    ...(draft === undefined ? {} : { draft: { ...(await approved(draft)), tokens: 4 } }),
  });
}

const ask = (seed: number, temperature: number, subject = 'usr_a') =>
  ({
    subject,
    seed,
    temperature,
    maxTokens: 60,
    messages: [{ role: 'user', content: 'What is a letter of credit?' }],
  }) as const;

describe('a draft model', () => {
  it('is refused where what was foreseen wrongly can not be taken back', async () => {
    const made = await writeModel(recurrentModel());
    const engine = openLlama({ ...made.spec, draft: { ...made.spec, tokens: 4 } });
    try {
      await assert.rejects(
        engine.load(),
        (error: unknown) => error instanceof Problem && /its draft model does not go with it/.test(error.message),
      );
    } finally {
      await engine.close();
      await made.remove();
    }
  });

  it('foresees what is said, and what is said is the same: greedy as without it, and with a seed alone or among others', async () => {
    const plain = openLlama(await spec());
    const probed = new Set<string>();
    // It is tried out in a child of its own first, with the model.
    const drafted = openLlama(await spec(at('draft')), {
      files: { ...TEST_FILES, isProbed: (digest) => probed.has(digest), probed: (digest) => void probed.add(digest) },
    });
    try {
      await Promise.all([plain.load(), drafted.load()]);
      assert.equal(probed.size, 1);
      const greedy = await answer(plain, ask(1, 0));
      assert.equal((await answer(drafted, ask(1, 0))).text, greedy.text);
      const alone = await answer(drafted, ask(7, 0.8));
      const [one, other] = await Promise.all([answer(drafted, ask(7, 0.8)), answer(drafted, ask(8, 0.8, 'usr_b'))]);
      assert.equal(one.text, alone.text);
      assert.notEqual(other.text, alone.text);
      await until(() => (drafted.status().draft?.foreseen ?? 0) > 0);
      const { foreseen = 0, right = 0, digest, costs } = drafted.status().draft ?? {};
      assert.ok((costs?.drafted ?? 0) > 0);
      assert.ok(right > 0 && right <= foreseen, `${right} of ${foreseen}`);
      assert.equal(digest, (await spec(at('draft'))).draft?.sha256);
      assert.equal(plain.status().draft, null);
    } finally {
      await Promise.all([plain.close(), drafted.close()]);
    }
  });

  it('of another vocabulary is refused before it is loaded', async () => {
    const engine = openLlama(await spec(DEMO_FILE));
    try {
      await assert.rejects(
        engine.load(),
        (error: unknown) => error instanceof Problem && /its draft model does not go with it/.test(error.message),
      );
    } finally {
      await engine.close();
    }
  });
});
