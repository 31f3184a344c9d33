import type { LoadResult } from './load-job.ts';
import { type Spread, spreadOf, spreadText, table } from './report.ts';

/** One server in one round; `cpuMicroseconds` per answer are its own, the mock's and the load's. */
export interface Sample extends LoadResult {
  readonly server: string;
  /** 0: warm-up, not counted. */
  readonly round: number;
  readonly connections: number;
}

interface Ratio {
  readonly what: string;
  readonly connections: number;
  readonly ratio: Spread;
  readonly reach: number | null;
  readonly beyond: number | null;
  readonly text: string;
}

/** shared/goals.md, row `gateway`. Portkey's is asked for at 128 connections only. */
const GOALS = [
  { rival: 'nginx', connections: 32, reach: 0.33, beyond: 0.5 },
  { rival: 'nginx', connections: 128, reach: 0.33, beyond: 0.5 },
  { rival: 'portkey', connections: 32, reach: null, beyond: null },
  { rival: 'portkey', connections: 128, reach: 4, beyond: 6 },
  { rival: 'mock', connections: 128, reach: null, beyond: null },
] as const;

const US = 'strongroom';

/** Our requests/s over a rival's, round by round. */
export function ratiosOf(samples: readonly Sample[]): Ratio[] {
  return GOALS.flatMap(({ rival, connections, reach, beyond }) => {
    const ours = of(samples, US, connections);
    const theirs = of(samples, rival, connections);
    const values = ours.flatMap(({ round, perSecond }) => {
      const their = theirs.find((sample) => sample.round === round);
      return their === undefined ? [] : [perSecond / their.perSecond];
    });
    if (values.length === 0) return [];
    const ratio = spreadOf(values);
    const goal = reach === null ? '' : `: ${verdict(ratio.median, reach, beyond)} (reach ${reach}, beyond ${beyond})`;
    const text = `requests/s over ${rival}'s at ${connections} connections: ${spreadText(ratio, 2)}${goal}`;
    return [{ what: `${US} / ${rival}`, connections, ratio, reach, beyond, text }];
  });
}

function verdict(ratio: number, reach: number, beyond: number): string {
  if (ratio >= beyond) return 'beyond the goal';
  return ratio >= reach ? 'goal reached' : 'goal missed';
}

/** Median, minimum and maximum over the rounds; CPU time per answer as the median. */
export function figuresTable(samples: readonly Sample[], absent: Readonly<Record<string, string>>): string {
  const header = ['connections, server', 'requests/s', 'p50 ms', 'p99 ms', 'CPU us/answer: server', 'mock', 'load'];
  const servers = [...new Set(samples.map(({ server }) => server)), ...Object.keys(absent)].sort(byName);
  const connections = [...new Set(samples.map((sample) => sample.connections))];
  const rows = connections.flatMap((count) => servers.map((server) => figuresRow(samples, server, count, absent)));
  return table(header, rows);
}

/** The order of the table. */
const ORDER = [US, 'nginx', 'portkey', 'mock'];
const byName = (a: string, b: string): number => ORDER.indexOf(a) - ORDER.indexOf(b);

function figuresRow(
  samples: readonly Sample[],
  server: string,
  connections: number,
  absent: Readonly<Record<string, string>>,
): string[] {
  const name = `${String(connections).padStart(3)} ${server}`;
  const taken = of(samples, server, connections);
  if (taken.length === 0) return [`${name} absent: ${absent[server] ?? ''}`];
  const cpu = (group: number) => {
    const { median } = spreadOf(taken.map(({ cpuMicroseconds }) => cpuMicroseconds[group] ?? Number.NaN));
    return Number.isNaN(median) ? '-' : median.toFixed(0);
  };
  return [
    name,
    spreadText(spreadOf(taken.map(({ perSecond }) => perSecond)), 0),
    spreadText(spreadOf(taken.map(({ p50Ms }) => p50Ms)), 1),
    spreadText(spreadOf(taken.map(({ p99Ms }) => p99Ms)), 1),
    server === 'mock' ? '-' : cpu(0),
    cpu(1),
    cpu(2),
  ];
}

const of = (samples: readonly Sample[], server: string, connections: number): Sample[] =>
  samples.filter((sample) => sample.server === server && sample.connections === connections);
