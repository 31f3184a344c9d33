import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isRecoveryCode, RECOVERY_CODES, recoveryCode, recoveryText } from '#identity/recovery.ts';
import { sealedUnder } from '#identity/seal.ts';
import { makeSealKey, readSealKeys, replaceSealKeys, sealFileState } from '#identity/seal-key.files.ts';
import { openSealKey } from '#identity/sealer.crypto.ts';

describe('sealing', () => {
  const key = randomBytes(32);
  const sealer = openSealKey(key);
  const text = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

  it('gives back what it sealed, under the same key and for the same context alone', () => {
    const sealed = sealer.seal(text, 'totp usr_1');
    assert.equal(openSealKey(key).open(sealed, 'totp usr_1'), text);
    assert.throws(() => sealer.open(sealed, 'totp usr_2'));
    assert.throws(() => openSealKey(randomBytes(32)).open(sealed, 'totp usr_1'));
    assert.throws(() => openSealKey(randomBytes(16)), /32 bytes/);
  });

  it('sees a change of any bit, and a cut', () => {
    const sealed = Buffer.from(sealer.seal(text, 'totp usr_1'));
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      assert.throws(() => sealer.open(changed, 'totp usr_1'), `byte ${at}`);
    }
    for (const length of [0, 7, 8, 20, 27, 28, 35, 36, sealed.length - 1])
      assert.throws(() => sealer.open(sealed.subarray(0, length), 'totp usr_1'), `${length} bytes`);
  });

  it('never seals alike, and shows nothing of the text', () => {
    const seals = Array.from({ length: 200 }, () => Buffer.from(sealer.seal(text, 'totp usr_1')));
    assert.equal(new Set(seals.map((sealed) => sealed.toString('hex'))).size, 200);
    assert.equal(new Set(seals.map((sealed) => sealed.subarray(8, 20).toString('hex'))).size, 200);
    for (const sealed of seals) assert.ok(!sealed.includes(text.slice(0, 8)));
  });

  it('names its key in front of what it seals; the name is another for another key and no part of it', () => {
    const sealed = sealer.seal(text, 'totp usr_1');
    assert.equal(sealedUnder(sealed), sealer.name);
    assert.match(sealer.name, /^[0-9a-f]{16}$/);
    assert.notEqual(openSealKey(randomBytes(32)).name, sealer.name);
    assert.ok(!Buffer.from(key).toString('hex').includes(sealer.name));
  });

  it('fingerprints names under the key: equal here, meaningless elsewhere', () => {
    assert.equal(sealer.fingerprint('mei'), sealer.fingerprint('mei'));
    assert.match(sealer.fingerprint('mei'), /^[0-9a-f]{64}$/);
    assert.notEqual(sealer.fingerprint('mei'), sealer.fingerprint('mej'));
    assert.notEqual(sealer.fingerprint('mei'), openSealKey(randomBytes(32)).fingerprint('mei'));
  });
});

describe('the seal key', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-seal-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('is made once, for its owner alone, and never written over', async () => {
    const file = join(folder, 'keys', 'seal.key');
    assert.equal(await makeSealKey(file), true);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, 'keys'))).mode & 0o777, 0o700);
    const key = await readFile(file, 'utf8');
    assert.equal(await makeSealKey(file), false);
    assert.equal(await readFile(file, 'utf8'), key);
    assert.equal((await readSealKeys(file))[0]?.length, 32);
  });

  it('is refused where others may read it or it is not one', async () => {
    const file = join(folder, 'open.key');
    await writeFile(file, randomBytes(32).toString('base64'), { mode: 0o600 });
    for (const mode of [0o640, 0o604, 0o644, 0o660]) {
      await chmod(file, mode);
      await assert.rejects(readSealKeys(file), /others may read/);
    }
    await chmod(file, 0o600);
    for (const content of ['', randomBytes(31).toString('base64'), randomBytes(33).toString('base64')]) {
      await writeFile(file, content);
      await assert.rejects(readSealKeys(file), /32 bytes/);
    }
  });
});

describe('the file of seal keys', () => {
  it('holds several, is replaced whole for its owner alone, and tells that it is another', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-seal-'));
    try {
      const file = join(folder, 'seal.key');
      await makeSealKey(file);
      const [first = randomBytes(0)] = await readSealKeys(file);
      const before = await sealFileState(file);
      const second = randomBytes(32);
      await replaceSealKeys(file, [first, second]);
      assert.notEqual(await sealFileState(file), before);
      assert.deepEqual(
        (await readSealKeys(file)).map((key) => Buffer.from(key)),
        [Buffer.from(first), second],
      );
      assert.equal((await stat(file)).mode & 0o777, 0o600);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('recovery codes', () => {
  it('are ten of 80 bits: every bit of the bytes is in the text', () => {
    assert.equal(RECOVERY_CODES, 10);
    const codes = new Set<string>();
    for (let bit = 0; bit < 80; bit++) {
      const bytes = Buffer.alloc(10);
      bytes[bit >> 3] = 1 << (bit % 8);
      codes.add(recoveryCode(bytes));
    }
    assert.equal(codes.size, 80);
    for (const code of codes) assert.match(code, /^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/);
    assert.throws(() => recoveryCode(Buffer.alloc(9)), RangeError);
  });

  it('are RFC 4648 Base32', () => {
    assert.equal(recoveryCode(Buffer.from('foobarfoob')), 'mzxw-6ytb-ojtg-633c');
    assert.equal(recoveryCode(Buffer.alloc(10, 255)), '7777-7777-7777-7777');
  });

  it('are bound to their account, and read with or without dashes and capitals', () => {
    assert.notEqual(recoveryText('usr_1', 'mzxw-6ytb-ojtg-633c'), recoveryText('usr_2', 'mzxw-6ytb-ojtg-633c'));
    assert.equal(recoveryText('usr_1', 'MZXW-6YTB-OJTG-633C'), recoveryText('usr_1', 'mzxw-6ytb-ojtg-633c'));
    assert.deepEqual(['123456', '12345678'].map(isRecoveryCode), [false, false]);
    assert.deepEqual(['mzxw-6ytb-ojtg-633c', '2345-2345-2345-2345'].map(isRecoveryCode), [true, true]);
  });
});
