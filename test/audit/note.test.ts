import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from '#audit/checkpoint.shared.ts';
import { formatVerifierKey, NoteFault, openNote, parseNote, parseVerifierKey, signNote } from '#audit/note.shared.ts';
import { nodeCrypto, nodeSigner, sha256 } from '#audit/note-crypto.node.ts';
import { openPromise, PromiseSigner } from '#audit/promise.shared.ts';

const FAULT = { name: 'NoteFault' };

/** Key and note of golang.org/x/mod/sumdb/note, the reference that C2SP signed-note was written from. */
const VKEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SIGNATURE =
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const NOTE = `${TEXT}\n${SIGNATURE}`;
/** `PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALV…`: its 32 bytes in PKCS #8. */
const SEED = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1);
const privateKey = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), SEED]),
  format: 'der',
  type: 'pkcs8',
});
/** The example of tlog-checkpoint. */
const CHECKPOINT = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';

const key = await parseVerifierKey(sha256, VKEY);
const signer = nodeSigner('PeterNeumann', privateKey);
const open = (note: string) => openNote(nodeCrypto, note, key);

describe('C2SP signed-note', () => {
  it('reads and writes the reference key and note byte for byte', async () => {
    assert.equal(key.name, 'PeterNeumann');
    assert.equal(await formatVerifierKey(sha256, key), VKEY);
    assert.equal(await formatVerifierKey(sha256, signer), VKEY);
    assert.equal(await signNote(sha256, TEXT, signer), NOTE);
    assert.equal(await open(NOTE), TEXT);
  });

  it('takes the example of the specification apart', () => {
    const { text, signatures } = parseNote(
      'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\u2014 quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n',
    );
    assert.equal(text.split('\n').length, 5);
    assert.equal(signatures[0]?.name, 'quasimodo.example/salvatore');
    assert.equal(Buffer.from(signatures[0]?.keyId ?? []).toString('hex'), '367ba04b');
  });

  it('ignores signatures of other keys, and takes a wrong one of its own for the end of the note', async () => {
    const other = nodeSigner('witness', generateKeyPairSync('ed25519').privateKey);
    const lines = (await signNote(sha256, TEXT, other)).slice(TEXT.length + 1);
    assert.equal(await open(`${NOTE}${lines}`), TEXT);
    assert.equal(await open(`${TEXT}\n${lines}${SIGNATURE}`), TEXT);
    await assert.rejects(open(`${TEXT}\n${lines}`), /not signed by this key/);
    const namesake = nodeSigner('PeterNeumann', generateKeyPairSync('ed25519').privateKey);
    await assert.rejects(open(await signNote(sha256, TEXT, namesake)), /not signed by this key/);
    const bad = SIGNATURE.replace('RyyBw', 'RyyBx');
    await assert.rejects(open(`${NOTE}${bad}`), /signature of the note is wrong/);
    await assert.rejects(open(`${TEXT.replace('problem', 'Problem')}\n${SIGNATURE}`), /signature of the note is wrong/);
  });

  it('refuses hostile notes', async () => {
    const hostile = [
      '',
      '\n',
      '\n\n',
      TEXT,
      `${TEXT}\n`,
      NOTE.slice(0, -1),
      NOTE.replace('\n\n', '\n'),
      `${NOTE}\n`,
      `${TEXT}\n${SIGNATURE} \n`,
      `${TEXT}\n${SIGNATURE.replace('\u2014', '-')}`,
      `${TEXT}\n${SIGNATURE.replace('\u2014 ', '\u2014')}`,
      `${TEXT}\n${SIGNATURE.replace('PeterNeumann', 'Peter+Neumann')}`,
      `${TEXT}\n${SIGNATURE.replace('PeterNeumann', 'Peter\u2003Neumann')}`,
      `${TEXT}\n${SIGNATURE.replace('M=', 'M')}`,
      `${TEXT}\n${SIGNATURE.replace('M=', 'N=')}`,
      `${TEXT}\n${SIGNATURE.replace('M=\n', 'M=\r\n')}`,
      `${TEXT}\n\u2014 PeterNeumann x08gow==\n`,
      `${TEXT.replace('crypto', 'cry\u0000pto')}\n${SIGNATURE}`,
      `${TEXT.replace('crypto', 'cry\ud800pto')}\n${SIGNATURE}`,
      `${TEXT}\n${SIGNATURE.repeat(100)}`,
      `${'x'.repeat(70_000)}\n\n${SIGNATURE}`,
    ];
    for (const note of hostile) await assert.rejects(open(note), FAULT, JSON.stringify(note.slice(0, 200)));
  });

  it('refuses every verifier key but the right one', async () => {
    for (let from = 0; from < VKEY.length; from++) {
      if (from > 0) await assert.rejects(parseVerifierKey(sha256, VKEY.slice(from)), FAULT);
      await assert.rejects(parseVerifierKey(sha256, VKEY.slice(0, from)), FAULT);
      const bent = `${VKEY.slice(0, from)}${String.fromCharCode(VKEY.charCodeAt(from) + 1)}${VKEY.slice(from + 1)}`;
      await assert.rejects(parseVerifierKey(sha256, bent), FAULT, bent);
    }
  });
});

