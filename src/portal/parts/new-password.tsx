import { useState } from 'preact/hooks';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { Field } from './field.tsx';

/** A password that its reader chooses, typed twice. */
export interface NewPassword {
  readonly password: string;
  readonly repeat: string;
  /** The second is there and is another. */
  readonly differs: boolean;
  readonly same: boolean;
  readonly setPassword: (password: string) => void;
  readonly setRepeat: (repeat: string) => void;
}

export function useNewPassword(): NewPassword {
  const [password, setPassword] = useState('');
  const [repeat, setRepeat] = useState('');
  const same = password === repeat;
  return { password, repeat, same, differs: repeat !== '' && !same, setPassword, setRepeat };
}

interface Props {
  readonly entry: NewPassword;
  readonly least: number;
  readonly hint?: string;
  readonly focus?: boolean;
}

export function NewPasswordFields({ entry, least, hint, focus = false }: Props) {
  const text = useSafetyText();
  return (
    <>
      <Field
        label={text.passwordNew}
        type="password"
        autoComplete="new-password"
        {...(hint === undefined ? {} : { hint })}
        minLength={least}
        maxLength={128}
        value={entry.password}
        onValue={entry.setPassword}
        required
        focus={focus}
      />
      <Field
        label={text.passwordRepeat}
        type="password"
        autoComplete="new-password"
        maxLength={128}
        value={entry.repeat}
        onValue={entry.setRepeat}
        required
      />
      {entry.differs && (
        <p class="field-error" role="alert">
          {text.passwordDiffers}
        </p>
      )}
    </>
  );
}
