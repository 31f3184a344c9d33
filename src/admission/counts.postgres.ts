import { QUOTA_KINDS, type QuotaKind, type ScopeType } from '#quota/limit.ts';
import type { Breach, QuotaState, Verdict } from './admission.ts';

/** A number of each of the `QUOTA_KINDS`, in their order. */
type Numbers = readonly (number | null)[];

/** What `commit_batch` says of a batch's counters. Absent where no admission counted on any. */
export interface CountsRead {
  /** Where the numbers of each counter stand, from 1; null where it does not count. */
  readonly counters?: readonly [limits: Numbers, use: Numbers];
  readonly limits?: readonly Numbers[];
  /** Limits in dry run. */
  readonly dry?: readonly Numbers[];
  /** As it was before the first admission. */
  readonly use?: readonly Numbers[];
}

interface Counting {
  readonly scope: ScopeType;
  readonly limits: Numbers;
  readonly dry: Numbers;
  /** Counters of one subject share it. */
  readonly used: number[];
}

type Quotas = Pick<Verdict, 'quotas' | 'breaches' | 'tokens'>;

/** Counts a batch's admissions again, one after another as the database did, to say what each of them found. */
export class Counts {
  readonly #counters: readonly (Counting | null)[];

  constructor(read: CountsRead, subjects: readonly string[]) {
    const use = (read.use ?? []).map((numbers) => numbers.map((number) => number ?? 0));
    this.#counters = subjects.map((subject, index) => {
      const [limit, used] = read.counters?.map((places) => places[index] ?? null) ?? [];
      if (typeof limit !== 'number' || typeof used !== 'number') return null;
      return {
        scope: subject.slice(0, subject.indexOf(':')) as ScopeType,
        limits: read.limits?.[limit - 1] ?? [],
        dry: read.dry?.[limit - 1] ?? [],
        used: use[used - 1] ?? [],
      };
    });
  }

  /** What the next admission found, and took if it was admitted. Called for each of them in their order. */
  next(places: readonly number[], admitted: { readonly tokens: number; readonly open: boolean } | null): Quotas {
    const quotas: QuotaState[] = [];
    const breaches: Breach[] = [];
    for (const place of places) {
      const counter = this.#counters[place];
      if (!counter) continue;
      const { scope, limits, dry, used } = counter;
      for (const [index, kind] of QUOTA_KINDS.entries()) {
        const count = (used[index] ?? 0) + (admitted ? TAKES[kind](admitted) : 0);
        used[index] = count;
        const [limit, noticed] = [limits[index] ?? 0, dry[index] ?? null];
        quotas.push({ scope, kind, limit: limit > Number.MAX_SAFE_INTEGER ? null : limit, used: count });
        if (admitted && noticed !== null && count > noticed) breaches.push({ scope, kind });
      }
    }
    return { quotas, breaches, tokens: admitted?.tokens ?? 0 };
  }
}

const TAKES: Readonly<Record<QuotaKind, (taken: { tokens: number; open: boolean }) => number>> = {
  requests_day: () => 1,
  tokens_day: ({ tokens }) => tokens,
  requests_minute: () => 1,
  tokens_minute: ({ tokens }) => tokens,
  concurrent: ({ open }) => Number(open),
};
