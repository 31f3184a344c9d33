import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { canonicalJson } from '#kernel/canonical-json.ts';
import { freshShape, keysWireBytes, resultShape, wireBytes, wireToBlob } from '#scoring/blob.shared.ts';
import { requestBytes, sessionBytes } from '#scoring/descriptor.shared.ts';
import { decodeFrame, encodeFrame, FRAME_HEAD, type FrameHead } from '#scoring/frame.shared.ts';
import { pack, packedBytes, unpack } from '#scoring/packing.shared.ts';
import { PARAMETER_SETS, parameterSet } from '#scoring/parameters.shared.ts';
import { descriptorOf } from '#scoring/score-model.ts';
import { madeModel, numbers } from './models.ts';

const HEAD: Omit<FrameHead, 'length'> = {
  kind: 'batch',
  objects: 32,
  customers: 2000,
  paramsHash: '11'.repeat(32),
  modelHash: '22'.repeat(32),
  session: '33'.repeat(16),
};

describe('packing', () => {
  const widths = new Set(PARAMETER_SETS.flatMap(({ bits }) => bits));

  for (const bits of [...widths].sort()) {
    it(`${bits} bits: every residue comes back, in exactly as many bytes as it needs`, () => {
      const next = numbers(bits);
      const prime = PARAMETER_SETS.flatMap((set) =>
        set.primes.map((value, index) => [set.bits[index], value] as const),
      ).find(([width]) => width === bits)?.[1];
      assert.ok(prime);
      const words = new Uint32Array(2 * 4096);
      for (let index = 0; index < 4096; index++) {
        const value = index === 0 ? prime - 1 : index === 1 ? 0 : Math.floor(next() * prime);
        words[2 * index] = value % 2 ** 32;
        words[2 * index + 1] = Math.floor(value / 2 ** 32);
      }
      const packed = pack(words, bits);
      assert.equal(packed.length, packedBytes(4096, bits));
      const back = new Uint32Array(words.length);
      assert.equal(unpack(packed, bits, prime, back), true);
      assert.deepEqual(back, words);
    });

    it(`${bits} bits: a residue that is not below its prime is told`, () => {
      const prime = PARAMETER_SETS.flatMap((set) =>
        set.primes.map((value, index) => [set.bits[index], value] as const),
      ).find(([width]) => width === bits)?.[1];
      assert.ok(prime);
      for (const value of [prime, prime + 1, 2 ** bits - 1]) {
        const words = new Uint32Array(2 * 32);
        words[62] = value % 2 ** 32;
        words[63] = Math.floor(value / 2 ** 32);
        assert.equal(unpack(pack(words, bits), bits, prime, new Uint32Array(64)), false, String(value));
      }
    });
  }
});

describe('parameter sets', () => {
  it('each is pinned by the SHA-256 of its canonical JSON', () => {
    for (const { sha256, ...document } of PARAMETER_SETS) {
      assert.equal(createHash('sha256').update(canonicalJson(document)).digest('hex'), sha256, document.id);
    }
  });

  it('each prime has as many bits as is said and is 1 modulo 2N; together they are within the table', () => {
    for (const { id, primes, bits, degree, security } of PARAMETER_SETS) {
      primes.forEach((prime, index) => {
        assert.equal(prime.toString(2).length, bits[index], `${id} ${prime}`);
        assert.equal(prime % (2 * degree), 1, `${id} ${prime}`);
      });
      const total = bits.reduce((sum, width) => sum + width, 0);
      assert.equal(total, security.logQP);
      assert.ok(total <= (degree === 4096 ? 106 : 214), id);
    }
  });

  it('sizes on the wire are those of the documentation', () => {
    const [linear, standard] = [parameterSet('lin-4096/1'), parameterSet('std-8192/1')];
    assert.ok(linear && standard);
    assert.equal(wireBytes(linear, freshShape(linear)), 33_856);
    assert.equal(wireBytes(linear, resultShape(linear, 2, 1, 2 ** 30)), 36_864);
    assert.equal(keysWireBytes(linear, 5), 543_360);
    const model = descriptorOf(madeModel('linear'), 'ab'.repeat(32));
    assert.equal(requestBytes(linear, model, 'batch'), FRAME_HEAD + 32 * 33_856);
    assert.equal(sessionBytes(linear, model), FRAME_HEAD + 543_360);
  });
});

describe('frames', () => {
  it('come back as they were', () => {
    const payload = Uint8Array.of(1, 2, 3);
    const decoded = decodeFrame(encodeFrame(HEAD, payload));
    assert.deepEqual(decoded, { head: { ...HEAD, length: 3 }, payload });
  });

  it('with anything else at a reserved place, a wrong length or an unknown kind are none', () => {
    const good = encodeFrame(HEAD, new Uint8Array(8));
    const changed = (at: number, value: number) => {
      const frame = good.slice();
      frame[at] = value;
      return frame;
    };
    for (const at of [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 96, 97, 103]) {
      assert.equal(decodeFrame(changed(at, 0xee)), null, `byte ${at}`);
    }
    assert.equal(decodeFrame(good.subarray(0, good.length - 1)), null);
    assert.equal(decodeFrame(new Uint8Array(0)), null);
    assert.equal(decodeFrame(new Uint8Array(FRAME_HEAD)), null);
  });
});

describe('what SEAL is given', () => {
  it('is nothing when the bytes are too few, too many, or hold a residue out of range', () => {
    for (const set of PARAMETER_SETS) {
      const shape = freshShape(set);
      const size = wireBytes(set, shape);
      assert.ok(wireToBlob(set, shape, new Uint8Array(size)) !== null);
      assert.equal(wireToBlob(set, shape, new Uint8Array(size - 1)), null);
      assert.equal(wireToBlob(set, shape, new Uint8Array(size + 1)), null);
      assert.equal(wireToBlob(set, shape, new Uint8Array(size).fill(255)), null);
    }
  });
});
