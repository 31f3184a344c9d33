import type { Mode } from './descriptor.shared.ts';
import type { EvaluationPlan } from './score-model.ts';

/** What one evaluation needs. */
export interface Evaluation {
  readonly plan: EvaluationPlan;
  readonly mode: Mode;
  /** The objects of the request's frame. */
  readonly payload: Uint8Array;
  /** Evaluation keys, as they came over the wire, and the rotations they are for; none for a batch. */
  readonly keys: { readonly session: string; readonly wire: Uint8Array; readonly steps: readonly number[] } | null;
}

export interface Evaluated {
  /** The objects of the result's frame. */
  readonly payload: Uint8Array;
  /** Processor time, in microseconds. */
  readonly cpuMicros: number;
}

/**
 * Evaluates somewhere expendable. MUST NOT let two tenants share a process, MUST end with a Problem whatever happens there:
 * `frame_invalid` for what the caller sent, `engine_failed` when the process ended, `overloaded` when too many wait,
 * `scoring_unavailable` when SEAL does not load here.
 */
export interface Evaluators {
  evaluate(tenant: string, evaluation: Evaluation, signal: AbortSignal): Promise<Evaluated>;
}

export type ParentMessage =
  | {
      readonly t: 'evaluate';
      readonly plan: EvaluationPlan;
      readonly mode: Mode;
      readonly payload: Uint8Array;
      readonly session: string | null;
    }
  | { readonly t: 'keys'; readonly session: string; readonly wire: Uint8Array; readonly steps: readonly number[] };

export type ChildMessage =
  | { readonly t: 'ready' }
  | { readonly t: 'unsupported'; readonly reason: string }
  | { readonly t: 'evaluated'; readonly payload: Uint8Array; readonly cpuMicros: number }
  | { readonly t: 'refused'; readonly reason: string };

/** Null for anything that a sound child would not say: then it is no longer sound. */
export function readChildMessage(value: unknown): ChildMessage | null {
  if (typeof value !== 'object' || value === null) return null;
  const { t, reason, payload, cpuMicros } = value as Record<string, unknown>;
  if (t === 'ready') return { t };
  if ((t === 'unsupported' || t === 'refused') && typeof reason === 'string') return { t, reason };
  if (t === 'evaluated' && payload instanceof Uint8Array && Number.isSafeInteger(cpuMicros)) {
    return { t, payload, cpuMicros: cpuMicros as number };
  }
  return null;
}
