import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Engine } from '#engine/engine.ts';
import type { EngineEvent } from '#engine/engine-event.ts';
import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import { openUpstreamModel } from '#engine/upstream/model.upstream.ts';
import type { UpstreamDeps } from '#engine/upstream/service.upstream.ts';
import { silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { freePort } from '../harness/free-port.ts';
import { answer, collect, NEVER, request, told, until, untilFirstDelta } from './demo.ts';

const problem = (code: Problem['code']) => (error: unknown) => error instanceof Problem && error.code === code;

/** Time that passes when a test says so. */
class Hours {
  now = 1000;
  #calls: { readonly at: number; readonly call: () => void }[] = [];
  readonly clock = { now: () => this.now, monotonic: () => this.now };
  readonly after = (milliseconds: number, call: () => void) => {
    const one = { at: this.now + milliseconds, call };
    this.#calls.push(one);
    return () => {
      this.#calls = this.#calls.filter((other) => other !== one);
    };
  };

  /** When what waits is due, from now. */
  get due(): number[] {
    return this.#calls.map(({ at }) => at - this.now);
  }

  pass(milliseconds: number): void {
    this.now += milliseconds;
    const due = this.#calls.filter(({ at }) => at <= this.now);
    this.#calls = this.#calls.filter(({ at }) => at > this.now);
    for (const { call } of due) call();
  }
}

describe('several servers behind one model', () => {
  let hours: Hours;
  let fakes: FakeUpstream[];
  let engine: Engine;
  let events: EngineEvent[];
  const open = async (change: Partial<UpstreamModelSpec> = {}, deps: Partial<UpstreamDeps> = {}) => {
    engine = openUpstreamModel(
      { id: 'up', urls: fakes.map(({ url }) => url), model: 'm', maxOutputTokens: 100, ...change },
      {
        log: silentLog,
        clock: hours.clock,
        after: hours.after,
        random: () => 0.5,
        onEvent: (event) => events.push(event),
        ...deps,
        limits: { failures: 2, openMs: 10_000, ...deps.limits },
      },
    );
    await engine.load();
    return engine;
  };
  beforeEach(async () => {
    hours = new Hours();
    events = [];
    fakes = await Promise.all([startFakeUpstream(), startFakeUpstream(), startFakeUpstream()]);
  });
  afterEach(async () => {
    await engine.close();
    await Promise.all(fakes.map((fake) => fake.close()));
  });
  const at = (index: number): FakeUpstream => fakes[index] ?? assert.fail();
  const asked = () => fakes.map(({ seen }) => seen.length);
  const replicas = () => engine.status().upstream?.replicas ?? assert.fail();
  const states = () => replicas().map(({ state }) => state);
  const failing = { failure: { status: 500, body: '{}' } };
  /** The one that a conversation of this user goes to. */
  const homeOf = async (subject: string): Promise<number> => {
    const before = asked();
    await answer(engine, { subject });
    return asked().findIndex((count, index) => count > (before[index] ?? 0));
  };

  it('a conversation stays on its server; without affinity they are asked in turn', async () => {
    await open();
    const home = await homeOf('usr_a');
    for (let i = 0; i < 5; i++) assert.equal(await homeOf('usr_a'), home);
    await engine.close();
    await open({ routing: 'least_busy' });
    const before = asked();
    for (let i = 0; i < 6; i++) await answer(engine);
    assert.deepEqual(
      asked().map((count, index) => count - (before[index] ?? 0)),
      [2, 2, 2],
    );
  });

  it('an answer says whose it is, by the configured name: of him who gave it, not of him who was asked first', async () => {
    const names = ['left', 'middle', 'right'];
    await open({ names });
    assert.deepEqual(
      replicas().map(({ name }) => name),
      names,
    );
    const home = await homeOf('usr_a');
    const serverOf = async () => {
      const [started] = (await answer(engine, { subject: 'usr_a' })).events;
      return started?.type === 'started' ? started.making?.server : assert.fail();
    };
    assert.equal(await serverOf(), names[home]);
    at(home).set({ failure: { status: 503, body: '{}' } });
    const other = (await serverOf()) ?? assert.fail();
    assert.ok(names.includes(other) && other !== names[home], other);
  });

  it('affinity gives way when its server is much busier', async () => {
    await open();
    const home = await homeOf('usr_a');
    at(home).set({ loop: true });
    const running = [];
    for (let i = 0; i < 3; i++) {
      const generation = told(engine, request({ maxTokens: 1e6 }), NEVER);
      await untilFirstDelta(generation);
      running.push(generation);
    }
    assert.equal(replicas()[home]?.busy, 3);
    assert.notEqual(await homeOf('usr_a'), home);
    for (const generation of running) await generation.return();
    assert.equal(replicas()[home]?.busy, 0);
  });

  it('what can’t have begun is asked elsewhere: no connection, 429, 503, 404', async () => {
    await open();
    const home = await homeOf('usr_a');
    for (const status of [503, 429, 404]) {
      at(home).set({ failure: { status, body: '{}' } });
      assert.equal((await answer(engine)).reason, 'stop', String(status));
      // A path that it does not have says nothing of others.
      if (status !== 404) assert.notEqual(await homeOf('usr_a'), home);
      at(home).set({});
      hours.pass(1000);
      assert.equal(await homeOf('usr_a'), home);
    }
    await at(home).close();
    assert.equal((await answer(engine)).reason, 'stop');
    fakes[home] = await startFakeUpstream();
  });

  it('a server that says 500, as vLLM does while its last answers end: once more at another, never a third time', async () => {
    await open({}, { limits: { failures: 100 } });
    const home = await homeOf('usr_a');
    for (const status of [500, 502]) {
      at(home).set({ failure: { status, body: 'Internal Server Error' } });
      for (const stream of [true, false])
        assert.equal((await answer(engine, { stream })).reason, 'stop', String(status));
    }
    assert.equal(engine.status().upstream?.replicas[home]?.failures, 4, 'it counts against that server');
    for (const fake of fakes) fake.set(failing);
    const before = asked().reduce((sum, count) => sum + count, 0);
    await assert.rejects(answer(engine), problem('engine_failed'));
    assert.equal(asked().reduce((sum, count) => sum + count, 0) - before, 2);
  });

  it('what has been answered in any other way is not: a form that is none, silence, a time that is over behind a proxy', async () => {
    await open({}, { limits: { firstByteMs: 100 } });
    const home = await homeOf('usr_a');
    const before = asked().reduce((sum, count) => sum + count, 0);
    const never = Promise.withResolvers<void>();
    const bad = [
      { failure: { status: 504, body: '' } },
      { failure: { status: 200, body: 'no' } },
      { until: never.promise },
    ];
    for (const options of bad) {
      at(home).set(options);
      await assert.rejects(answer(engine), problem('engine_failed'));
    }
    assert.equal(asked().reduce((sum, count) => sum + count, 0) - before, bad.length, 'nobody was asked twice');
    never.resolve();
  });

  it('a connection that breaks before a byte came back: once more, never a third time', async () => {
    let questions = 0;
    await using breaking = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        if (bytes.toString('latin1').startsWith('GET')) {
          socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
          return;
        }
        questions++;
        socket.destroy();
      });
    });
    breaking.listen(0, '127.0.0.1');
    await once(breaking, 'listening');
    const url = `http://127.0.0.1:${(breaking.address() as AddressInfo).port}`;
    await open({ urls: [url] }, { limits: { failures: 100 } });
    await assert.rejects(answer(engine), problem('engine_failed'));
    assert.equal(questions, 2);
    await engine.close();
    await open({ urls: [url, at(0).url], routing: 'least_busy' }, { limits: { failures: 100 } });
    for (let i = 0; i < 4; i++) assert.equal((await answer(engine)).reason, 'stop');
    assert.ok(questions > 2 && questions <= 6, 'and each came to the other server');
    await engine.close();
  });

  it('failures open a circuit, for that server alone, and one on trial closes it', async () => {
    await open();
    const home = await homeOf('usr_a');
    at(home).set(failing);
    await answer(engine, { subject: 'usr_a' });
    // Another user, whose conversation lives there too.
    for (let other = 0; states()[home] === 'closed'; other++) await answer(engine, { subject: `usr_${other}` });
    const before = at(home).seen.length;
    assert.notEqual(await homeOf('usr_a'), home);
    assert.equal(at(home).seen.length, before);
    at(home).set({});
    hours.pass(10_000);
    assert.equal(states()[home], 'half_open');
    assert.equal(await homeOf('usr_a'), home);
    assert.deepEqual(states(), ['closed', 'closed', 'closed']);
    assert.deepEqual(events, [], 'the model was there all the time');
  });

  it('a server that dies is found by its probe, and by another one when it is back; so is a model that is gone', async () => {
    await open();
    const ports = fakes.map(({ url }) => Number(new URL(url).port));
    await until(() => hours.due.length === 3);
    assert.deepEqual(hours.due, [10_000, 10_000, 10_000]);
    await Promise.all(fakes.map((fake) => fake.close()));
    for (const round of [1, 2]) {
      hours.pass(10_000);
      await until(() => hours.due.length === 3);
      assert.equal(events.length, round - 1);
    }
    assert.deepEqual(events, [{ type: 'unavailable', model: 'up', how: '0 of 3 servers' }]);
    assert.equal(engine.status().state, 'failed');
    await assert.rejects(
      answer(engine),
      (error) => problem('engine_failed')(error) && (error as Problem).detail.retryAfter === 10,
    );
    fakes = await Promise.all(ports.map((port) => startFakeUpstream({}, port)));
    hours.pass(10_000);
    await until(() => hours.due.length === 3);
    assert.deepEqual(states(), ['closed', 'closed', 'closed']);
    assert.deepEqual(events.at(-1), { type: 'available', model: 'up', how: '1 of 3 servers' });
    assert.equal((await answer(engine)).reason, 'stop');
  });

  it('probes come with jitter, so that gateways do not knock together', async () => {
    const draws = [0, 0.5, 1];
    await open({}, { random: () => draws.pop() ?? 0.5 });
    await until(() => hours.due.length === 3);
    assert.deepEqual(hours.due.toSorted(), [10_000, 12_000, 8000]);
  });

  it('is in service though no server is there, and has none left when all ask for a pause', async () => {
    await open({ urls: [`http://127.0.0.1:${await freePort()}`] });
    assert.deepEqual([engine.status().state, events.map(({ type }) => type)], ['failed', ['unavailable']]);
    await engine.close();
    await open();
    for (const [index, fake] of fakes.entries())
      fake.set({ failure: { status: 503, body: '', headers: { 'retry-after': String(20 + index) } } });
    await assert.rejects(answer(engine), problem('overloaded'));
    const before = asked();
    await assert.rejects(
      answer(engine),
      (error) => problem('overloaded')(error) && (error as Problem).detail.retryAfter === 20,
    );
    assert.deepEqual(asked(), before);
    assert.deepEqual(
      replicas().map(({ resting }) => resting),
      [true, true, true],
    );
  });

  it('a hang-up during a trial leaves the trial to the next one', async () => {
    await open({ urls: [at(0).url] }, { limits: { failures: 1 } });
    at(0).set(failing);
    await assert.rejects(answer(engine), problem('engine_failed'));
    hours.pass(10_000);
    const silent = Promise.withResolvers<void>();
    at(0).set({ until: silent.promise });
    const control = new AbortController();
    const trial = collect(told(engine, request(), control.signal));
    await until(() => at(0).running === 1);
    await assert.rejects(answer(engine, { subject: 'usr_b' }), problem('engine_failed'));
    control.abort(new Error('hung up'));
    await assert.rejects(trial, /hung up/);
    silent.resolve();
    at(0).set({});
    assert.equal((await answer(engine)).reason, 'stop');
  });
});
