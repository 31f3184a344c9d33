import type { Strength } from '#kernel/principal.ts';
import type { Condition, ContextKind, Facts, Truth } from './condition.ts';
import { type NetworkZones, zoneFinder } from './network-zone.ts';
import { type WeekMinute, weekClock } from './time-window.ts';

/** Where the bank is: what time windows and network zones mean. */
export interface Site {
  /** IANA time zone. */
  readonly timeZone: string;
  readonly networkZones: NetworkZones;
}

/** From where, when and how strongly somebody asks. */
export interface AccessContext {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly address: string;
  readonly strength: Strength;
}

export type ContextFacts = Pick<Facts, 'time' | 'zones' | 'strength'>;

const LETTERS = { yes: 'y', no: 'n', unknown: '?' } as const satisfies Record<Truth, string>;
const TRUTHS: Readonly<Record<string, Truth>> = { y: 'yes', n: 'no' };
const MINUTE_MS = 60_000;
/** Addresses whose class is remembered. */
const MAX_ADDRESSES = 10_000;
const ATTRIBUTES = { department: '', clearance: 0, branch: '', certifications: [], owner: '', classification: 0 };

/**
 * The class of a context: the truth of every time, network and strength condition of one policy, a letter each. Whoever
 * asks in the same class gets the same answer, so that decisions can be remembered without their clock and address.
 */
export class ContextClasses {
  readonly #conditions: Readonly<Record<ContextKind, readonly Condition[]>>;
  readonly #places = new Map<string, number>();
  readonly #clock: (at: number) => WeekMinute | null;
  readonly #zonesOf: (address: string) => ReadonlySet<string> | null;
  readonly #networks = new Map<string, string>();
  #minute = Number.NaN;
  #times = '';

  constructor(conditions: readonly Condition[], site: Site) {
    const distinct = [...new Map(conditions.map((condition) => [condition.text, condition])).values()];
    const of = (kind: ContextKind) => distinct.filter(({ context }) => context === kind);
    this.#conditions = { time: of('time'), network: of('network'), strength: of('strength') };
    for (const { text } of [...of('time'), ...of('network'), ...of('strength')])
      this.#places.set(text, this.#places.size);
    this.#clock = weekClock(site.timeZone);
    this.#zonesOf = zoneFinder(site.networkZones);
  }

  /** How many conditions a class tells of. */
  get size(): number {
    return this.#places.size;
  }

  classOf({ at, address, strength }: AccessContext): string {
    if (this.#places.size === 0) return '';
    return this.#timesOf(at) + this.#networksOf(address) + this.#letters('strength', { ...this.#none, strength });
  }

  /** What a class says of one of its conditions; `unknown` for a condition or class that it does not know. */
  truthOf({ text }: Condition, itsClass: string): Truth {
    const place = this.#places.get(text);
    return place === undefined ? 'unknown' : (TRUTHS[itsClass[place] ?? ''] ?? 'unknown');
  }

  factsOf({ at, address, strength }: AccessContext): ContextFacts {
    return { time: this.#clock(at), zones: this.#zonesOf(address), strength };
  }

  readonly #none: ContextFacts = { time: null, zones: null, strength: null };

  #timesOf(at: number): string {
    const minute = Math.floor(at / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#times = this.#letters('time', { ...this.#none, time: this.#clock(at) });
      this.#minute = minute;
    }
    return this.#times;
  }

  #networksOf(address: string): string {
    if (this.#conditions.network.length === 0) return '';
    const known = this.#networks.get(address);
    if (known !== undefined) return known;
    const letters = this.#letters('network', { ...this.#none, zones: this.#zonesOf(address) });
    if (this.#networks.size >= MAX_ADDRESSES) this.#networks.clear();
    this.#networks.set(address, letters);
    return letters;
  }

  #letters(kind: ContextKind, context: ContextFacts): string {
    let letters = '';
    for (const condition of this.#conditions[kind]) letters += LETTERS[condition.test({ ...ATTRIBUTES, ...context })];
    return letters;
  }
}
