import { useState } from 'preact/hooks';
import type { User } from '#identity/identity.contract.ts';
import type { SignInMethods } from '#identity/oidc.contract.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { useResource } from '#portal/task.ts';
import { Field } from './field.tsx';

interface OwnPassword {
  readonly password: string;
  readonly setPassword: (password: string) => void;
  /** Nothing where nothing was typed: whoever comes from the identity provider has none. */
  readonly body: { readonly password?: string };
}

export function useOwnPassword(): OwnPassword {
  const [password, setPassword] = useState('');
  return { password, setPassword, body: password === '' ? {} : { password } };
}

interface Props {
  readonly user: User;
  readonly own: OwnPassword;
  readonly focus?: boolean;
}

/** The password once more, where there is no second factor yet that could be asked for. */
export function OwnPasswordField({ user, own, focus = false }: Props) {
  const text = useSafetyText();
  const oidc = useResource<SignInMethods>('/auth/methods').data?.oidc ?? false;
  return (
    <>
      <input type="hidden" autocomplete="username" value={user.username} />
      <Field
        label={text.passwordCurrent}
        type="password"
        autoComplete="current-password"
        maxLength={128}
        value={own.password}
        onValue={own.setPassword}
        required={!oidc}
        focus={focus}
      />
      {oidc && (
        <p class="hint">
          {text.passwordNone}{' '}
          <a class="link" href="/auth/oidc/start?fresh=true">
            {text.passwordNoneLink}
          </a>
        </p>
      )}
    </>
  );
}
