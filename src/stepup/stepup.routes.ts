import { cookieToken } from '#http/credential.ts';
import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import { sessionCookie } from '#http/session-cookie.ts';
import { RequestOptions } from '#identity/webauthn.contract.ts';
import type { RequestOptions as Options } from '#identity/webauthn.ts';
import type { Origin } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import { StepUpOptionsRequest, StepUpRequest, StepUpResponse } from './stepup.contract.ts';
import type { Answer } from './stepup.ts';

export interface StepUpPort {
  readonly proofSeconds: number;
  /**
   * Another token for the session of a browser, in place of the one that its cookie holds. A client with a token of its
   * own keeps it: one that reads only `proof` and `expires_in` could not follow. Null where there is nothing to send.
   * MUST NOT throw: the proof is good, whatever becomes of the cookie.
   */
  rotate(
    principal: Principal,
    token: string,
    origin: Origin,
  ): Promise<{ readonly token: string; readonly expiresAt: string } | null>;
  prove(principal: Principal, challenge: string, answer: Answer, requestId: string): Promise<string>;
  options(principal: Principal, challenge: string): Promise<Options>;
}

const proving = {
  access: {
    action: 'factor.prove',
    resource: (_input: unknown, principal: Principal) => ({ type: 'account', id: principal.subject }),
    denial: 'forbidden',
  },
  credentials: 'session',
  stepUp: NO_STEP_UP,
  counts: 'none',
  records: 'denials',
} as const;

export function stepUpRoutes(stepUp: StepUpPort): Route[] {
  return [
    route<undefined, undefined, StepUpRequest>({
      ...proving,
      id: 'auth.step-up',
      method: 'POST',
      path: '/auth/step-up',
      summary: 'Answer a step-up challenge with a code or a passkey; the proof is good for that one operation',
      body: StepUpRequest,
      bodyLimit: 16 * 1024,
      response: StepUpResponse,
      handle: async ({ principal, body, origin, headers }) => {
        const proof = await stepUp.prove(principal, body.challenge, body, origin.requestId);
        const answer: StepUpResponse = { proof, expires_in: stepUp.proofSeconds };
        const shown = cookieToken(headers);
        const renewed = shown === null ? null : await stepUp.rotate(principal, shown, origin);
        if (renewed === null) return { kind: 'json', body: answer };
        const cookie = sessionCookie(renewed.token, renewed.expiresAt);
        return { kind: 'json', body: answer, headers: { 'set-cookie': cookie } };
      },
    }),
    route<undefined, undefined, StepUpOptionsRequest>({
      ...proving,
      id: 'auth.step-up.options',
      method: 'POST',
      path: '/auth/webauthn/step-up',
      summary: 'What a passkey must sign to answer a step-up challenge',
      body: StepUpOptionsRequest,
      bodyLimit: 1024,
      response: RequestOptions,
      handle: async ({ principal, body }) => ({
        kind: 'json',
        body: await stepUp.options(principal, body.challenge),
      }),
    }),
  ];
}
