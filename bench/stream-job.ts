import type { StreamedAnswer } from './event-stream.ts';

/** What the child that reads streams is asked to do. */
export interface StreamJob {
  readonly port: number;
  /** PEM of the authority; null for plain HTTP. */
  readonly ca: string | null;
  /** Connections, opened before the clock starts; each begins at its time and asks one request after another. */
  readonly lines: readonly { readonly startMs: number; readonly requests: readonly string[] }[];
  /** Groups of process ids whose CPU time, with that of their children, is told apart. */
  readonly processes: readonly (readonly number[])[];
}

export interface StreamResult {
  /** By connection, in the order of its requests. */
  readonly answers: readonly (readonly StreamedAnswer[])[];
  /** CPU seconds of each group over the whole job; null where the system does not tell. */
  readonly cpuSeconds: readonly (number | null)[];
}
