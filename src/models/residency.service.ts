import { type AuditEvent, SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import type { Engine, ModelStatus } from '#engine/engine.ts';
import { notLoaded } from '#engine/refusal.ts';
import type { Log } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { AS_CONFIGURED, changeOf, type DesiredState, type DesiredStore, type ModelVerb } from './model-state.ts';

/** Who keeps models in memory. */
export interface House extends AsyncDisposable {
  call(id: string, how: 'free' | 'room'): void;
  dismiss(id: string): void;
  engine(id: string): Engine | undefined;
  settled(): Promise<void>;
}

export interface ResidencyDeps {
  readonly engines: { readonly ids: readonly string[]; get(id: string): Engine | undefined };
  readonly house: (desiredOf: (id: string) => DesiredState) => House;
  readonly store: DesiredStore;
  /** By its configuration, until an admin has set it. */
  readonly isPinned: (model: string) => boolean;
  readonly recorder: Pick<Recorder, 'change'>;
  /** Records what this gateway did by itself. */
  readonly tell: (event: AuditEvent) => void;
  readonly log: Log;
}

/** Every replica follows what admins set within this time. */
const RECONCILE_MS = 1_000;

/** Brings about what admins want to be in service, on this replica. */
export class Residency implements AsyncDisposable {
  readonly #deps: ResidencyDeps;
  readonly #house: House;
  readonly #timer: NodeJS.Timeout;
  /** Null until it was read. */
  #desired: ReadonlyMap<string, DesiredState> | null = null;
  /** What was last followed, by model: only a change calls a model or sends it away. */
  readonly #followed = new Map<string, Pick<DesiredState, 'inService' | 'loaded'>>();
  #last: Promise<void> = Promise.resolve();
  #underWay = 0;

  constructor(deps: ResidencyDeps) {
    this.#deps = deps;
    this.#house = deps.house(this.desiredOf.bind(this));
    this.#timer = setInterval(() => {
      if (this.#underWay === 0) void this.reconcile();
    }, RECONCILE_MS);
    this.#timer.unref();
  }

  /** As long as nobody has read what admins want, nothing is in service: it might be what they have taken out of it. */
  desiredOf(model: string): DesiredState {
    const set = this.#desired?.get(model);
    if (set !== undefined) return set;
    return { ...AS_CONFIGURED, inService: this.#desired !== null, pinned: this.#deps.isPinned(model) };
  }

  /** The engine of a model that is in service; undefined for one that is not in the catalogue. @throws Problem `model_not_loaded` */
  engine(model: string): Engine | undefined {
    const engine = this.#house.engine(model);
    if (engine !== undefined && !this.desiredOf(model).inService) throw notLoaded();
    return engine;
  }

  /** Records and sets what an admin wants; this replica follows at once, the others within {@link RECONCILE_MS}. */
  async set(model: string, verb: ModelVerb, admin: Principal, requestId: string): Promise<ModelStatus> {
    const engine = this.#deps.engines.get(model);
    if (engine === undefined) throw new Problem('model_not_found');
    // What comes after the first time is followed as an admin's will.
    if (this.#followed.size === 0) await this.reconcile();
    const pardoned = verb === 'load' ? engine.status().quarantine : null;
    await this.#deps.recorder.change(
      'model.set',
      { model, by: admin.subject, pinned_as_configured: this.#deps.isPinned(model), ...changeOf(verb) },
      {
        kind: 'change',
        actor: admin.subject,
        action: `model.${verb}`,
        resource: `model:${model}`,
        outcome: 'completed',
        request: requestId,
        ...(pardoned === null ? {} : { facts: { pardoned } }),
      },
    );
    await this.reconcile();
    return engine.status();
  }

  /**
   * One comparison of what is with what should be, after those that are under way: what was read later is followed later.
   * Never rejects.
   */
  reconcile(): Promise<void> {
    this.#underWay++;
    this.#last = this.#last
      .then(() => this.#reconcile())
      .finally(() => {
        this.#underWay--;
      });
    return this.#last;
  }

  /** Learns what admins want, and does nothing about it yet. False where nobody could tell. Never rejects. */
  async read(): Promise<boolean> {
    try {
      this.#desired = await this.#deps.store.desired();
      return true;
    } catch (error) {
      this.#deps.log.warn('what should be in service can not be read', { error });
      return false;
    }
  }

  async #reconcile(): Promise<void> {
    if (!(await this.read())) return;
    for (const id of this.#deps.engines.ids) {
      const { inService, loaded } = this.desiredOf(id);
      const before = this.#followed.get(id);
      if (inService === before?.inService && loaded === before.loaded) continue;
      this.#followed.set(id, { inService, loaded });
      if (!inService) this.#house.dismiss(id);
      // At the start whatever there is room for comes; later it is an admin on some replica who has called it.
      else if (before === undefined) this.#house.call(id, 'free');
      else this.#callAgain(id, loaded);
    }
  }

  /** A model that could not be loaded, or sits in quarantine, is tried again when an admin says so, on whichever replica. */
  #callAgain(id: string, number: number): void {
    const engine = this.#deps.engines.get(id);
    const pardoned = engine?.status().quarantine ?? null;
    engine?.pardon();
    if (pardoned !== null)
      this.#deps.tell({
        kind: 'system',
        actor: SYSTEM,
        action: 'model.pardoned',
        resource: `model:${id}`,
        outcome: 'completed',
        request: null,
        facts: { pardoned, number },
      });
    this.#house.call(id, 'room');
  }

  /** Resolves when every model that should come or go has, or has failed. */
  async settled(): Promise<void> {
    await this.reconcile();
    await this.#house.settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#last;
    await this.#house[Symbol.asyncDispose]();
  }
}
