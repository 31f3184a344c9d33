import { useState } from 'preact/hooks';
import type { LoginRequest, LoginResponse, User } from '#identity/identity.contract.ts';
import type { SignInMethods } from '#identity/oidc.contract.ts';
import { useApi } from '#portal/api.ts';
import { useText } from '#portal/i18n/language.tsx';
import { CodeField, Field } from '#portal/parts/field.tsx';
import { Gate } from '#portal/parts/gate.tsx';
import { lazy, withStyles } from '#portal/parts/lazy.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { Refusal } from '#portal/refusal.ts';
import { takeSignInError } from '#portal/route.ts';
import { useResource, useTask } from '#portal/task.ts';

// Most readers need neither, so that both come with their own file.
const own = () => withStyles(import('./own.ts'));
const PasskeySignIn = lazy(() => own().then((module) => module.PasskeySignIn));
const ProviderSignIn = lazy(() => own().then((module) => module.ProviderSignIn));

/** Why the reader stands here again: the words are the dictionary's. */
export type SignInNotice =
  | 'ended'
  | 'signedOut'
  | 'password'
  | 'enrolled'
  | 'enrolledFactor'
  | 'factor'
  | 'passkeyGone';

interface Props {
  readonly notice: SignInNotice | null;
  /** Filled in, where it is known. */
  readonly username: string;
  readonly auditDown: boolean;
  readonly onSignedIn: (user: User) => void;
}

export function SignInPage({ notice, username, auditDown, onSignedIn }: Props) {
  const text = useText();
  const methods = useResource<SignInMethods>('/auth/methods');
  const [error] = useState(takeSignInError);
  const form = <SignInForm known={username} main={!methods.data?.oidc} onSignedIn={onSignedIn} />;
  return (
    <Gate title={text.signIn} auditDown={auditDown}>
      {notice !== null && (
        <p class="notice" role="status">
          {text.notices[notice]}
        </p>
      )}
      {methods.data?.oidc ? (
        <ProviderSignIn error={error} local={methods.data.local_accounts}>
          {form}
        </ProviderSignIn>
      ) : (
        (methods.data ?? methods.refusal) !== null && form
      )}
    </Gate>
  );
}

interface FormProps {
  readonly known: string;
  /** No other way in stands before it. */
  readonly main: boolean;
  readonly onSignedIn: (user: User) => void;
}

/** The token in the answer is not kept: the browser holds the HttpOnly cookie, and no script can read that. */
function SignInForm({ known, main, onSignedIn }: FormProps) {
  const text = useText();
  const api = useApi();
  const task = useTask();
  const [username, setUsername] = useState(known);
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  // Which factors the account has, once its password was right.
  const [factors, setFactors] = useState('');
  const [recovery, setRecovery] = useState(false);
  const askCode = factors.includes('totp') || recovery;
  const passkey = factors.includes('passkey');

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: LoginRequest = { username, password, ...(askCode ? { code } : {}) };
    task.run(async () => {
      try {
        const { user } = await api.send<LoginResponse>('POST', '/auth/login', { body });
        onSignedIn(user);
      } catch (error) {
        setCode('');
        if (!(error instanceof Refusal) || error.code !== 'code_required' || askCode) throw error;
        setFactors(error.detail.factors ?? 'totp');
      }
    });
  };
  const change = (set: (value: string) => void) => (value: string) => {
    set(value);
    setFactors('');
    setRecovery(false);
  };

  return (
    <form class="form" onSubmit={submit}>
      <Field
        label={text.username}
        autoComplete="username"
        maxLength={128}
        value={username}
        onValue={change(setUsername)}
        required
        focus={known === ''}
      />
      <Field
        label={text.password}
        type="password"
        autoComplete="current-password"
        maxLength={128}
        value={password}
        onValue={change(setPassword)}
        required
        focus={known !== ''}
      />
      {passkey && <PasskeySignIn username={username} password={password} or={askCode} onSignedIn={onSignedIn} />}
      {askCode && <CodeField value={code} onValue={setCode} recovery letters={recovery} focus={!passkey || recovery} />}
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      {passkey && !askCode ? (
        <button type="button" class="link hint" onClick={() => setRecovery(true)}>
          {text.useRecovery}
        </button>
      ) : (
        <button
          type="submit"
          class={`button button-wide ${main && !passkey ? 'button-main' : ''}`}
          disabled={task.busy}
        >
          {task.busy ? text.signingIn : text.signIn}
        </button>
      )}
    </form>
  );
}
