/**
 * All figures of the README in one run: `node measure.ts [--files FOLDER] [--scores FILE] [--corpus RUN --python PYTHON]`.
 *
 * Runs evaluate.ts, agreement.ts and register.ts on the three files of a folder and puts what they say into one file,
 * with the digests of what was measured.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const FILES = ['demo.gguf', 'draft.gguf', 'formal-letters.gguf'] as const;
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const { values } = parseArgs({
  options: {
    files: { type: 'string', default: here('..') },
    scores: { type: 'string' },
    corpus: { type: 'string' },
    python: { type: 'string', default: 'python3' },
  },
});
const [demo, draft, letters] = FILES.map((name) => resolve(values.files, name)) as [string, string, string];
const folder = mkdtempSync(join(tmpdir(), 'strongroom-scores-'));

function told(script: string, ...options: string[]): Record<string, unknown> {
  const scores = join(folder, 'scores.json');
  execFileSync(process.execPath, [here(script), '--model', demo, '--scores', scores, ...options], { stdio: 'inherit' });
  const { sha256: _, ...rest } = JSON.parse(readFileSync(scores, 'utf8')) as Record<string, unknown>;
  return rest;
}

try {
  const counted = values.corpus === undefined ? [] : ['--corpus', values.corpus, '--python', values.python];
  const digest = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
  const scores = {
    sha256: Object.fromEntries(FILES.map((name, i) => [name, digest([demo, draft, letters][i] as string)])),
    demo: told('./evaluate.ts', '--answers', join(folder, 'answers.jsonl'), ...counted),
    draft: told('./agreement.ts', '--draft', draft),
    letters: told('./register.ts', '--adapter', letters),
  };
  if (values.scores !== undefined) writeFileSync(values.scores, `${JSON.stringify(scores, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true });
}
