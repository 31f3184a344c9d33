import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import type { Principal } from '#kernel/principal.ts';
import { StepUpRequest, StepUpResponse } from './stepup.contract.ts';

export interface StepUpPort {
  readonly proofSeconds: number;
  prove(principal: Principal, challenge: string, code: string, requestId: string): Promise<string>;
}

export function stepUpRoutes(stepUp: StepUpPort): Route[] {
  return [
    route<undefined, undefined, StepUpRequest>({
      id: 'auth.step-up',
      method: 'POST',
      path: '/auth/step-up',
      summary: 'Answer a step-up challenge with a code; the proof is good for that one operation',
      access: {
        action: 'factor.prove',
        resource: (_input, principal) => ({ type: 'account', id: principal.subject }),
        denial: 'forbidden',
      },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'denials',
      body: StepUpRequest,
      bodyLimit: 4096,
      response: StepUpResponse,
      handle: async ({ principal, body, requestId }) => {
        const proof = await stepUp.prove(principal, body.challenge, body.code, requestId);
        const answer: StepUpResponse = { proof, expires_in: stepUp.proofSeconds };
        return { kind: 'json', body: answer };
      },
    }),
  ];
}
