import vm from 'node:vm';
import { Validator } from '@cfworker/json-schema';

/** A check that takes longer is a schema that takes for ever. */
const DEADLINE_MS = 250;

let caller: { readonly script: vm.Script; readonly context: vm.Context } | undefined;

/** Runs what may not come to an end. @throws Error at the deadline */
function withDeadline<T>(work: () => T, milliseconds: number): T {
  caller ??= { script: new vm.Script('work()'), context: vm.createContext({ work: null }) };
  const { script, context } = caller;
  context['work'] = work;
  return script.runInContext(context, { timeout: milliseconds }) as T;
}

/**
 * Whether a JSON text is what a schema asks for: the last word on what grammar or another server has made. It holds up
 * whoever calls it, so that it runs where that is a model's own process.
 */
export function fitsSchema(text: string, schema: Readonly<Record<string, unknown>>, deadlineMs = DEADLINE_MS): boolean {
  try {
    return withDeadline(() => new Validator(schema as object, '2020-12').validate(JSON.parse(text)).valid, deadlineMs);
  } catch {
    // No JSON, a reference that leads nowhere, or the deadline: nobody can say that it fits.
    return false;
  }
}
