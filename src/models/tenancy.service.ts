import type { Engine, ModelStatus } from '#engine/engine.ts';
import { notLoaded } from '#engine/refusal.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { type Plan, type PlanRules, plan, type Room, type Tenant } from './memory-plan.ts';
import type { DesiredState } from './model-state.ts';
import { type Asker, Occupant } from './occupant.ts';
import { engineGone, tooLarge } from './refusal.ts';

/** What happened to a model without anybody's doing it by hand; for the record. */
export interface TenancyEvent {
  readonly action: 'model.loaded' | 'model.woken' | 'model.evicted' | 'model.unloaded';
  readonly model: string;
  readonly failure: Problem | null;
  readonly facts: Readonly<Record<string, string | number>>;
}

export interface TenancyDeps {
  readonly engines: { readonly ids: readonly string[]; get(id: string): Engine | undefined };
  readonly desiredOf: (id: string) => DesiredState;
  /** What a model will take, before it was ever measured. Never rejects. */
  readonly estimate: (id: string) => Promise<Room>;
  /** The most it was measured to take, now or in an earlier life; null: it never ran. */
  readonly measured: (id: string, status: ModelStatus) => Room | null;
  readonly budget: Room;
  readonly rules: PlanRules;
  /** How long a request waits for its model; how many may; how long answers may go on when it is unloaded. */
  readonly maxWaitMs: number;
  readonly maxWaiting: number;
  readonly drainMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly onEvent: (event: TenancyEvent) => void;
}

/** How often it is looked whether somebody's patience is over or a model has been idle for long. */
const TICK_MS = 250;

/** Keeps the models that are asked for in memory, within the budget. */
export class Tenancy implements AsyncDisposable {
  readonly #deps: TenancyDeps;
  readonly #occupants: ReadonlyMap<string, Occupant>;
  readonly #moving = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #estimated: Promise<void> | null = null;
  #isClosed = false;

  constructor(deps: TenancyDeps) {
    this.#deps = deps;
    this.#occupants = new Map(deps.engines.ids.map((id) => [id, new Occupant(id)]));
    this.#timer = setInterval(() => this.#look(), TICK_MS);
    this.#timer.unref();
  }

  /** The engine of a model, behind a door that opens when it is in memory; undefined for one not in the catalogue. */
  engine(id: string): Engine | undefined {
    const engine = this.#deps.engines.get(id);
    const occupant = this.#occupants.get(id);
    if (engine === undefined || occupant === undefined) return undefined;
    return {
      status: () => engine.status(),
      load: () => engine.load(),
      pardon: () => engine.pardon(),
      close: () => engine.close(),
      generate: (request, signal, take) =>
        this.#inside(engine, occupant, request, signal, () => engine.generate(request, signal, take)),
      embed: (request, signal) => this.#inside(engine, occupant, request, signal, () => engine.embed(request, signal)),
    };
  }

