/** What the load child is asked to do. */
export interface LoadJob {
  readonly port: number;
  /** Where there are several servers: connections take turns of them, and `port` is one of them. */
  readonly ports?: readonly number[];
  /** PEM of the authority; null for plain HTTP. */
  readonly ca: string | null;
  /** Whole requests; connections take turns of them. */
  readonly requests: readonly string[];
  readonly connections: number;
  /** Asked, but not counted, before the clock starts. */
  readonly warmMs: number;
  readonly measureMs: number;
  /** Requests a second of an open loop; a closed one asks as fast as it is answered. */
  readonly perSecond?: number;
  /** Groups of process ids whose CPU time, with that of their children, is told apart. */
  readonly processes: readonly (readonly number[])[];
}

export interface LoadResult {
  /** All answers, those while it warmed up included. */
  readonly answers: number;
  /** Answers that were not 200 with the expected text. */
  readonly wrong: number;
  readonly firstWrong: string | null;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time per answer of each group; null where the system does not tell. */
  readonly cpuMicroseconds: readonly (number | null)[];
}
