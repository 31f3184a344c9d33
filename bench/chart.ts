/** A figure as a bar, with the least and the greatest of its rounds as a thin line. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly min?: number;
  readonly max?: number;
  /** What is ours is in colour, what it is held against in grey. */
  readonly isOurs: boolean;
}

/** A value to be reached. */
export interface Mark {
  readonly label: string;
  readonly value: number;
}

export interface Chart {
  readonly title: string;
  /** Behind the title: of what the bars are. */
  readonly unit: string;
  /** Which way is better. */
  readonly better: 'more' | 'less';
  readonly bars: readonly Bar[];
  readonly marks: readonly Mark[];
  /** For figures that are orders of magnitude apart. */
  readonly isLogarithmic?: boolean;
  /** Machine, commit and day. */
  readonly footer: string;
  /** Who could not be measured, and why. */
  readonly absent?: readonly string[];
}

const [WIDTH, LEFT, RIGHT, TOP, ROW, BAR] = [760, 240, 100, 58, 26, 14];

/** Light and dark as the reader's browser has it; the ground is left to the page. */
const STYLE =
  'text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-size:15px;font-weight:600}.q{fill:#57606a}.u{fill:#0b7a62}.o{fill:#a8b1bb}' +
  '.r{stroke:#24292f;stroke-width:1.2}.m{stroke:#b35900;stroke-width:1.5;stroke-dasharray:5 3}.k{fill:#b35900}.a{stroke:#d0d7de}' +
  '@media (prefers-color-scheme:dark){text{fill:#e6edf3}.q{fill:#9aa4af}.u{fill:#3fb68f}.o{fill:#5b6570}.r{stroke:#e6edf3}' +
  '.m{stroke:#f0a34a}.k{fill:#f0a34a}.a{stroke:#3d444d}}';

/** The whole file. @throws Error for a value that can't be drawn */
export function chartSvg(chart: Chart): string {
  const { title, unit, better, bars, marks, footer, absent = [] } = chart;
  const scale = scaleOf(chart);
  const bottom = TOP + bars.length * ROW;
  const notes = [...absent.map((line) => `absent: ${line}`), footer];
  const height = bottom + 26 + marks.length * 16 + notes.length * 16;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escapeXml(title)}</title><style>${STYLE}</style>`,
    `<text x="12" y="22" class="t">${escapeXml(title)}</text>`,
    `<text x="12" y="42" class="q">${escapeXml(unit)}; ${better} is better; the thin line is the least and the greatest round</text>`,
    `<path class="a" d="M${LEFT} ${TOP}V${bottom}"/>`,
    ...bars.map((bar, index) => barSvg(bar, TOP + index * ROW, scale)),
    ...marks.map(({ label, value }, index) => markSvg(label, scale(value), bottom, index)),
    ...notes.map((line, index) => {
      const y = bottom + 26 + marks.length * 16 + index * 16;
      return `<text x="12" y="${y}" class="q">${escapeXml(line)}</text>`;
    }),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

/** From a value to its place from the left. */
function scaleOf({ bars, marks, isLogarithmic = false }: Chart): (value: number) => number {
  const values = [
    ...bars.flatMap(({ value, min, max }) => [value, min ?? value, max ?? value]),
    ...marks.map((mark) => mark.value),
  ];
  if (values.length === 0 || values.some((value) => !Number.isFinite(value) || value < 0))
    throw new Error('no such value');
  const most = Math.max(...values);
  const room = WIDTH - LEFT - RIGHT;
  if (!isLogarithmic) return (value) => LEFT + (most === 0 ? 0 : (value / most) * room);
  // A decade below the least, so that the shortest bar is one.
  const least = Math.log10(Math.min(...values.filter((value) => value > 0))) - 1;
  return (value) => LEFT + (value <= 0 ? 0 : ((Math.log10(value) - least) / (Math.log10(most) - least)) * room);
}

function barSvg({ label, value, min, max, isOurs }: Bar, top: number, scale: (value: number) => number): string {
  const [middle, end] = [top + ROW / 2, scale(value)];
  const from = scale(min ?? value);
  const to = scale(max ?? value);
  return (
    `<text x="${LEFT - 8}" y="${middle + 4}" text-anchor="end">${escapeXml(label)}</text>` +
    `<rect class="${isOurs ? 'u' : 'o'}" x="${LEFT}" y="${middle - BAR / 2}" width="${(end - LEFT).toFixed(1)}" height="${BAR}" rx="2"/>` +
    `<path class="r" d="M${from.toFixed(1)} ${middle}H${to.toFixed(1)}"/>` +
    `<text x="${(Math.max(end, to) + 6).toFixed(1)}" y="${middle + 4}">${figureText(value)}</text>`
  );
}

function markSvg(label: string, x: number, bottom: number, index: number): string {
  const y = bottom + 16 + index * 16;
  const anchor = x > WIDTH / 2 ? 'end' : 'start';
  return (
    `<path class="m" d="M${x.toFixed(1)} ${TOP - 4}V${y - 10}"/>` +
    `<text x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}" class="k">${escapeXml(label)}</text>`
  );
}

/** Three digits, or all of them before the point. */
export function figureText(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
