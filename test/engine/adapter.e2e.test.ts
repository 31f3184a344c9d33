import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const MEASURE = fileURLToPath(new URL('../../models/demo/training/register.ts', import.meta.url));
const HELD_OUT = new URL('../../models/demo/training/held-out-letters.jsonl', import.meta.url);
const PROMPTS = 6;

/** In a process of its own, since the library's native part is loaded for it. */
it('the adapter loads beside the model and turns its e-mails into formal letters', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-adapter-'));
  try {
    const [prompts, others, scores] = ['prompts', 'others', 'scores'].map((name) => join(folder, name));
    const lines = (await readFile(HELD_OUT, 'utf8')).split('\n').slice(0, PROMPTS);
    await writeFile(prompts as string, lines.join('\n'));
    await writeFile(
      others as string,
      JSON.stringify({ kind: 'talk', question: 'What does the audit log record?', keys: [['inference', 'record']] }),
    );
    const files = ['--prompts', prompts, '--others', others, '--scores', scores] as string[];
    await promisify(execFile)(process.execPath, [MEASURE, ...files]);
    const told = JSON.parse(await readFile(scores as string, 'utf8')) as Record<
      'with' | 'without',
      Record<string, number>
    >;
    assert.deepEqual([told.without['both'], told.without['othersOnSubject']], [0, 100]);
    assert.ok((told.with['both'] ?? 0) >= 80, JSON.stringify(told));
    assert.equal(told.with['othersOnSubject'], 100);
  } finally {
    await rm(folder, { recursive: true });
  }
});
