import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, temporaryFolder, upstreamEntry } from '../harness/gateway.ts';
import { GatewayProcess, runStrongroom } from '../harness/gateway-process.ts';

/** The real process, killed where a checkpoint is made and where its key changes. */
describe('killed -9 around a checkpoint', () => {
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  let gateway: GatewayProcess;
  let dataDir: string;
  let config: object;
  before(async () => {
    upstream = await startFakeUpstream();
    dataDir = await temporaryFolder();
    config = { models: { demo: upstreamEntry(upstream.url) } };
    gateway = await GatewayProcess.start(config, dataDir);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream.close();
  });

  const run = (...args: string[]) =>
    runStrongroom(args, { STRONGROOM_CONFIG: join(dataDir, 'strongroom.yaml'), STRONGROOM_DATA_DIR: dataDir });
  const ask = async () => {
    const { username, password } = gateway.account('analyst');
    const { token } = (await gateway.client.post('/auth/login', { username, password })).json<{ token: string }>();
    const headers = { authorization: `Bearer ${token}` };
    const body = { model: 'demo', messages: [{ role: 'user', content: 'x' }] };
    const answer = await gateway.client.post('/v1/chat/completions', body, headers);
    assert.equal(answer.status, 200, answer.text);
    return { headers, path: String(answer.headers['x-audit-receipt']) };
  };
  const signed = () =>
    eventually(async () => {
      const [row] = await gateway.database.sql<{ covered: boolean }>(
        'SELECT (SELECT max(size) FROM checkpoint) = size AS covered FROM head',
      );
      return row?.covered;
    });
  const again = async () => {
    gateway.kill('SIGKILL');
    await gateway.ended;
    gateway = await GatewayProcess.start(config, dataDir);
  };
  const clean = async (...args: string[]) => {
    await signed();
    const verified = await run('audit', 'verify', ...args);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  };

  for (const [table, moment] of [
    ['tree', 'between the records and the tree over them'],
    ['tree_node', 'while the tree is extended'],
    ['checkpoint', 'between the tree, the memory of it and the checkpoint'],
  ] as const) {
    it(moment, async () => {
      await signed();
      // Whoever would write there waits.
      const held = gateway.database
        .sql(`BEGIN; LOCK TABLE strongroom.${table} IN EXCLUSIVE MODE; SELECT pg_sleep(600)`)
        .catch(() => undefined);
      await eventually(
        async () =>
          (await gateway.database.sql("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).length > 0,
      );
      await ask();
      await eventually(
        async () =>
          (
            await gateway.database.sql(
              "SELECT FROM pg_stat_activity WHERE application_name = 'strongroom-signer' AND wait_event_type = 'Lock'",
            )
          ).length > 0,
      );
      gateway.kill('SIGKILL');
      await gateway.ended;
      // The signer had one statement under way, which waits still; it may outlive who sent it.
      const [last] = await gateway.database.sql<{ n: string }>('SELECT max(size) AS n FROM checkpoint');
      await gateway.database.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
      await held;
      const remembered = JSON.parse(await readFile(join(dataDir, 'audit-memory.json'), 'utf8')) as { size: number };
      if (table === 'checkpoint') assert.ok(remembered.size > Number(last?.n), 'the memory comes first');
      else assert.equal(remembered.size, Number(last?.n));
      gateway = await GatewayProcess.start(config, dataDir);
      await clean();
    });
  }

  it('and between any two steps of a rotation of its key', async () => {
    const file = join(dataDir, 'keys', 'checkpoint.key');
    const key = async () => JSON.parse((await run('audit', 'key', '--json')).stdout);
    const first = (await key()).key as string;
    const prepared = await run('keys', 'rotate', 'checkpoint', '--prepare', '--json');
    assert.equal(prepared.code, 0, prepared.stderr);
    await again();
    await clean('--key', first);
    const old = await readFile(file, 'utf8');
    const next = await readFile(`${file}.next`, 'utf8');

    const rotated = await run('keys', 'rotate', 'checkpoint', '--json');
    assert.equal(rotated.code, 0, rotated.stderr);
    const second = JSON.parse(rotated.stdout).key as string;
    assert.equal(second, JSON.parse(prepared.stdout).prepared);
    // As if it had been killed after the record and before the files, and the gateway with it.
    await writeFile(file, old);
    await writeFile(`${file}.next`, next, { mode: 0o600 });
    await again();
    await clean('--key', first);
    await clean('--key', second);
    assert.equal((await run('keys', 'rotate', 'checkpoint', '--json')).code, 0, 'run again, it only moves the files');
    assert.equal(await readFile(file, 'utf8'), next);
    const { keys } = await key();
    assert.deepEqual(
      keys.map(({ key: one, until }: { key: string; until: number | null }) => [one, until === null]),
      [
        [second, true],
        [first, false],
      ],
    );

    const { headers, path } = await ask();
    const receipt = await eventually(async () => {
      const { status, text } = await gateway.client.get(path, headers);
      return status === 200 && JSON.parse(text).outcome !== null && text;
    });
    await writeFile(join(dataDir, 'receipt.json'), receipt);
    for (const one of [first, second]) {
      const checked = await run('audit', 'receipt', join(dataDir, 'receipt.json'), '--key', one);
      assert.equal(checked.code, 0, checked.stdout);
    }
    const bare = JSON.stringify({ ...JSON.parse(receipt), rotations: [] });
    await writeFile(join(dataDir, 'receipt.json'), bare);
    assert.equal((await run('audit', 'receipt', join(dataDir, 'receipt.json'), '--key', first)).code, 1);
    const start = await gateway.database.sql<{ record: string }>(
      "SELECT record FROM entry WHERE action = 'keys.rotate' AND outcome = 'completed'",
    );
    assert.equal(JSON.parse(start[0]?.record ?? '{}').event.new_key, second);
  });

  it('`audit retain` runs beside it and finds nothing that is old enough', async () => {
    const { code, stdout, stderr } = await run('audit', 'retain', '--json');
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout).dropped, []);
  });
});
