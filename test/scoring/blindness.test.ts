import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { describe, it } from 'node:test';

const SOURCE = join(import.meta.dirname, '../../src');
const SECRETS = /\b(?:KeyGenerator|Decryptor|SecretKey|Encryptor)\b/;

/** Every file of ours that a program reaches by its imports; with `late` also by those that run only when asked for. */
function reached(entry: string, late = true, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  const text = readFileSync(join(SOURCE, entry), 'utf8').replaceAll(/^import type [^;]+;/gm, '');
  for (const [, stated, dynamic] of text.matchAll(/from\s+'([#.][^']+)'|import\(\s*'([#.][^']+)'/g)) {
    const to = stated ?? (late ? dynamic : undefined) ?? '';
    const path = to.startsWith('#') ? to.slice(1) : normalize(join(entry, '..', to));
    if (/\.tsx?$/.test(path)) reached(path, late, seen);
  }
  return seen;
}

const withSecrets = (entry: string, late = true): string[] =>
  [...reached(entry, late)].filter((path) => SECRETS.test(readFileSync(join(SOURCE, path), 'utf8')));

describe('promise 20: the server has nothing to decrypt with', () => {
  for (const entry of ['gateway.ts', 'cli/serve.ts', 'scoring/evaluator-child.seal.ts']) {
    it(`${entry} reaches no code that makes or uses a secret key`, () => {
      const files = reached(entry);
      assert.ok(
        files.size > (entry === 'scoring/evaluator-child.seal.ts' ? 5 : 100),
        `only ${files.size} files were seen`,
      );
      assert.deepEqual(withSecrets(entry), []);
    });
  }

  it('the command line loads it for one verb, that is the client’s, and never by being started', () => {
    assert.deepEqual(withSecrets('main.ts', false), []);
    assert.ok(withSecrets('cli/scoring.ts').length > 0);
  });

  it('the self-test of a model does, and is a process of its own', () => {
    assert.ok(withSecrets('scoring/self-test.seal.ts').length > 0);
    const parent = readFileSync(join(SOURCE, 'scoring/self-test.node.ts'), 'utf8');
    assert.match(parent, /fork\(CHILD/);
  });
});
