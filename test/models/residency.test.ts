import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Verdict } from '#admission/admission.ts';
import type { AuditEvent } from '#audit/event.ts';
import type { Engine, ModelState } from '#engine/engine.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { AS_CONFIGURED, changeOf, type DesiredState, MODEL_VERBS } from '#models/model-state.ts';
import { Residency } from '#models/residency.service.ts';
import { Tenancy } from '#models/tenancy.service.ts';
import { eventually } from '../harness/gateway.ts';

const ADMIN = { subject: 'usr_admin' } as Principal;

/** An engine that does what it is told, and counts. */
class FakeEngine {
  state: ModelState = 'unloaded';
  loads = 0;
  closes = 0;
  failure: Error | null = null;
  quarantine: string | null = null;

  async load(): Promise<void> {
    this.loads++;
    this.state = 'loading';
    await Promise.resolve();
    this.state = this.failure === null ? 'ready' : 'failed';
    if (this.failure !== null) throw this.failure;
  }
  async close(): Promise<void> {
    this.closes++;
    this.state = 'unloaded';
  }
  status() {
    return { id: 'demo', state: this.state, memory: null, pid: null, quarantine: this.quarantine };
  }
  pardon() {
    this.quarantine = null;
  }
}

function open(states: Record<string, Partial<DesiredState>> = {}, isPinned = false) {
  const engine = new FakeEngine();
  const desired = new Map(
    Object.entries(states).map(([id, state]) => [id, { ...AS_CONFIGURED, number: 1, ...state }] as const),
  );
  const events: AuditEvent[] = [];
  const store = { broken: false, read: async () => new Map(desired) };
  const engines = {
    ids: ['demo'],
    get: (id: string) => (id === 'demo' ? (engine as unknown as Engine) : undefined),
  };
  const residency = new Residency({
    engines,
    house: (desiredOf) =>
      new Tenancy({
        engines,
        desiredOf,
        estimate: async () => ({ ram: 1, vram: 0 }),
        measured: () => null,
        budget: { ram: 1, vram: 0 },
        rules: { idleUnloadMs: 0, patienceMs: 0, leastStayMs: 0 },
        ...{ maxWaitMs: 1000, maxWaiting: 10, drainMs: 0, clock: systemClock, log: silentLog },
        onEvent: ({ action, model, failure }) => {
          const outcome = failure === null ? 'completed' : 'failed';
          events.push({ kind: 'system', actor: 'system', action, resource: `model:${model}`, outcome, request: null });
        },
      }),
    isPinned: () => isPinned,
    store: {
      desired: async () => {
        if (store.broken) throw new Error('the database is away');
        return store.read();
      },
    },
    recorder: {
      change: async (name, change, event) => {
        assert.equal(name, 'model.set');
        const {
          in_service: inService,
          pinned,
          model,
        } = change as { in_service?: boolean; pinned?: boolean; model: string };
        const before = desired.get(model) ?? AS_CONFIGURED;
        desired.set(model, {
          inService: inService ?? before.inService,
          pinned: pinned ?? before.pinned,
          number: before.number + 1,
          loaded: inService === true ? before.number + 1 : before.loaded,
        });
        events.push(event);
        return { verdict: 'changed' } as Verdict;
      },
    },
    tell: (event) => void events.push(event),
    log: silentLog,
  });
  const told = () => events.map(({ action, actor, outcome }) => `${actor} ${action} ${outcome}`);
  return { engine, residency, told, store, desired };
}

