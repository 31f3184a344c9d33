import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ReplayResult } from '#access/policies.contract.ts';
import { silentLog } from '#kernel/log.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';
import { codeOf, linkOf } from '../identity/people.ts';
import { CommandLine, type Ended } from './command-line.ts';

const PASSWORD = 'green lamp over 42 rivers';
const POLICIES = new URL('../../policies/', import.meta.url).pathname;

/** As releases before this one seeded it: no conditions, no explanations, and nobody may change it. */
const OLD_MODEL = `[request_definition]
r = subjects, department, clearance, type, id, classification, act

[policy_definition]
p = rule, sub, type, id, act, department, clearance, eft

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = holds(r.subjects, p.sub) && same(r.act, p.act) && same(r.type, p.type) && covers(p.id, r.id) && covers(p.department, r.department) && atLeast(r.clearance, p.clearance) && atLeast(r.clearance, r.classification)
`;
const OLD_RULE = /^(p(?:, [^,]+){8}), .*$/;

describe('policies from the command line', () => {
  let cluster: TestCluster;
  let dba: GuardedPool;
  let line: CommandLine;
  let folder = '';
  let secret = '';
  let shipped = '';

  before(async () => {
    cluster = await testCluster();
    const database = await cluster.freshDatabase();
    dba = openPool(database.superuserUrl, { applicationName: 'dba', log: silentLog });
    const upstream = { upstream: { url: 'http://127.0.0.1:9', model: 'none' } };
    line = await CommandLine.open(database, {
      models: { far: upstream },
      access: { networkZones: { here: ['127.0.0.0/8', '::1/128'] } },
    });
    const settings = JSON.parse(await readFile(join(line.folder, 'strongroom.yaml'), 'utf8'));
    settings.database.migrateUrlFile = join(line.folder, 'migrate.url');
    await writeFile(settings.database.migrateUrlFile, database.migrateUrl, { mode: 0o600 });
    await writeFile(join(line.folder, 'strongroom.yaml'), JSON.stringify(settings));
    shipped = await readFile(join(POLICIES, 'policy.csv'), 'utf8');
    const old = shipped
      .split('\n')
      .flatMap((text) => (/policy\.|^b,/.test(text) ? [] : [text.replace(OLD_RULE, '$1')]))
      .join('\n');
    await dba.query(
      "INSERT INTO strongroom.policy_version (version, model, policy, sha256, created_by, created_at) VALUES (1, $1, $2, 'old', 'system', now())",
      [OLD_MODEL, old],
    );
    folder = join(line.folder, 'draft');
    await mkdir(folder);
    for (const name of ['model.conf', 'policy.csv', 'tests.csv'])
      await writeFile(join(folder, name), await readFile(join(POLICIES, name)));
    await line.run(['keys', 'init', `${line.folder}/keys`]);
    const { url } = (await succeeds(['user', 'add', 'root1', '--role', 'admin', '--role', 'auditor', '--json'])).json<{
      url: string;
    }>();
    await line.serve();
    await line.client.post('/auth/enrol', { token: linkOf(url), password: PASSWORD });
    const bearer = async () => {
      const answer = await line.client.post('/auth/login', { username: 'root1', password: PASSWORD });
      return { authorization: `Bearer ${answer.json<{ token: string }>().token}` };
    };
    const who = await bearer();
    secret = (await line.client.post('/auth/totp/enrol', { password: PASSWORD }, who)).json<{ secret: string }>()
      .secret;
    await line.client.post('/auth/totp/activate', { code: codeOf(secret) }, who);
    await succeeds(['login', 'root1', '--url', line.url, '--ca', line.caFile], [PASSWORD, await code()]);
  });
  after(async () => {
    await line[Symbol.asyncDispose]();
    await dba.close();
    await cluster.stop();
  });

  const code = async (): Promise<string> => {
    await dba.query('UPDATE strongroom.account SET totp_last_step = 0');
    return codeOf(secret);
  };
  const succeeds = async (args: string[], answers: string[] = []): Promise<Ended> => {
    const ended = await line.run(args, answers);
    assert.equal(ended.code, 0, `${args.join(' ')}: ${ended.stderr}${ended.stdout}`);
    return ended;
  };
  const versions = async () => (await succeeds(['policy', 'list', '--json'])).json<{ version: number }[]>();
  const write = (text: string) => writeFile(join(folder, 'policy.csv'), text);

  it('a policy of an older release holds, its lack is said at the start, and only break-glass gets past it', async () => {
    assert.match(line.output, /policies\/ is not what is in force \(policy 1\).*policy import .*--break-glass REASON/);
    const refused = await line.run(['policy', 'import', folder]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /role does not allow/);
    const ended = await succeeds(['policy', 'import', folder, '--break-glass', 'new release']);
    assert.match(ended.stdout, /Policy 2 is in force/);
    const { rows } = await dba.query<{ event: Record<string, unknown> }>(
      "SELECT record::json->'event' AS event FROM strongroom.entry WHERE action = 'policy.import' ORDER BY seq DESC LIMIT 1",
    );
    assert.deepEqual(
      [rows[0]?.event['actor'], rows[0]?.event['os_user'], rows[0]?.event['door'], rows[0]?.event['from_version']],
      ['system', userInfo().username, 'break-glass: new release', 1],
    );
    assert.equal((await versions())[0]?.version, 2);
  });

  it('check and test name what is wrong, with an exit code for a pipeline', async () => {
    assert.match((await succeeds(['policy', 'check'])).stdout, /no errors/);
    assert.match((await succeeds(['policy', 'test', folder])).stdout, /\d\d cases as they should be, 0 not/);
    await write(shipped.replace('role:analyst, model', 'role:analyst, modle'));
    const wrong = await line.run(['policy', 'check', folder, '--json']);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stdout, /no resource type “modle”/);
    await write(shipped.replace(/^p, analyst-infer.*$/m, ''));
    const failed = await line.run(['policy', 'test', folder]);
    assert.equal(failed.code, 1);
    assert.match(failed.stdout, /line \d+: .*analyst-infer/);
  });

  it('import, list, show, diff, explain and rollback over the API', async () => {
    const night = 'p, nights, role:analyst, model, *, infer, *, 0, deny, time in Mon-Sun 22:00-06:00, Analysts sleep.';
    await write(`${shipped}${night}\n`);
    const ended = await succeeds(['policy', 'import', folder, '--reason', 'nights'], [await code()]);
    assert.match(ended.stderr, /Put a new policy in force, of \d\d lines/);
    assert.match(ended.stdout, /Policy 3 is in force\.\n\+ nights: /);
    assert.match((await succeeds(['policy', 'list'])).stdout, /^version .*reason\n3 .*nights$/m);
    assert.equal((await succeeds(['policy', 'show', '3'])).stdout.trimEnd(), `${shipped}${night}`);
    assert.match((await succeeds(['policy', 'diff', '2', '3'])).stdout, /^\+ nights: role:analyst/);
    await succeeds(['user', 'add', 'ann', '--role', 'analyst', '--certification', 'aml'], [await code()]);
    const ask = ['policy', 'explain', 'ann', 'infer', 'model:far', '--from', '127.0.0.1', '--at'];
    assert.match((await succeeds([...ask, '2026-01-07T12:00:00Z'])).stdout, /^Allowed by the rule analyst-infer/);
    const denied = await line.run([...ask, '2026-01-07T23:00:00Z']);
    assert.equal(denied.code, 1);
    assert.match(denied.stdout, /^Denied by the rule nights: Analysts sleep\. \(policy 3\)\n\* nights \(deny\)/);
    const back = await succeeds(['policy', 'rollback', '2', '--json'], [await code()]);
    assert.equal(back.json<{ version: { restored: number } }>().version.restored, 2);
    assert.equal((await versions())[0]?.version, 4);
    assert.equal((await line.run(['policy', 'show', 'x'])).code, 1);
  });

  it('replays a draft through the API and from an export, and both say the same', async () => {
    await write(shipped.replace(/^p, admin-users-create.*$/m, ''));
    const online = await line.run(['policy', 'replay', '--draft', folder, '--json']);
    assert.equal(online.code, 1, online.stderr);
    const found = online.json<{
      changed: number;
      unreadable: number;
      examples: ReplayResult['examples'];
    }>();
    assert.ok(found.changed >= 1);
    // What the old policy had denied, the draft allows; what the draft lacks was used.
    const taken = found.examples.filter(({ before }) => before === 'allow');
    assert.ok(taken.length >= 1);
    for (const { action, rule_before, rule_after } of taken)
      assert.deepEqual([action, rule_before, rule_after], ['users.create', 'admin-users-create', null]);
    const out = join(line.folder, 'export');
    await succeeds(['audit', 'export', '--format', 'jsonl', '--out', out]);
    const offline = await line.run(['policy', 'replay', '--draft', folder, '--export', out, '--json']);
    assert.equal(offline.json<{ changed: number }>().changed, found.changed);
    await write(shipped);
    const same = (await line.run(['policy', 'replay', '--draft', folder, '--json'])).json<typeof found>();
    assert.ok(same.examples.every(({ before }) => before === 'deny'));
  });
});