  /** What of the budget is taken, and what each model takes or is thought to take. */
  usage(): { readonly budget: Room; readonly used: Room; readonly needs: ReadonlyMap<string, Room> } {
    const used = { ram: 0, vram: 0 };
    const needs = new Map<string, Room>();
    for (const occupant of this.#occupants.values()) {
      needs.set(occupant.id, occupant.needs);
      if (!['coming', 'here', 'leaving'].includes(occupant.residence)) continue;
      used.ram += occupant.needs.ram;
      used.vram += occupant.needs.vram;
    }
    return { budget: this.#deps.budget, used, needs };
  }

  /** What was thought before it ever ran, and what was measured: the second counts. */
  memoryOf(id: string): { readonly estimated: Room | null; readonly measured: Room | null } {
    const { estimate = null, measured = null } = this.#occupants.get(id) ?? {};
    return { estimated: estimate, measured };
  }

  /** It should be in memory: `free` where nobody has to go for it, `room` where an admin says so, failed before or not. */
  call(id: string, how: 'free' | 'room'): void {
    const occupant = this.#occupants.get(id);
    if (occupant === undefined) return;
    // It may have given up since the last look.
    this.#observe(occupant, this.#deps.clock.monotonic());
    occupant.call(how);
    if (how === 'room' && ['away', 'failed'].includes(occupant.residence)) {
      occupant.residence = 'away';
      // Its file may be another one by now, or be there at last.
      this.#move(() => this.#estimate(occupant).then(() => this.#look()));
    }
    this.#look();
  }

  /** It went out of service: whoever waits is sent away, answers under way may end within their time. */
  dismiss(id: string): void {
    const occupant = this.#occupants.get(id);
    if (occupant === undefined) return;
    occupant.called = 'no';
    occupant.refuse(notLoaded());
    if (occupant.residence === 'failed') occupant.residence = 'away';
    if (occupant.residence !== 'here' && occupant.residence !== 'coming') return;
    const { clock, drainMs, engines } = this.#deps;
    // What has not come yet has no answers to wait for.
    if (occupant.residence === 'coming') void outcome(engines.get(id)?.close() ?? Promise.resolve());
    occupant.drainUntil ??= clock.monotonic() + drainMs;
    this.#look();
  }

  /** Resolves when nothing comes or goes any more. */
  async settled(): Promise<void> {
    await this.#estimated;
    while (this.#moving.size > 0) await Promise.all(this.#moving);
  }

  /** Looks again at once, where something has changed. */
  #look(): void {
    if (this.#isClosed) return;
    this.#estimated ??= this.#estimateAll();
    const now = this.#deps.clock.monotonic();
    for (const occupant of this.#occupants.values()) this.#observe(occupant, now);
    this.#carryOut(plan(this.#tenants(), this.#deps.budget, this.#deps.rules, now));
  }

  /** A request changes nothing for anybody while its model is here to stay and none is waited for: the next tick will do. */
  #lookFor({ residence, drainUntil }: Occupant, isWell = true): void {
    const isSettled = isWell && this.#estimated !== null && residence === 'here' && drainUntil === null;
    if (!isSettled || this.#occupants.values().some((one) => one.isWanted)) this.#look();
  }

  async #estimateAll(): Promise<void> {
    // All before the first comes: who comes first is a matter of the catalogue, not of who is read first.
    await Promise.all(Array.from(this.#occupants.values(), (occupant) => this.#estimate(occupant)));
    this.#look();
  }

  /** Until it is known what it takes, it is nobody whose turn could come. */
  async #estimate(occupant: Occupant): Promise<void> {
    occupant.estimate = null;
    occupant.estimate = await this.#deps.estimate(occupant.id);
  }

  #tenants(): Tenant[] {
    return Array.from(this.#occupants.values())
      .filter((occupant) => occupant.estimate !== null)
      .map((occupant) => occupant.tenant(this.#deps.desiredOf(occupant.id)));
  }

  /** What an engine did on its own: gave up, or was measured. */
  #observe(occupant: Occupant, now: number): void {
    const status = this.#deps.engines.get(occupant.id)?.status();
    if (status === undefined) return;
    occupant.measured = this.#deps.measured(occupant.id, status) ?? occupant.measured;
    occupant.isRestarting = status.state === 'loading' && status.engine === 'llama';
    // Servers elsewhere come back by themselves; a child that gave up does not.
    if (occupant.residence === 'here' && status.state === 'failed' && status.engine === 'llama') {
      occupant.residence = 'failed';
      occupant.drainUntil = null;
    }
    const { drainUntil, residence, answering } = occupant;
    if (residence !== 'here' || drainUntil === null) return;
    // Back in service before it was gone.
    if (this.#deps.desiredOf(occupant.id).inService) occupant.drainUntil = null;
    else if (answering === 0 || now >= drainUntil) this.#remove(occupant, 'model.unloaded', { answers: answering });
  }

  #carryOut({ load, evict, closed, tooLarge }: Plan): void {
    for (const id of tooLarge) this.#refuseTooLarge(this.#of(id));
    // Before any door opens: who has to go takes nobody in any more.
    for (const { id, why, for: whom } of evict)
      this.#remove(this.#of(id), 'model.evicted', { why, ...(whom === null ? {} : { for: whom }) });
    for (const occupant of this.#occupants.values()) {
      occupant.setDoor(closed.includes(occupant.id) ? 'closed' : 'open', this.#deps.clock.monotonic());
    }
    for (const id of load) this.#bring(this.#of(id));
  }

  #of(id: string): Occupant {
    const occupant = this.#occupants.get(id);
    if (occupant === undefined) throw new Error(`no such model: ${id}`);
    return occupant;
  }

  #refuseTooLarge(occupant: Occupant): void {
    occupant.residence = 'failed';
    occupant.called = 'no';
    const failure = tooLarge(occupant.id, occupant.needs, this.#deps.budget);
    occupant.failure = failure;
    occupant.refuse(failure);
    this.#tell('model.loaded', occupant.id, failure, this.#figures(occupant));
  }

  #bring(occupant: Occupant): void {
    const engine = this.#deps.engines.get(occupant.id);
    if (engine === undefined) return;
    const action = occupant.waiting > 0 && occupant.called !== 'room' ? 'model.woken' : 'model.loaded';
    occupant.residence = 'coming';
    occupant.called = 'no';
    occupant.failure = null;
    this.#move(async () => {
      const failure = await outcome(engine.load());
      if (failure === null) {
        occupant.measured = this.#deps.measured(occupant.id, engine.status()) ?? occupant.measured;
        occupant.arrived(this.#deps.clock.monotonic());
      } else {
        // An admin took it out of service while it came: that is no failure of its own, and it leaves only now.
        if (failure.code === 'model_not_loaded') await outcome(engine.close());
        occupant.residence = failure.code === 'model_not_loaded' ? 'away' : 'failed';
        if (occupant.residence === 'failed') occupant.called = 'no';
        occupant.failure = failure;
        occupant.refuse(failure);
        this.#deps.log.error('a model could not be loaded', { model: occupant.id, code: failure.code, error: failure });
      }
      this.#look();
      this.#tell(action, occupant.id, failure, this.#figures(occupant));
    });
  }

  #remove(occupant: Occupant, action: 'model.evicted' | 'model.unloaded', facts: TenancyEvent['facts']): void {
    const engine = this.#deps.engines.get(occupant.id);
    if (engine === undefined) return;
    occupant.residence = 'leaving';
    occupant.drainUntil = null;
    this.#move(async () => {
      const failure = await outcome(engine.close());
      occupant.residence = 'away';
      this.#look();
      this.#tell(action, occupant.id, failure, facts);
    });
  }

  #move(work: () => Promise<void>): void {
    const moving = work().finally(() => this.#moving.delete(moving));
    this.#moving.add(moving);
  }

  #figures({ estimate, measured }: Occupant): TenancyEvent['facts'] {
    const figures = { estimate_bytes: (estimate?.ram ?? 0) + (estimate?.vram ?? 0) };
    return measured === null ? figures : { ...figures, measured_bytes: measured.ram + measured.vram };
  }

  #tell(action: TenancyEvent['action'], model: string, failure: Problem | null, facts: TenancyEvent['facts']): void {
    this.#deps.onEvent({ action, model, failure, facts });
  }

  async *#inside<E>(
    engine: Engine,
    occupant: Occupant,
    asker: Asker,
    signal: AbortSignal,
    work: () => AsyncGenerator<E, void, undefined>,
  ): AsyncGenerator<E, void, undefined> {
    signal.throwIfAborted();
    if (!this.#deps.desiredOf(occupant.id).inService) throw notLoaded();
    if (occupant.residence === 'failed') throw occupant.failure ?? engineGone(engine);
    const { clock, maxWaitMs, maxWaiting } = this.#deps;
    const entering = occupant.enter(asker, signal, { now: () => clock.monotonic(), maxWaitMs, maxWaiting });
    this.#lookFor(occupant);
    const leave = await entering;
    let isWhole = false;
    try {
      yield* work();
      isWhole = true;
    } finally {
      leave();
      this.#lookFor(occupant, isWhole);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const occupant of this.#occupants.values()) occupant.refuse(notLoaded());
  }
}

const outcome = (work: Promise<void>): Promise<Problem | null> =>
  work.then(
    () => null,
    (error: unknown) => Problem.from(error),
  );
