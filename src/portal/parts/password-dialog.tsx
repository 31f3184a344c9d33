import { useState } from 'preact/hooks';
import type { PasswordRequest, User } from '#identity/identity.contract.ts';
import { useApi } from '#portal/api.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { useTask } from '#portal/task.ts';
import { Field } from './field.tsx';
import { Modal } from './modal.tsx';
import { NewPasswordFields, useNewPassword } from './new-password.tsx';
import { RefusalNotice } from './notice.tsx';
import { useStepUp } from './step-up.tsx';

interface Props {
  readonly user: User;
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

export function PasswordDialog({ user, onClose, onChanged }: Props) {
  const text = useSafetyText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const [current, setCurrent] = useState('');
  const fresh = useNewPassword();
  const least = user.has_totp ? 8 : 15;

  const submit = (event: Event): void => {
    event.preventDefault();
    if (!fresh.same) return;
    const body: PasswordRequest = { current_password: current, new_password: fresh.password };
    task.run(async () => {
      await stepUp((proof) => api.send<void>('POST', '/auth/password', { body, ...proof }));
      onChanged();
    });
  };

  return (
    <Modal title={text.changePassword} onClose={onClose}>
      <form class="form" onSubmit={submit}>
        <p class="quiet">{text.passwordWhy}</p>
        <input type="hidden" autocomplete="username" value={user.username} />
        <Field
          label={text.passwordCurrent}
          type="password"
          autoComplete="current-password"
          maxLength={128}
          value={current}
          onValue={setCurrent}
          required
          focus
        />
        <NewPasswordFields entry={fresh} least={least} hint={text.passwordHint(least)} />
        {task.refusal !== null && (
          <RefusalNotice
            refusal={task.refusal}
            words={{ invalid_credentials: text.passwordWrong, invalid_parameter: text.passwordRefused }}
          />
        )}
        <div class="form-end">
          <button type="button" class="button" onClick={onClose}>
            {text.cancel}
          </button>
          <button type="submit" class="button button-main" disabled={task.busy || fresh.differs}>
            {text.changePassword}
          </button>
        </div>
      </form>
    </Modal>
  );
}
