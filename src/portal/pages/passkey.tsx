import type { User } from '#identity/identity.contract.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { PasskeyForm } from '#portal/parts/passkey-form.tsx';

interface Props {
  readonly user: User;
  readonly onCodes: (codes: readonly string[]) => void;
}

/** One more passkey beside what protects the account already, or the first of them. */
export function PasskeyPage({ user, onCodes }: Props) {
  const text = useSafetyText();
  return (
    <div class="page">
      <header class="page-head">
        <h1>{text.passkeyAdd}</h1>
        <p class="quiet">{text.passkeyLead}</p>
      </header>
      <section class="card factor">
        <PasskeyForm user={user} onCodes={onCodes} />
      </section>
    </div>
  );
}
