import { policyRoutes } from '#access/policies.routes.ts';
import { replayRoutes } from '#access/replay.routes.ts';
import { auditRoutes } from '#audit/audit.routes.ts';
import { holdRoutes } from '#audit/hold.routes.ts';
import { proofRoutes } from '#audit/proof.routes.ts';
import { receiptRoutes } from '#audit/receipt.routes.ts';
import { chatRoutes } from '#chat/chat.routes.ts';
import { completionsRoutes } from '#completions/completions.routes.ts';
import { embeddingsRoutes } from '#embeddings/embeddings.routes.ts';
import { healthRoutes } from '#health/health.routes.ts';
import { openApiRoute } from '#http/openapi.ts';
import { type GuardedRoute, PUBLIC, type PublicRoute, type Route } from '#http/route.ts';
import { adminKeyRoutes } from '#identity/admin-keys.routes.ts';
import { factorRoutes } from '#identity/factors.routes.ts';
import { identityRoutes } from '#identity/identity.routes.ts';
import { keyRoutes } from '#identity/keys.routes.ts';
import { methodsRoute, oidcRoutes } from '#identity/oidc.routes.ts';
import { passkeyConfirmRoutes, passkeySignInRoutes } from '#identity/passkey-sign-in.routes.ts';
import { passkeyRoutes } from '#identity/passkeys.routes.ts';
import { tokenRoutes } from '#identity/token.routes.ts';
import { userRoutes } from '#identity/users.routes.ts';
import type { Principal } from '#kernel/principal.ts';
import { modelRoutes } from '#models/models.routes.ts';
import { quotaRoutes } from '#quota/quota.routes.ts';
import { installationRoutes } from '#scoring/installation.routes.ts';
import { scoringRoutes } from '#scoring/scoring.routes.ts';
import { stepUpRoutes } from '#stepup/stepup.routes.ts';

/** A route declares without running: what its handler would need is not there. */
const NOTHING = {} as never;

const quotas = { find: async () => null, assertScope: async () => {}, describe: String };
const users = { nameOf: async () => 'somebody' } as never;
const keys = {
  ownerNameOf: async () => 'somebody',
  find: async () => ({ name: 'x', owner: { username: 'somebody' } }),
} as never;

/** In the gateway's order, without what only a configuration adds. */
const features: Route[] = [
  ...identityRoutes(NOTHING),
  ...keyRoutes(NOTHING),
  ...factorRoutes(NOTHING),
  ...adminKeyRoutes(keys),
  ...stepUpRoutes(NOTHING),
  ...passkeyRoutes({ nameOf: async () => 'key' } as never),
  ...passkeySignInRoutes(NOTHING, []),
  ...userRoutes(users),
  methodsRoute(NOTHING),
  ...policyRoutes(NOTHING),
  ...replayRoutes(NOTHING),
  ...chatRoutes(NOTHING),
  ...completionsRoutes(NOTHING),
  ...embeddingsRoutes(NOTHING),
  ...modelRoutes(NOTHING),
  ...scoringRoutes(NOTHING),
  ...installationRoutes(NOTHING),
  ...quotaRoutes({ quotas } as never),
  ...auditRoutes(NOTHING),
  ...proofRoutes(NOTHING),
  ...holdRoutes({ list: async () => [{}] } as never),
  ...receiptRoutes(NOTHING),
  ...healthRoutes(NOTHING, NOTHING),
];

type Known = GuardedRoute<unknown, unknown, unknown> | PublicRoute<unknown, unknown, unknown>;

/** The route table as the gateway has it; that this list is whole is checked against its own /openapi.json. */
export const ROUTES = [...features, openApiRoute(features)] as unknown as readonly Known[];

export interface DeclaredRoute {
  readonly route: string;
  readonly id: string;
  readonly access: string;
  readonly credentials?: string;
  readonly counts?: boolean;
  readonly records?: string;
  readonly stepUp?: boolean;
}

const WITH_FACTOR = {
  username: 'somebody',
  hasTotp: true,
  hasPasskey: false,
  credential: { kind: 'session', ref: 'x' },
} as Principal;

/** Routes that are there with a provider or audiences configured. */
const OPTIONAL = [
  ...oidcRoutes(NOTHING, NOTHING),
  ...passkeyConfirmRoutes(NOTHING),
  ...tokenRoutes({ audiences: ['x'] } as never),
] as unknown as readonly Known[];

const BODY = { username: 'x', name: 'x', roles: [], audience: 'x', document: { features: [] } };

/** What each route declares, in the order of paths. `stepUp`: from somebody who has a second factor. */
export async function declaredRoutes(): Promise<DeclaredRoute[]> {
  const routes = [...ROUTES, ...OPTIONAL].map(async (route) => {
    const head = { route: `${route.method} ${route.path}`, id: route.id };
    if (route.access === PUBLIC) return { ...head, access: PUBLIC };
    return {
      ...head,
      access: `${route.access.action}, else ${route.access.denial}`,
      credentials: route.credentials,
      counts: route.counts !== 'none',
      records: route.records,
      stepUp: (await route.stepUp(WITH_FACTOR, { params: {}, query: {}, body: BODY, size: 0 })) !== null,
    };
  });
  return (await Promise.all(routes)).sort(
    (a, b) => (a.route.split(' ')[1] ?? '').localeCompare(b.route.split(' ')[1] ?? '') || a.id.localeCompare(b.id),
  );
}
