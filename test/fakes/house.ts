import assert from 'node:assert/strict';
import type { Engine, GenerationRequest, Milestone, ModelState } from '#engine/engine.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { AS_CONFIGURED, type DesiredState } from '#models/model-state.ts';
import { Tenancy, type TenancyDeps, type TenancyEvent } from '#models/tenancy.service.ts';
import { NEVER } from '../engine/demo.ts';

/** An engine whose loads and answers end when the test says so, and that notes every offence against it. */
class FakeEngine {
  state: ModelState = 'unloaded';
  loads = 0;
  offences: string[] = [];
  answering = 0;
  /** Who asked, in turn. */
  readonly asked: string[] = [];
  memory: number | null = null;
  gate: PromiseWithResolvers<void> = Promise.withResolvers();
  answer: PromiseWithResolvers<void> = Promise.withResolvers();
  #loading: PromiseWithResolvers<void> | null = null;

  async load(): Promise<void> {
    if (this.#loading !== null) this.offences.push('two loads at once');
    this.loads++;
    this.state = 'loading';
    this.#loading = Promise.withResolvers();
    await Promise.race([this.gate.promise, this.#loading.promise]);
    this.#loading = null;
    this.state = 'ready';
  }
  async close(): Promise<void> {
    if (this.answering > 0) this.offences.push('closed while answering');
    if (this.state === 'loading') this.#loading?.reject(new Problem('model_not_loaded'));
    this.#loading = null;
    this.state = 'unloaded';
  }
  async *generate({ subject }: GenerationRequest, signal: AbortSignal): AsyncGenerator<Milestone> {
    if (this.state !== 'ready') this.offences.push(`asked while ${this.state}`);
    this.answering++;
    this.asked.push(subject);
    try {
      yield { type: 'started', promptTokens: 1 };
      const { promise, reject } = Promise.withResolvers<void>();
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      await Promise.race([this.answer.promise, promise]);
      yield { type: 'finished', reason: 'stop', usage: { promptTokens: 1, completionTokens: 0, cachedTokens: 0 } };
    } finally {
      this.answering--;
    }
  }
  pardon() {}
  status() {
    return { engine: 'llama', state: this.state, memory: this.memory, pid: null, quarantine: null };
  }
}

/** Models of these sizes, with a budget of ten. */
export function house(sizes: Record<string, number>, change: Partial<TenancyDeps> = {}) {
  const ids = Object.keys(sizes);
  const engines = new Map(ids.map((id) => [id, new FakeEngine()]));
  const desired = new Map<string, Partial<DesiredState>>();
  const events: TenancyEvent[] = [];
  const tenancy = new Tenancy({
    engines: { ids, get: (id) => engines.get(id) as unknown as Engine | undefined },
    desiredOf: (id) => ({ ...AS_CONFIGURED, ...desired.get(id) }),
    estimate: async (id) => ({ ram: sizes[id] ?? 0, vram: 0 }),
    measured: (_id, { memory }) => (memory === null ? null : { ram: memory, vram: 0 }),
    budget: { ram: 10, vram: 0 },
    rules: { idleUnloadMs: 0, patienceMs: 0, leastStayMs: 0 },
    ...{ maxWaitMs: 60_000, maxWaiting: 10, drainMs: 60_000, clock: systemClock, log: silentLog },
    onEvent: (event) => void events.push(event),
    ...change,
  });
  const of = (id: string): FakeEngine => engines.get(id) as FakeEngine;
  const ask = (id: string, signal = NEVER, subject = 'usr_a') => {
    const generation = tenancy.engine(id)?.generate({ subject } as GenerationRequest, signal, () => true);
    assert.ok(generation !== undefined);
    return (async () => {
      for await (const _ of generation);
    })();
  };
  const told = () =>
    events.map(({ action, model, failure }) => `${model} ${action}${failure === null ? '' : ' failed'}`);
  const sound = () =>
    assert.deepEqual(
      [...engines.values()].flatMap(({ offences }) => offences),
      [],
    );
  return { tenancy, of, ask, told, desired, sound, events };
}
