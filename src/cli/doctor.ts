import { loadConfig } from '#config/load.ts';
import { findSandbox } from '#gateway-engines.ts';
import { silentLog } from '#kernel/log.ts';
import type { Invocation } from './command.ts';

/** What this machine offers, found by trying it. Fails where the configuration asks for more. */
export async function doctor({ json }: Invocation): Promise<number> {
  const { config, base } = loadConfig();
  const { level, network, faults } = await findSandbox(config, base, silentLog);
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, sandbox: { level, network, faults } })}\n`);
  else {
    process.stdout.write(`engine sandbox: ${level}, network ${network}\n`);
    for (const fault of faults) process.stdout.write(`  not ${fault}\n`);
  }
  return 0;
}
