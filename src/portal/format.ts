/** Pure formatting. Times come in as RFC 3339 text; the zone is an argument, so that tests do not depend on the machine. */

const zone = (timeZone: string | undefined): { timeZone?: string } => (timeZone === undefined ? {} : { timeZone });

/** `2026-11-21 09:05:07` in the given zone (the reader's own by default): sorts, aligns, and reads the same everywhere. */
export function stamp(instant: string, timeZone?: string): string {
  const date = new Date(instant);
  if (Number.isNaN(date.getTime())) return instant;
  // Swedish writes dates and times as ISO 8601 does.
  return date.toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'medium', ...zone(timeZone) });
}

/** The name of the reader's zone at that moment, as an offset: `UTC+08:00`, `UTC`. */
export function zoneName(instant: string, timeZone?: string): string {
  const date = new Date(instant);
  if (Number.isNaN(date.getTime())) return '';
  const parts = new Intl.DateTimeFormat('en', { timeZoneName: 'longOffset', ...zone(timeZone) }).formatToParts(date);
  return (
    parts
      .find(({ type }) => type === 'timeZoneName')
      ?.value.replace('GMT', 'UTC')
      .replace('+00:00', '') ?? ''
  );
}

/** `09:05`, and the day before it where that is not today. */
export function clockTime(instant: string, now: number, timeZone?: string): string {
  const then = stamp(instant, timeZone);
  const today = stamp(new Date(now).toISOString(), timeZone);
  return then.slice(0, 10) === today.slice(0, 10) ? then.slice(11, 16) : then.slice(0, 16);
}

/** The local value of `<input type="datetime-local">` as an RFC 3339 instant; null while it is empty or half typed. */
export function instantOf(localValue: string): string | null {
  const date = new Date(localValue);
  return localValue === '' || Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/** A long hex digest, cut in the middle: `sha256:1f3a9c02…7be1`. */
export function shortDigest(digest: string): string {
  const [prefix, hex] = digest.includes(':') ? digest.split(':', 2) : ['', digest];
  if (hex === undefined || hex.length <= 16) return digest;
  return `${prefix === '' ? '' : `${prefix}:`}${hex.slice(0, 8)}…${hex.slice(-4)}`;
}

/** An opaque id where there is no room for it: `usr_3b9e1cd7…c003`. */
export const shortId = (id: string): string => (id.length <= 20 ? id : `${id.slice(0, 12)}…${id.slice(-4)}`);

/** How full a budget is, 0 to 100, never outside. */
export const percent = (part: number, whole: number): number =>
  whole <= 0 ? 100 : Math.min(100, Math.max(0, (part / whole) * 100));

/** Whole units for a wait: 42 s, 12 min, 3 h. The unit names come from the dictionary. */
export function wait(seconds: number): { readonly amount: number; readonly unit: 'seconds' | 'minutes' | 'hours' } {
  if (seconds < 90) return { amount: Math.max(1, Math.ceil(seconds)), unit: 'seconds' };
  if (seconds < 90 * 60) return { amount: Math.ceil(seconds / 60), unit: 'minutes' };
  return { amount: Math.ceil(seconds / 3600), unit: 'hours' };
}

/** `Retry-After` (RFC 9110, section 10.2.3): seconds or a date. Null where there is none that can be read. */
export function retryAfter(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - now) / 1000));
}

/** Bytes in GiB, with two digits below ten. */
export const gibibytes = (bytes: number): string => {
  const value = bytes / 2 ** 30;
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} GiB`;
};
