import { join, resolve } from 'node:path';
import type { Config } from '#config/schema.ts';
import { type AppDeps, createApp } from '#http/app.ts';
import { ProxiedConnections } from '#http/proxied-connections.ts';
import { HttpServer } from '#http/server.ts';
import { proxyList, sourceFinder } from '#http/source.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { openCertificateFiles } from '#tls/certificate.files.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';
import { TLS_OPTIONS } from '#tls/tls-options.ts';
import { PROGRAM } from './gateway-database.ts';

export interface ListenerDeps
  extends Omit<AppDeps, 'portal' | 'strictTransport' | 'sourceOf' | 'isDraining' | 'isOwnOrigin'> {
  readonly config: Config;
  readonly base: string;
  readonly log: Log;
  readonly clock: Clock;
}

export interface Listener {
  readonly server: HttpServer;
  readonly url: string;
  /** The development CA, or null with a configured certificate. */
  readonly caFile: string | null;
  reloadCertificate(): Promise<boolean>;
  stopWatching(): void;
}

/** The TLS listener with the application behind it; it listens when this resolves. */
export async function openListener(deps: ListenerDeps): Promise<Listener> {
  const { config, base, log, clock } = deps;
  const { certFile, keyFile } = config.tls;
  const development =
    certFile === undefined || keyFile === undefined
      ? await ensureDevelopmentCertificate(resolve(base, config.dataDir), { clock, log })
      : null;
  const certificates = await openCertificateFiles({
    certFile: development?.certFile ?? resolve(base, certFile ?? ''),
    keyFile: development?.keyFile ?? resolve(base, keyFile ?? ''),
    clock,
    log,
    onChange: ({ cert, key }) => server.renewCertificate({ ...TLS_OPTIONS, cert, key }),
  });
  const { cert, key } = certificates.current;
  const ownHost = config.http.publicUrl === undefined ? null : new URL(config.http.publicUrl).host;
  const trusted = proxyList(config.http.trustedProxies);
  const proxied =
    config.http.trustedProxies.length === 0 ? null : new ProxiedConnections({ trusted, onStray: deps.onStray });
  const server: HttpServer = new HttpServer({
    tls: { ...TLS_OPTIONS, cert, key },
    onStray: deps.onStray,
    proxied,
    listener: createApp({
      ...deps,
      portal: join(PROGRAM, 'dist', 'portal'),
      strictTransport: development === null,
      sourceOf: sourceFinder(trusted, proxied),
      isDraining: () => server.draining,
      isOwnOrigin: (origin, host) => origin === `https://${ownHost ?? host}`,
    }),
  });
  try {
    const port = await server.listen(config.http.host, config.http.port);
    const url = config.http.publicUrl ?? `https://localhost:${port}`;
    return {
      server,
      url,
      caFile: development?.caFile ?? null,
      reloadCertificate: () => certificates.check(),
      stopWatching: () => certificates.close(),
    };
  } catch (error) {
    certificates.close();
    throw error;
  }
}
