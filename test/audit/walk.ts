import type { ScoringClient } from '#scoring/client.shared.ts';
import type { SoftAuthenticator } from '../fakes/authenticator.ts';
import type { Answer } from '../harness/https-client.ts';

/** What the walk has learnt on its way. */
export interface Learnt {
  user: string;
  key: string;
  session: string;
  secret: string;
  hold: string;
  serviceKey: string;
  passkey: string;
  creation: Parameters<SoftAuthenticator['create']>[0] | null;
  scoring: string;
  /** A service account. */
  readonly service: string;
  /** An account that was disabled. */
  readonly leaver: string;
  readonly customer: ScoringClient;
  readonly device: SoftAuthenticator;
  readonly password: string;
}

/** What a call takes along: `device` answers where a passkey is asked for. */
export interface Sent {
  readonly body?: unknown;
  readonly device?: SoftAuthenticator;
}

/** How a route is called once for its record, by somebody who may. */
export interface Step {
  readonly who: 'analyst' | 'auditor' | 'admin';
  readonly path?: (learnt: Learnt) => string;
  readonly body?: (learnt: Learnt) => unknown;
  readonly learn?: (answer: Answer, learnt: Learnt) => void;
  /** It ends the caller's sessions: he comes back, with his new password or his passkey. */
  readonly returns?: 'password' | 'passkey';
}

export const USER = { username: 'walked', roles: ['analyst'], department: 'risk', clearance: 1 };
export const onUser = (verb: string): Step => ({
  who: 'admin',
  path: ({ user }) => `/admin/users/${user}/${verb}`,
});
export const onModel = (verb: string): Step => ({
  who: 'admin',
  path: () => `/admin/models/demo/${verb}`,
  body: () => undefined,
});
