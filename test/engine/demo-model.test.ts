import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { demoModel, SCRIPT } from '../../models/demo/make-demo-model.ts';
import { DEMO_FILE, sha256 } from './demo.ts';

it('the committed model is what its generator makes, byte by byte', async () => {
  assert.equal(sha256(demoModel()), sha256(await readFile(DEMO_FILE)));
});

it('the README states its digest and length', async () => {
  const [readme, model] = await Promise.all([
    readFile(new URL('../../models/demo/README.md', import.meta.url), 'utf8'),
    readFile(DEMO_FILE),
  ]);
  assert.ok(readme.includes(sha256(model)));
  assert.ok(readme.includes(`${SCRIPT.length} tokens`));
});

it('refuses pieces that can not be told apart', () => {
  assert.throws(() => demoModel({ say: ['a', 'b', 'a'] }), /differ/);
  assert.throws(() => demoModel({ say: [''] }), /non-empty/);
});
