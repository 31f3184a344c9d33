import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of its own and a stack of what runs: both go when `measure` is over, however it ends, ^C included. */
export async function withScratch(
  measure: (stack: AsyncDisposableStack, folder: string) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  await Promise.race([measure(stack, folder), stopSignal()]);
}

/** Ends what runs by way of an error, so that every process of ours is stopped. */
function stopSignal(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error(signal)));
  });
}
