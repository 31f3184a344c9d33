import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const RUN = join(import.meta.dirname, 'run.ts');
const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const minutes = (since: number): string => `${((performance.now() - since) / 60_000).toFixed(1)} minutes`;

/**
 * Runs them one after another, each in a process of its own, so that none begins with another's heap; one that fails does not
 * keep the rest from running. Draws the charts at the end. @returns whether all went well
 */
export async function inSequence(names: readonly string[]): Promise<boolean> {
  const begun = performance.now();
  const failed: string[] = [];
  for (const [index, name] of names.entries()) {
    const startedAt = performance.now();
    say(`\n=== ${name}, ${index + 1} of ${names.length}, after ${minutes(begun)}`);
    const child = spawn(process.execPath, [...process.execArgv, RUN, name], { stdio: 'inherit' });
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    say(`=== ${name}: ${code === 0 ? 'done' : `failed (${code ?? signal})`}, ${minutes(startedAt)}`);
    if (code !== 0) failed.push(name);
    if (signal === 'SIGINT' || signal === 'SIGTERM') break;
  }
  say(`${names.length - failed.length} of ${names.length} done in ${minutes(begun)}`);
  if (failed.length > 0) say(`failed: ${failed.join(', ')}`);
  return failed.length === 0;
}
