import type { Recorder } from '#audit/recorder.ts';
import type { Engine, ModelStatus } from '#engine/engine.ts';
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
  readonly recorder: Recorder;
  readonly log: Log;
}

/** Every replica follows what admins set within this time. */
const RECONCILE_MS = 1_000;

/** Brings about what admins want to be in service, on this replica. */
export class Residency implements AsyncDisposable {
  readonly #deps: ResidencyDeps;
  readonly #house: House;
  readonly #timer: NodeJS.Timeout;
  #desired: ReadonlyMap<string, DesiredState> = new Map();
  /** What was last followed, by model: only a change calls a model or sends it away. */
  readonly #followed = new Map<string, boolean>();
  #reconciling: Promise<void> | null = null;

  constructor(deps: ResidencyDeps) {
    this.#deps = deps;
    this.#house = deps.house(this.desiredOf.bind(this));
    this.#timer = setInterval(() => void this.reconcile(), RECONCILE_MS);
    this.#timer.unref();
  }

  desiredOf(model: string): DesiredState {
    return this.#desired.get(model) ?? { ...AS_CONFIGURED, pinned: this.#deps.isPinned(model) };
  }

  /** The engine of a model that is in service; undefined for one that is not in the catalogue. @throws Problem `model_not_loaded` */
  engine(model: string): Engine | undefined {
    const engine = this.#house.engine(model);
    if (engine !== undefined && !this.desiredOf(model).inService) throw new Problem('model_not_loaded');
    return engine;
  }

  /** Records and sets what an admin wants; this replica follows at once, the others within {@link RECONCILE_MS}. */
  async set(model: string, verb: ModelVerb, admin: Principal, requestId: string): Promise<ModelStatus> {
    const engine = this.#deps.engines.get(model);
    if (engine === undefined) throw new Problem('model_not_found');
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
    await this.#look();
    // A model that could not be loaded, or sits in quarantine, is tried again only when an admin says so.
    if (verb === 'load') {
      engine.pardon();
      this.#followed.set(model, true);
      this.#house.call(model, 'room');
    }
    await this.reconcile();
    return engine.status();
  }

  /** One comparison of what is with what should be. Never rejects. */
  reconcile(): Promise<void> {
    this.#reconciling ??= this.#reconcile().finally(() => {
      this.#reconciling = null;
    });
    return this.#reconciling;
  }

  async #reconcile(): Promise<void> {
    try {
      await this.#look();
    } catch (error) {
      this.#deps.log.warn('what should be in service can not be read', { error });
      return;
    }
    for (const id of this.#deps.engines.ids) {
      const { inService } = this.desiredOf(id);
      const before = this.#followed.get(id);
      if (inService === before) continue;
      this.#followed.set(id, inService);
      // At the start whatever there is room for comes; later it is an admin on some replica who has called it.
      if (inService) this.#house.call(id, before === undefined ? 'free' : 'room');
      else this.#house.dismiss(id);
    }
  }

  /** Resolves when every model that should come or go has, or has failed. */
  async settled(): Promise<void> {
    await this.reconcile();
    await this.#house.settled();
  }

  async #look(): Promise<void> {
    this.#desired = await this.#deps.store.desired();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#reconciling;
    await this.#house[Symbol.asyncDispose]();
  }
}
