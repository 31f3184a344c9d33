import { PUBLIC, publicRoute, type Route, route } from '#http/route.ts';
import type { Origin } from '#kernel/origin.ts';
import { hasSecondFactor, type Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { KeySet, TokenRequest, TokenResponse } from './token.contract.ts';
import { TOKEN_SECONDS, type TokenIssuer } from './token.ts';

export interface TokenPort extends TokenIssuer {
  /** Services that tokens are made for. */
  readonly audiences: readonly string[];
  /** @throws Problem `invalid_credentials`, `too_many_attempts` */
  confirm(principal: Principal, password: string, action: string, origin: Origin): Promise<unknown>;
}

/** Tokens that a service behind us checks by itself. Without an audience there are no such routes. */
export function tokenRoutes(tokens: TokenPort): Route[] {
  if (tokens.audiences.length === 0) return [];
  return [
    route<undefined, undefined, TokenRequest>({
      id: 'auth.token',
      method: 'POST',
      path: '/auth/token',
      summary: 'Exchange a session or an API key for a five-minute token for one outside service',
      access: {
        action: 'token.create',
        resource: ({ body }) => ({ type: 'audience', id: knownAudience(tokens.audiences, body.audience) }),
        denial: 'forbidden',
      },
      credentials: 'any',
      stepUp: (principal, { body }) =>
        principal.credential.kind === 'session' && hasSecondFactor(principal)
          ? `Make a token for ${body.audience} in the name of ${principal.username}`
          : null,
      counts: 'none',
      records: 'full',
      body: TokenRequest,
      bodyLimit: 4096,
      response: TokenResponse,
      handle: async ({ principal, body, origin, report }) => {
        refuseNarrowKey(principal);
        if (principal.credential.kind === 'session' && !hasSecondFactor(principal))
          await tokens.confirm(principal, body.password ?? '', 'token.create', origin);
        const { token, id } = await tokens.mint(principal, body.audience);
        report(() => ({ ran: true, tokens: null, facts: { jti: id }, opening: null }));
        const answer: TokenResponse = { access_token: token, token_type: 'Bearer', expires_in: TOKEN_SECONDS };
        return { kind: 'json', body: answer };
      },
    }),
    publicRoute({
      id: 'jwks',
      method: 'GET',
      path: '/.well-known/jwks.json',
      summary: 'Public keys of those tokens',
      access: PUBLIC,
      response: KeySet,
      handle: async () => {
        const answer: KeySet = { keys: [...(await tokens.publicKeys())] };
        return { kind: 'json', body: answer, headers: { 'cache-control': 'public, max-age=60' } };
      },
    }),
  ];
}

/** The list's own text, not the request's. */
function knownAudience(audiences: readonly string[], asked: string): string {
  const audience = audiences.find((one) => one === asked);
  if (audience === undefined) throw new Problem('forbidden', { message: 'No tokens are made for this audience.' });
  return audience;
}

/** A token says nothing of a key's limits, so a key that has some would get more by it than it is. */
function refuseNarrowKey({ scope }: Principal): void {
  if (scope !== null && (scope.models !== null || scope.actions !== null))
    throw new Problem('forbidden', { message: 'This API key is limited; it can’t be exchanged for a token.' });
}