describe('desired state and what runs', () => {
  it('loads what is in service as configured, once, and records it as its own doing', async () => {
    const { engine, residency, told } = open();
    await using _ = residency;
    for (let n = 0; n < 3; n++) await residency.reconcile();
    await eventually(() => told().length > 0);
    assert.deepEqual([engine.loads, engine.state], [1, 'ready']);
    assert.deepEqual(told(), ['system model.loaded completed']);
  });

  it('leaves alone what is out of service, and says so to whoever asks', async () => {
    const { engine, residency } = open({ demo: { inService: false } });
    await using _ = residency;
    await residency.reconcile();
    assert.deepEqual([engine.loads, engine.state], [0, 'unloaded']);
    assert.throws(
      () => residency.engine('demo'),
      (error) => error instanceof Problem && error.code === 'model_not_loaded',
    );
    assert.equal(residency.engine('unheard-of'), undefined);
  });

  it('follows an unload and a load, each recorded twice: the admin’s will and the gateway’s deed', async () => {
    const { engine, residency, told } = open();
    await using _ = residency;
    await residency.reconcile();
    await eventually(() => engine.state === 'ready' && told().length === 1);
    await residency.set('demo', 'unload', ADMIN, 'req_1');
    assert.throws(() => residency.engine('demo'), Problem);
    await eventually(() => told().length === 3);
    await residency.set('demo', 'load', ADMIN, 'req_2');
    await eventually(() => told().length === 5);
    assert.deepEqual(told().slice(1), [
      'usr_admin model.unload completed',
      'system model.unloaded completed',
      'usr_admin model.load completed',
      'system model.loaded completed',
    ]);
    assert.deepEqual([engine.loads, engine.closes, engine.state], [2, 1, 'ready']);
  });

  it('tries a model that failed again only when an admin says load', async () => {
    const { engine, residency, told } = open();
    await using _ = residency;
    engine.failure = new Problem('engine_failed');
    await residency.reconcile();
    await eventually(() => told().length === 1);
    for (let n = 0; n < 5; n++) await residency.reconcile();
    for (const verb of ['pin', 'unpin'] as const) await residency.set('demo', verb, ADMIN, 'req_1');
    await residency.reconcile();
    assert.equal(engine.loads, 1);
    assert.equal(told()[0], 'system model.loaded failed');
    engine.failure = null;
    await residency.set('demo', 'load', ADMIN, 'req_2');
    await eventually(() => engine.state === 'ready');
    assert.equal(engine.loads, 2);
  });

  it('follows a load on another replica, also of what was in service already: what failed here gets its chance', async () => {
    const { engine, residency, told, desired } = open({ demo: { number: 1 } });
    await using _ = residency;
    engine.failure = new Problem('engine_failed');
    engine.quarantine = 'it died again and again';
    await residency.reconcile();
    await eventually(() => told().length === 1);
    // An unload and a load between two looks: nobody here has seen the first of them.
    desired.set('demo', { ...AS_CONFIGURED, number: 3, loaded: 3 });
    engine.failure = null;
    await residency.reconcile();
    await eventually(() => told().length === 3);
    assert.deepEqual(told(), [
      'system model.loaded failed',
      'system model.pardoned completed',
      'system model.loaded completed',
    ]);
    assert.deepEqual([engine.state, engine.quarantine], ['ready', null]);
    // A pin is no load.
    desired.set('demo', { ...AS_CONFIGURED, pinned: true, number: 4, loaded: 3 });
    engine.state = 'failed';
    await residency.reconcile();
    assert.equal(engine.loads, 2);
  });

  it('pardons nobody at its start: that load was of an earlier life', async () => {
    const { engine, residency, told } = open({ demo: { number: 7, loaded: 7 } });
    await using _ = residency;
    engine.quarantine = 'it died again and again';
    await residency.reconcile();
    await eventually(() => told().length === 1);
    assert.equal(engine.quarantine, 'it died again and again');
  });

  it('takes nothing for in service before it was read what is', async () => {
    const { engine, residency, store } = open({}, true);
    await using _ = residency;
    store.broken = true;
    await residency.reconcile();
    assert.throws(() => residency.engine('demo'), Problem);
    assert.equal(residency.desiredOf('demo').inService, false);
    store.broken = false;
    assert.equal(await residency.read(), true);
    assert.equal(residency.desiredOf('demo').inService, true);
    await residency.reconcile();
    await eventually(() => engine.state === 'ready');
  });

  it('what was read before a load is not followed after it', async () => {
    const { engine, residency, store, desired } = open({ demo: { inService: false } });
    await using _ = residency;
    await residency.reconcile();
    const slow = Promise.withResolvers<void>();
    const before = new Map(desired);
    store.read = async () => {
      store.read = async () => new Map(desired);
      await slow.promise;
      return before;
    };
    const looking = residency.reconcile();
    const setting = residency.set('demo', 'load', ADMIN, 'req_1');
    await new Promise(setImmediate);
    slow.resolve();
    await Promise.all([looking, setting]);
    assert.equal(residency.desiredOf('demo').inService, true);
    await eventually(() => engine.state === 'ready');
    assert.deepEqual([engine.loads, engine.closes], [1, 0]);
  });

  it('a model that its configuration pins is pinned until an admin has set it', async () => {
    const { residency } = open({}, true);
    await using _ = residency;
    await residency.reconcile();
    assert.equal(residency.desiredOf('demo').pinned, true);
    await residency.set('demo', 'unpin', ADMIN, 'req_1');
    assert.equal(residency.desiredOf('demo').pinned, false);
  });

  it('takes a model that is not in the catalogue for none, and changes nothing', async () => {
    const { residency, told } = open();
    await using _ = residency;
    await assert.rejects(residency.set('other', 'load', ADMIN, 'req_1'), (error) => {
      return error instanceof Problem && error.code === 'model_not_found';
    });
    assert.deepEqual(told(), []);
  });

  it('keeps what it knows while the database is away', async () => {
    const { engine, residency, store } = open({ demo: { inService: false, pinned: true } });
    await using _ = residency;
    await residency.reconcile();
    store.broken = true;
    await residency.reconcile();
    assert.deepEqual(residency.desiredOf('demo'), { inService: false, pinned: true, number: 1, loaded: 0 });
    assert.equal(engine.loads, 0);
  });

  it('a verb changes what it names and nothing else', () => {
    assert.deepEqual(MODEL_VERBS.map(changeOf), [
      { in_service: true },
      { in_service: false },
      { pinned: true },
      { pinned: false },
    ]);
  });
});
