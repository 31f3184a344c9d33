// `npm run bench` lists the benchmarks, `npm run bench -- NAME …` runs one or several, `npm run bench -- all` all of them.
import { BENCHMARKS } from './catalogue.ts';
import { drawCharts } from './charts.ts';
import { inSequence } from './sequence.ts';
import { writeSummary } from './summary.ts';

const args = process.argv.slice(2);
const [name, ...rest] = args;
const isKnown = (word: string): boolean => Object.hasOwn(BENCHMARKS, word);

if (name === 'report') {
  for (const file of [...(await drawCharts()), await writeSummary()]) process.stdout.write(`${file}\n`);
} else if (name === 'all' || (rest.length > 0 && args.every(isKnown))) {
  const chosen = args.filter(isKnown);
  const names = chosen.length > 0 ? chosen : Object.keys(BENCHMARKS).filter((one) => BENCHMARKS[one]?.isFigure);
  process.exitCode = (await inSequence(names)) ? 0 : 1;
} else if (name !== undefined && isKnown(name)) {
  await (await BENCHMARKS[name]?.load())?.(rest);
  await drawCharts();
  await writeSummary();
} else {
  if (name !== undefined) {
    process.stderr.write(`there is no benchmark '${name}'\n`);
    process.exitCode = 1;
  }
  const about = Object.entries(BENCHMARKS).map(([known, benchmark]) => [known, benchmark.about] as const);
  const more = [
    ['all', 'every figure, one after another, the last two not; names behind it choose (about an hour)'],
    [
      'report',
      'draws `bench/results/NAME.svg` and writes the table of bench/README.md from the results that are there',
    ],
  ] as const;
  for (const [known, text] of [...about, ...more]) process.stdout.write(`${known.padEnd(16)}${text}\n`);
}
