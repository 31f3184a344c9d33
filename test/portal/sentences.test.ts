import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { filled } from '#audit/receipt.shared.ts';
import { sentencesZh } from '#portal/i18n/sentences.zh.ts';

const source = (name: string) => readFile(new URL(`../../src/audit/${name}.shared.ts`, import.meta.url), 'utf8');

test('whatever the check of a receipt can say, it says in Chinese too', async () => {
  const said = new Set<string>();
  for (const name of ['note', 'checkpoint', 'promise', 'key-ring']) {
    for (const [, sentence = ''] of (await source(name)).matchAll(/NoteFault\(\s*'([^']+)'/g)) {
      said.add(sentence);
    }
  }
  // Sentences are the only texts with a space in these files.
  for (const name of ['receipt', 'record']) {
    const code = (await source(name)).replace(/\/\*\*?[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
    for (const [, text = ''] of code.matchAll(/'([^'\n]*)'/g)) if (text.includes(' ')) said.add(text);
  }
  // Mistakes in the program, not in what a stranger brings.
  said.delete('there is nothing to promise');
  said.delete('a key name holds no spaces, no control characters and no +');
  said.delete('an Ed25519 public key has 32 bytes');
  assert.ok(said.size > 30, `${said.size} sentences were found`);
  assert.deepEqual(
    [...said].filter((sentence) => sentencesZh[sentence] === undefined),
    [],
  );
  for (const [english, chinese] of Object.entries(sentencesZh)) {
    const places = (text: string) => [...text.matchAll(/\{\d\}/g)].map(String).sort();
    assert.deepEqual(places(chinese), places(english), english);
    assert.doesNotMatch(chinese.replace(/JSON|Ed25519/g, ''), /[A-Za-z]{2}/);
    assert.ok(said.has(english), `nobody says “${english}”`);
  }
});

test('a sentence is filled with its words as they are', () => {
  assert.equal(filled('{0} at size {1}', ['bank/{1}', '7']), 'bank/{1} at size 7');
  assert.equal(filled('{1} {0} {2}', ['a', 'b']), 'b a ');
});
