import assert from 'node:assert/strict';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type GgufFileInfo, readGgufFileInfo } from 'node-llama-cpp';
import { checkGguf } from '#engine/gguf/gguf-header.ts';
import type { ReadAt } from '#engine/gguf/gguf-reader.ts';
import { BUILT_IN_MODEL } from '#models/built-in.ts';
import { sha256 } from './demo.ts';

const FOLDER = new URL('../../models/demo/', import.meta.url);
const path = (name: string): string => fileURLToPath(new URL(name, FOLDER));
const bytes = (name: string): Promise<Buffer> => readFile(path(name));
const text = (name: string): Promise<string> => readFile(path(name), 'utf8');

/** What a file may weigh at most. */
const LIMIT: Readonly<Record<string, number>> = {
  'demo.gguf': 8_000_000,
  'draft.gguf': 1_000_000,
  'formal-letters.gguf': 1_000_000,
  'scripted.gguf': 2_000_000,
};

async function checkedByOurReader(name: string): Promise<void> {
  const file = await open(path(name));
  try {
    const readAt: ReadAt = async (offset, length) => {
      const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    await checkGguf(readAt, (await file.stat()).size);
  } finally {
    await file.close();
  }
}

const listed = new Map<string, string>();
const info = new Map<string, GgufFileInfo>();
const of = (name: string): GgufFileInfo => info.get(name) as GgufFileInfo;

/** Dimensions as the file has them: the length of a row first. */
const shapes = (name: string): Map<string, readonly number[]> =>
  new Map((of(name).fullTensorInfo ?? []).map((tensor) => [tensor.name, tensor.dimensions.map(Number)]));

const parameters = (name: string): number =>
  [...shapes(name).values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);

before(async () => {
  for (const line of (await text('SHA256SUMS')).trimEnd().split('\n')) {
    const [digest = '', name = ''] = line.split('  ');
    listed.set(name, digest);
  }
  for (const name of listed.keys()) info.set(name, await readGgufFileInfo(path(name), { logWarnings: false }));
});

describe('the shipped model files', () => {
  it('are all in the list of digests, and as it says', async () => {
    const present = (await readdir(FOLDER)).filter((name) => name.endsWith('.gguf')).sort();
    assert.deepEqual([...listed.keys()].sort(), present);
    assert.deepEqual(Object.keys(LIMIT).sort(), present);
    for (const [name, digest] of listed) assert.equal(sha256(await bytes(name)), digest, name);
  });

  it('are named with digest and length in the README, and keep their limits', async () => {
    const readme = await text('README.md');
    for (const [name, digest] of listed) {
      const { size } = await stat(path(name));
      assert.ok(readme.includes(digest), name);
      assert.ok(readme.includes(`${size.toLocaleString('en-US')} bytes`), name);
      assert.ok(size <= (LIMIT[name] ?? 0), `${name}: ${size}`);
    }
  });

  it('pass the reader that guards every load', async () => {
    for (const name of listed.keys()) await checkedByOurReader(name);
  });

  it('the catalogue pins the digest of the model that is shipped', () => {
    assert.equal(listed.get('demo.gguf'), BUILT_IN_MODEL.sha256);
  });

  it('scores.json is of the file that is shipped, and the README says its figures', async () => {
    const scores = JSON.parse(await text('scores.json')) as {
      readonly demo: Readonly<Record<string, unknown>> & { readonly onSubjectByKind: Readonly<Record<string, number>> };
      readonly draft: Readonly<Record<string, number>>;
      readonly letters: Readonly<Record<'with' | 'without', Readonly<Record<string, number>>>>;
      readonly sha256: Readonly<Record<string, string>>;
    };
    for (const name of ['demo.gguf', 'draft.gguf', 'formal-letters.gguf'])
      assert.equal(scores.sha256[name], listed.get(name));
    const figures = [
      ...['endsByItself', 'onSubject', 'validJson', 'validJsonWithSchema', 'memorisedRuns'].map(
        (name) => scores.demo[name],
      ),
      ...Object.values(scores.demo.onSubjectByKind),
      scores.draft['greedyAgreement'],
      scores.letters.without['both'],
      scores.letters.with['both'],
    ];
    const readme = await text('README.md');
    for (const figure of figures) assert.ok(readme.includes(`${figure} %`), `${figure} %`);
  });

  it('the model has the size and the context that are promised, and our template', async () => {
    const { llama, tokenizer } = of('demo.gguf').metadata;
    assert.ok(parameters('demo.gguf') >= 3_000_000 && parameters('demo.gguf') <= 8_000_000);
    assert.ok((llama?.context_length ?? 0) >= 1024);
    const vocabulary = tokenizer?.ggml.tokens.length ?? 0;
    assert.ok(vocabulary >= 2000 && vocabulary <= 4000);
    assert.equal(tokenizer?.chat_template, await text('chat-template.jinja'));
  });

  it('the draft is about half a million parameters over the very same vocabulary', () => {
    assert.ok(parameters('draft.gguf') >= 400_000 && parameters('draft.gguf') <= 650_000);
    assert.deepEqual(of('draft.gguf').metadata.tokenizer, of('demo.gguf').metadata.tokenizer);
  });

  it('the adapter is a LoRA whose every pair fits a matrix of the model', () => {
    const { general, adapter } = of('formal-letters.gguf').metadata as unknown as {
      readonly general: { readonly type: string; readonly architecture: string };
      readonly adapter: { readonly type: string; readonly lora: { readonly alpha: number } };
    };
    assert.deepEqual([general.type, general.architecture, adapter.type], ['adapter', 'llama', 'lora']);
    assert.ok(adapter.lora.alpha > 0);
    const model = shapes('demo.gguf');
    const pairs = shapes('formal-letters.gguf');
    const names = new Set([...pairs.keys()].map((name) => name.replace(/\.lora_[ab]$/, '')));
    assert.equal(pairs.size, 2 * names.size);
    assert.ok(names.size >= (of('demo.gguf').metadata.llama?.block_count ?? 0));
    for (const name of names) {
      const [a = [], b = []] = [pairs.get(`${name}.lora_a`), pairs.get(`${name}.lora_b`)];
      assert.deepEqual([a[0], b[1]], model.get(name), name);
      assert.equal(a[1], b[0], name);
    }
  });
});
