import { engineFailed } from '#engine/refusal.ts';
import { Problem } from '#kernel/problem.ts';

/** Servers say it in many words; this is for telling it apart only, their text is never passed on. */
const TOO_LONG = /context.?length|context.?size|maximum.{0,20}(context|tokens)|exceed.{0,20}context|too many tokens/i;

/** Longer than this nobody is left alone, whatever he asks for. */
const MOST_REST_MS = 300_000;

/**
 * `Retry-After` (RFC 9110, section 10.2.3) in milliseconds, seconds or a date; null where there is none.
 * `now`: milliseconds since the epoch.
 */
export function retryAfterMs(header: string | string[] | undefined, now: number): number | null {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return null;
  // Only the one form of a date that HTTP knows: a lenient parser makes one of anything.
  const date = text.endsWith(' GMT') ? Date.parse(text) - now : Number.NaN;
  const wait = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : date;
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), MOST_REST_MS) : null;
}

/** The servers have too much to do. `status`: of the one that said so. */
export function busyProblem(waitMs: number | null, status: number | null): Problem {
  const retryAfter = waitMs === null ? 5 : Math.max(1, Math.ceil(waitMs / 1000));
  const cause = new Error(status === null ? 'every server asked for a pause' : `upstream answered ${status}`);
  return new Problem('overloaded', { message: 'The model is busy. Try again later.', retryAfter }, cause);
}

/** What an error answer means to our caller. The upstream's own words stay here. */
export function refusalOf(status: number, body: string, tooLong: () => Problem): Problem {
  const cause = new Error(`upstream answered ${status}`);
  if (status === 413 || (status === 400 && TOO_LONG.test(body))) return tooLong();
  if (status === 400 || status === 422)
    return new Problem('invalid_parameter', { message: 'The model server refused the parameters.' }, cause);
  return engineFailed('The model server failed. Try again.', cause);
}
