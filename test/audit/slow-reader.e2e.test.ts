import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { eventually, type Session, TestGateway } from '../harness/gateway.ts';

const RECORDS = 40_000;
/** What the kernel holds for both ends of a connection over loopback at most, and what the server has in hand. */
const UNDER_WAY = 24 * 2 ** 20;

/** `$1` records of a kilobyte and more, as `commit_batch` would have written them. */
const LAY = `
  WITH h AS (SELECT size, greatest(last_at, now()) AS at FROM head FOR UPDATE),
  r AS (
    SELECT h.size + n AS seq, h.at, '{"at":"' || to_char(h.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
      || '","event":{"action":"note","actor":"system","kind":"system","outcome":"completed","padding":"' || repeat('x', 1000)
      || '","request":null,"resource":"gateway:test"},"seq":' || h.size + n || ',"v":1}' AS record
    FROM h, generate_series(0, $1::int - 1) n
  ), e AS (
    INSERT INTO entry (seq, at, event_id, kind, actor, action, resource, outcome, request_id, record)
      SELECT seq, at, gen_random_uuid(), 'system', 'system', 'note', 'gateway:test', 'completed', NULL, record FROM r
  ), l AS (
    INSERT INTO leaf SELECT seq, sha256('\\x00'::bytea || convert_to(record, 'UTF8')) FROM r
  )
  UPDATE head SET size = head.size + $1, last_at = h.at FROM h`;

describe('an export to somebody who does not read', () => {
  let test: TestGateway;
  let auditor: Session;
  before(async () => {
    test = await TestGateway.open({ models: {} });
    auditor = await test.signIn('auditor');
    await test.database.sql(LAY, [RECORDS]);
    // What is exported is what a checkpoint covers.
    await eventually(async () => {
      const { text } = await test.client.get('/audit/checkpoint', auditor.bearer);
      return Number(text.split('\n')[1]) > RECORDS;
    });
  });
  after(() => test[Symbol.asyncDispose]());

  const start = () => test.client.open('GET', '/audit/export', { headers: auditor.bearer });

  it('waits for him with little in memory and no transaction open, and ends when he hangs up', async () => {
    const slow = await start();
    assert.equal(slow.status, 200);
    // All of the same work, begun later and read at once: when it is done, one that waits for nobody is done as well.
    const fast = await start();
    let read = 0;
    for await (const part of fast.message) read += (part as Buffer).length;
    assert.ok(read > RECORDS * 1000);
    const whole = await test.outcome(String(fast.headers['x-request-id']));
    assert.equal(whole.outcome, 'completed');
    assert.equal(whole.event['bytes'], read);

    const request = String(slow.headers['x-request-id']);
    assert.equal((await test.database.sql('SELECT FROM open_intent WHERE request_id = $1', [request])).length, 1);
    assert.deepEqual(
      await test.database.sql(`SELECT query FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND query LIKE '%entry%'`),
      [],
    );
    slow.message.destroy();
    const cut = await test.outcome(request);
    assert.deepEqual([cut.outcome, cut.event['archive_sha256']], ['client_closed', null]);
    const made = Number(cut.event['bytes']);
    assert.ok(made > 0 && made < UNDER_WAY && made < read / 2, `${made} of ${read} bytes were made`);
    assert.ok(Number(cut.event['records']) < RECORDS / 2);
  });
});
