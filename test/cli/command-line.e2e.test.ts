import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '#kernel/log.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';
import { eventually } from '../harness/gateway.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';
import { codeOf, linkOf } from '../identity/people.ts';
import { CommandLine, type Ended } from './command-line.ts';

/** With blanks around it: what is typed counts exactly as it is. */
const PASSWORD = ' green lamp over 42 rivers ';

const NO_MEMORY = { budget: { ram: 0, vram: 0 }, used: { ram: 0, vram: 0 } };

describe('the command line', () => {
  let cluster: TestCluster;
  let dba: GuardedPool;
  let line: CommandLine;
  let secret = '';
  let recovery: string[] = [];

  before(async () => {
    cluster = await testCluster();
    const database = await cluster.freshDatabase();
    dba = openPool(database.superuserUrl, { applicationName: 'dba', log: silentLog });
    line = await CommandLine.open(database, {
      models: { far: { upstream: { url: 'http://127.0.0.1:9', model: 'none' } } },
    });
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
  /** Told to a program, which is how it is told to a person too. */
  const fails = async (args: string[], answers: string[], why: RegExp): Promise<void> => {
    const ended = await line.run([...args, '--json'], answers);
    assert.equal(ended.code, 1, ended.stdout);
    const { ok, error } = ended.json();
    assert.equal(ok, false);
    assert.match(String(error), why);
  };
  /** The code of now; the steps of earlier ones are forgotten. */
  const code = async (): Promise<string> => {
    await dba.query('UPDATE strongroom.account SET totp_last_step = 0');
    return codeOf(secret);
  };
  const doors = async () =>
    (
      await dba.query<{ event: Record<string, unknown> }>(
        "SELECT record::json->'event' AS event FROM strongroom.entry WHERE action = 'account.create' ORDER BY seq",
      )
    ).rows.map(({ event }) => event);

  it('help lists every verb, unknown ones are refused', async () => {
    const { stdout } = await succeeds(['--help']);
    for (const verb of [
      'serve',
      'config check',
      'db migrate',
      'keys init',
      'login',
      'logout',
      ...['add', 'list', 'disable', 'enable', 'reset'].map((word) => `user ${word}`),
      ...['create', 'list', 'revoke'].map((word) => `key ${word}`),
      'certs dev',
      'doctor',
      ...['list', 'status', 'verify', 'load', 'unload', 'pin', 'unpin'].map((word) => `model ${word}`),
      ...['verify', 'export', 'receipt', 'key'].map((word) => `audit ${word}`),
      'keys rotate',
      ...['check', 'test', 'import', 'list', 'show', 'diff', 'rollback', 'explain', 'replay'].map(
        (word) => `policy ${word}`,
      ),
    ])
      assert.match(stdout, new RegExp(`^  ${verb}\\b`, 'm'), verb);
    for (const args of [['user', 'destroy'], ['frobnicate'], ['--frobnicate']])
      assert.equal((await line.run(args)).code, 2, args.join(' '));
  });

  it('makes no key silently: without its keys the gateway does not start', async () => {
    const ended = await line.run(['serve']);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /keys\/(seal|checkpoint)\.key/);
    const made = await succeeds(['keys', 'init', `${line.folder}/keys`, '--json']);
    assert.equal(made.json()['made'], true);
    const again = await succeeds(['keys', 'init', `${line.folder}/keys`, '--json']);
    assert.equal(again.json()['made'], false);
    assert.equal((await stat(`${line.folder}/keys/seal.key`)).mode & 0o777, 0o600);
  });

  it('user add makes the first admin straight in the database; his link works', async () => {
    const added = await succeeds(['user', 'add', 'root1', '--role', 'admin', '--role', 'analyst', '--json']);
    const link = linkOf(String(added.json()['url']));
    const [event] = await doors();
    assert.deepEqual(
      [event?.['actor'], event?.['os_user'], event?.['door']],
      ['system', userInfo().username, 'first admin'],
    );
    await line.serve();
    assert.equal((await line.client.post('/auth/enrol', { token: link, password: PASSWORD })).status, 200);
  });

  it('a second one needs a session, whatever else he may be', async () => {
    await fails(['user', 'add', 'root2', '--role', 'admin'], [], /admin already/);
    await fails(['user', 'add', 'root2', '--role', 'analyst', '--role', 'admin'], [], /admin already/);
    await fails(['user', 'add', 'ann', '--role', 'analyst'], [], /strongroom login/);
    for (const verb of [
      ['user', 'list'],
      ['user', 'disable', 'root1'],
      ['key', 'create', 'k'],
      ['model', 'load', 'far'],
    ])
      await fails(verb, [], /strongroom login/);
    assert.equal((await doors()).length, 1);
  });

  it('signs in with what is typed, and keeps the session in a file of one’s own', async () => {
    const login = ['login', 'root1', '--url', line.url, '--ca', line.caFile];
    await fails(login, [PASSWORD.trim()], /not right/);
    await succeeds(login, [PASSWORD]);
    const { token } = JSON.parse(await readFile(line.sessionFile, 'utf8')) as { token: string };
    const bearer = { authorization: `Bearer ${token}` };
    await fails(['user', 'list'], [], /role does not allow/);
    const begun = await line.client.post('/auth/totp/enrol', { password: PASSWORD }, bearer);
    secret = begun.json<{ secret: string }>().secret;
    const activated = await line.client.post('/auth/totp/activate', { code: codeOf(secret) }, bearer);
    recovery = activated.json<{ recovery_codes: string[] }>().recovery_codes;

    const ended = await succeeds([...login, '--json'], [PASSWORD, await code()]);
    assert.equal(ended.json<{ user: { username: string } }>().user.username, 'root1');
    assert.ok(!ended.stdout.includes('srs_'));
    assert.ok(!`${ended.stdout}${ended.stderr}`.includes(PASSWORD.trim()), 'the password is not shown');
    assert.equal((await stat(line.sessionFile)).mode & 0o777, 0o600);
    assert.equal((await stat(`${line.home}/.local/state/strongroom`)).mode & 0o777, 0o700);
  });

  it('a change asks the code for the server’s own sentence, and is not made without it', async () => {
    const add = ['user', 'add', 'ann', '--role', 'analyst', '--department', 'risk', '--clearance', '2'];
    await fails(add, ['000000'], /not right/);
    await fails(add, [], /input ended/);
    const ended = await succeeds([...add, '--json'], [await code()]);
    assert.match(ended.stderr, /Make the account ann with the roles analyst/);
    assert.equal(linkOf(String(ended.json()['url'])).length, 47);
    const list = (await succeeds(['user', 'list', '--json'])).json<{ username: string; department: string }[]>();
    assert.deepEqual(
      list.map(({ username, department }) => [username, department]),
      [
        ['ann', 'risk'],
        ['root1', ''],
      ],
    );
    assert.match((await succeeds(['user', 'list'])).stdout, /^username +roles .*\nann +analyst/);
  });

  it('disables, enables and resets', async () => {
    for (const [verb, state] of [
      ['disable', 'disabled'],
      ['enable', 'invited'],
    ] as const)
      assert.equal((await succeeds(['user', verb, 'ann', '--json'], [await code()])).json()['state'], state);
    const reset = await succeeds(['user', 'reset', 'ann', '--json'], [await code()]);
    assert.match(String(reset.json()['url']), /#\/enrol\/sre_/);
    await fails(['user', 'disable', 'nobody'], [], /no user nobody/);
  });

  it('makes, lists and revokes keys', async () => {
    const args = ['key', 'create', 'batch', '--days', '7', '--models', 'far', '--actions', 'infer', '--json'];
    const made = (await succeeds(args, [await code()])).json<{ id: string; key: string; models: string[] }>();
    assert.match(made.key, /^srk_/);
    assert.deepEqual(made.models, ['far']);
    const list = await succeeds(['key', 'list', '--json']);
    assert.equal(list.json<{ id: string }[]>()[0]?.id, made.id);
    assert.ok(!list.stdout.includes(made.key));
    assert.deepEqual((await succeeds(['key', 'revoke', made.id, '--json'])).json(), { ok: true });
    assert.deepEqual((await succeeds(['key', 'list', '--json'])).json(), []);
  });

  it('takes models out of service and puts them in', async () => {
    const unloaded = await succeeds(['model', 'unload', 'far', '--json'], [await code()]);
    assert.match(unloaded.stderr, /Unload the model far/);
    assert.equal(unloaded.json<{ in_service: boolean }[]>()[0]?.in_service, false);
    const pinned = await succeeds(['model', 'pin', 'far', '--json'], [await code()]);
    assert.deepEqual(pinned.json<object[]>().length, 1);
    for (const verb of ['list', 'status']) {
      const [model] = (await succeeds(['model', verb, '--json'])).json<Record<string, unknown>[]>();
      assert.deepEqual([model?.['id'], model?.['in_service'], model?.['pinned']], ['far', false, true]);
      assert.equal('replica' in (model ?? {}), verb === 'status');
    }
    const other = { sandbox: null, memory: NO_MEMORY, gpus: [], data: [] };
    await dba.query("INSERT INTO strongroom.instance VALUES ('gw_other', 1, now(), now() + interval '1 hour')");
    await dba.query("INSERT INTO strongroom.replica_report VALUES ('gw_other', 'another', now(), $1)", [other]);
    const differ = await eventually(async () => {
      const ended = await line.run(['model', 'status', '--json']);
      return ended.code === 1 ? ended : null;
    });
    assert.match(differ.stderr, /These do not offer what gw_\w+ does, .*: gw_other\n$/);
    assert.equal(differ.json<object[]>().length, 1);
    await dba.query("DELETE FROM strongroom.instance WHERE id = 'gw_other'");
    await succeeds(['model', 'load', 'far', '--json'], [await code()]);
    await fails(['model', 'load', '../users'], [], /./);
  });

  it('signs out; the session is of no use after that', async () => {
    const { token } = JSON.parse(await readFile(line.sessionFile, 'utf8')) as { token: string };
    assert.deepEqual((await succeeds(['logout', '--json'])).json(), { ok: true });
    await assert.rejects(stat(line.sessionFile), { code: 'ENOENT' });
    assert.equal((await line.client.get('/auth/session', { authorization: `Bearer ${token}` })).status, 401);
    const { code: exit, stdout, stderr } = await line.run(['user', 'list']);
    assert.deepEqual([exit, stdout], [1, '']);
    assert.match(stderr, /^strongroom: not signed in: run `strongroom login` first$/m);
  });

  it('a recovery code signs in where the device is lost', async () => {
    const login = ['login', 'root1', '--url', line.url, '--ca', line.caFile];
    await succeeds(login, [PASSWORD, String(recovery[0])]);
    await succeeds(['logout']);
    await fails(login, [PASSWORD, String(recovery[0])], /not right/);
  });

  it('--break-glass makes an admin beside the others, with its reason and the system’s user on the record', async () => {
    const ended = await succeeds(['user', 'add', 'fire', '--role', 'admin', '--break-glass', 'both admins are ill']);
    assert.match(ended.stdout, /fire chooses a password at this link/);
    const event = (await doors()).at(-1);
    assert.equal(event?.['os_user'], userInfo().username);
    assert.equal(event?.['door'], 'break-glass: both admins are ill');
    await fails(['user', 'add', 'water', '--role', 'analyst', '--break-glass', 'why not'], [], /strongroom login/);
    await fails(['user', 'add', 'fire', '--role', 'admin', '--break-glass', 'again'], [], /taken/);
  });
});
