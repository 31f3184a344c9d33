import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFile, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DEMO_FILE, sha256, TEMPLATE_FILE } from '../engine/demo.ts';
import { temporaryFolder } from '../harness/gateway.ts';
import { runStrongroom } from '../harness/gateway-process.ts';

const DEMO = new URL('../../models/demo/', import.meta.url).pathname;

describe('commands that need no gateway', () => {
  let folder: string;
  let environment: Record<string, string>;
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runStrongroom([...args, '--json'], environment, folder);
    return { code, stderr, said: JSON.parse(stdout) as Record<string, unknown> & Record<string, unknown>[] };
  };
  before(async () => {
    folder = await temporaryFolder();
    environment = { STRONGROOM_CONFIG: join(folder, 'strongroom.yaml'), STRONGROOM_DATA_DIR: join(folder, 'data') };
    for (const name of ['demo.gguf', 'formal-letters.gguf', 'draft.gguf'])
      await copyFile(DEMO + name, join(folder, name));
    await copyFile(DEMO_FILE, join(folder, 'own.gguf'));
    const approved = async (name: string) => ({ file: name, sha256: sha256(await readFile(join(folder, name))) });
    const models = {
      demo: {
        ...(await approved('demo.gguf')),
        chatTemplateFile: TEMPLATE_FILE,
        contextSize: 512,
        adapters: { letters: { ...(await approved('formal-letters.gguf')), scale: 1 } },
        draft: { ...(await approved('draft.gguf')), tokens: 4 },
      },
      own: { ...(await approved('own.gguf')), approvedTemplateSha256: '0'.repeat(64), contextSize: 512 },
      far: { upstream: { url: 'https://far.example:8000', model: 'x' } },
    };
    await writeFile(join(folder, 'strongroom.yaml'), JSON.stringify({ models }));
  });
  after(() => rm(folder, { recursive: true }));

  const told = (rows: readonly Record<string, unknown>[]) =>
    rows.map(({ model, part, ok }) => `${model} ${part} ${ok ? 'ok' : 'not ok'}`);

  it('model verify reads every file of this machine, and the template that a file brings', async () => {
    const { code, said } = await run('model', 'verify');
    assert.deepEqual(told(said), [
      'demo weights ok',
      'demo draft ok',
      'demo+letters weights ok',
      'demo+letters adapter ok',
      'own weights ok',
      'own template not ok',
    ]);
    assert.equal(code, 1, 'the template of that file was not approved');
    assert.equal((await run('model', 'verify', 'demo')).code, 0);
    assert.match(
      (await run('model', 'verify', 'far')).stderr + JSON.stringify((await run('model', 'verify', 'far')).said),
      /no model 'far'/,
    );
  });

  it('one byte of another file, a file that is not there, and a sound digest of a malformed file are named', async () => {
    await using file = await open(join(folder, 'formal-letters.gguf'), 'r+');
    await file.write(Buffer.from([0xff]), 0, 1, (await file.stat()).size - 1);
    await rm(join(folder, 'draft.gguf'));
    const { code, said } = await run('model', 'verify');
    assert.equal(code, 1);
    assert.deepEqual(
      said.flatMap(({ part, ok, fault }) =>
        ok ? [] : [`${part}: ${String(fault).replace(/[0-9a-f]{64}/, 'DIGEST')}`],
      ),
      [
        'draft: can not be read',
        'adapter: not the approved file, which is DIGEST',
        'template: approvedTemplateSha256 names another one',
      ],
    );
    const malformed = Buffer.from('GGUF that is none');
    await writeFile(join(folder, 'own.gguf'), malformed);
    const config = JSON.parse(await readFile(join(folder, 'strongroom.yaml'), 'utf8'));
    config.models.own.sha256 = sha256(malformed);
    await writeFile(join(folder, 'strongroom.yaml'), JSON.stringify(config));
    const [weights] = (await run('model', 'verify', 'own')).said;
    assert.equal(weights?.['sha256'], sha256(malformed));
    assert.equal(weights?.['ok'], false);
  });

  it('certs dev makes what a first start would, once', async () => {
    const { code, said } = await run('certs', 'dev');
    assert.equal(code, 0);
    const { caFile, certFile, keyFile } = said as unknown as Record<string, string>;
    const [ca, server] = await Promise.all(
      [caFile, certFile].map(async (file) => new X509Certificate(await readFile(String(file)))),
    );
    assert.ok(ca !== undefined && server?.checkIssued(ca) === true && server.checkHost('localhost') !== undefined);
    assert.equal((await stat(String(keyFile))).mode & 0o777, 0o600);
    const again = await run('certs', 'dev');
    assert.equal(new X509Certificate(await readFile(String(certFile))).serialNumber, server?.serialNumber);
    assert.deepEqual(again.said, said);
  });
});
