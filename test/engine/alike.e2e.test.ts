import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { answer, demoSpec, openLlama, sha256 } from './demo.ts';

const MODEL = fileURLToPath(new URL('../../models/demo/demo.gguf', import.meta.url));
const RULES = 'You answer questions about letters of credit, guarantees and collections. '.repeat(6);

it('conversations of one user that begin alike say, at once, what each says alone', async () => {
  const spec = { file: MODEL, sha256: sha256(await readFile(MODEL)), contextSize: 512 };
  const asked = ['What is a letter of credit?', 'What is a guarantee?', 'Who pays?'].map(
    (content) =>
      ({
        temperature: 0,
        maxTokens: 16,
        messages: [
          { role: 'system', content: RULES },
          { role: 'user', content },
        ],
      }) as const,
  );
  const [alone, together] = [
    openLlama(await demoSpec({ ...spec, parallel: 1 })),
    openLlama(await demoSpec({ ...spec, parallel: 3 })),
  ];
  try {
    await Promise.all([alone.load(), together.load()]);
    const texts: string[] = [];
    // Each of another user, so that it is computed from its first token.
    for (const [at, request] of asked.entries())
      texts.push((await answer(alone, { ...request, subject: `usr_${at}` })).text);
    const answers = await Promise.all(asked.map((request) => answer(together, { ...request, subject: 'usr_a' })));
    assert.deepEqual(
      answers.map(({ text }) => text),
      texts,
    );
    const cached = answers.map(({ usage }) => usage.cachedTokens);
    assert.ok(cached.filter((tokens) => tokens > 32).length === 2, `${cached}`);
  } finally {
    await Promise.all([alone.close(), together.close()]);
  }
});
