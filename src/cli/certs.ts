import { resolve } from 'node:path';
import { loadConfig } from '#config/load.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';
import type { Invocation } from './verbs.ts';

/** `certs dev`: the authority and the certificate that a first start would make, or make anew where they end soon. */
export async function makeDevelopmentCertificate({ json }: Invocation): Promise<number> {
  const { config, base } = loadConfig();
  const files = await ensureDevelopmentCertificate(resolve(base, config.dataDir), {
    clock: systemClock,
    log: silentLog,
  });
  const used = config.tls.certFile === undefined;
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, ...files, used })}\n`);
  else
    process.stdout.write(
      `Clients must trust ${files.caFile}, which can vouch for localhost, 127.0.0.1 and ::1 alone.
Certificate ${files.certFile}, key ${files.keyFile}.
${used ? '' : 'Not used: tls.certFile names one of your own.\n'}`,
    );
  return 0;
}
