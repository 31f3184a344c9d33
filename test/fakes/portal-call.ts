import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { User } from '#identity/identity.contract.ts';
import { json, problem } from './portal-reply.ts';

export const CODE = '123456';
/** A code that was good and has been used. */
export const USED_CODE = '111111';

/** One call of somebody who is signed in. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** `POST /auth/keys` */
  readonly path: string;
  readonly url: URL;
  readonly body: unknown;
  readonly text: string;
  readonly user: User;
  readonly token: string;
}

/** Proofs that hold once, for the very call that they were asked for. */
export class StepUps {
  readonly #challenges = new Map<string, string>();
  readonly #proofs = new Map<string, string>();

  /** True where the call carries its proof; else it has been answered by a challenge. */
  passes(call: Call, operation: string): boolean {
    const wanted = createHash('sha256').update(`${call.path}\n${call.text}\n${call.token}`).digest('hex');
    const proof = String(call.request.headers['step-up-proof'] ?? '');
    if (this.#proofs.get(proof) === wanted) {
      this.#proofs.delete(proof);
      return true;
    }
    const challenge = `suc_${randomBytes(32).toString('base64url')}`;
    this.#challenges.set(challenge, wanted);
    problem(call.response, '/auth', 401, 'step_up_required', { challenge, operation });
    return false;
  }

  answer({ response, body }: Call) {
    const { challenge, code } = body as { challenge: string; code: string };
    const wanted = this.#challenges.get(challenge);
    if (code === USED_CODE) return problem(response, '/auth', 401, 'code_used', { retryAfter: 17 });
    if (code !== CODE || wanted === undefined) return problem(response, '/auth', 401, 'invalid_credentials');
    this.#challenges.delete(challenge);
    const proof = randomBytes(16).toString('hex');
    this.#proofs.set(proof, wanted);
    json(response, 200, { proof, expires_in: 120 });
  }
}
