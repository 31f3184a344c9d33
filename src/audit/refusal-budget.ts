/** Refusals of one sort in one minute: how many, from when to when, by how many subjects. */
export interface RefusalSummary {
  readonly key: RefusalKey;
  readonly count: number;
  /** Milliseconds since the epoch. */
  readonly first: number;
  readonly last: number;
  readonly subjects: number;
}
export interface RefusalKey {
  /** The problem's code. */
  readonly code: string;
  /** The peer's network: /24 or /64. */
  readonly source: string;
  /** Opaque account id, or `anonymous`. */
  readonly subject: string;
}

export const SINGLE_RECORDS_PER_MINUTE = 10;
/** Sources that are told apart; beyond this all share one entry, so that an attacker can't fill our memory. */
const MAX_KEYS = 4096;
const MAX_SUBJECTS = 64;
const OVERFLOW: Omit<RefusalKey, 'code'> = { source: 'others', subject: 'others' };

interface Entry {
  readonly key: RefusalKey;
  singles: number;
  count: number;
  first: number;
  last: number;
  readonly subjects: Set<string>;
  /** Subjects of restored summaries: at least so many. */
  restored: number;
}

/**
 * Decides which refusals are recorded one by one (the first ten a minute of one sort) and counts the others for the
 * minute's summary. Pure: the time is an argument.
 */
export class RefusalBudget {
  #entries = new Map<string, Entry>();

  /** Sorts of refusals that are remembered now; never more than the bound, whoever asks. */
  get size(): number {
    return this.#entries.size;
  }

  /** True while the next refusal of this sort may still be recorded singly. Takes nothing. */
  open(key: RefusalKey): boolean {
    return this.#entry(key).singles < SINGLE_RECORDS_PER_MINUTE;
  }

  /** A refusal was recorded singly. */
  spend(key: RefusalKey): void {
    this.#entry(key).singles++;
  }

  /** A refusal was not recorded singly: it goes into the minute's summary. */
  count(key: RefusalKey, now: number): void {
    const entry = this.#entry(key);
    if (entry.count === 0) entry.first = now;
    entry.last = now;
    entry.count++;
    if (entry.subjects.size < MAX_SUBJECTS) entry.subjects.add(key.subject);
  }

  /** Counts a summary that could not be recorded on into the running minute. */
  restore({ key, count, first, last, subjects }: RefusalSummary): void {
    const entry = this.#entry(key);
    entry.first = entry.count === 0 ? first : Math.min(first, entry.first);
    entry.last = Math.max(last, entry.last);
    entry.count += count;
    entry.restored = Math.max(entry.restored, subjects);
  }

  /** Ends the minute: what was only counted, and everybody's budget is whole again. */
  flush(): RefusalSummary[] {
    const counted = [...this.#entries.values()].filter((entry) => entry.count > 0);
    this.#entries = new Map();
    return counted.map(({ key, count, first, last, subjects, restored }) => ({
      key,
      count,
      first,
      last,
      subjects: Math.max(subjects.size, restored),
    }));
  }

  #entry(key: RefusalKey): Entry {
    const name = `${key.code} ${key.source} ${key.subject}`;
    const known = this.#entries.get(name);
    if (known) return known;
    const shared = this.#entries.size >= MAX_KEYS;
    const kept = shared ? { ...OVERFLOW, code: key.code } : key;
    const keptName = shared ? `${key.code} others others` : name;
    const entry = this.#entries.get(keptName) ?? {
      key: kept,
      singles: shared ? SINGLE_RECORDS_PER_MINUTE : 0,
      count: 0,
      first: 0,
      last: 0,
      subjects: new Set(),
      restored: 0,
    };
    this.#entries.set(keptName, entry);
    return entry;
  }
}

/** The /24 of an IPv4 address, the /64 of an IPv6 one: what one attacker commands cheaply. */
export function networkOf(address: string): string {
  const v4 = address.startsWith('::ffff:') ? address.slice(7) : address;
  if (/^\d+\.\d+\.\d+\.\d+$/.test(v4)) return `${v4.slice(0, v4.lastIndexOf('.'))}.0/24`;
  if (!address.includes(':')) return 'unknown';
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? [];
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const full =
    tail === undefined ? front : [...front, ...Array(Math.max(0, 8 - front.length - back.length)).fill('0'), ...back];
  return `${full
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
