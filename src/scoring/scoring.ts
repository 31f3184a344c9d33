import type { Principal } from '#kernel/principal.ts';
import type { Descriptor, Mode } from './descriptor.shared.ts';
import type { PinnedSet } from './parameters.shared.ts';
import type { EvaluationPlan } from './score-model.ts';
import type { InstalledModel } from './score-models.ts';

/** A model in service, with what is worked out from it once. */
export interface ServedModel extends InstalledModel {
  readonly descriptor: Descriptor;
  readonly set: PinnedSet;
  readonly plan: EvaluationPlan;
  readonly steps: readonly number[];
}

/** What the record says of an evaluation; nothing of it tells a feature or a score. */
export interface EvaluationFacts {
  score_model: string;
  score_model_version: number;
  score_model_sha256: string;
  params_sha256: string;
  mode: Mode;
  customers: number;
  request_sha256: string;
  request_bytes: number;
  keys_sha256: string;
  result_sha256: string | null;
  cpu_us: number | null;
}

/** Scores customers that nobody on this side can see. */
export interface ScoringDesk {
  list(): readonly ServedModel[];
  /** @throws Problem `model_not_found` */
  model(id: string): ServedModel;
  /**
   * Opens a session with the evaluation keys of `frame`; it is the caller's, in the sign-in that opened it.
   *
   * @throws Problem `frame_invalid`
   */
  open(principal: Principal, modelId: string, frame: Uint8Array): { readonly id: string; readonly keysHash: string };
  /** Forgets the keys. @throws Problem `scoring_session_gone` when it is not his. */
  close(principal: Principal, id: string): void;
  /**
   * The frame of the result. `tell` is called with what is known, before the work and after it.
   *
   * @throws Problem `frame_invalid`, `scoring_session_gone`, `overloaded`, `engine_failed`, `scoring_unavailable`
   */
  evaluate(
    principal: Principal,
    modelId: string,
    mode: Mode,
    frame: Uint8Array,
    signal: AbortSignal,
    tell: (facts: EvaluationFacts) => void,
  ): Promise<Uint8Array>;
}
