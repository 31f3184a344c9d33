import { renderUnicodeCompact } from 'uqr';
import { loadConfig } from '#config/load.ts';
import { openGateway } from '#gateway.ts';
import type { FirstRun } from '#identity/first-run.ts';
import { totpUri } from '#identity/totp.otplib.ts';
import { EVERY_APP } from '#identity/totp.ts';
import { pinoLog } from '#logging/log.pino.ts';

/** `serve`: runs until SIGTERM or SIGINT, then drains. A second signal ends it at once. */
export async function serve(): Promise<number> {
  const { config, base, file } = loadConfig();
  const log = pinoLog(config.log.level);
  const startedAt = performance.now();
  const stopped = stopSignal();
  log.info('starting', { version: '0.1.0', ...(file === null ? {} : { file }) });
  const gateway = await openGateway({ config, base, log });
  const onHangUp = () => void gateway.reloadCertificate();
  process.on('SIGHUP', onHangUp);
  if (gateway.firstRun) process.stdout.write(welcome(gateway.firstRun));
  process.stdout.write(`Strongroom is at ${gateway.url} (metrics at http://${gateway.metricsAddress}/metrics)\n`);
  log.info('listening', { address: gateway.url, durationMs: Math.round(performance.now() - startedAt) });
  const signal = await stopped;
  log.info('draining', { signal });
  await gateway[Symbol.asyncDispose]();
  process.off('SIGHUP', onHangUp);
  log.info('stopped');
  return 0;
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(1));
        resolve(signal);
      });
    }
  });
}

/** How to sign in, once: the passwords stand in the data folder until they are changed. */
function welcome({ url, caFile, accounts }: FirstRun): string {
  const lines = ['', 'First run. Development accounts, also in first-run.json of the data folder:', ''];
  for (const { username, password, role } of accounts)
    lines.push(`  ${username.padEnd(10)}${password.padEnd(28)}(${role})`);
  const admin = accounts.find((account) => account.totpSecret !== undefined);
  if (admin?.totpSecret !== undefined) {
    lines.push(
      '',
      `Second factor of ${admin.username}: scan this with an authenticator app, or type ${admin.totpSecret}`,
      '',
    );
    lines.push(renderUnicodeCompact(totpUri({ ...EVERY_APP, secret: admin.totpSecret }, admin.username)));
  }
  lines.push('', `Open ${url}. The certificate was made by a development CA: ${caFile}`, '', '');
  return lines.join('\n');
}
