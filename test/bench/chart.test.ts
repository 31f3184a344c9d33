import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Chart, chartSvg, figureText } from '../../bench/chart.ts';
import { drawCharts } from '../../bench/charts.ts';
import { summarise } from '../../bench/summary.ts';

const CHART: Chart = {
  title: 'Requests <everything on>',
  unit: 'requests a second',
  better: 'more',
  bars: [
    { label: 'ours', value: 100, min: 50, max: 200, isOurs: true },
    { label: 'theirs', value: 25, isOurs: false },
  ],
  marks: [{ label: 'goal: 150', value: 150 }],
  footer: 'a machine',
  absent: ['nginx: not installed'],
};

const widths = (svg: string): number[] =>
  Array.from(svg.matchAll(/<rect [^>]*width="([\d.]+)"/g), ([, width]) => Number(width));

describe('a chart', () => {
  it('has bars as long as their values, and says who is absent', () => {
    const svg = chartSvg(CHART);
    const [ours = 0, theirs = 0] = widths(svg);
    assert.ok(Math.abs(ours / theirs - 4) < 0.01, `${ours} and ${theirs}`);
    assert.match(svg, /absent: nginx: not installed/);
    assert.match(svg, /goal: 150/);
    assert.match(svg, /Requests &#60;everything on&#62;/);
    assert.match(svg, /prefers-color-scheme:dark/);
    assert.doesNotMatch(svg, /NaN|undefined|Infinity|https?:(?!\/\/www\.w3\.org\/2000\/svg)/);
  });

  it('has bars that grow by the same for each power of ten where it is logarithmic', () => {
    const bars = [1, 10, 100].map((value) => ({ label: String(value), value, isOurs: true }));
    const [one = 0, ten = 0, hundred = 0] = widths(chartSvg({ ...CHART, bars, marks: [], isLogarithmic: true }));
    assert.ok(one > 0);
    assert.ok(Math.abs(hundred - ten - (ten - one)) < 0.2);
  });

  it('is refused for what is no figure', () => {
    const bars = [{ label: 'ours', value: Number.NaN, isOurs: true }];
    assert.throws(() => chartSvg({ ...CHART, bars }), /no such value/);
  });

  it('says figures with three digits', () => {
    assert.deepEqual([0.056, 12.34, 45_681.2].map(figureText), ['0.06', '12.3', '45,681']);
  });
});

describe('what is made of the results that are kept', () => {
  const results = join(import.meta.dirname, '..', '..', 'bench', 'results');

  it('is the table in the README', async () => {
    const readme = join(results, '..', 'README.md');
    assert.equal(await summarise(results, readme), await readFile(readme, 'utf8'));
  });

  it('are the charts', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-charts-'));
    try {
      await cp(results, folder, { recursive: true, filter: (file) => !file.endsWith('.svg') });
      // Not every result has a chart.
      await writeFile(join(folder, 'unknown.json'), '{}');
      const drawn = await drawCharts(folder);
      assert.ok(drawn.length >= 5, drawn.join());
      for (const file of drawn) {
        const name = file.split('/').at(-1) ?? '';
        assert.equal(await readFile(join(folder, name), 'utf8'), await readFile(join(results, name), 'utf8'), name);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
