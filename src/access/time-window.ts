/** Minutes of a week; the week begins on Monday at midnight of the bank's zone. */
const DAY = 24 * 60;
export const WEEK = 7 * DAY;
const DAYS: readonly string[] = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/** From `start` up to but not including `end`, in minutes of the week. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * `Mon-Fri 08:00-18:30`, `Sat 09:00-24:00`, `Mon-Sun 22:00-06:00` (into the next day).
 *
 * @throws RangeError with a sentence
 */
export function parseWindow(text: string): readonly Span[] {
  const [, first = '', last, from = '', to = ''] =
    /^([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))? (\d{2}:\d{2})-(\d{2}:\d{2})$/.exec(text) ?? [];
  const [firstDay, lastDay] = [dayOf(first), dayOf(last ?? first)];
  const [start, end] = [minuteOf(from), minuteOf(to)];
  if (firstDay < 0 || lastDay < 0 || start === null || end === null)
    throw new RangeError(`a time is written like Mon-Fri 08:00-18:00, not “${text}”`);
  if (start === end || start === DAY) throw new RangeError(`the time “${text}” is never`);
  const spans: Span[] = [];
  for (let step = 0; step <= (lastDay - firstDay + 7) % 7; step++) {
    const midnight = ((firstDay + step) % 7) * DAY;
    const stop = midnight + (end > start ? end : end + DAY);
    spans.push({ start: midnight + start, end: Math.min(stop, WEEK) });
    // What begins on Sunday evening ends on Monday.
    if (stop > WEEK) spans.push({ start: 0, end: stop - WEEK });
  }
  return spans;
}

const dayOf = (name: string): number => DAYS.indexOf(name);

function minuteOf(text: string): number | null {
  const [hours = Number.NaN, minutes = Number.NaN] = text.split(':').map(Number);
  const minute = hours * 60 + minutes;
  return minutes < 60 && minute <= DAY ? minute : null;
}

export const covers = (spans: readonly Span[], minute: number): boolean =>
  spans.some(({ start, end }) => start <= minute && minute < end);

/** The minute of the week that an instant falls into in a zone, and its name for people. */
export interface WeekMinute {
  readonly minute: number;
  /** `Wed 14:05`. */
  readonly text: string;
}

/**
 * Tells the minute of the week in one zone. Null for what is no time at all.
 *
 * @throws RangeError for an unknown zone
 */
export function weekClock(zone: string): (at: number) => WeekMinute | null {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (at) => {
    if (!Number.isFinite(at) || Math.abs(at) > 8.64e15) return null;
    const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]));
    const [day, hour, minute] = [parts.get('weekday') ?? '', parts.get('hour') ?? '', parts.get('minute') ?? ''];
    return { minute: dayOf(day) * DAY + Number(hour) * 60 + Number(minute), text: `${day} ${hour}:${minute}` };
  };
}
