import initialize from 'node-seal';
import type { ChildMessage, ParentMessage } from './evaluation.ts';
import { Evaluator, type RotationKeys, WireFault } from './evaluator.seal.ts';
import type { Seal } from './seal.shared.ts';

/**
 * The process that lets SEAL see bytes from outside. It is expendable: it serves one tenant, holds no secret, no
 * connection and no file, and is killed when it takes too long or too much.
 */
const say = (message: ChildMessage): void => {
  process.send?.(message);
};

let seal: Seal | null = null;
const evaluators = new Map<string, Evaluator>();
let session: { readonly id: string; readonly wire: Uint8Array; readonly steps: readonly number[] } | null = null;
let loaded: { readonly session: string; readonly keys: RotationKeys } | null = null;

function evaluatorOf(params: string): Evaluator {
  const made = evaluators.get(params) ?? new Evaluator(seal as Seal, params);
  evaluators.set(params, made);
  return made;
}

function evaluate({ plan, mode, payload, session: wanted }: Extract<ParentMessage, { t: 'evaluate' }>): ChildMessage {
  const evaluator = evaluatorOf(plan.params);
  const before = process.cpuUsage();
  try {
    let keys: RotationKeys | null = null;
    if (wanted !== null) {
      if (session?.id !== wanted) return { t: 'refused', reason: 'the keys of the session are not here' };
      if (loaded?.session !== wanted) {
        loaded?.keys.keys.delete();
        loaded = null;
        loaded = { session: wanted, keys: evaluator.rotationKeys(session.wire, session.steps) };
      }
      keys = loaded.keys;
    }
    const result = evaluator.evaluate(plan, mode, payload, keys);
    const { user, system } = process.cpuUsage(before);
    return { t: 'evaluated', payload: result, cpuMicros: user + system };
  } catch (thrown) {
    if (thrown instanceof WireFault) return { t: 'refused', reason: thrown.message };
    throw asError(thrown);
  }
}

/** SEAL throws exceptions of WebAssembly's, which are no errors and hold memory. */
function asError(thrown: unknown): Error {
  if (thrown instanceof Error || seal === null) return thrown as Error;
  const [type, message] = seal.getExceptionMessage(thrown);
  seal.decrementExceptionRefcount(thrown);
  return new Error(`${type}: ${message}`);
}

process.on('message', (message: ParentMessage) => {
  // Whatever is thrown from here ends the process: one clear error for one request, and a fresh start for the next.
  if (message.t === 'keys') session = { id: message.session, wire: message.wire, steps: message.steps };
  else say(evaluate(message));
});
process.on('disconnect', () => process.exit(0));

try {
  seal = (await initialize()) as unknown as Seal;
  say({ t: 'ready' });
} catch (thrown) {
  say({ t: 'unsupported', reason: thrown instanceof Error ? thrown.message : String(thrown) });
}
