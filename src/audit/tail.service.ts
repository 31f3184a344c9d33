import { toHex } from '#kernel/bytes.ts';
import type { Clock } from '#kernel/clock.ts';
import type { WholeRow } from './export-lines.ts';
import type { LogPage } from './log-source.ts';
import { TailFault, type TailPosition, type TailPositions, type TailSink, type TailSource } from './tail.ts';

export interface TailDeps {
  readonly open: () => Promise<TailSource>;
  readonly sink: TailSink;
  readonly positions: TailPositions;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** MUST resolve early when `signal` aborts. */
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Something failed and is tried again after so long. */
  readonly onTrouble: (error: unknown, delayMs: number) => void;
  /** Where to begin with nothing stored. */
  readonly from: number;
}

const POLL_MS = 1000;
const [FIRST_DELAY_MS, MOST_DELAY_MS] = [250, 30_000];

/**
 * Hands on every record of the log in its order, for good, from where it stopped the last time. Whoever commits holds
 * the head lock, so that a seq that is seen has all before it: nothing is skipped. Each record goes out at least once; what was not
 * confirmed when something broke goes out again.
 */
export class LogTail {
  readonly #deps: TailDeps;
  #delay = FIRST_DELAY_MS;

  constructor(deps: TailDeps) {
    this.#deps = deps;
  }

  /** Until `signal` aborts; then what was written is confirmed and the position stored. @throws TailFault */
  async run(signal: AbortSignal): Promise<void> {
    const { positions, sink, from, onTrouble, wait } = this.#deps;
    let position = (await positions.load()) ?? { next: from, leaf: null };
    while (!signal.aborted) {
      try {
        await using source = await this.#deps.open();
        await refuseOther(source, position);
        for await (const reached of this.#follow(source, position, signal)) {
          await positions.save(reached);
          position = reached;
          this.#delay = FIRST_DELAY_MS;
        }
      } catch (error) {
        if (error instanceof TailFault) throw error;
        sink.reset();
        onTrouble(error, this.#delay);
        await wait(this.#delay, signal);
        this.#delay = Math.min(MOST_DELAY_MS, this.#delay * 2);
      }
    }
  }

  /** Yields each position up to which everything is confirmed. */
  async *#follow(source: TailSource, start: TailPosition, signal: AbortSignal): AsyncGenerator<TailPosition> {
    const { sink, clock, wait } = this.#deps;
    const { milliseconds, records } = sink.confirmAfter;
    let [sent, confirmed] = [start, start];
    let since = clock.monotonic();
    const isDue = () =>
      sent.next - confirmed.next >= records ||
      (sent.next > confirmed.next && (signal.aborted || clock.monotonic() - since >= milliseconds));
    const confirm = async () => {
      await sink.confirm();
      confirmed = sent;
      return confirmed;
    };
    while (!signal.aborted) {
      const { end } = await source.extent();
      if (end < sent.next) throw gone(end, `${sent.next} records were seen before, ${end} are there`);
      for await (const page of source.pages(sent.next, end, 0)) {
        const rows = wholeRows(page);
        if (sent.next === confirmed.next) since = clock.monotonic();
        await sink.write(rows);
        sent = { next: page.to, leaf: leafOf(rows.at(-1)) };
        if (isDue()) yield await confirm();
        if (signal.aborted) break;
      }
      if (isDue()) yield await confirm();
      if (!signal.aborted) await wait(POLL_MS, signal);
    }
    if (sent.next > confirmed.next) yield await confirm();
  }
}

const leafOf = (row: WholeRow | undefined): string | null => (row?.leaf ? toHex(row.leaf) : null);

/** All of a page, or not at all: what is missing is named and not passed over. */
function wholeRows({ from, to, rows }: LogPage): WholeRow[] {
  const whole = rows.flatMap((row) => (row.record === null ? [] : [{ ...row, record: row.record }]));
  if (whole.length === to - from) return whole;
  const there = new Set(whole.map(({ seq }) => seq));
  let missing = from;
  while (there.has(missing)) missing++;
  throw gone(missing, 'it was dropped by retention, or removed: `audit verify` tells which');
}

const gone = (seq: number, why: string) =>
  new TailFault(`record ${seq} is not there (${why}). To go on behind a gap, use another --state with --from.`);

/** A restored or another database would be followed from a place that means something else there. */
async function refuseOther(source: TailSource, { next, leaf }: TailPosition): Promise<void> {
  if (leaf === null || next === 0) return;
  const { end } = await source.extent();
  const there = end < next ? null : toHex(await source.readNode(0, next - 1));
  if (there !== leaf) throw new TailFault(`this is not the log that was followed: record ${next - 1} is another one`);
}
