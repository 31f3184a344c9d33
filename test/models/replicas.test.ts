import assert from 'node:assert/strict';
import { it } from 'node:test';
import { silentLog } from '#kernel/log.ts';
import type { OtherReplica, ReplicaStore } from '#models/replica.ts';
import { Replicas } from '#models/replicas.service.ts';

function open() {
  const told: (object | null)[] = [];
  const warned: string[] = [];
  const state = { own: { busy: 0 }, others: [] as OtherReplica<object>[], isAway: false, withdrawn: 0 };
  const store: ReplicaStore<object> = {
    exchange: async (report) => {
      if (state.isAway) throw new Error('no database');
      told.push(report);
      return state.others;
    },
    withdraw: async () => {
      state.withdrawn++;
      if (state.isAway) throw new Error('no database');
    },
  };
  const log = { ...silentLog, warn: (message: string) => void warned.push(message) };
  return { replicas: new Replicas({ store, report: () => state.own, log }), state, told, warned };
}

const other = (instance: string, isSameCatalogue = true): OtherReplica<object> => ({
  instance,
  reportedAt: new Date(0),
  isSameCatalogue,
  report: {},
});

it('what did not change is not told again, and after the database was away all of it is', async () => {
  const { replicas, state, told, warned } = open();
  await replicas.exchange();
  await replicas.exchange();
  state.own = { busy: 1 };
  await replicas.exchange();
  assert.deepEqual(told, [{ busy: 0 }, null, { busy: 1 }]);
  state.isAway = true;
  await replicas.exchange();
  await replicas.exchange();
  state.isAway = false;
  await replicas.exchange();
  assert.deepEqual(told.slice(3), [{ busy: 1 }]);
  assert.equal(warned.length, 1, 'a database that is away is told of once');
  await replicas[Symbol.asyncDispose]();
});

it('all is told again now and then: a database that crashed unseen has forgotten it', async () => {
  const { replicas, told } = open();
  for (let times = 0; times < 30; times++) await replicas.exchange();
  assert.deepEqual(
    told.flatMap((report, at) => (report === null ? [] : [at])),
    [0, 10, 20],
  );
  await replicas[Symbol.asyncDispose]();
});

it('the others stay known while the database is away for as long as their leases, and another catalogue is told of once', async () => {
  const { replicas, state, warned } = open();
  await replicas.exchange();
  state.others = [other('gw_b'), other('gw_c', false)];
  await replicas.exchange();
  await replicas.exchange();
  assert.deepEqual([replicas.others.map(({ instance }) => instance), replicas.differ], [['gw_b', 'gw_c'], true]);
  assert.equal(warned.length, 1);
  state.isAway = true;
  await replicas.exchange();
  assert.equal(replicas.others.length, 2);
  for (let times = 0; times < 9; times++) await replicas.exchange();
  assert.deepEqual([replicas.others, replicas.differ], [[], false]);
  state.isAway = false;
  state.others = [other('gw_b')];
  await replicas.exchange();
  assert.equal(replicas.differ, false);
  await replicas[Symbol.asyncDispose]();
});

it('one that ends takes its report with it, and ends also where nobody hears that', async () => {
  const { replicas, state } = open();
  state.isAway = true;
  await replicas[Symbol.asyncDispose]();
  assert.equal(state.withdrawn, 1);
});
