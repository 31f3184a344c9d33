import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually, temporaryFolder } from '../harness/gateway.ts';
import { GatewayProcess, runStrongroom } from '../harness/gateway-process.ts';

const ASK = { model: 'demo', messages: [{ role: 'user', content: 'What is Strongroom?' }], max_tokens: 8 };
const OTHER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';

describe('the audit commands', () => {
  let gateway: GatewayProcess;
  let folder: string;
  let key: string;
  /** In an empty folder without any setting: what a stranger has. */
  const stranger = (...args: string[]) =>
    runStrongroom(['audit', ...args], { STRONGROOM_DATA_DIR: join(folder, 'nothing') }, folder);
  const here = (...args: string[]) =>
    runStrongroom(['audit', ...args], { STRONGROOM_DATA_DIR: gateway.dataDir }, folder);

  before(async () => {
    folder = await temporaryFolder();
    gateway = await GatewayProcess.start();
    const { username, password } = gateway.account('analyst');
    const login = await gateway.client.post('/auth/login', { username, password });
    const headers = { authorization: `Bearer ${login.json()['token']}` };
    const answer = await gateway.client.post('/v1/chat/completions', ASK, headers);
    assert.equal(answer.status, 200);
    await writeFile(join(folder, 'prompt.json'), JSON.stringify(ASK));
    await writeFile(join(folder, 'answer.json'), answer.text);
    await writeFile(join(folder, 'promise.txt'), `x-audit-promise: ${answer.headers['x-audit-promise']}\r\n`);
    const path = String(answer.headers['x-audit-receipt']);
    const receipt = await eventually(async () => {
      const { status, text } = await gateway.client.get(path, headers);
      return status === 200 && JSON.parse(text).outcome !== null && text;
    });
    await writeFile(join(folder, 'receipt.json'), receipt);
    key = (await here('key')).stdout.trim();
    await writeFile(join(folder, 'log.key'), `${key}\n`);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it('`key` prints the verifier key in note form', () => {
    assert.match(key, /^localhost\/strongroom\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$/);
  });

  it('`receipt` is checked by a stranger with the key alone', async () => {
    const file = join(folder, 'receipt.json');
    const texts = ['--prompt', join(folder, 'prompt.json'), '--answer', join(folder, 'answer.json')];
    texts.push('--promise', join(folder, 'promise.txt'));
    const good = await stranger('receipt', file, '--key', join(folder, 'log.key'), ...texts);
    assert.equal(good.code, 0, good.stdout + good.stderr);
    assert.match(good.stdout, /ok +promise[\s\S]*The receipt is good/);
    const foreign = await stranger('receipt', file, '--key', OTHER, '--json');
    assert.equal(foreign.code, 1);
    assert.equal(JSON.parse(foreign.stdout).ok, false);
    const swapped = await stranger('receipt', file, '--key', key, '--answer', join(folder, 'prompt.json'));
    assert.equal(swapped.code, 1);
    assert.match(swapped.stdout, /WRONG {2}answer +the text is not the one on record/);
  });

  it('`export` and `verify --export`: by a stranger, without any database', async () => {
    for (const format of ['tiles', 'jsonl', 'csv']) {
      const out = join(folder, format);
      const asked = format === 'tiles' ? ['--tiles', out] : ['--format', format, '--out', out];
      const written = await here('export', ...asked);
      assert.equal(written.code, 0, written.stderr);
      const verified = await stranger('verify', '--export', out, '--key', key);
      assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    }
    assert.equal((await stranger('verify', '--export', join(folder, 'tiles'), '--key', OTHER)).code, 1);
    assert.match((await stranger('verify', '--export', join(folder, 'tiles'))).stderr, /verified with --key/);
    const uses = await gateway.database.sql<{ record: string }>(
      "SELECT record FROM entry WHERE action = 'audit.export'",
    );
    assert.deepEqual(
      uses.map(({ record }) => JSON.parse(record).event.format),
      ['tiles', 'jsonl', 'csv'],
    );
    assert.equal((await here('export', '--format', 'xml', '--out', join(folder, 'xml'))).code, 1);
    assert.equal((await here('export', '--tiles', join(folder, 'two'), '--format', 'csv')).code, 1);
  });

  it('`verify` is clean beside a running gateway, and names the seq of what was edited', async () => {
    const clean = await here('verify', '--json');
    const { ok, records, key: used, keyFrom } = JSON.parse(clean.stdout);
    assert.deepEqual([clean.code, ok, used, keyFrom], [0, true, key, 'file'], clean.stdout);
    assert.ok(records > 3);
    await gateway.database.sql(
      "SET session_replication_role = replica; UPDATE entry SET actor = 'usr_x' WHERE seq = 2",
    );
    const edited = await here('verify');
    assert.equal(edited.code, 1);
    assert.match(edited.stdout, /1 FAULTS?\. The first is at seq 2: the column actor/);
    assert.equal((await here('verify', '--from', '3')).code, 0);
    assert.equal((await here('verify', '--to', '3', '--key', OTHER)).code, 1);
  });

  it('takes no switch that it does not know', async () => {
    assert.equal((await here('verify', '--format', 'csv')).code, 2);
    assert.equal((await here('verify', '--from', '-1')).code, 2);
    assert.equal((await here('verify', '--from', 'x')).code, 1);
  });
});
