import type { Log } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { batchSize, type Mode, objectsOf, resultOf, rotationSteps } from './descriptor.shared.ts';
import type { Evaluators } from './evaluation.ts';
import { decodeFrame, encodeFrame, type FrameHead } from './frame.shared.ts';
import { setOf } from './parameters.shared.ts';
import { descriptorOf, planOf } from './score-model.ts';
import type { InstalledModel, ScoreModelStore } from './score-models.ts';
import type { EvaluationFacts, ScoringDesk, ServedModel } from './scoring.ts';
import type { ScoringSessions } from './sessions.ts';

/** Everybody follows what admins set within this time. */
const REFRESH_MS = 1_000;

export interface ScoringDeps {
  readonly store: ScoreModelStore;
  readonly evaluators: Evaluators;
  readonly sessions: ScoringSessions;
  readonly sha256: (bytes: Uint8Array) => string;
  /** 32 random hex digits. */
  readonly newSession: () => string;
  /** Calls `end` when the caller's session ends or his rights change. Returns how to stop watching. */
  readonly watch: (principal: Principal, end: () => void) => () => void;
  readonly log: Log;
}

/** Scores customers that nobody here can see. */
export class Scoring implements ScoringDesk, Disposable {
  readonly #deps: ScoringDeps;
  readonly #timer: NodeJS.Timeout;
  #models: ReadonlyMap<string, ServedModel> = new Map();

  constructor(deps: ScoringDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => {
      deps.sessions.sweep();
      void this.refresh().catch((error: unknown) => deps.log.warn('score models can not be read', { error }));
    }, REFRESH_MS);
    this.#timer.unref();
  }

  /** Reads what is in service. */
  async refresh(): Promise<void> {
    const installed = await this.#deps.store.active();
    const models = new Map<string, ServedModel>();
    for (const model of installed) {
      const known = this.#models.get(model.id);
      models.set(model.id, known?.sha256 === model.sha256 && known.version === model.version ? known : serve(model));
    }
    this.#models = models;
  }

  list(): readonly ServedModel[] {
    return [...this.#models.values()];
  }

  get(id: string): ServedModel | undefined {
    return this.#models.get(id);
  }

  model(id: string): ServedModel {
    const model = this.#models.get(id);
    if (model === undefined) throw new Problem('model_not_found');
    return model;
  }

  open(principal: Principal, modelId: string, frame: Uint8Array): { readonly id: string; readonly keysHash: string } {
    const { set, sha256, descriptor, steps } = this.model(modelId);
    const decoded = decodeFrame(frame);
    if (decoded === null) throw refused('it is no frame');
    expect(decoded.head, { kind: 'keys', objects: steps.length, customers: 0, session: '0'.repeat(32) });
    expect(decoded.head, { paramsHash: set.sha256, modelHash: sha256 });
    const id = this.#deps.newSession();
    const keysHash = this.#deps.sha256(frame);
    let unwatch = () => {};
    this.#deps.sessions.open(
      {
        id,
        subject: principal.subject,
        credential: principal.credential.ref,
        modelId: descriptor.id,
        modelHash: sha256,
        steps,
        // A copy: the frame's buffer is the request's.
        keys: Uint8Array.from(decoded.payload),
        keysHash,
      },
      () => unwatch(),
    );
    unwatch = this.#deps.watch(principal, () => this.#deps.sessions.close(id));
    return { id, keysHash };
  }

  close(principal: Principal, id: string): void {
    if (this.#deps.sessions.use(id, principal.subject, principal.credential.ref) === null) {
      throw new Problem('scoring_session_gone');
    }
    this.#deps.sessions.close(id);
  }

  async evaluate(
    principal: Principal,
    modelId: string,
    mode: Mode,
    frame: Uint8Array,
    signal: AbortSignal,
    tell: (facts: EvaluationFacts) => void,
  ): Promise<Uint8Array> {
    const { set, descriptor, plan, sha256, version } = this.model(modelId);
    if (!descriptor.modes.includes(mode)) {
      throw new Problem('invalid_parameter', {
        message: `This model scores by ${descriptor.modes.join(', ')}.`,
        param: 'mode',
      });
    }
    const decoded = decodeFrame(frame);
    if (decoded === null) throw refused('it is no frame');
    const { head, payload } = decoded;
    expect(head, { kind: mode, objects: objectsOf(descriptor, mode), paramsHash: set.sha256, modelHash: sha256 });
    const most = mode === 'single' ? 1 : batchSize(set);
    if (head.customers < 1 || head.customers > most) throw refused(`it may hold 1 to ${most} customers`);
    const session = this.#deps.sessions.use(head.session, principal.subject, principal.credential.ref);
    if (session === null || session.modelHash !== sha256) throw new Problem('scoring_session_gone');
    const facts: EvaluationFacts = {
      score_model: descriptor.id,
      score_model_version: version,
      score_model_sha256: sha256,
      params_sha256: set.sha256,
      mode,
      customers: head.customers,
      request_sha256: this.#deps.sha256(frame),
      request_bytes: frame.length,
      keys_sha256: session.keysHash,
      result_sha256: null,
      cpu_us: null,
    };
    tell(facts);
    const keys = mode === 'single' ? { session: session.id, wire: session.keys, steps: session.steps } : null;
    const evaluated = await this.#deps.evaluators.evaluate(principal.subject, { plan, mode, payload, keys }, signal);
    const { polynomials } = resultOf(set, plan.kind);
    const result = encodeFrame({ ...head, kind: 'result', objects: polynomials }, evaluated.payload);
    tell({ ...facts, result_sha256: this.#deps.sha256(result), cpu_us: evaluated.cpuMicros });
    return result;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#deps.sessions.clear();
  }
}

function serve(model: InstalledModel): ServedModel {
  const descriptor = descriptorOf(model.document, model.sha256);
  const set = setOf(descriptor.params);
  return { ...model, descriptor, set, plan: planOf(model.document), steps: rotationSteps(descriptor) };
}

const refused = (why: string): Problem => new Problem('frame_invalid', { message: `The frame is refused: ${why}.` });

const WORDS: Readonly<Partial<Record<keyof FrameHead, string>>> = {
  kind: 'it is of another kind',
  objects: 'it holds another number of objects',
  customers: 'it names customers where there are none',
  session: 'it names a session where there is none yet',
  paramsHash: 'it was made under other parameters',
  modelHash: 'it was made for another version of the model',
};

function expect(head: FrameHead, wanted: Partial<FrameHead>): void {
  for (const [name, value] of Object.entries(wanted)) {
    if (head[name as keyof FrameHead] !== value) throw refused(WORDS[name as keyof FrameHead] ?? 'it is another one');
  }
}
