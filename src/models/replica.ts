/** Another gateway on the same database, as it reported itself. */
export interface OtherReplica<Report> {
  readonly instance: string;
  readonly reportedAt: Date;
  /** Whether it offers the same models, with the same files and to the same people. */
  readonly isSameCatalogue: boolean;
  /** Null where it runs another release, whose reports this one can't read. */
  readonly report: Report | null;
}

/** Where the gateways of one database tell each other what they run. */
export interface ReplicaStore<Report> {
  /**
   * Tells what this one runs and hears the others. @param report null: the same as the last time
   *
   * @returns those that are alive, which is to say that hold their lease; MUST NOT name this one
   */
  exchange(report: Report | null): Promise<readonly OtherReplica<Report>[]>;
  /** This one ends. */
  withdraw(): Promise<void>;
}
