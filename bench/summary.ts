import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { figureText } from './chart.ts';
import { type Spread, spreadOf } from './report.ts';

// As in charts.ts: results are our own files, and each line knows the shape of its own.
// biome-ignore lint/suspicious/noExplicitAny: the shape of a result is written by one file and read by one line here
type Result = any;

/** A line of the table of goals. */
interface Goal {
  /** Name of the benchmark and of its result. */
  readonly from: string;
  readonly what: string;
  readonly goal: string;
  readonly beyond: string;
  /** Undefined where the result does not have it. */
  readonly measured: (result: Result) => string | undefined;
}

const spread = ({ median, min, max }: Spread, unit = ''): string =>
  `${figureText(median)}${unit} (${figureText(min)} to ${figureText(max)})`;

const gatewayRatio =
  (rival: string) =>
  ({ ratios }: Result): string | undefined => {
    const found = ratios.find((one: Result) => one.what === `strongroom / ${rival}` && one.connections === 128);
    return found === undefined ? undefined : spread(found.ratio);
  };

const engineRatio =
  (what: RegExp) =>
  ({ rows }: Result): string | undefined => {
    const ratios = rows.filter((row: Result) => what.test(row.what) && row.ratio !== null);
    // The row's own median of each, and the least and greatest of those.
    return ratios.length === 0 ? undefined : spread(spreadOf(ratios.map((row: Result) => row.ratio.median)));
  };

const row =
  (name: string, of: (found: Result) => Spread, unit: string) =>
  ({ rows }: Result): string | undefined => {
    const found = rows.find((one: Result) => (one.name ?? one.what ?? one.step) === name);
    return found === undefined ? undefined : spread(of(found), unit);
  };

