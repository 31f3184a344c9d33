import { useState } from 'preact/hooks';
import type { User } from '#identity/identity.contract.ts';
import type {
  CreationOptions,
  RegisterOptionsRequest,
  RegisterRequest,
  RegisterResponse,
} from '#identity/webauthn.contract.ts';
import { hasFactor } from '#portal/account.ts';
import { useApi } from '#portal/api.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { createPasskey } from '#portal/passkey.ts';
import { useTask } from '#portal/task.ts';
import { Field } from './field.tsx';
import { RefusalNotice } from './notice.tsx';
import { OwnPasswordField, useOwnPassword } from './own-password.tsx';
import { useStepUp } from './step-up.tsx';

interface Props {
  readonly user: User;
  /** Empty where the account has recovery codes already. */
  readonly onCodes: (codes: readonly string[]) => void;
}

/** Registers a passkey: the factor or the password that there is, then the browser's own dialog. */
export function PasskeyForm({ user, onCodes }: Props) {
  const text = useSafetyText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const [name, setName] = useState('');
  const own = useOwnPassword();

  const submit = (event: Event): void => {
    event.preventDefault();
    const begin: RegisterOptionsRequest = hasFactor(user) ? {} : own.body;
    task.run(async () => {
      const options = await stepUp((proof) =>
        api.send<CreationOptions>('POST', '/auth/webauthn/register/options', { body: begin, ...proof }),
      );
      const body: RegisterRequest = { name, attestation: await createPasskey(options) };
      onCodes((await api.send<RegisterResponse>('POST', '/auth/webauthn/register', { body })).recovery_codes);
    });
  };

  return (
    <form class="form factor-begin" onSubmit={submit}>
      <h2>{text.passkeyNew}</h2>
      <p>{text.passkeyNewHow}</p>
      <Field
        label={text.passkeyName}
        hint={text.passkeyNameHint}
        maxLength={64}
        value={name}
        onValue={setName}
        required
        focus
      />
      {!hasFactor(user) && <OwnPasswordField user={user} own={own} />}
      <p class="quiet">{hasFactor(user) ? text.passkeyThenMore : text.passkeyThen}</p>
      {task.refusal !== null && (
        <RefusalNotice refusal={task.refusal} words={{ invalid_credentials: text.passkeyOrPasswordWrong }} />
      )}
      <div class="form-end">
        {!user.must_enrol && (
          <a class="button" href="#/security">
            {text.cancel}
          </a>
        )}
        <button type="submit" class="button button-main" disabled={task.busy}>
          {text.passkeyRegister}
        </button>
      </div>
    </form>
  );
}
