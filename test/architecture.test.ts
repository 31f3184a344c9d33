import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

/** The layer table of src/README.md, executed: what each layer may import. An allow-list. */
const LAYERS: Readonly<Record<string, { readonly layers: readonly string[]; readonly packages: readonly RegExp[] }>> = {
  kernel: { layers: ['kernel'], packages: [/^node:crypto$/] },
  rules: { layers: ['kernel', 'rules', 'shared'], packages: [/^node:crypto$/, /^node:tls$/] },
  contract: { layers: ['kernel', 'contract'], packages: [/^zod$/] },
  service: { layers: ['kernel', 'rules', 'shared'], packages: [] },
  routes: { layers: ['kernel', 'rules', 'shared', 'contract', 'http'], packages: [] },
  adapter: { layers: ['kernel', 'rules', 'shared', 'postgres', 'adapter', 'contract'], packages: [/^node:/, /^[^.#]/] },
  http: { layers: ['kernel', 'http'], packages: [/^node:/, /^express$/, /^helmet$/, /^zod$/] },
  postgres: { layers: ['kernel', 'postgres'], packages: [/^node:/, /^pg$/, /^pg-connection-string$/] },
  config: { layers: ['kernel', 'config'], packages: [/^node:/, /^yaml$/, /^zod$/] },
  composition: {
    layers: [
      'kernel',
      'rules',
      'shared',
      'contract',
      'service',
      'routes',
      'adapter',
      'http',
      'postgres',
      'config',
      'composition',
    ],
    packages: [/^node:/, /^uqr$/, /^node-seal$/],
  },
  shared: { layers: ['kernel', 'shared'], packages: [] },
  portal: { layers: ['portal', 'shared'], packages: [/^preact(\/|$)/, /^uqr$/, /^node-seal$/] },
};

/** Folders whose every file is one layer; elsewhere the suffix says it. */
const FOLDERS: Readonly<Record<string, string>> = {
  kernel: 'kernel',
  http: 'http',
  postgres: 'postgres',
  config: 'config',
  cli: 'composition',
  portal: 'portal',
};

function layerOf(path: string): string {
  const parts = path.split('/');
  if (parts.length === 1) return 'composition';
  const folder = FOLDERS[parts[0] ?? ''];
  if (folder !== undefined) return folder;
  const [, suffix] = /\.([a-z0-9]+)\.tsx?$/.exec(path) ?? [];
  if (suffix === undefined) return 'rules';
  return ['contract', 'service', 'routes', 'shared'].includes(suffix) ? suffix : 'adapter';
}

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const SOURCE = join(import.meta.dirname, '..', 'src');
const files = globSync('**/*.{ts,tsx}', { cwd: SOURCE }).sort();

function importsOf(path: string): Import[] {
  const text = readFileSync(join(SOURCE, path), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = text.matchAll(
    /\b(?:import|export)\s+(type\s+)?(?:[\w*\s{},]+?\s+from\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g,
  );
  return Array.from(found, ([, type, stated, dynamic]) => ({
    from: path,
    to: stated ?? dynamic ?? '',
    typeOnly: type !== undefined,
  }));
}

const imports = files.flatMap(importsOf);
const say = ({ from, to }: Import) => `${from} -> ${to}`;

/** A file of ours that an import names, or null for a package. */
function target({ from, to }: Import): string | null {
  if (to.startsWith('#')) return to.slice(1);
  return to.startsWith('.') ? normalize(join(dirname(from), to)) : null;
}

test('the table looks at the real tree', () => {
  assert.ok(files.length > 100, `only ${files.length} files`);
  assert.ok(imports.length > 400, `only ${imports.length} imports`);
  for (const layer of Object.keys(LAYERS)) {
    assert.ok(
      files.some((path) => layerOf(path) === layer),
      `no file is of layer ${layer}`,
    );
  }
});

test('every file imports only what its layer may', () => {
  const wrong = imports.filter((one) => {
    const layer = layerOf(one.from);
    const rule = LAYERS[layer];
    const file = target(one);
    if (rule === undefined) return true;
    if (file === null) return !rule.packages.some((pattern) => pattern.test(one.to));
    const other = layerOf(file);
    if (rule.layers.includes(other)) return false;
    return !(layer === 'portal' && one.typeOnly && (other === 'kernel' || other === 'contract'));
  });
  assert.deepEqual(wrong.map(say), []);
});

test('adapters share nothing but within one feature', () => {
  const wrong = imports.filter((one) => {
    const file = target(one);
    return (
      layerOf(one.from) === 'adapter' &&
      file !== null &&
      ['adapter', 'contract'].includes(layerOf(file)) &&
      file.split('/')[0] !== one.from.split('/')[0]
    );
  });
  assert.deepEqual(wrong.map(say), []);
});

test('folders are crossed by #name/file.ts, and inside one it is ./', () => {
  const wrong = imports.filter((one) => {
    const file = target(one);
    if (file === null || layerOf(one.from) === 'portal') return false;
    return one.to.startsWith('#') ? dirname(file) === dirname(one.from) : dirname(file) !== dirname(one.from);
  });
  assert.deepEqual(wrong.map(say), []);
});

test('every import names a file that is there', () => {
  const known = new Set(files);
  const wrong = imports.filter((one) => {
    const file = target(one);
    return file !== null && layerOf(one.from) !== 'portal' && !known.has(file);
  });
  assert.deepEqual(wrong.map(say), []);
});

test('SQL stands in .postgres files, postgres/ and migrations only', () => {
  const wrong = files.filter((path) => {
    if (path.endsWith('.postgres.ts') || path.startsWith('postgres/')) return false;
    return /['"`]\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE)\b/.test(
      readFileSync(join(SOURCE, path), 'utf8'),
    );
  });
  assert.deepEqual(wrong, []);
});

test('only config/load.ts reads the environment', () => {
  const wrong = files.filter(
    (path) => path !== 'config/load.ts' && /process\.env\b/.test(readFileSync(join(SOURCE, path), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});