const GOALS: readonly Goal[] = [
  {
    from: 'gateway',
    what: 'requests/s at 128 connections, of nginx',
    goal: '0.33',
    beyond: '0.5',
    measured: gatewayRatio('nginx'),
  },
  { from: 'gateway', what: 'the same, of Portkey', goal: '4', beyond: '6', measured: gatewayRatio('portkey') },
  {
    from: 'latency',
    what: 'added at 1,000/s, p99',
    goal: '5 ms',
    beyond: '2 ms',
    measured: row('added', ({ p99 }) => p99, ' ms'),
  },
  {
    from: 'replicas',
    what: 'three gateways, commits of 3 ms, p99',
    goal: '40 ms',
    beyond: '25 ms',
    measured: row('three gateways', ({ p99 }) => p99, ' ms'),
  },
  {
    from: 'replicas',
    what: 'throughput of three, of one',
    goal: '0.9',
    beyond: '',
    measured: ({ ratio }) => spread(ratio),
  },
  {
    from: 'stream',
    what: '512 streams, added to the first token, p99',
    goal: '5 ms',
    beyond: '2 ms',
    measured: row('added', ({ figures }) => figures[1], ' ms'),
  },
  { from: 'stream', what: 'tokens lost or out of turn', goal: '0', beyond: '', measured: ({ lost }) => String(lost) },
  {
    from: 'engine',
    what: 'model made, prefill and decode, of llama-server',
    goal: '0.95',
    beyond: '',
    measured: engineRatio(/^made .*tokens\/s/),
  },
  {
    from: 'engine',
    what: 'model demo, the same',
    goal: '0.95',
    beyond: '',
    measured: engineRatio(/^demo .*tokens\/s/),
  },
  {
    from: 'engine',
    what: 'first token, of llama-server, both models',
    goal: '0.95',
    beyond: '',
    measured: engineRatio(/first token/),
  },
  { from: 'engine', what: 'conversations that begin alike', goal: '', beyond: '> 1', measured: engineRatio(/alike/) },
  {
    from: 'engine-ttft',
    what: 'demo, first token of 128',
    goal: '50 ms',
    beyond: '',
    measured: row('demo  first token ms, median', ({ ours }) => ours, ' ms'),
  },
  {
    from: 'engine-ttft',
    what: 'ten rounds with reuse, of the time without',
    goal: '0.6',
    beyond: '',
    measured: ({ timeWithReuse }) => spread(timeWithReuse),
  },
  {
    from: 'engine-ttft',
    what: 'the tenth round, of the time of the second',
    goal: '',
    beyond: '1',
    measured: ({ lastToSecond }) => spread(lastToSecond),
  },
  {
    from: 'policy',
    what: 'decisions/s, of `enforce`',
    goal: '20',
    beyond: '100',
    measured: ({ ratio }) => spread(ratio.pipeline),
  },
  {
    from: 'policy',
    what: 'the same, never asked before',
    goal: '',
    beyond: '',
    measured: ({ ratio }) => spread(ratio.first),
  },
  {
    from: 'scoring',
    what: 'one customer',
    goal: '5 ms',
    beyond: '3 ms',
    measured: ({ results }) => spread(results[0].serverMs, ' ms'),
  },
  {
    from: 'scoring',
    what: 'scores/s/core of a batch of 2,048',
    goal: '100,000',
    beyond: '200,000',
    measured: ({ results }) => spread(results[1].scoresPerSecondPerCore),
  },
  {
    from: 'day',
    what: 'answers without record, over-run, verify',
    goal: '0, 0, clean',
    beyond: '',
    measured: ({ books, verify }) =>
      `${books.answersWithoutRecord}, ${books.overRun}, ${verify.ok ? 'clean' : 'not clean'}`,
  },
  {
    from: 'day',
    what: '500,000 requests',
    goal: '',
    beyond: '90 s',
    measured: ({ seconds }) => `${figureText(seconds)} s`,
  },
  {
    from: 'audit',
    what: 'records/s appended, of a raw insert',
    goal: '0.5',
    beyond: '0.7',
    measured: ({ append }) => spread(append.records.ratio),
  },
  {
    from: 'audit',
    what: 'a proof at 10^6 leaves, p99',
    goal: '5 ms',
    beyond: '',
    measured: ({ proof }) => `${figureText(proof.p99Ms)} ms`,
  },
  {
    from: 'audit',
    what: 'verification of 10^6 exported records',
    goal: '30 s',
    beyond: '10 s',
    measured: ({ offline }) => `${figureText(offline.seconds)} s`,
  },
  {
    from: 'auditor',
    what: 'a page over 10^6 records, p95',
    goal: '100 ms',
    beyond: '',
    measured: ({ all }) => `${figureText(all.p95Ms)} ms`,
  },
  {
    from: 'start',
    what: 'npm start to the first answer',
    goal: '10 s',
    beyond: '5 s',
    measured: row('answered', ({ seconds }) => seconds, ' s'),
  },
  {
    from: 'portal',
    what: 'JS and CSS of sign-in and chat, gzip',
    goal: '60 kB',
    beyond: '30 kB',
    measured: ({ pages }) =>
      `${figureText(pages.find((page: Result) => page.name === 'Strongroom, sign-in and chat').kilobytes)} kB`,
  },
  {
    from: 'portal',
    what: 'axe violations, both languages',
    goal: '0',
    beyond: '',
    measured: ({ pages }) => violationsOf(pages),
  },
];

function violationsOf(pages: Result): string | undefined {
  const ours = pages.filter((page: Result) => page.isOurs);
  if (ours.some((page: Result) => page.violations === null)) return undefined;
  return String(ours.reduce((sum: number, page: Result) => sum + page.violations.length, 0));
}

const [BEGIN, END] = ['<!-- made by `npm run bench -- report` -->', '<!-- end -->'];

/** The table of goals between its two marks in README.md, anew from the results. @returns the file's text */
export async function summarise(folder: string, readme: string): Promise<string> {
  const lines = await Promise.all(
    GOALS.map(async ({ from, what, goal, beyond, measured }) => {
      const text = await readFile(join(folder, `${from}.json`), 'utf8').catch(() => null);
      const result = text === null ? null : JSON.parse(text);
      const value = result === null ? 'no result yet' : (measured(result) ?? 'absent');
      return [from, what, goal, beyond, value];
    }),
  );
  const header = ['name', 'what', 'goal', 'beyond', 'measured: median (least to greatest)'];
  const widths = header.map((name, column) => Math.max(name.length, ...lines.map((line) => line[column]?.length ?? 0)));
  const lineOf = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const table = [lineOf(header), lineOf(widths.map((width) => '-'.repeat(width))), ...lines.map(lineOf)].join('\n');
  const text = await readFile(readme, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${readme} has no place for the table`);
  return `${text.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${text.slice(end)}`;
}

/** Charts apart, what `bench -- report` writes. */
export async function writeSummary(): Promise<string> {
  const readme = join(import.meta.dirname, 'README.md');
  await writeFile(readme, await summarise(join(import.meta.dirname, 'results'), readme));
  return 'bench/README.md';
}
