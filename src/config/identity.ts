import { z } from 'zod';

const File = z.string().min(1);

/** Of persons: a service account has no session, so no provider gives one that role. */
const RoleName = z.enum(['admin', 'analyst', 'auditor']);
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

/** `identity`: who signs in, and how. */
export const Identity = z
  .strictObject({
    secondFactorRoles: z
      .array(z.enum(['admin', 'analyst', 'auditor']))
      .default([])
      .describe('Roles that must set up a second factor before anything else; admin always is one.'),
    passwordProfile: z.enum(['nist', 'mlps3']).default('nist').describe('Rules for new passwords.'),
    passwordBlocklistFile: File.optional().describe(
      'Words that no password may be, one a line, beside the shipped ones.',
    ),
    totp: z
      .strictObject({
        algorithm: z
          .enum(['sha1', 'sha256'])
          .default('sha1')
          .describe('Hash of new authenticator secrets; many apps know sha1 only.'),
        digits: z
          .union([z.literal(6), z.literal(8)])
          .default(6)
          .describe('Digits of their codes.'),
      })
      .prefault({}),
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
  .prefault({});
