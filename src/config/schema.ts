import { z } from 'zod';

const Port = z.number().int().min(0).max(65535);
const File = z.string().min(1);
const Listen = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^:]+):\d{1,5}$/, 'must be HOST:PORT');

const timeZones = new Set([...Intl.supportedValuesOf('timeZone'), 'UTC']);

const common = {
  classification: z
    .number()
    .int()
    .min(0)
    .max(4)
    .default(0)
    .describe('Least clearance (0 to 4) that a user needs to see the model.'),
  maxOutputTokens: z
    .number()
    .int()
    .min(1)
    .max(1_048_576)
    .default(1024)
    .describe('Longest answer when the caller names no limit.'),
};

const LocalModel = z.strictObject({
  ...common,
  file: File.describe('GGUF file.'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe('Approved digest of the file; another file is never parsed.'),
  chatTemplateFile: File.describe('Pinned Jinja chat template; the one inside the model file is not trusted.'),
  contextSize: z.number().int().min(16).max(1_048_576).default(4096).describe('Tokens per conversation.'),
  parallel: z.number().int().min(1).max(64).default(4).describe('Conversations that run at once.'),
  threads: z.number().int().min(1).max(512).optional().describe('CPU threads; default: the cores of this machine.'),
  gpu: z.enum(['auto', 'cuda', 'vulkan', 'cpu']).default('auto').describe('Which processor does the arithmetic.'),
});

const UpstreamModel = z.strictObject({
  ...common,
  contextSize: z.number().int().min(16).optional().describe('Tokens per conversation, where it is known.'),
  parallel: z.number().int().min(1).max(4096).default(256).describe('Requests under way at once.'),
  upstream: z.strictObject({
    url: z.url({ protocol: /^https?$/ }).describe('Base address of an OpenAI-compatible server, without /v1.'),
    model: z.string().min(1).describe('Name of the model on that server.'),
    apiKeyFile: File.optional().describe('File that holds the API key for that server.'),
    caFile: File.optional().describe('PEM certificates that the server must chain to.'),
  }),
});

const RoleName = z.enum(['admin', 'analyst', 'auditor', 'service']);
const Claim = z.string().min(1).max(200);
const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

const Oidc = z.strictObject({
  issuer: z
    .url({ protocol: /^https?$/ })
    .refine((url) => url.startsWith('https://') || LOOPBACK.has(new URL(url).hostname), 'must be https')
    .describe('The identity provider: what its discovery document calls `issuer`.'),
  clientId: z.string().min(1).describe('Under which this gateway is registered there.'),
  clientSecretFile: File.describe('File that holds the secret of that registration.'),
  scope: z.string().min(1).default('openid profile').describe('What is asked for; `openid` must be in it.'),
  usernameClaim: Claim.default('preferred_username').describe('Claim that becomes the username.'),
  roleClaim: Claim.default('roles').describe('Claim with the groups or roles of a user; a.b reads b inside a.'),
  roles: z.record(Claim, RoleName).describe('Which role a value of that claim gives; a user without any is refused.'),
  attributes: z
    .strictObject({
      department: Claim.optional().describe('Claim that becomes the department.'),
      clearance: Claim.optional().describe('Claim that becomes the clearance, 0 to 4; anything else is 0.'),
      branch: Claim.optional().describe('Claim that becomes the branch.'),
    })
    .prefault({}),
  acrValues: z.array(z.string().min(1)).default([]).describe('Classes of authentication that are asked for.'),
  secondFactorAcr: z
    .array(z.string().min(1))
    .default([])
    .describe('Values of `acr` or `amr` by which the provider says that a second factor was shown.'),
  caFile: File.optional().describe('PEM certificates that the provider must chain to.'),
});
export type OidcConfig = z.infer<typeof Oidc>;

export type LocalModelConfig = z.infer<typeof LocalModel>;
export type UpstreamModelConfig = z.infer<typeof UpstreamModel>;

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
      trustedProxies: z.array(z.string()).default([]).describe('Networks whose X-Forwarded-For is believed.'),
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
      urlFile: File.optional().describe('File that holds the runtime login’s URL.'),
      migrateUrlFile: File.optional().describe('File with the URL of the login that may migrate (needs CREATEROLE).'),
      auditorUrlFile: File.optional().describe('File with the URL of the auditors’ login.'),
      verifierUrlFile: File.optional().describe(
        'File with the URL of the login for `audit verify` and `audit export`; without it that of migrateUrlFile.',
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
  audit: z
    .strictObject({
      origin: z
        .string()
        .regex(/^[!-*,-~]{1,200}$/, 'must be printable, without spaces and +')
        .default('localhost/strongroom')
        .describe('Name of this log in its checkpoints, for good: a host of yours and a path, without a scheme.'),
    })
    .prefault({}),
  identity: z
    .strictObject({
      secondFactorRoles: z
        .array(z.enum(['admin', 'analyst', 'auditor']))
        .default([])
        .describe('Roles that must set up a second factor before anything else; admin always is one.'),
      passwordProfile: z.enum(['nist', 'mlps3']).default('nist').describe('Rules for new passwords.'),
      passwordBlocklistFile: File.optional().describe(
        'Words that no password may be, one a line, beside the shipped ones.',
      ),
      localAccounts: z
        .boolean()
        .default(true)
        .describe('false: only admins sign in with a password, for the day the identity provider is down.'),
      oidc: Oidc.optional().describe('Sign-in through an identity provider of the house (OpenID Connect).'),
      tokens: z
        .strictObject({
          audiences: z
            .array(z.string().min(1).max(200))
            .default([])
            .describe('Services that users may have a token made for; none: no tokens are made at all.'),
        })
        .prefault({}),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      listen: Listen.default('127.0.0.1:9464').describe('Where Prometheus reads /metrics.'),
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
  models: z
    .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}$/), z.union([LocalModel, UpstreamModel]))
    .optional()
    .describe('What may be loaded at all; without it the built-in model `demo`.'),
});
export type Config = z.infer<typeof Config>;
