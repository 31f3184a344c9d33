import { useState } from 'preact/hooks';
import type { PasswordRequest, User } from '#identity/identity.contract.ts';
import { useApi } from '#portal/api.ts';
import { useText } from '#portal/i18n/language.tsx';
import { useTask } from '#portal/task.ts';
import { Field } from './field.tsx';
import { Modal } from './modal.tsx';
import { RefusalNotice } from './notice.tsx';
import { useStepUp } from './step-up.tsx';

interface Props {
  readonly user: User;
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

export function PasswordDialog({ user, onClose, onChanged }: Props) {
  const text = useText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const [current, setCurrent] = useState('');
  const [fresh, setFresh] = useState('');
  const [repeat, setRepeat] = useState('');
  const least = user.has_totp ? 8 : 15;
  const differs = repeat !== '' && repeat !== fresh;

  const submit = (event: Event): void => {
    event.preventDefault();
    if (repeat !== fresh) return;
    const body: PasswordRequest = { current_password: current, new_password: fresh };
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
        <Field
          label={text.passwordNew}
          type="password"
          autoComplete="new-password"
          hint={text.passwordHint(least)}
          minLength={least}
          maxLength={128}
          value={fresh}
          onValue={setFresh}
          required
        />
        <Field
          label={text.passwordRepeat}
          type="password"
          autoComplete="new-password"
          maxLength={128}
          value={repeat}
          onValue={setRepeat}
          required
        />
        {differs && (
          <p class="field-error" role="alert">
            {text.passwordDiffers}
          </p>
        )}
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
        <div class="form-end">
          <button type="button" class="button" onClick={onClose}>
            {text.cancel}
          </button>
          <button type="submit" class="button button-main" disabled={task.busy || differs}>
            {text.changePassword}
          </button>
        </div>
      </form>
    </Modal>
  );
}
