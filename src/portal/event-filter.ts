import { instantOf } from './format.ts';

export type Period = 'hour' | 'day' | 'week' | 'custom';
export const EXACT = ['actor', 'action', 'resource', 'outcome', 'request_id'] as const;
export type ExactName = (typeof EXACT)[number];

/** What the auditor looks for. `from` and `to` are local times as `<input type="datetime-local">` gives them. */
export interface EventFilter extends Readonly<Record<ExactName, string>> {
  readonly period: Period;
  readonly from: string;
  readonly to: string;
}

export const NO_FILTER: EventFilter = {
  period: 'week',
  from: '',
  to: '',
  actor: '',
  action: '',
  resource: '',
  outcome: '',
  request_id: '',
};

const HOUR_MS = 3_600_000;
const REACH: Readonly<Record<Exclude<Period, 'custom'>, number | null>> = {
  hour: HOUR_MS,
  day: 24 * HOUR_MS,
  week: null,
};

/**
 * The query for one page. The whole week is asked for by not naming a time: the seven days are the database's, by its
 * own clock, and a clock here that is wrong must not hide the newest records.
 */
export function filterPath(filter: EventFilter, now: number, cursor: string | null): string {
  const query = new URLSearchParams();
  const put = (name: string, value: string | null): void => {
    if (value !== null && value !== '') query.set(name, value);
  };
  if (filter.period === 'custom') {
    put('from', instantOf(filter.from));
    put('to', instantOf(filter.to));
  } else {
    const reach = REACH[filter.period];
    put('from', reach === null ? null : new Date(now - reach).toISOString());
  }
  for (const name of EXACT) put(name, filter[name].trim());
  put('cursor', cursor);
  const text = query.toString();
  return text === '' ? '/audit/events' : `/audit/events?${text}`;
}
