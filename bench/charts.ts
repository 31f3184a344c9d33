import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bar, type Chart, chartSvg, type Mark } from './chart.ts';
import { type Spread, spreadOf } from './report.ts';

const RESULTS = join(import.meta.dirname, 'results');

/** Every result says where it comes from; the rest is its benchmark's own. */
interface Origin {
  readonly at: string;
  readonly commit: string;
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly absent?: Readonly<Record<string, string>>;
}

type Drawn = Omit<Chart, 'footer' | 'absent'>;
// Results are files that our own benchmarks wrote; each drawer knows the shape of its own.
// biome-ignore lint/suspicious/noExplicitAny: the shape of a result is written by one file and read by one line here
type Result = any;

const bar = (label: string, { median, min, max }: Spread, isOurs = true): Bar => ({
  label,
  value: median,
  min,
  max,
  isOurs,
});
const goal = (value: number, unit: string): Mark => ({ label: `goal: ${value} ${unit}`, value });

/** What there is to see in each result; a benchmark that is not here has no chart. */
const DRAWERS: Readonly<Record<string, (result: Result) => Drawn>> = {
  gateway: ({ samples }) => {
    const at = (server: string): Spread =>
      spreadOf(
        samples
          .filter((one: Result) => one.server === server && one.connections === 128)
          .map((one: Result) => one.perSecond),
      );
    const servers = [...new Set<string>(samples.map((one: Result) => one.server))].filter((name) => name !== 'mock');
    const marks = [
      { of: 'nginx', times: 0.33 },
      { of: 'portkey', times: 4 },
    ].filter(({ of }) => servers.includes(of));
    return {
      title: 'Chat completions through the gateway, everything on, 128 connections',
      unit: 'requests a second',
      better: 'more',
      bars: servers
        .sort((a, b) => order(a) - order(b))
        .map((name) => bar(SERVERS[name] ?? name, at(name), name === US)),
      marks: marks.map(({ of, times }) => ({
        label: `goal: ${times} × ${SERVERS[of]?.split(',')[0]}`,
        value: times * at(of).median,
      })),
    };
  },
  latency: ({ rows }) => {
    const added = rows.find(({ name }: Result) => name === 'added');
    return {
      title: 'What the gateway adds to a request, at 1,000 a second',
      unit: 'milliseconds',
      better: 'less',
      bars: [bar('median', added.p50), bar('99th percentile', added.p99)],
      marks: [goal(5, 'ms at the 99th percentile')],
    };
  },
  replicas: ({ rows, reach }) => ({
    title: 'Three gateways on one Postgres whose commits take 3 ms, 192 requests in flight',
    unit: 'milliseconds, 99th percentile',
    better: 'less',
    bars: rows.map(({ name, p99 }: Result) => bar(name, p99, name.startsWith('three'))),
    marks: [goal(reach.p99Ms, 'ms')],
  }),
  stream: ({ rows, reach }) => ({
    title: '512 streams of 20 tokens a second at a time: time to the first token',
    unit: 'milliseconds, 99th percentile',
    better: 'less',
    bars: rows.map(({ name, figures }: Result) => bar(name, figures[1], !name.startsWith('mock'))),
    marks: [goal(reach.addedFirstP99Ms, 'ms added')],
  }),
  engine: engineChart,
  'engine-gpu': engineChart,
  'engine-ttft': ({ rows, reach }) => {
    const first = rows.filter(({ what }: Result) => /^demo +first token ms, median/.test(what));
    return {
      title: 'First token of a 128-token question, model demo, through the whole gateway',
      unit: 'milliseconds',
      better: 'less',
      bars: first.flatMap(({ ours, theirs }: Result) => [
        bar('Strongroom', ours),
        ...(theirs === null ? [] : [bar('llama-server, plain', theirs, false)]),
      ]),
      marks: [goal(reach.firstTokenMs, 'ms')],
    };
  },
  policy: ({ decisionsPerSecond: { pipeline, first, plain } }) => ({
    title: 'Policy decisions with 10,000 rules and 1,000 users',
    unit: 'decisions a second, each step ten times the last',
    better: 'more',
    isLogarithmic: true,
    bars: [
      bar('asked before', pipeline),
      bar('never asked before', first),
      bar('Casbin’s enforce, called plainly', plain, false),
    ],
    marks: [{ label: 'goal: 20 × enforce', value: 20 * plain.median }],
  }),
  scoring: ({ results }) => ({
    title: 'Encrypted scoring, without ever seeing a customer',
    unit: 'scores a second on one core',
    better: 'more',
    bars: results.slice(1).map(({ name, scoresPerSecondPerCore }: Result) => bar(name, scoresPerSecondPerCore)),
    marks: [{ label: 'goal: 100,000 of a batch', value: 100_000 }],
  }),
  start: ({ rows, reach }) => ({
    title: 'From npm start on a cold data folder',
    unit: 'seconds',
    better: 'less',
    bars: rows.map(({ step, seconds }: Result) => bar(STEPS[step] ?? step, seconds)),
    marks: [goal(reach.answeredSeconds, 's')],
  }),
  portal: ({ pages, reach }) => ({
    title: 'JavaScript and CSS that a page brings',
    unit: 'kilobytes, gzip',
    better: 'less',
    bars: pages.map(({ name, kilobytes, isOurs }: Result) => ({ label: name, value: kilobytes, isOurs })),
    marks: [goal(reach.kilobytes, 'kB for sign-in and chat')],
  }),
  audit: ({ append: { records } }) => ({
    title: 'Records appended durably to the log',
    unit: 'records a second, in batches of 128',
    better: 'more',
    bars: [bar('Strongroom', records.ours), bar('raw insert of the same rows', records.raw, false)],
    marks: [{ label: 'goal: 0.5 × raw', value: 0.5 * records.raw.median }],
  }),
  auditor: ({ all }) => ({
    title: 'A page of an auditor’s search over a million records',
    unit: 'milliseconds',
    better: 'less',
    bars: [
      { label: 'median', value: all.p50Ms, isOurs: true },
      { label: '95th percentile', value: all.p95Ms, isOurs: true },
      { label: '99th percentile', value: all.p99Ms, isOurs: true },
    ],
    marks: [goal(100, 'ms')],
  }),
};

