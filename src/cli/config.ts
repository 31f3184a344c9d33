import { loadConfig } from '#config/load.ts';
import { modelNames } from '#config/models.ts';
import type { Invocation } from './verbs.ts';

/** `config check`: every fault at once; the settings themselves are not printed, some are addresses with passwords. */
export async function checkConfig({ json }: Invocation): Promise<number> {
  const { file, config } = loadConfig();
  const models = config.models === undefined ? ['demo'] : modelNames(config.models);
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, file, models })}\n`);
  else
    process.stdout.write(
      `The configuration is sound (${file ?? 'no file, defaults'}). Models: ${models.join(', ')}.\n`,
    );
  return 0;
}
