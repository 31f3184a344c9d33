import { isIP } from 'node:net';
import { z } from 'zod';
import { Access } from './access.ts';
import { Audit } from './audit.ts';
import { EngineSettings } from './engine.ts';
import { Identity } from './identity.ts';
import { Models } from './models.ts';

const Port = z.number().int().min(0).max(65535);
const File = z.string().min(1);
const Listen = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^:]+):\d{1,5}$/, 'must be HOST:PORT');

function isNetwork(text: string): boolean {
  const [, address = '', prefix = '0'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(prefix) <= (family === 6 ? 128 : 32);
}

const timeZones = new Set([...Intl.supportedValuesOf('timeZone'), 'UTC']);

/** Everything that can be set. A key that is not here stops the start. */
export const Config = z.strictObject({
  dataDir: z.string().min(1).default('.strongroom').describe('Folder of keys, certificates and the embedded database.'),
  http: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
      port: Port.default(8443).describe('Port of the only listener; TLS 1.3.'),
      publicUrl: z
        .url({ protocol: /^https$/ })
        .optional()
        .describe('Address that browsers use, where it is not https://localhost:PORT.'),
      trustedProxies: z
        .array(z.string().refine(isNetwork, 'must be an address or a network (10.0.0.0/8)'))
        .default([])
        .describe('Networks whose PROXY header (version 2) and X-Forwarded-For are believed.'),
      bodyLimit: z
        .number()
        .int()
        .min(1024)
        .max(64 * 1024 * 1024)
        .default(1024 * 1024)
        .describe('Largest request body in bytes.'),
      drainSeconds: z
        .number()
        .int()
        .min(0)
        .max(600)
        .default(20)
        .describe('How long running answers may go on after SIGTERM.'),
    })
    .prefault({}),
  tls: z
    .strictObject({
      certFile: File.optional().describe('PEM certificate chain; without it a development certificate is made.'),
      keyFile: File.optional().describe('PEM private key, mode 0600.'),
    })
    .prefault({}),
  database: z
    .strictObject({
      url: z
        .string()
        .min(1)
        .optional()
        .describe('Runtime login (also DATABASE_URL); without it an embedded Postgres runs.'),
      urlFile: File.optional().describe('File that holds the runtime login’s URL (also DATABASE_URL_FILE).'),
      migrateUrlFile: File.optional().describe('File with the URL of the login that may migrate (needs CREATEROLE).'),
      auditorUrlFile: File.optional().describe('File with the URL of the auditors’ login.'),
      verifierUrlFile: File.optional().describe(
        'File with the URL of the login for `audit verify` and `audit export`; without it that of migrateUrlFile.',
      ),
      signerUrlFile: File.optional().describe(
        'File with the URL of the login that signs checkpoints; without it that of the runtime.',
      ),
      caFile: File.optional().describe('PEM certificates that a remote database must chain to.'),
      commitTimeoutMs: z
        .number()
        .int()
        .min(100)
        .max(60_000)
        .default(4000)
        .describe('Longest wait for the audit log before a request is refused.'),
    })
    .prefault({}),
  keys: z
    .strictObject({
      sealFile: File.optional().describe('Key that seals second factors; made on the first embedded run.'),
      checkpointFile: File.optional().describe(
        'Ed25519 key that signs checkpoints of the log, in PEM; made on the first embedded run.',
      ),
      tokenDir: File.optional().describe(
        'Folder of the keys that sign tokens for other services; made in the data folder with the embedded database.',
      ),
    })
    .prefault({}),
  audit: Audit,
  access: Access,
  identity: Identity,
  scoring: z
    .strictObject({
      enabled: z
        .boolean()
        .optional()
        .describe('Encrypted scoring (CKKS); default: on with the embedded database, off with one of your own.'),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      listen: Listen.default('127.0.0.1:9464').describe('Where Prometheus reads /metrics.'),
      tokenFile: File.optional().describe(
        'File with the token that Prometheus shows (Authorization: Bearer); without it anybody who reaches the address reads.',
      ),
    })
    .prefault({}),
  quota: z
    .strictObject({
      timeZone: z
        .string()
        .refine((zone) => timeZones.has(zone), 'must be an IANA time zone')
        .default('UTC')
        .describe('Zone whose midnight begins a new quota day.'),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').describe('Least level of log lines.'),
    })
    .prefault({}),
  engine: EngineSettings,
  models: Models,
});
export type Config = z.infer<typeof Config>;
