import { NO_STEP_UP, PUBLIC, publicRoute, type Route, route } from '#http/route.ts';
import { NO_COOKIE } from '#http/session-cookie.ts';
import type { Origin } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import {
  EnrolRequest,
  EnrolResponse,
  RecoveryCodes,
  TotpActivation,
  TotpRequest,
  TotpResponse,
} from './factors.contract.ts';
import { SessionList, SessionPath } from './sessions.contract.ts';
import type { TotpSecret } from './totp.ts';
import { type OwnSession, sessionId } from './users.ts';

/** What the routes need of the service. */
export interface FactorsPort {
  enrol(token: string, password: string, origin: Origin): Promise<{ username: string; mustEnrol: boolean }>;
  enrolTotp(
    principal: Principal,
    password: string | undefined,
    origin: Origin,
  ): Promise<TotpSecret & { readonly uri: string }>;
  activateTotp(principal: Principal, code: string, origin: Origin): Promise<readonly string[]>;
  sessions(principal: Principal): Promise<readonly OwnSession[]>;
  endSession(principal: Principal, id: string, origin: Origin): Promise<void>;
}

const own = (type: string) => (_input: unknown, principal: Principal) => ({ type, id: principal.subject });
const common = { credentials: 'session', stepUp: NO_STEP_UP, counts: 'none' } as const;

/** Enrolment, the second factor and the sessions of one's own account. */
export function factorRoutes(factors: FactorsPort): Route[] {
  return [
    publicRoute<undefined, undefined, EnrolRequest>({
      id: 'auth.enrol',
      method: 'POST',
      path: '/auth/enrol',
      summary: 'Choose a password with the one-use link of an invitation',
      access: PUBLIC,
      body: EnrolRequest,
      bodyLimit: 4096,
      response: EnrolResponse,
      handle: async ({ body, origin }) => {
        const { username, mustEnrol } = await factors.enrol(body.token, body.password, origin);
        return { kind: 'json', body: { username, must_enrol: mustEnrol } satisfies EnrolResponse };
      },
    }),
    route<undefined, undefined, TotpRequest>({
      ...common,
      id: 'auth.totp.enrol',
      method: 'POST',
      path: '/auth/totp/enrol',
      summary: 'Begin to set up or replace the second factor; nothing changes before it is activated',
      access: { action: 'totp.enrol', resource: own('account'), denial: 'forbidden' },
      stepUp: (principal) => {
        if (principal.hasTotp) return `Replace the second factor of ${principal.username}`;
        return principal.hasPasskey ? `Set up an authenticator app for ${principal.username}` : null;
      },
      records: 'full',
      body: TotpRequest,
      bodyLimit: 4096,
      response: TotpResponse,
      handle: async ({ principal, body, origin }) => {
        const made = await factors.enrolTotp(principal, body.password, origin);
        const { secret, uri, digits } = made;
        const algorithm = made.algorithm === 'sha256' ? 'SHA256' : 'SHA1';
        return { kind: 'json', body: { secret, uri, algorithm, digits, period: 30 } satisfies TotpResponse };
      },
    }),
    route<undefined, undefined, TotpActivation>({
      ...common,
      id: 'auth.totp.activate',
      method: 'POST',
      path: '/auth/totp/activate',
      summary: 'Put the new second factor in force with one good code; ends every session of the account',
      access: { action: 'totp.activate', resource: own('account'), denial: 'forbidden' },
      records: 'full',
      body: TotpActivation,
      bodyLimit: 4096,
      response: RecoveryCodes,
      handle: async ({ principal, body, origin }) => {
        const codes = await factors.activateTotp(principal, body.code, origin);
        return {
          kind: 'json',
          body: { recovery_codes: [...codes] } satisfies RecoveryCodes,
          headers: { 'set-cookie': NO_COOKIE },
        };
      },
    }),
    route({
      ...common,
      id: 'auth.sessions',
      method: 'GET',
      path: '/auth/sessions',
      summary: 'One’s own sessions',
      access: { action: 'session.read', resource: own('session'), denial: 'forbidden' },
      records: 'denials',
      response: SessionList,
      handle: async ({ principal }) => {
        const data = (await factors.sessions(principal)).map((session) => ({
          id: sessionId(session.ref),
          current: session.ref === principal.credential.ref,
          factors: [...session.factors],
          created_at: session.createdAt,
          last_seen_at: session.lastSeenAt,
          expires_at: session.expiresAt,
        }));
        return { kind: 'json', body: { data } satisfies SessionList };
      },
    }),
    route<{ id: string }>({
      ...common,
      id: 'auth.sessions.end',
      method: 'DELETE',
      path: '/auth/sessions/:id',
      summary: 'End one of one’s own sessions on every replica',
      access: { action: 'session.end', resource: own('session'), denial: 'forbidden' },
      records: 'full',
      params: SessionPath,
      handle: async ({ principal, params, origin }) => {
        await factors.endSession(principal, params.id, origin);
        return { kind: 'empty' };
      },
    }),
  ];
}
