import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  consistencyNodes,
  consistencyPath,
  inclusionNodes,
  inclusionPath,
  leafHash,
  nodeHash,
  type ReadNode,
  RootBuilder,
  rootNodes,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from '#audit/merkle.shared.ts';
import { sha256 } from '#audit/note-crypto.node.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const un = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));

/** The tree of certificate-transparency's test suite for RFC 6962, which RFC 9162 keeps. */
const INPUTS = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const INCLUSION: [index: number, size: number, proof: string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    1,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];
const CONSISTENCY: [from: number, to: number, proof: string[]][] = [
  [1, 1, []],
  [1, 8, INCLUSION[1]?.[2] ?? []],
  [
    6,
    8,
    [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [
    2,
    5,
    [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];

/** RFC 9162, section 2.1, word for word and without any cleverness. */
const H = (...parts: readonly Uint8Array[]) => sha256(Buffer.concat(parts));
const split = (n: number) => 2 ** Math.ceil(Math.log2(n) - 1);
function mth(d: readonly Uint8Array[]): Uint8Array {
  if (d.length === 0) return H();
  if (d.length === 1) return H(Uint8Array.of(0), d[0] as Uint8Array);
  const k = split(d.length);
  return H(Uint8Array.of(1), mth(d.slice(0, k)), mth(d.slice(k)));
}
function path(m: number, d: readonly Uint8Array[]): Uint8Array[] {
  if (d.length === 1) return [];
  const k = split(d.length);
  return m < k ? [...path(m, d.slice(0, k)), mth(d.slice(k))] : [...path(m - k, d.slice(k)), mth(d.slice(0, k))];
}
function subproof(m: number, d: readonly Uint8Array[], b: boolean): Uint8Array[] {
  if (m === d.length) return b ? [] : [mth(d)];
  const k = split(d.length);
  return m <= k
    ? [...subproof(m, d.slice(0, k), b), mth(d.slice(k))]
    : [...subproof(m - k, d.slice(k), false), mth(d.slice(0, k))];
}

const SIZES = 70;
const records = Array.from({ length: SIZES }, (_, n) => Buffer.from(`record ${n}`));
const leaves = records.map((record) => H(Uint8Array.of(0), record));
const roots = Array.from({ length: SIZES + 1 }, (_, n) => mth(records.slice(0, n)));

/** Perfect subtrees as a store has them: only those that are complete at this size. */
const storeOf =
  (all: readonly Uint8Array[], size = all.length): ReadNode =>
  (level, index) => {
    const [begin, end] = [index * 2 ** level, (index + 1) * 2 ** level];
    if (end > size) throw new Error(`node ${level}/${index} is not there yet at size ${size}`);
    return mth(all.slice(begin, end));
  };

describe('the Merkle tree of RFC 9162, section 2.1', () => {
  const inputs = INPUTS.map(un);

  it('has the published roots', async () => {
    for (const [size, root] of ROOTS.entries()) {
      assert.equal(hex(await rootOf(sha256, size, storeOf(inputs))), root);
      const builder = new RootBuilder(sha256);
      for (const input of inputs.slice(0, size)) builder.append(await leafHash(sha256, input));
      assert.equal(hex(builder.root()), root);
    }
  });

  it('has the published inclusion proofs', async () => {
    for (const [index, size, proof] of INCLUSION) {
      const made = await inclusionPath(sha256, index, size, storeOf(inputs, size));
      assert.deepEqual(made.map(hex), proof);
      const leaf = await leafHash(sha256, inputs[index] as Uint8Array);
      assert.ok(await verifyInclusion(sha256, leaf, index, size, made, un(ROOTS[size] ?? '')));
    }
  });

  it('has the published consistency proofs', async () => {
    for (const [from, to, proof] of CONSISTENCY) {
      const made = await consistencyPath(sha256, from, to, storeOf(inputs, to));
      assert.deepEqual(made.map(hex), proof);
      assert.ok(await verifyConsistency(sha256, from, to, un(ROOTS[from] ?? ''), un(ROOTS[to] ?? ''), made));
    }
  });

  it('agrees with the definition for every leaf and pair of sizes up to 70', async () => {
    for (let size = 0; size <= SIZES; size++) {
      const read = storeOf(records, size);
      assert.equal(hex(await rootOf(sha256, size, read)), hex(roots[size] as Uint8Array));
      for (let index = 0; index < size; index += size > 20 ? 3 : 1) {
        const proof = await inclusionPath(sha256, index, size, read);
        assert.deepEqual(proof.map(hex), path(index, records.slice(0, size)).map(hex));
        assert.ok(
          await verifyInclusion(sha256, leaves[index] as Uint8Array, index, size, proof, roots[size] as Uint8Array),
        );
      }
      for (let from = 0; from <= size; from += size > 20 ? 3 : 1) {
        const proof = await consistencyPath(sha256, from, size, read);
        const defined = from === 0 ? [] : subproof(from, records.slice(0, size), true);
        assert.deepEqual(proof.map(hex), defined.map(hex));
        assert.ok(
          await verifyConsistency(sha256, from, size, roots[from] as Uint8Array, roots[size] as Uint8Array, proof),
        );
      }
    }
  });

  it('says beforehand which nodes will be read, logarithmically many', async () => {
    const read: string[] = [];
    const note: ReadNode = (level, index) => {
      read.push(`${level}/${index}`);
      return sha256(new Uint8Array());
    };
    const size = 2 ** 40 - 12_345;
    const named = (nodes: { level: number; index: number }[]) => nodes.map(({ level, index }) => `${level}/${index}`);
    await inclusionPath(sha256, 2 ** 39 + 1, size, note);
    assert.deepEqual(read.splice(0).sort(), named(inclusionNodes(2 ** 39 + 1, size)).sort());
    await consistencyPath(sha256, 2 ** 38 + 77, size, note);
    assert.deepEqual([...read].sort(), named(consistencyNodes(2 ** 38 + 77, size)).sort());
    assert.ok(read.length <= 160, `${read.length} nodes`);
  });

  it('grows in constant memory, tells each node once and can be taken up again at any size', async () => {
    const seen = new Map<string, string>();
    const builder = new RootBuilder(sha256, (level, index, hash) => seen.set(`${level}/${index}`, hex(hash)));
    for (const [at, leaf] of leaves.entries()) {
      const resumed = await RootBuilder.resume(sha256, at, storeOf(records, at));
      assert.equal(hex(resumed.root()), hex(roots[at] as Uint8Array));
      resumed.append(leaf);
      builder.append(leaf);
      assert.equal(hex(builder.root()), hex(roots[at + 1] as Uint8Array));
      assert.equal(hex(resumed.root()), hex(builder.root()));
    }
    assert.equal(seen.size, 35 + 17 + 8 + 4 + 2 + 1);
    for (const [name, hash] of seen) {
      const [level, index] = name.split('/').map(Number);
      assert.equal(hash, hex(await storeOf(records)(level ?? 0, index ?? 0)));
    }
    assert.equal(rootNodes(70).length, 3);
  });

  it('is the same with an asynchronous hash, as browsers have it', async () => {
    const subtle = async (bytes: Uint8Array) =>
      new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
    assert.equal(hex(await rootOf(subtle, 8, storeOf(inputs))), ROOTS[8]);
    const [first, second] = leaves as [Uint8Array, Uint8Array];
    assert.equal(hex(await nodeHash(subtle, first, second)), hex(roots[2] as Uint8Array));
  });
});

describe('hostile proofs', () => {
  const read = storeOf(records);
  const root = roots[SIZES] as Uint8Array;
  const leaf = leaves[37] as Uint8Array;
  const includes = (index: number, size: number, proof: readonly Uint8Array[], of = leaf, under = root) =>
    verifyInclusion(sha256, of, index, size, proof, under);

  it('of inclusion are refused', async () => {
    const proof = await inclusionPath(sha256, 37, SIZES, read);
    assert.ok(await includes(37, SIZES, proof));
    const wrong: [string, boolean][] = [
      ['too short', await includes(37, SIZES, proof.slice(1))],
      ['cut at the end', await includes(37, SIZES, proof.slice(0, -1))],
      ['too long', await includes(37, SIZES, [...proof, leaf])],
      ['empty', await includes(37, SIZES, [])],
      ['very long', await includes(37, SIZES, Array(5000).fill(leaf))],
      ['reversed', await includes(37, SIZES, [...proof].reverse())],
      // 69 would pass: both trees have this shape around leaf 37. The size is bound by the checkpoint's signature.
      ['of a smaller tree', await includes(37, 64, proof)],
      ['index = size', await includes(SIZES, SIZES, proof)],
      ['index > size', await includes(SIZES + 37, SIZES, proof)],
      ['size 0', await includes(0, 0, [])],
      ['negative', await includes(-1, SIZES, proof)],
      ['a fraction', await includes(37.5, SIZES, proof)],
      ['no number', await includes(Number.NaN, SIZES, proof)],
      ['past 2^53', await includes(37, 2 ** 53 + 2, proof)],
      ['another root', await includes(37, SIZES, proof, leaf, roots[69] as Uint8Array)],
      ['the root as its own leaf', await includes(0, 1, [], leaf, root)],
      ['a short hash', await includes(37, SIZES, [un('00'), ...proof.slice(1)])],
      ['a short leaf', await includes(37, SIZES, proof, un('00'))],
    ];
    for (let index = 0; index < SIZES; index++) {
      if (index !== 37) wrong.push([`index ${index}`, await includes(index, SIZES, proof)]);
    }
    for (let at = 0; at < proof.length; at++) {
      const bent = proof.map((hash, n) => (n === at ? hash.with(31, (hash[31] ?? 0) ^ 1) : hash));
      wrong.push([`a bit of hash ${at}`, await includes(37, SIZES, bent)]);
    }
    assert.deepEqual(
      wrong.filter(([, passed]) => passed).map(([name]) => name),
      [],
    );
  });

  it('of consistency are refused', async () => {
    const [from, to] = [37, 70];
    const proof = await consistencyPath(sha256, from, to, read);
    const old = roots[from] as Uint8Array;
    const follows = (m: number, n: number, a: Uint8Array, b: Uint8Array, p: readonly Uint8Array[]) =>
      verifyConsistency(sha256, m, n, a, b, p);
    assert.ok(await follows(from, to, old, root, proof));
    const wrong: [string, boolean][] = [
      ['swapped roots', await follows(from, to, root, old, proof)],
      ['swapped sizes', await follows(to, from, old, root, proof)],
      ['too short', await follows(from, to, old, root, proof.slice(1))],
      ['cut at the end', await follows(from, to, old, root, proof.slice(0, -1))],
      ['too long', await follows(from, to, old, root, [...proof, leaf])],
      ['empty', await follows(from, to, old, root, [])],
      ['empty from a power of two', await follows(64, to, roots[64] as Uint8Array, root, [])],
      ['equal sizes, two roots', await follows(to, to, old, root, [])],
      ['equal sizes with a proof', await follows(to, to, root, root, [leaf])],
      ['from 0 with a proof', await follows(0, to, roots[0] as Uint8Array, root, [leaf])],
      ['from 0 with a root of something', await follows(0, to, old, root, [])],
      ['another old size', await follows(36, to, old, root, proof)],
      ['another new size', await follows(from, 64, old, root, proof)],
      ['a rewritten new tree', await follows(from, to, old, mth([...records.slice(0, 69), leaf]), proof)],
      ['a rewritten old tree', await follows(from, to, mth([...records.slice(0, 36), leaf]), root, proof)],
      ['negative', await follows(-1, to, old, root, proof)],
    ];
    assert.deepEqual(
      wrong.filter(([, passed]) => passed).map(([name]) => name),
      [],
    );
  });

  it('can not be asked for what is not there', async () => {
    await assert.rejects(inclusionPath(sha256, 70, 70, read), RangeError);
    await assert.rejects(consistencyPath(sha256, 71, 70, read), RangeError);
    await assert.rejects(rootOf(sha256, -1, read), RangeError);
  });
});
