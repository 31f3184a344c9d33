import { resolve } from 'node:path';
import type { Config } from '#config/schema.ts';
import type { Rotating } from '#engine/model-spec.ts';
import { openKeyFile } from '#engine/upstream/rotating-key.files.ts';
import type { Log } from '#kernel/log.ts';
import type { Metrics } from '#metrics/metrics.prometheus.ts';

/** Nothing slows down whoever guesses at the metrics' token, so it has to be long. */
const LEAST_CHARACTERS = 16;

export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** Where the metrics listen. */
export function metricsPlace({ metrics }: Config): { readonly host: string; readonly port: number } {
  const [, host = '', port = '0'] = /^\[?(.+?)\]?:(\d+)$/.exec(metrics.listen) ?? [];
  return { host, port: Number(port) };
}

/** What they ask for, read again when its file changes; null where they ask for nothing. @throws Error for a file with no token */
export const metricsToken = async ({ metrics }: Config, base: string, log: Log): Promise<Rotating<string> | null> =>
  metrics.tokenFile === undefined
    ? null
    : openKeyFile(resolve(base, metrics.tokenFile), log, { what: 'the token of the metrics', least: LEAST_CHARACTERS });

/** Opens the metrics' own listener. */
export async function listenForMetrics(
  metrics: Metrics,
  { config, base, log }: { readonly config: Config; readonly base: string; readonly log: Log },
): Promise<{ readonly address: string } & AsyncDisposable> {
  const { host, port } = metricsPlace(config);
  const token = await metricsToken(config, base, log);
  if (token === null && !isLoopback(host))
    log.warn('the metrics are open to other machines and ask for no token (metrics.tokenFile)', { address: host });
  return metrics.listen(host, port, token);
}
