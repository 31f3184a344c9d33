import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Item, Verdict } from '#admission/admission.ts';
import type { AuditEvent } from '#audit/event.ts';
import { LateRecords } from '#audit/late-records.service.ts';
import type { Clock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';

const event = (action: string): AuditEvent => ({
  kind: 'system',
  actor: 'system',
  action,
  resource: 'model:demo',
  outcome: 'completed',
  request: null,
  facts: { how: 'SIGKILL' },
});

function open() {
  const log = { state: 'there' as 'there' | 'away' | 'refuses', tries: [] as string[] };
  const lost: string[] = [];
  const records: Record<string, unknown>[] = [];
  const clock: Clock = { now: () => Date.UTC(2026, 0, 2, 3, 4, 5), monotonic: () => 0 };
  const late = new LateRecords({
    submit: async (item: Item) => {
      assert.ok(item.op === 'record');
      log.tries.push(item.id);
      if (log.state === 'away') throw new Problem('audit_unavailable');
      if (log.state === 'refuses') throw new Problem('internal');
      records.push(JSON.parse(item.record.event));
      return { verdict: 'recorded' } as Verdict;
    },
    clock,
    log: { ...silentLog, error: (_message, { state = '' } = {}) => void lost.push(state) },
  });
  const said = () => records.map(({ action, happened_at: at = null, how }) => [action, at, how]);
  return { late, log, lost, said };
}

describe('what happens by itself', () => {
  it('is recorded at once, without another time than the log’s', async () => {
    const { late, said } = open();
    await using _ = late;
    late.tell(event('model.crashed'));
    late.tell(event('model.loaded'));
    await late.write();
    assert.deepEqual(said(), [
      ['model.crashed', null, 'SIGKILL'],
      ['model.loaded', null, 'SIGKILL'],
    ]);
  });

  it('is kept while the log is away, and recorded in its order, once, with the time that it happened', async () => {
    const { late, log, said, lost } = open();
    await using _ = late;
    log.state = 'away';
    late.tell(event('model.crashed'));
    await late.write();
    late.tell(event('model.quarantined'));
    await late.write();
    assert.deepEqual(said(), []);
    log.state = 'there';
    await late.write();
    late.tell(event('model.loaded'));
    await late.write();
    await late.write();
    assert.deepEqual(said(), [
      ['model.crashed', '2026-01-02T03:04:05.000Z', 'SIGKILL'],
      ['model.quarantined', '2026-01-02T03:04:05.000Z', 'SIGKILL'],
      ['model.loaded', null, 'SIGKILL'],
    ]);
    assert.equal(new Set(log.tries).size, 3, 'a second try has the id of the first');
    assert.deepEqual(lost, []);
  });

  it('stands before nobody where the database will never take it, and the operator is told', async () => {
    const { late, log, said, lost } = open();
    await using _ = late;
    log.state = 'refuses';
    late.tell(event('model.crashed'));
    await late.write();
    log.state = 'there';
    late.tell(event('model.loaded'));
    await late.write();
    assert.deepEqual([said().map(([action]) => action), lost], [['model.loaded'], ['model.crashed']]);
  });

  it('that can not be recorded when the gateway ends is told to the operator', async () => {
    const { late, log, lost } = open();
    log.state = 'away';
    late.tell(event('model.crashed'));
    await late[Symbol.asyncDispose]();
    assert.deepEqual(lost, ['model.crashed']);
  });
});
