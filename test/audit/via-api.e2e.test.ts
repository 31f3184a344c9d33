import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually, type Role, temporaryFolder } from '../harness/gateway.ts';
import { GatewayProcess, runStrongroom } from '../harness/gateway-process.ts';

const ASK = { model: 'demo', messages: [{ role: 'user', content: 'What is Strongroom?' }], max_tokens: 8 };
const OTHER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';

describe('the audit commands over the API, without a database login', () => {
  let gateway: GatewayProcess;
  let folder: string;
  let key: string;
  let request: string;
  /** Somebody on another machine: a home of his own, no settings, no database. */
  const as = (who: string, args: readonly string[], typed?: string) =>
    runStrongroom(args, { HOME: join(folder, who), STRONGROOM_DATA_DIR: join(folder, 'nothing') }, folder, typed);
  const audit = (...args: string[]) => as('auditor', ['audit', ...args]);
  const taken = (path: string) =>
    gateway.database.sql<{ record: string }>('SELECT record FROM entry WHERE action = $1 ORDER BY seq', [path]);

  before(async () => {
    folder = await temporaryFolder();
    gateway = await GatewayProcess.start();
    const url = /Strongroom is at (https:\S+)/.exec(gateway.stdout)?.[1] ?? '';
    for (const role of ['auditor', 'analyst'] satisfies Role[]) {
      await mkdir(join(folder, role));
      const { username, password } = gateway.account(role);
      const login = ['login', username, '--url', url, '--ca', join(gateway.dataDir, 'tls', 'ca.pem')];
      const ended = await as(role, login, `${password}\n`);
      assert.equal(ended.code, 0, ended.stderr);
    }
    const session = JSON.parse(await readFile(join(folder, 'analyst/.local/state/strongroom/session.json'), 'utf8'));
    const headers = { authorization: `Bearer ${session.token}` };
    const answer = await gateway.client.post('/v1/chat/completions', ASK, headers);
    assert.equal(answer.status, 200);
    await writeFile(join(folder, 'prompt.json'), JSON.stringify(ASK));
    await writeFile(join(folder, 'answer.json'), answer.text);
    request = String(answer.headers['x-request-id']);
    await eventually(async () => (await gateway.database.sql('SELECT FROM open_intent')).length === 0);
    key = (await runStrongroom(['audit', 'key'], { STRONGROOM_DATA_DIR: gateway.dataDir }, folder)).stdout.trim();
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it('`export --via-api` takes a folder that is verified offline, and is on record as a read of his', async () => {
    for (const [name, more] of [
      ['jsonl', []],
      ['csv', ['--action', 'infer']],
      ['some', ['--action', 'infer', '--outcome', 'completed', '--from', '2026-01-01T00:00:00Z']],
    ] as const) {
      const format = name === 'some' ? 'jsonl' : name;
      const ended = await audit('export', '--via-api', '--format', format, '--out', name, ...more);
      assert.equal(ended.code, 0, ended.stderr);
      const verified = await audit('verify', '--export', name, '--key', key);
      assert.equal(verified.code, 0, verified.stdout + verified.stderr);
      assert.equal((await audit('verify', '--export', name, '--key', OTHER)).code, 1);
    }
    const manifest = JSON.parse(await readFile(join(folder, 'some', 'manifest.json'), 'utf8'));
    assert.deepEqual([manifest.records, manifest.filter.action, manifest.signed], [1, 'infer', true]);
    const records = (await taken('audit.export')).map(({ record }) => JSON.parse(record).event);
    const outcomes = records.filter(({ kind }) => kind === 'outcome');
    assert.deepEqual(
      outcomes.map(({ format, outcome }) => [format, outcome]),
      [
        ['jsonl', 'completed'],
        ['csv', 'completed'],
        ['jsonl', 'completed'],
      ],
    );
    assert.ok(records.every(({ actor }) => /^usr_/.test(actor)));
  });

  it('`verify --via-api` leaves nothing behind, and needs a key that did not come from the server', async () => {
    const verified = await audit('verify', '--via-api', '--key', key);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    assert.match(verified.stdout, /Verified \d+ records of the exported records/);
    assert.equal((await audit('verify', '--via-api', '--key', OTHER)).code, 1);
    assert.match((await audit('verify', '--via-api')).stderr, /verified with --key/);
    assert.deepEqual((await readdir(folder)).filter((name) => /\./.test(name)).sort(), ['answer.json', 'prompt.json']);
  });

  it('`receipt --via-api` fetches one’s own and checks it as any other', async () => {
    const texts = ['--prompt', 'prompt.json', '--answer', 'answer.json'];
    const own = (...args: string[]) => as('analyst', ['audit', 'receipt', request, '--via-api', '--key', ...args]);
    const good = await own(key, '--out', 'receipt.json', ...texts);
    assert.equal(good.code, 0, good.stdout + good.stderr);
    assert.match(good.stdout, /ok +answer/);
    assert.equal((await audit('receipt', 'receipt.json', '--key', key, ...texts)).code, 0);
    assert.equal((await own(OTHER)).code, 1);
    assert.equal((await own(key, '--answer', 'prompt.json')).code, 1);
    const foreign = await audit('receipt', request, '--via-api', '--key', key);
    assert.equal(foreign.code, 1);
    assert.match(foreign.stderr, /^strongroom: .+\n$/);
  });

  it('says in a sentence what it can not do, and leaves no half of an export', async () => {
    for (const [who, args, why] of [
      ['auditor', ['--format', 'tiles', '--out', 'a'], /tiles hold the whole log/],
      ['auditor', ['--format', 'jsonl', '--out', 'b', '--from', '5'], /from/],
      ['auditor', ['--format', 'jsonl', '--out', 'jsonl'], /is not empty/],
      ['analyst', ['--format', 'jsonl', '--out', 'c'], /not|may/],
      ['nobody', ['--format', 'jsonl', '--out', 'd'], /not signed in/],
    ] as const) {
      const ended = await as(who, ['audit', 'export', '--via-api', ...args]);
      assert.equal(ended.code, 1, args.join(' '));
      assert.match(ended.stderr, why);
      assert.match(ended.stderr, /^strongroom: .+\n$/);
    }
    assert.deepEqual(
      (await readdir(folder)).filter((name) => /^[abcd]\b/.test(name)),
      [],
    );
    assert.ok(existsSync(join(folder, 'jsonl', 'manifest.json')));
  });
});
