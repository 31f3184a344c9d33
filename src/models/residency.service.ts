import type { AuditEvent } from '#audit/event.ts';
import { SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import type { Engine, ModelStatus } from '#engine/engine.ts';
import type { Log } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { AS_CONFIGURED, changeOf, type DesiredState, type DesiredStore, type ModelVerb } from './model-state.ts';

export interface ResidencyDeps {
  readonly engines: { readonly ids: readonly string[]; get(id: string): Engine | undefined };
  readonly store: DesiredStore;
  readonly recorder: Recorder;
  readonly log: Log;
}

/** Every replica follows what admins set within this time. */
const RECONCILE_MS = 1_000;

/** Brings about what admins want to be in service, on this replica. */
export class Residency implements AsyncDisposable {
  readonly #deps: ResidencyDeps;
  readonly #timer: NodeJS.Timeout;
  #desired: ReadonlyMap<string, DesiredState> = new Map();
  #reconciling: Promise<void> | null = null;
  readonly #moving = new Set<Promise<void>>();

  constructor(deps: ResidencyDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => void this.reconcile(), RECONCILE_MS);
    this.#timer.unref();
  }

  desiredOf(model: string): DesiredState {
    return this.#desired.get(model) ?? AS_CONFIGURED;
  }

  /** The engine of a model that is in service; undefined for one that is not in the catalogue. @throws Problem `model_not_loaded` */
  engine(model: string): Engine | undefined {
    const engine = this.#deps.engines.get(model);
    if (engine !== undefined && !this.desiredOf(model).inService) throw new Problem('model_not_loaded');
    return engine;
  }

  /** Records and sets what an admin wants; this replica follows at once, the others within {@link RECONCILE_MS}. */
  async set(model: string, verb: ModelVerb, admin: Principal, requestId: string): Promise<ModelStatus> {
    const engine = this.#deps.engines.get(model);
    if (engine === undefined) throw new Problem('model_not_found');
    await this.#deps.recorder.change(
      'model.set',
      { model, by: admin.subject, ...changeOf(verb) },
      {
        kind: 'change',
        actor: admin.subject,
        action: `model.${verb}`,
        resource: `model:${model}`,
        outcome: 'completed',
        request: requestId,
      },
    );
    await this.#look();
    // A model that could not be loaded is tried again only when an admin says so.
    if (verb === 'load' && engine.status().state === 'failed') this.#start(model, 'model.loaded', () => engine.load());
    void this.reconcile();
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
      const engine = this.#deps.engines.get(id);
      const state = engine?.status().state;
      if (engine === undefined || state === undefined) continue;
      const { inService } = this.desiredOf(id);
      if (inService && state === 'unloaded') this.#start(id, 'model.loaded', () => engine.load());
      if (!inService && (state === 'ready' || state === 'loading'))
        this.#start(id, 'model.unloaded', () => engine.close());
    }
  }

  /** Resolves when every model that should come or go has, or has failed. */
  async settled(): Promise<void> {
    await this.reconcile();
    await Promise.all(this.#moving);
  }

  #start(model: string, action: string, work: () => Promise<void>): void {
    const moving = this.#bring(model, action, work);
    this.#moving.add(moving);
    void moving.then(() => this.#moving.delete(moving));
  }

  async #look(): Promise<void> {
    this.#desired = await this.#deps.store.desired();
  }

  /** A model came or went, or could not: on the record as the gateway's own doing. */
  async #bring(model: string, action: string, work: () => Promise<void>): Promise<void> {
    const event: AuditEvent = {
      kind: 'system',
      actor: SYSTEM,
      action,
      resource: `model:${model}`,
      outcome: 'completed',
      request: null,
    };
    let failure: Problem | null = null;
    try {
      await work();
    } catch (error) {
      failure = Problem.from(error);
      this.#deps.log.error('a model did not follow what is set', { model, code: failure.code, error });
    }
    const ended = failure === null ? event : { ...event, outcome: 'failed', outcome_code: failure.code };
    await this.#deps.recorder
      .record(ended)
      .catch((error: unknown) => this.#deps.log.warn('not recorded', { model, error }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#reconciling;
  }
}
