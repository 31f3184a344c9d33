import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { useWaysText } from '#portal/i18n/ways.ts';
import { Icon } from './mark.tsx';

interface Props {
  /** Of `#/sign-in?error=…`: how the last try ended. */
  readonly error: string | null;
  /** Whether everybody may sign in with a password, or admins alone, for the day the provider is down. */
  readonly local: boolean;
  /** The form for the password. */
  readonly children: ComponentChildren;
}

/** The house's own identity provider first; the password behind it, or behind glass. */
export function ProviderSignIn({ error, local, children }: Props) {
  const text = useWaysText();
  const [broken, setBroken] = useState(false);
  const errors: Readonly<Record<string, string>> = text.providerErrors;
  return (
    <div class="form ways">
      {error !== null && (
        <div class="notice notice-bad" role="alert">
          <Icon name="alert" />
          <p>{errors[error] ?? text.providerErrors.failed}</p>
        </div>
      )}
      <a class="button button-main button-wide" href="/auth/oidc/start">
        <Icon name="door" />
        {text.provider}
      </a>
      {(local || broken) && <p class="or">{text.or}</p>}
      {local || broken ? (
        children
      ) : (
        <button type="button" class="link hint" onClick={() => setBroken(true)}>
          {text.breakGlass}
        </button>
      )}
    </div>
  );
}
