import type { Registry } from 'prom-client';
import { gauge } from './gauge.prometheus.ts';

/** Taken when Prometheus asks, of what this process knows: no reading waits for Postgres. */
export interface TreeReadings {
  readonly size: number;
  readonly leads: boolean;
  readonly fault: boolean;
  readonly checkpointAgeSeconds: number;
  readonly refusalSources: number;
  /** Sampled once a minute; null before the first time. */
  readonly growth: {
    readonly records: number;
    readonly dayRecords: number;
    readonly dropped: number;
    readonly covered: number;
    readonly bytes: number;
    readonly bytesPerDay: number;
    readonly daysToFull: number | null;
  } | null;
}

/** The log as a tree: how far it is signed, by whom, how fast it grows. */
export function treeGauges(registry: Registry, read: () => TreeReadings): void {
  const now = (name: string, help: string, of: (readings: TreeReadings) => number | null | undefined) =>
    gauge(registry, `strongroom_${name}`, help, (set) => {
      const value = of(read());
      if (typeof value === 'number') set({}, value);
    });
  now('tree_size', 'Records under the last checkpoint that this gateway followed.', ({ size }) => size);
  now('tree_leader', '1 while this gateway signs the checkpoints.', ({ leads }) => Number(leads));
  now('tree_fault', '1 once the log was found not to be the one that was seen before.', ({ fault }) => Number(fault));
  now('checkpoint_age_seconds', 'Since a new checkpoint was last seen.', (one) => one.checkpointAgeSeconds);
  now('refusal_sources', 'Sorts of refusals that are counted apart now; bounded.', (one) => one.refusalSources);
  now('log_records', 'Records in the log.', ({ growth }) => growth?.records);
  now('log_records_day', 'Records of the last 24 hours.', ({ growth }) => growth?.dayRecords);
  now('log_records_dropped', 'Records whose bodies retention dropped.', ({ growth }) => growth?.dropped);
  now(
    'log_records_unsigned',
    'Records that the tree does not cover.',
    ({ growth }) => growth && growth.records - growth.covered,
  );
  now('log_bytes', 'Bytes of the log in the database.', ({ growth }) => growth?.bytes);
  now('log_bytes_per_day', 'Bytes by which it grows in a day.', ({ growth }) => growth?.bytesPerDay);
  now('log_days_to_full', 'Days until its room is used up, where that is known.', ({ growth }) => growth?.daysToFull);
}
