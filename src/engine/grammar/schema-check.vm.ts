import vm from 'node:vm';
import { Validator } from '@cfworker/json-schema';

/** A check that computes for longer is a schema that takes for ever. */
const DEADLINE_MS = 250;
/** So long may a check wait for a busy machine to let it compute. */
const MOST_MS = 4000;

let caller: { readonly script: vm.Script; readonly context: vm.Context } | undefined;

/** Runs what may not come to an end. @throws Error at the deadline */
function withDeadline<T>(work: () => T, milliseconds: number): T {
  caller ??= { script: new vm.Script('work()'), context: vm.createContext({ work: null }) };
  const { script, context } = caller;
  context['work'] = work;
  return script.runInContext(context, { timeout: milliseconds }) as T;
}

/** It is an error of the other context, and so no `Error` of this one. */
const isDeadline = (error: unknown): boolean =>
  (error as { readonly code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';

/** Milliseconds that this thread has computed. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/**
 * Whether a JSON text is what a schema asks for: the last word on what grammar or another server has made. It holds up
 * whoever calls it, so that it runs where that is a model's own process.
 *
 * The deadline is one of computing. The clock on the wall, which alone can break it off, says nothing where others have the
 * processor: then it is begun again, with twice the time. `computedMs`: of this thread, so far.
 */
export function fitsSchema(
  text: string,
  schema: Readonly<Record<string, unknown>>,
  deadlineMs = DEADLINE_MS,
  computedMs: () => number = threadMs,
): boolean {
  const began = computedMs();
  for (let allowed = deadlineMs; ; allowed *= 2) {
    try {
      return withDeadline(() => new Validator(schema as object, '2020-12').validate(JSON.parse(text)).valid, allowed);
    } catch (error) {
      // No JSON, a reference that leads nowhere, or the deadline: nobody can say that it fits.
      if (!isDeadline(error) || allowed >= MOST_MS || computedMs() - began >= deadlineMs) return false;
    }
  }
}