describe('C2SP tlog-checkpoint', () => {
  it('reads the example of the specification and writes it again', () => {
    const checkpoint = parseCheckpoint(CHECKPOINT);
    assert.equal(checkpoint.origin, 'example.com/behind-the-sofa');
    assert.equal(checkpoint.size, 20_852_163);
    assert.equal(formatCheckpoint(checkpoint), CHECKPOINT);
    assert.equal(parseCheckpoint(`${CHECKPOINT}an extension\n`).size, 20_852_163);
  });

  it('has one spelling', () => {
    const sizes = ['', '00', '01', '020852163', '-1', '+1', '1e3', '1.0', ' 1', '1 ', '9007199254740992', '\u0661'];
    for (const size of [...sizes, '9'.repeat(400)]) {
      assert.throws(() => parseCheckpoint(CHECKPOINT.replace('20852163', size)), FAULT, size);
    }
    for (const text of [
      '',
      CHECKPOINT.slice(0, -1),
      `${CHECKPOINT}\n`,
      CHECKPOINT.replace('example.com/behind-the-sofa', ''),
      CHECKPOINT.replace('q2I=', 'q2I'),
      CHECKPOINT.replace('q2I=', 'q2J='),
      CHECKPOINT.replace('CsUY', ''),
    ]) {
      assert.throws(() => parseCheckpoint(text), FAULT, JSON.stringify(text));
    }
    assert.equal(parseCheckpoint(CHECKPOINT.replace('20852163', '0')).size, 0);
  });

  const root = sha256(new Uint8Array());
  const ours = { origin: 'PeterNeumann', size: 7, root };

  it('is of the log whose key signed it', async () => {
    const note = await signCheckpoint(nodeCrypto, ours, signer);
    assert.deepEqual(await openCheckpoint(nodeCrypto, note, key), { ...ours, root: new Uint8Array(root) });
    const foreign = await signCheckpoint(nodeCrypto, { ...ours, origin: 'another' }, signer);
    await assert.rejects(openCheckpoint(nodeCrypto, foreign, key), /another log/);
    await assert.rejects(openCheckpoint(nodeCrypto, note.replace('\n7\n', '\n8\n'), key), /signature/);
  });

  describe('and the promise before it', () => {
    const promise = { origin: 'PeterNeumann', seq: 4711, leaf: root, at: '2026-11-21T02:16:51.123456Z' };

    const signAlone = async () => (await (await PromiseSigner.open(sha256, signer)).sign([promise]))[0] ?? '';

    it('is one line that travels in a header', async () => {
      const line = await signAlone();
      assert.match(line, /^[\x21-\x7e]+( [\x21-\x7e]+){5}$/);
      assert.deepEqual(await openPromise(nodeCrypto, line, key), { ...promise, leaf: new Uint8Array(root) });
      const words = line.split(' ');
      for (const [at, word] of [
        [0, 'v2'],
        [1, 'another'],
        [2, '4712'],
        [2, '04711'],
        [3, Buffer.alloc(32).toString('base64')],
        [3, 'AA=='],
        [4, '2026-11-21T02:16:51.123457Z'],
        [4, 'now'],
        [5, 'AA=='],
      ] as const) {
        await assert.rejects(openPromise(nodeCrypto, words.with(at, word).join(' '), key), FAULT, word);
      }
      await assert.rejects(openPromise(nodeCrypto, `${line} `, key), FAULT);
      await assert.rejects(openPromise(nodeCrypto, '', key), FAULT);
    });

    it('can never be taken for a checkpoint, nor a checkpoint for it', async () => {
      const line = await signAlone();
      const signed = Buffer.from(line.split(' ')[5] ?? '', 'base64');
      const checkpointId = Buffer.from('c74f20a3', 'hex');
      assert.notDeepEqual(signed.subarray(0, 4), checkpointId);
      // The same signature under the checkpoint's key id, over each text that the promise could stand for.
      const forged = Buffer.concat([checkpointId, signed.subarray(4)]).toString('base64');
      const leaf = Buffer.from(promise.leaf).toString('base64');
      const body = `PeterNeumann\n4711\n${leaf}\n`;
      for (const text of [body, `${body}${promise.at}\n`, `strongroom/audit-promise/v1${body}`]) {
        await assert.rejects(open(`${text}\n\u2014 PeterNeumann ${forged}\n`), /signature of the note is wrong/);
      }
      await assert.rejects(
        open(`strongroom/audit-promise/v1\u0000${body}\n\u2014 PeterNeumann ${forged}\n`),
        NoteFault,
      );
      const note = await signCheckpoint(nodeCrypto, { origin: 'PeterNeumann', size: 4711, root }, signer);
      const checkpointSignature = note.trimEnd().split(' ').at(-1) ?? '';
      const relabelled = Buffer.concat([signed.subarray(0, 4), Buffer.from(checkpointSignature, 'base64').subarray(4)]);
      for (const last of [checkpointSignature, relabelled.toString('base64')]) {
        await assert.rejects(openPromise(nodeCrypto, line.split(' ').with(5, last).join(' '), key), FAULT);
      }
    });
  });
});
