import type { Verdict } from '#admission/admission.ts';
import { toBase64 } from '#kernel/bytes.ts';
import type { Log } from '#kernel/log.ts';
import { DROP_ACTION, dropText, parseRanges, type SeqRange } from './drop.ts';
import { type AuditEvent, SYSTEM } from './event.ts';
import type { LogPartition, RetentionReport, RetentionStore } from './retention.ts';

export interface RetentionDeps {
  readonly store: RetentionStore;
  readonly change: (name: string, change: Readonly<Record<string, unknown>>, event: AuditEvent) => Promise<Verdict>;
  /** Recomputes the records of a range before their bodies go; null where nothing is wrong, else a sentence. */
  readonly fault: (range: SeqRange) => Promise<string | null>;
  /** Root of the tree of so many leaves. */
  readonly rootAt: (size: number) => Promise<Uint8Array>;
  /** As a signed note, by the key of the log. */
  readonly sign: (text: string) => Promise<string>;
  readonly origin: string;
  readonly days: number;
  /** Who does it, for the record. */
  readonly facts: Readonly<Record<string, string>>;
  readonly pause: (ms: number) => Promise<void>;
  readonly log: Log;
}

/** A reader in the way, or a hold that was just placed: looked at again. */
const ATTEMPTS = 5;
const PAUSE_MS = 1000;
const OPENINGS_AT_ONCE = 10_000;

/** The body that is wrong is evidence: nothing is dropped over it. */
export class DropRefused extends Error {
  override readonly name = 'DropRefused';
}

/**
 * Once a day: closes a partition that is a month old, drops the bodies of those that are due, each with the record of
 * it, and forgets the keys of their commitments. Whatever interrupts it, the next run goes on from there.
 *
 * @throws DropRefused where a record that would go is not what the tree says.
 */
export async function retain(deps: RetentionDeps): Promise<RetentionReport> {
  const { store, days } = deps;
  const cut = await patiently(deps, () => store.cut());
  const dropped: (SeqRange & { newest: string })[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; ) {
    const due = (await store.state(days)).find(({ verdict }) => verdict === 'due');
    if (due?.newest == null) break;
    const { from, to, newest } = due;
    if (await patiently(deps, () => drop(deps, due))) dropped.push({ from, to, newest });
    else attempt++;
  }
  let openings = 0;
  for (let gone = OPENINGS_AT_ONCE; gone === OPENINGS_AT_ONCE; openings += gone) {
    gone = await store.forgetOpenings(OPENINGS_AT_ONCE);
  }
  const kept = (await store.state(days))
    .filter(({ verdict }) => verdict !== 'open' && verdict !== 'young')
    .map(({ from, to, verdict, hold }) => ({ from, to, verdict, hold }));
  return { cut, dropped, kept, openings };
}

/** False where the database judged otherwise under the lock. */
async function drop(deps: RetentionDeps, { from, to, newest, dropped }: LogPartition): Promise<boolean> {
  const { fault, rootAt, sign, change, origin, days, facts, log } = deps;
  const wrong = await fault({ from, to });
  if (wrong !== null) throw new DropRefused(`the records ${from} to ${to - 1} are kept: ${wrong}`);
  const root = await rootAt(to);
  const statement = { origin, from, to, newest: newest ?? '', days, root, dropped: parseRanges(dropped) };
  const { verdict, code } = await change(
    DROP_ACTION,
    { from, to, newest, days, dropped },
    {
      kind: 'system',
      actor: SYSTEM,
      action: DROP_ACTION,
      resource: `log:${origin}`,
      outcome: 'completed',
      request: null,
      facts: {
        ...facts,
        from,
        to,
        count: to - from,
        newest,
        retention_days: days,
        root: toBase64(root),
        statement: await sign(dropText(statement)),
      },
    },
  );
  if (verdict === 'changed') return true;
  log.warn('bodies that were due were not dropped', { code: code ?? verdict, seq: from });
  return false;
}

/** A lock that could not be had in time (SQLSTATE 55P03) comes free when the reader is done. */
async function patiently<T>({ pause }: RetentionDeps, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DropRefused || attempt === ATTEMPTS) throw error;
      await pause(PAUSE_MS);
    }
  }
}
