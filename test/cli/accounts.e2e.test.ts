import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '#kernel/log.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';
import { codeOf, wrongCode } from '../identity/people.ts';
import { CommandLine, type Ended } from './command-line.ts';

const PASSWORD = ' green lamp over 42 rivers ';
const secretIn = (shown: string): string => /or type ([A-Z2-7]{32})/.exec(shown)?.[1] ?? '';

describe('accounts and keys at the command line', () => {
  let cluster: TestCluster;
  let dba: GuardedPool;
  let line: CommandLine;
  let secret = '';
  let seal: string;

  before(async () => {
    cluster = await testCluster();
    const database = await cluster.freshDatabase();
    dba = openPool(database.superuserUrl, { applicationName: 'dba', log: silentLog });
    line = await CommandLine.open(database, { models: {} });
    seal = `${line.folder}/keys/seal.key`;
    await line.run(['keys', 'init', `${line.folder}/keys`]);
    const config = JSON.parse(await readFile(`${line.folder}/strongroom.yaml`, 'utf8'));
    assert.equal(config.keys.sealFile, seal);
  });
  after(async () => {
    await line[Symbol.asyncDispose]();
    await dba.close();
    await cluster.stop();
  });

  const succeeds = async (args: string[], answers: string[] = []): Promise<Ended> => {
    const ended = await line.run(args, answers);
    assert.equal(ended.code, 0, `${args.join(' ')}: ${ended.stderr}${ended.stdout}`);
    return ended;
  };
  const code = async (): Promise<string> => {
    await dba.query('UPDATE strongroom.account SET totp_last_step = 0');
    return codeOf(secret);
  };
  /** One sentence to whoever typed it: no stack, no list of a library's. */
  const isSentence = (text: string, why: RegExp): void => {
    assert.match(text, why);
    assert.match(text, /^(strongroom: .+|usage: strongroom .+)\n$/);
    assert.ok(!/ZodError|"code":|\[\s*\{|at .*:\d+:\d+|NaN|undefined/.test(text), text);
  };

  it('every verb says in a sentence what is wrong with what was typed', async () => {
    for (const [args, why] of [
      [['user', 'add', 'x1', '--role', 'root'], /--role: must be admin, analyst, auditor or service/],
      [['user', 'add', 'x1'], /--role is needed/],
      [['user', 'add', 'Bad Name', '--role', 'admin'], /NAME: two to 64/],
      [['user', 'add', 'x1', '--role', 'admin', '--clearance', 'high'], /--clearance takes a whole number/],
      [['user', 'add', 'x1', '--role', 'admin', '--clearance', '9'], /--clearance: is 0 to 4/],
      [['user', 'add', 'x1', '--role', 'service', '--role', 'admin'], /--role: service stands alone/],
      [['key', 'create', 'k', '--days', 'soon'], /--days takes a whole number/],
      [['key', 'create', 'k', '--limits', 'requests_day=many'], /--limits takes a whole number/],
      [['enrol', 'https://localhost:1/#/enrol/nothing'], /no enrolment link/],
      [['enrol', 'x'], /no enrolment link/],
      ...[
        'user add',
        'user disable',
        'user enable',
        'user reset',
        'user erase',
        'key create',
        'key revoke',
        'keys init',
        'model load',
        'enrol',
      ].map((verb) => [verb.split(' '), new RegExp(`^usage: strongroom ${verb} `)] as const),
    ] as const) {
      const ended = await line.run([...args]);
      assert.ok(ended.code === 1 || ended.code === 2, args.join(' '));
      assert.equal(ended.stdout, '');
      isSentence(ended.stderr, why);
    }
  });

  it('enrol: password, QR code, one code, recovery codes, all in the terminal', async () => {
    await succeeds(['user', 'add', 'root1', '--role', 'admin']);
    await line.serve();
    const added = await succeeds(['user', 'add', 'root2', '--role', 'admin', '--break-glass', 'test', '--json']);
    const link = `${line.url}/#/enrol/${String(added.json()['url']).split('/enrol/')[1]}`;
    const differ = await line.run(['enrol', link, '--ca', line.caFile], [PASSWORD, PASSWORD.trim()]);
    assert.equal(differ.code, 1);
    isSentence(differ.stderr.split('\n').slice(-2).join('\n'), /not the same/);
    const ended = await line.talk(
      ['enrol', link, '--ca', line.caFile, '--json'],
      [
        [/New password: /, () => PASSWORD],
        [/Once more: /, () => PASSWORD],
        [/Code that it shows: /, (shown) => wrongCode(secretIn(shown))],
        [/Code that it shows: /, (shown) => codeOf(secretIn(shown))],
      ],
    );
    assert.equal(ended.code, 0, ended.stderr);
    secret = secretIn(ended.stderr);
    assert.match(ended.stderr, /[█▀▄]{10}/, 'a QR code of block characters');
    assert.match(ended.stderr, new RegExp(`otpauth://totp/Strongroom:root2\\?.*secret=${secret}`));
    assert.match(ended.stderr, /This code is not right/);
    assert.ok(!ended.stderr.includes(PASSWORD.trim()), 'the password is not shown');
    const { username, recovery_codes: codes } = ended.json<{ username: string; recovery_codes: string[] }>();
    assert.deepEqual([username, codes.length], ['root2', 10]);
    const login = ['login', 'root2', '--url', line.url, '--ca', line.caFile];
    await succeeds(login, [PASSWORD, await code()]);
    const again = await line.run(['enrol', link, '--ca', line.caFile], [PASSWORD, PASSWORD]);
    isSentence(again.stderr.split('\n').slice(-2).join('\n'), /used or is over/);
  });

  it('who was disabled is erased; the table shows him no more', async () => {
    const made = await succeeds(['user', 'add', 'leaver', '--role', 'analyst', '--json'], [await code()]);
    assert.equal(made.json()['username'], 'leaver');
    const early = await line.run(['user', 'erase', 'leaver'], [await code()]);
    assert.equal(early.code, 1);
    assert.match(early.stderr, /Disable the account first/);
    await succeeds(['user', 'disable', 'leaver'], [await code()]);
    const erased = await succeeds(['user', 'erase', 'leaver'], [await code()]);
    assert.match(erased.stderr, /Erase the account leaver for good/);
    assert.match(erased.stdout, /^leaver is erased; the log shows usr_[0-9a-f]{32}\.\n$/);
    assert.doesNotMatch((await succeeds(['user', 'list'])).stdout, /leaver/);
  });

  it('a service account and its keys: made with a code, listed, revoked', async () => {
    const added = await succeeds(['user', 'add', 'batch', '--role', 'service'], [await code()]);
    assert.match(added.stdout, /strongroom key create NAME --for batch/);
    const args = ['key', 'create', 'nightly', '--for', 'batch', '--days', '7', '--limits', 'requests_day=9', '--json'];
    const made = (await succeeds(args, [await code()])).json<{ id: string; key: string; limits: object }>();
    assert.match(made.key, /^srk_/);
    assert.deepEqual(made.limits, { requests_day: 9 });
    assert.equal((await line.client.get('/v1/models', { 'x-api-key': made.key })).status, 200);
    const table = await succeeds(['key', 'list', '--all']);
    assert.match(table.stdout, /^owner +id +name.*\nbatch +key_\w+ +nightly/);
    assert.ok(!table.stdout.includes(made.key));
    assert.deepEqual((await succeeds(['key', 'list', '--json'])).json(), []);
    const revoked = await succeeds(['key', 'revoke', made.id], [await code()]);
    assert.match(revoked.stderr, /Revoke the API key “nightly” of batch/);
    assert.equal((await line.client.get('/v1/models', { 'x-api-key': made.key })).status, 401);
    const nobody = await line.run(['key', 'create', 'k', '--for', 'nobody']);
    isSentence(nobody.stderr, /no user nobody/);
  });

  it('keys rotate: under the running gateway, with the system’s user on the record', async () => {
    const before = await readFile(seal, 'utf8');
    const ended = await succeeds(['keys', 'rotate', '--json']);
    assert.equal(ended.json()['resealed'], 1);
    assert.notEqual(await readFile(seal, 'utf8'), before);
    const { rows } = await dba.query<{ action: string; who: string }>(
      `SELECT action, record::json->'event'->>'os_user' AS who FROM strongroom.entry
       WHERE action LIKE 'seal.%' OR action IN ('keys.rotate', 'totp.reseal') ORDER BY seq`,
    );
    assert.deepEqual(
      rows.map(({ action }) => action),
      ['seal.prepare', 'seal.advance', 'totp.reseal', 'seal.retire', 'keys.rotate'],
    );
    assert.ok(rows.every(({ who }) => who));
    const login = ['login', 'root2', '--url', line.url, '--ca', line.caFile];
    await succeeds(login, [PASSWORD, await code()]);
  });
});
