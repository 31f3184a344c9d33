import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { nodeCrypto, nodeSigner, sha256 } from '#audit/note-crypto.node.ts';
import { type AuditPromise, MOST_PROMISES, openPromise, PromiseSigner } from '#audit/promise.shared.ts';
import { SigningKeys } from '#audit/signing-keys.service.ts';

const FAULT = { name: 'NoteFault' };
const signer = nodeSigner('bank.example/log', generateKeyPairSync('ed25519').privateKey);
const promises = (count: number): AuditPromise[] =>
  Array.from({ length: count }, (_, place) => ({
    origin: signer.name,
    seq: 4711 + place,
    leaf: new Uint8Array(randomBytes(32)),
    at: `2026-11-21T02:16:51.${String(place).padStart(6, '0')}Z`,
  }));
const sign = async (all: readonly AuditPromise[]) => (await PromiseSigner.open(sha256, signer)).sign(all);
const open = (line: string) => openPromise(nodeCrypto, line, signer);

describe('promises that are signed together', () => {
  for (const count of [1, 2, 3, 4, 5, 100, MOST_PROMISES]) {
    it(`each of ${count} is opened by itself, and is what was promised`, async () => {
      const all = promises(count);
      const lines = await sign(all);
      assert.equal(lines.length, count);
      assert.equal(new Set(lines.map((line) => line.split(' ')[5])).size, 1);
      for (const [place, line] of lines.entries()) {
        assert.match(line, /^[\x21-\x7e]+( [\x21-\x7e]+){5,7}$/);
        assert.deepEqual(await open(line), all[place]);
      }
    });
  }

  it('those of one turn under one signature, however many, and the next turn’s under another', async () => {
    const keys = await SigningKeys.open({
      crypto: { ...nodeCrypto, sha256 },
      origin: signer.name,
      registered: async () => [{ origin: signer.name, publicKey: signer.publicKey, after: 0, note: null }],
      local: async () => [signer],
      lastSigned: async () => 0,
      afterTurn: queueMicrotask,
    });
    const turn = async (count: number) => {
      const all = promises(count);
      const lines = await Promise.all(all.map((one) => keys.promise(one)));
      for (const [place, line] of lines.entries()) assert.deepEqual(await open(line), all[place]);
      return new Set(lines.map((line) => line.split(' ')[5])).size;
    };
    assert.deepEqual([await turn(24), await turn(1), await turn(MOST_PROMISES + 1)], [1, 1, 2]);
  });

  it('takes none and no more than there is room for', async () => {
    await assert.rejects(sign([]), FAULT);
    await assert.rejects(sign(promises(MOST_PROMISES + 1)), FAULT);
  });

  it('a word of one is worth nothing in another', async () => {
    const [mine = '', other = ''] = await sign(promises(5));
    const [words, theirs] = [mine.split(' '), other.split(' ')];
    for (const at of [2, 3, 4, 6, 7]) {
      assert.notEqual(words[at], theirs[at]);
      await assert.rejects(open(words.with(at, theirs[at] ?? '').join(' ')), FAULT, `word ${at}`);
    }
    const [again = ''] = await sign(promises(5));
    await assert.rejects(open(words.with(5, again.split(' ')[5] ?? '').join(' ')), FAULT);
  });

  it('the way to the root has one spelling', async () => {
    const [, line = ''] = await sign(promises(3));
    const words = line.split(' ');
    const path = Buffer.from(words[7] ?? '', 'base64');
    for (const [at, word] of [
      [0, 'v1'],
      [0, 'v3'],
      [6, '01'],
      [6, '5'],
      [6, '-1'],
      [7, ''],
      [7, path.subarray(0, 32).toString('base64')],
      [7, path.subarray(0, 40).toString('base64')],
      [7, Buffer.concat([path, Buffer.alloc(32)]).toString('base64')],
      [7, Buffer.alloc(9 * 32).toString('base64')],
    ] as const) {
      await assert.rejects(open(words.with(at, word).join(' ')), FAULT, `${at} ${word}`);
    }
    await assert.rejects(open(words.slice(0, 6).join(' ')), FAULT);
    await assert.rejects(open(words.slice(0, 7).join(' ')), FAULT);
    await assert.rejects(open(`${line} 0`), FAULT);
  });

  it('a signature over one is none over several, nor the other way round', async () => {
    const [first, second] = promises(2);
    assert.ok(first && second);
    const [alone = ''] = await sign([first]);
    const [together = ''] = await sign([first, second]);
    const [, , , , , signedAlone = ''] = alone.split(' ');
    const [, , , , , signedTogether = ''] = together.split(' ');
    const idOf = (signed: string) => Buffer.from(signed, 'base64').subarray(0, 4);
    assert.notDeepEqual(idOf(signedAlone), idOf(signedTogether));
    const relabelled = (from: string, to: string) =>
      Buffer.concat([idOf(to), Buffer.from(from, 'base64').subarray(4)]).toString('base64');
    for (const signed of [signedTogether, relabelled(signedTogether, signedAlone)])
      await assert.rejects(open(alone.split(' ').with(5, signed).join(' ')), FAULT);
    for (const signed of [signedAlone, relabelled(signedAlone, signedTogether)])
      await assert.rejects(open(together.split(' ').with(5, signed).join(' ')), FAULT);
  });
});
