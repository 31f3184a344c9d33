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

/** Parameters of ours that a server may name: nothing else of what it says is passed on. */
const PARAMS: ReadonlySet<string> = new Set([
  ...['messages', 'prompt', 'input', 'max_tokens', 'temperature', 'top_p', 'seed', 'stop', 'logit_bias'],
  ...['frequency_penalty', 'presence_penalty', 'logprobs', 'top_logprobs', 'response_format'],
  ...['tools', 'tool_choice', 'parallel_tool_calls'],
]);
const NAMED = /\(parameter=(\w+)[,)]/;
const OF_SCHEMA = /grammar|schema|structural.?tag/i;
/** vLLM without a tool parser, say. */
const OF_TOOLS = /tool.?(choice|call)/i;

/** What was asked, as far as a refusal can be about it. */
export interface Refused {
  readonly tooLong: () => Problem;
  /** Parameter in which a schema was sent, if any. */
  readonly schemaParam: string | null;
}

/** What an error answer means to our caller. The upstream's own words stay here. */
export function refusalOf(
  status: number,
  { code, message, param }: { readonly code: string | null; readonly message: string; readonly param: string | null },
  { tooLong, schemaParam }: Refused,
): Problem {
  const cause = new Error(`upstream answered ${status}`);
  if (status === 413 || (status === 400 && TOO_LONG.test(`${code} ${message}`))) return tooLong();
  if (status === 400 || status === 422) {
    // vLLM has it in a member; Ray Serve, which hands on what vLLM says, in the words alone.
    const named = param?.replace(/^body\./, '') ?? NAMED.exec(message)?.[1] ?? '';
    if (PARAMS.has(named))
      return new Problem('invalid_parameter', { message: `The model server refused ${named}.`, param: named }, cause);
    if (schemaParam !== null && OF_SCHEMA.test(message)) {
      const what = `The model server can not enforce the schema in ${schemaParam}.`;
      return new Problem('invalid_parameter', { message: what, param: schemaParam }, cause);
    }
    if (schemaParam === 'tools' && OF_TOOLS.test(message))
      return new Problem('invalid_parameter', { message: 'The model server refused tools.', param: 'tools' }, cause);
    return new Problem('invalid_parameter', { message: 'The model server refused the parameters.' }, cause);
  }
  if (status === 429) return busyProblem(null, status);
  return engineFailed('The model server failed. Try again.', cause);
}
