/** The log as it lies on disk. */
export interface LogSize {
  readonly records: number;
  /** Of the last 24 hours, by the database's clock. */
  readonly dayRecords: number;
  /** Bodies that are gone. */
  readonly dropped: number;
  /** Records that the tree covers. */
  readonly covered: number;
  /** Tables and indexes of records, leaves, nodes and checkpoints. */
  readonly bytes: number;
}

export interface Growth extends LogSize {
  readonly bytesPerDay: number;
  /** Null where nobody said how much room there is, or where nothing grows. */
  readonly daysToFull: number | null;
}

/** `free`: bytes that are left; null where that is not known. What a record takes is taken from those that have bodies. */
export function growthOf(size: LogSize, free: number | null): Growth {
  const bodies = Math.max(1, size.records - size.dropped);
  const bytesPerDay = Math.round((size.bytes / bodies) * size.dayRecords);
  return {
    ...size,
    bytesPerDay,
    daysToFull: free === null || bytesPerDay === 0 ? null : Math.max(0, free) / bytesPerDay,
  };
}
