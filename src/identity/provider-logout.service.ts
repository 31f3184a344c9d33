import { ANONYMOUS, type AuditEvent, SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { networkOf } from '#audit/refusal-budget.ts';
import { sha256Hex } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import { type Origin, sourceFacts } from '#kernel/origin.ts';
import { Problem } from '#kernel/problem.ts';
import type { Sealer } from './identity.ts';
import type { FederatedAccountStore, IdentityProvider } from './oidc.ts';

export interface ProviderLogoutDeps {
  readonly provider: Pick<IdentityProvider, 'logoutToken'>;
  readonly accounts: FederatedAccountStore;
  readonly recorder: Recorder;
  readonly sealer: Pick<Sealer, 'fingerprint'>;
  readonly log: Log;
}

/** Tokens that are checked at once: nobody makes us compute without bound. */
const MAX_CHECKS = 16;

/** The identity provider says that somebody has signed out there: his sessions end here, on every replica. */
export class ProviderLogout {
  readonly #deps: ProviderLogoutDeps;
  #checks = 0;

  constructor(deps: ProviderLogoutDeps) {
    this.#deps = deps;
  }

  /**
   * Also where no session is left: what the provider wants is so.
   *
   * @throws Problem `invalid_request` for what is no good logout token or was shown before, `overloaded`
   */
  async logout(text: string, origin: Origin): Promise<void> {
    if (this.#checks >= MAX_CHECKS) throw new Problem('overloaded', { retryAfter: 1 });
    this.#checks++;
    try {
      await this.#logout(text, origin);
    } finally {
      this.#checks--;
    }
  }

  async #logout(text: string, origin: Origin): Promise<void> {
    const { provider, accounts, recorder, sealer, log } = this.#deps;
    const token = await provider.logoutToken(text).catch((cause: unknown) => {
      log.warn('a logout token could not be checked', { requestId: origin.requestId, error: cause });
      throw new Problem('overloaded', { retryAfter: 5 }, cause);
    });
    if (token === null) {
      recorder.refuse(
        { ...eventOf('network', origin, {}), actor: ANONYMOUS, outcome: 'denied', outcome_code: 'logout_token' },
        { code: 'logout_token', source: networkOf(origin.address), subject: ANONYMOUS },
      );
      throw refused();
    }
    const { issuer, subject, sid, id } = token;
    const account = subject === null ? null : await accounts.findFederated(`${issuer} ${subject}`);
    const facts = {
      by: 'identity provider',
      ends: sid === null ? 'every session' : 'one session of the provider',
      ...(subject === null ? {} : { subject_hmac: sealer.fingerprint(`oidc ${issuer} ${subject}`) }),
    };
    const verdict = await recorder.change(
      'session.provider_logout',
      { token: sha256Hex(`logout ${id}`), issuer, subject, sid },
      eventOf(account === null ? 'provider' : `account:${account.id}`, origin, facts),
    );
    if (verdict.verdict !== 'changed') throw refused();
  }
}

/** The error of section 2.8. */
const refused = (): Problem =>
  new Problem('invalid_request', { message: 'This is no logout token for us.', extra: { error: 'invalid_request' } });

const eventOf = (resource: string, origin: Origin, facts: Readonly<Record<string, string>>): AuditEvent => ({
  kind: 'sign-in',
  actor: SYSTEM,
  action: 'session.provider_logout',
  resource: resource.includes(':') ? resource : `${resource}:identity`,
  outcome: 'completed',
  request: origin.requestId,
  facts: { ...facts, ...sourceFacts(origin) },
});
