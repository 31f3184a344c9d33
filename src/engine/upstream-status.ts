/** The servers behind a model, as this gateway sees them. */
export interface UpstreamStatus {
  readonly replicas: readonly ReplicaStatus[];
  /** Answers whose usage could not be, and that named another model, since the gateway started. */
  readonly miscounted: number;
  readonly misnamed: number;
}

/** One server behind a model, as this gateway sees it. */
export interface ReplicaStatus {
  /** Host and port, or what the configuration calls it. An analyst sees it in the receipts of his answers alone. */
  readonly name: string;
  /** Of its circuit breaker: open means that nobody is sent there, half open that one is, on trial. */
  readonly state: 'closed' | 'open' | 'half_open';
  /** It asked to be left alone for a while (`Retry-After`). */
  readonly resting: boolean;
  /** Questions that it answers now, of ours. */
  readonly busy: number;
  /** Since it was put in service: complete answers, failures, and questions that came from another one that failed. */
  readonly answers: number;
  readonly failures: number;
  readonly takenOver: number;
}
