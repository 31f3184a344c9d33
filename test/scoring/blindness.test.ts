import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { describe, it } from 'node:test';

const SOURCE = join(import.meta.dirname, '../../src');
const SECRETS = /\b(?:KeyGenerator|Decryptor|SecretKey|Encryptor)\b/;

/** Every file of ours that a program reaches by its imports, static or not. */
function reached(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  const text = readFileSync(join(SOURCE, entry), 'utf8');
  for (const [, stated, dynamic] of text.matchAll(/from\s+'([#.][^']+)'|import\(\s*'([#.][^']+)'/g)) {
    const to = (stated ?? dynamic ?? '') as string;
    const path = to.startsWith('#') ? to.slice(1) : normalize(join(entry, '..', to));
    if (/\.tsx?$/.test(path)) reached(path, seen);
  }
  return seen;
}

const withSecrets = (entry: string): string[] =>
  [...reached(entry)].filter((path) => SECRETS.test(readFileSync(join(SOURCE, path), 'utf8')));

describe('promise 20: the server has nothing to decrypt with', () => {
  for (const entry of ['main.ts', 'gateway.ts', 'scoring/evaluator-child.seal.ts']) {
    it(`${entry} reaches no code that makes or uses a secret key`, () => {
      const files = reached(entry);
      assert.ok(
        files.size > (entry === 'scoring/evaluator-child.seal.ts' ? 5 : 100),
        `only ${files.size} files were seen`,
      );
      assert.deepEqual(withSecrets(entry), []);
    });
  }

  it('the self-test of a model does, and is a process of its own', () => {
    assert.ok(withSecrets('scoring/self-test.seal.ts').length > 0);
    const parent = readFileSync(join(SOURCE, 'scoring/self-test.node.ts'), 'utf8');
    assert.match(parent, /fork\(CHILD/);
  });
});
