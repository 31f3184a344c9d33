import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { makeCheckpointKey, readCheckpointKey } from '#audit/checkpoint-key.files.ts';
import { runStrongroom } from '../harness/gateway-process.ts';

describe('the key that signs checkpoints', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-key-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('is made once, for its owner alone', async () => {
    const file = join(folder, 'keys', 'checkpoint.key');
    assert.equal(await makeCheckpointKey(file), true);
    const text = await readFile(file, 'utf8');
    assert.match(text, /^-----BEGIN PRIVATE KEY-----\n/);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal(await makeCheckpointKey(file), false);
    assert.equal(await readFile(file, 'utf8'), text);
    assert.equal((await readCheckpointKey(file)).asymmetricKeyType, 'ed25519');
    await chmod(file, 0o640);
    await assert.rejects(readCheckpointKey(file), /others may read this key/);
  });

  it('is Ed25519 in PEM or refused, without a word of what is in the file', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const [other, none] = [join(folder, 'ec.key'), join(folder, 'none.key')];
    await writeFile(other, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    await writeFile(none, 'canary', { mode: 0o600 });
    await assert.rejects(readCheckpointKey(other), /signed with Ed25519/);
    await assert.rejects(readCheckpointKey(none), (error: Error) => {
      assert.match(error.message, /no private key/);
      assert.doesNotMatch(`${error.message} ${error.cause}`, /canary/);
      return true;
    });
  });

  it('`keys init` makes it beside the seal key', async () => {
    const made = await runStrongroom(['keys', 'init', join(folder, 'made'), '--json']);
    assert.equal(made.code, 0, made.stderr);
    const { checkpointFile, checkpointMade } = JSON.parse(made.stdout);
    assert.deepEqual([checkpointFile, checkpointMade], [join(folder, 'made', 'checkpoint.key'), true]);
    await readCheckpointKey(checkpointFile);
    assert.equal(
      JSON.parse((await runStrongroom(['keys', 'init', join(folder, 'made'), '--json'])).stdout).checkpointMade,
      false,
    );
  });
});