const US = 'strongroom';
const SERVERS: Readonly<Record<string, string>> = {
  [US]: 'Strongroom',
  nginx: 'nginx, bare TLS proxy',
  portkey: 'Portkey, plain HTTP',
};
const order = (server: string): number => Object.keys(SERVERS).indexOf(server);
const STEPS: Readonly<Record<string, string>> = {
  listening: 'it listens',
  signedIn: 'somebody has signed in',
  answered: 'the first answer',
};

function engineChart({ rows, reach }: Result): Drawn {
  return {
    title: 'Models through the whole gateway, against llama-server of the same release',
    unit: 'times as good as llama-server',
    better: 'more',
    bars: rows
      .filter(({ ratio }: Result) => ratio !== null)
      .map(({ what, ratio }: Result) => bar(what.replace(/\s+/g, ' '), ratio)),
    marks: [goal(reach, 'of llama-server')],
  };
}

/** Draws every result that there is a chart for. @returns the files, as seen from the repository */
export async function drawCharts(folder = RESULTS): Promise<string[]> {
  const drawn: string[] = [];
  for (const file of (await readdir(folder)).toSorted()) {
    const name = file.replace(/\.json$/, '');
    const draw = file.endsWith('.json') ? DRAWERS[name] : undefined;
    if (draw === undefined) continue;
    const result = JSON.parse(await readFile(join(folder, file), 'utf8')) as Origin;
    const { at, commit, cpu, cores, node, absent = {} } = result;
    const footer = `${cpu}, ${cores} cores, Node ${node.replace(/^v/, '')}, ${at.slice(0, 10)}, commit ${commit.slice(0, 8)}`;
    const chart = { ...draw(result), footer, absent: Object.entries(absent).map(([who, why]) => `${who}: ${why}`) };
    // An engine that is not there leaves nothing to draw.
    if (chart.bars.length === 0) continue;
    await writeFile(join(folder, `${name}.svg`), chartSvg(chart));
    drawn.push(`bench/results/${name}.svg`);
  }
  return drawn;
}
