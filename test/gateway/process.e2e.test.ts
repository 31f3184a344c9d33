import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { identityOf, isAlive } from '#postgres/process-lock.ts';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, temporaryFolder, upstreamEntry } from '../harness/gateway.ts';
import { GatewayProcess, runStrongroom } from '../harness/gateway-process.ts';

const ASK = { model: 'demo', messages: [{ role: 'user', content: 'x' }], stream: true };

describe('the process', () => {
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  before(async () => {
    upstream = await startFakeUpstream({ loop: true, pauseMs: 20 });
  });
  after(() => upstream.close());

  const models = () => ({ demo: upstreamEntry(upstream.url) });
  async function bearer(gateway: GatewayProcess): Promise<Record<string, string>> {
    const { username, password } = gateway.account('analyst');
    const answer = await gateway.client.post('/auth/login', { username, password });
    return { authorization: `Bearer ${answer.json()['token']}` };
  }
  async function stream(gateway: GatewayProcess) {
    const open = await gateway.client.open('POST', '/v1/chat/completions', {
      headers: await bearer(gateway),
      body: ASK,
    });
    const events = open.events();
    await events.next();
    return { events, requestId: String(open.headers['x-request-id']) };
  }

  it('is killed under a stream: another gateway closes the intent as unknown, charged in full', async () => {
    await using gateway = await GatewayProcess.start({ models: models() });
    const { requestId } = await stream(gateway);
    gateway.kill('SIGKILL');
    await gateway.ended;
    const [intent] = await gateway.database.sql<{ record: string }>('SELECT record FROM entry WHERE request_id = $1', [
      requestId,
    ]);
    const reserved = JSON.parse(intent?.record ?? '{}').event?.quota?.tokens as number | undefined;
    assert.ok(reserved);
    const next = await GatewayProcess.start({ models: models() }, gateway.dataDir);
    try {
      // The lease of the dead one has ten seconds to run; nobody need wait for that.
      await next.database.sql(
        "UPDATE instance SET lease_until = now() - interval '1 s' WHERE lease_until = (SELECT min(lease_until) FROM instance)",
      );
      const outcome = await eventually(
        async () =>
          (
            await next.database.sql<{ outcome: string; actor: string }>(
              "SELECT outcome FROM entry WHERE request_id = $1 AND kind = 'outcome'",
              [requestId],
            )
          )[0],
      );
      assert.equal(outcome.outcome, 'unknown');
      const usage = await next.client.get('/v1/usage', await bearer(next));
      const { requests, tokens } = usage.json<{ requests: { used: number }; tokens: { used: number } }>();
      assert.deepEqual([requests.used, tokens.used], [1, reserved]);
      assert.deepEqual(await next.database.sql('SELECT * FROM open_intent'), []);
    } finally {
      next.kill('SIGTERM');
      await next.ended;
      next.client[Symbol.dispose]();
    }
  });

  it('is asked to stop under a stream: takes no new work, cuts it after the grace time, records, ends with 0', async () => {
    await using gateway = await GatewayProcess.start({ models: models(), http: { drainSeconds: 1 } });
    const { events, requestId } = await stream(gateway);
    const postgres = Number(/"pid":(\d+),"address":"127.0.0.1/.exec(gateway.stderr)?.[1]);
    assert.ok(postgres);
    gateway.kill('SIGTERM');
    await gateway.logged('draining');
    await assert.rejects(gateway.client.get('/health'), /ECONNREFUSED|ECONNRESET|socket hang up/);
    const rest: string[] = [];
    for await (const event of events) rest.push(event);
    assert.equal(JSON.parse(rest.at(-1) ?? '{}').error?.code, 'shutting_down');
    assert.equal(await gateway.ended, 0);
    assert.equal(identityOf(postgres), undefined, 'its Postgres has ended with it');
    await gateway.database.start();
    const [outcome] = await gateway.database.sql<{ outcome: string; record: string }>(
      "SELECT outcome, record FROM entry WHERE request_id = $1 AND kind = 'outcome'",
      [requestId],
    );
    assert.equal(outcome?.outcome, 'failed');
    assert.equal(JSON.parse(outcome?.record ?? '').event.outcome_code, 'shutting_down');
  });

  it('lets a stream that ends in time end as it should', async () => {
    await using gateway = await GatewayProcess.start({ models: models(), http: { drainSeconds: 60 } });
    const open = await gateway.client.open('POST', '/v1/chat/completions', {
      headers: await bearer(gateway),
      body: { ...ASK, max_tokens: 20 },
    });
    const events = open.events();
    await events.next();
    gateway.kill('SIGINT');
    let last = '';
    for await (const event of events) last = event;
    assert.equal(last, '[DONE]');
    assert.equal(await gateway.ended, 0);
  });

  it('on a busy port says so, ends with 1, and its Postgres with it', async () => {
    const busy = createServer().listen(0, '127.0.0.1');
    await once(busy, 'listening');
    const { port } = busy.address() as AddressInfo;
    const dataDir = await temporaryFolder();
    const ended = await runStrongroom(
      ['serve'],
      {
        STRONGROOM_DATA_DIR: dataDir,
        STRONGROOM_HTTP__PORT: String(port),
        STRONGROOM_METRICS__LISTEN: '127.0.0.1:0',
      },
      dataDir,
    );
    busy.close();
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, new RegExp(`strongroom: .*(in use|taken).*${port}`));
    assert.doesNotMatch(ended.stderr, /\n {4}at /, 'no stack trace');
    const pid = Number(/"pid":(\d+)/.exec(ended.stderr)?.[1]);
    assert.ok(pid > 0);
    const identity = identityOf(pid);
    assert.ok(identity === undefined || !isAlive(identity));
    const { home } = JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8')) as { home: string };
    for (const folder of [home, dataDir]) await rm(folder, { recursive: true });
  });
});
