import { cookieValue } from '#http/credential.ts';
import { NO_STEP_UP, PUBLIC, publicRoute, type Reply, type Route, route } from '#http/route.ts';
import { sessionCookie } from '#http/session-cookie.ts';
import type { Origin } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import { CallbackQuery, CodeRequest, CodeResponse, LogoutRequest, SignInMethods, StartQuery } from './oidc.contract.ts';
import { PENDING_SECONDS } from './oidc.ts';

interface Opened {
  readonly token: string;
  readonly expiresAt: string;
}
type SignInError = 'failed' | 'refused' | 'unavailable';

/** What the routes need of the service. */
export interface FederationPort {
  start(fresh: boolean): Promise<{ url: string; pending: string } | { error: SignInError }>;
  finish(parameters: URLSearchParams, pending: string | null, origin: Origin): Promise<Opened | { error: SignInError }>;
  confirm(principal: Principal, code: string, origin: Origin): Promise<Opened>;
}

/** What the provider itself calls. */
export interface ProviderLogoutPort {
  logout(token: string, origin: Origin): Promise<void>;
}

/**
 * What the browser brings back: state, nonce and PKCE verifier, sealed. A cookie and not a row, so that nobody fills the
 * database by asking for sign-ins; that one opens a single session is settled in the database when it comes back.
 * SameSite=Lax, unlike every other cookie of ours: the way back begins at the provider's site, and a Strict cookie stays
 * at home then. Lax goes along with a top-level GET only, it is good for this one route and ten minutes, and it opens
 * nothing without the code that belongs to it.
 */
const PENDING_COOKIE = '__Host-strongroom-oidc';
const LAX = 'Path=/; Secure; HttpOnly; SameSite=Lax';
const pendingCookie = (value: string): string => `${PENDING_COOKIE}=${value}; ${LAX}; Max-Age=${PENDING_SECONDS}`;
const NO_PENDING_COOKIE = `${PENDING_COOKIE}=; ${LAX}; Max-Age=0`;

const failed = (error: SignInError): Reply => ({
  kind: 'redirect',
  location: `/#/sign-in?error=${error}`,
  headers: { 'set-cookie': NO_PENDING_COOKIE },
});

/** What the sign-in page may offer; there whether there is a provider or not. */
export const methodsRoute = (methods: SignInMethods): Route =>
  publicRoute({
    id: 'auth.methods',
    method: 'GET',
    path: '/auth/methods',
    summary: 'The ways to sign in',
    access: PUBLIC,
    response: SignInMethods,
    handle: async () => ({ kind: 'json', body: methods }),
  });

export function oidcRoutes(federation: FederationPort, provider: ProviderLogoutPort): Route[] {
  return [
    publicRoute<undefined, StartQuery>({
      id: 'auth.oidc.start',
      method: 'GET',
      path: '/auth/oidc/start',
      summary: 'Go to the identity provider to sign in',
      access: PUBLIC,
      query: StartQuery,
      handle: async ({ query }) => {
        const started = await federation.start(query.fresh === 'true');
        if ('error' in started) return failed(started.error);
        const headers = { 'set-cookie': pendingCookie(started.pending) };
        return { kind: 'redirect', location: started.url, headers };
      },
    }),
    publicRoute<undefined, CallbackQuery>({
      id: 'auth.oidc.callback',
      method: 'GET',
      path: '/auth/oidc/callback',
      summary: 'Come back from the identity provider',
      access: PUBLIC,
      query: CallbackQuery,
      handle: async ({ query, headers, origin }) => {
        const parameters = new URLSearchParams(
          Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined),
        );
        const pending = cookieValue(headers['cookie'], PENDING_COOKIE);
        const opened = await federation.finish(parameters, pending, origin);
        if ('error' in opened) return failed(opened.error);
        const cookies = [sessionCookie(opened.token, opened.expiresAt), NO_PENDING_COOKIE];
        return { kind: 'redirect', location: '/', headers: { 'set-cookie': cookies } };
      },
    }),
    publicRoute<undefined, undefined, LogoutRequest>({
      id: 'auth.oidc.backchannel-logout',
      method: 'POST',
      path: '/auth/oidc/backchannel-logout',
      summary: 'The identity provider ends the sessions of a user who has signed out there',
      access: PUBLIC,
      form: true,
      body: LogoutRequest,
      bodyLimit: 16 * 1024,
      handle: async ({ body, origin }) => {
        await provider.logout(body.logout_token, origin);
        // Section 2.8: 200, and nobody keeps the answer.
        return { kind: 'json', body: {}, headers: { 'cache-control': 'no-store' } };
      },
    }),
    route<undefined, undefined, CodeRequest>({
      id: 'auth.oidc.code',
      method: 'POST',
      path: '/auth/oidc/code',
      summary: 'Show the second factor that the identity provider did not ask for; answers with a new session',
      access: {
        action: 'session.confirm',
        resource: (_input, principal) => ({ type: 'session', id: principal.subject }),
        denial: 'forbidden',
      },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'denials',
      body: CodeRequest,
      bodyLimit: 1024,
      response: CodeResponse,
      handle: async ({ principal, body, origin }) => {
        const { token, expiresAt } = await federation.confirm(principal, body.code, origin);
        const answer: CodeResponse = { token, expires_at: expiresAt };
        return { kind: 'json', body: answer, headers: { 'set-cookie': sessionCookie(token, expiresAt) } };
      },
    }),
  ];
}
