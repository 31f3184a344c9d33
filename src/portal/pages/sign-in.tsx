import { useState } from 'preact/hooks';
import type { LoginRequest, LoginResponse, User } from '#identity/identity.contract.ts';
import { useApi } from '#portal/api.ts';
import { useText } from '#portal/i18n/language.tsx';
import { CodeField, Field } from '#portal/parts/field.tsx';
import { Gate } from '#portal/parts/gate.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { Refusal } from '#portal/refusal.ts';
import { useTask } from '#portal/task.ts';

/** Why the reader stands here again: the words are the dictionary's. */
export type SignInNotice = 'ended' | 'signedOut' | 'password' | 'enrolled' | 'enrolledFactor' | 'factor';

interface Props {
  readonly notice: SignInNotice | null;
  /** Filled in, where it is known. */
  readonly username: string;
  readonly auditDown: boolean;
  readonly onSignedIn: (user: User) => void;
}

export function SignInPage({ notice, username, auditDown, onSignedIn }: Props) {
  const text = useText();
  return (
    <Gate title={text.signIn} auditDown={auditDown}>
      {notice !== null && (
        <p class="notice" role="status">
          {text.notices[notice]}
        </p>
      )}
      <SignInForm known={username} onSignedIn={onSignedIn} />
    </Gate>
  );
}

interface FormProps {
  readonly known: string;
  readonly onSignedIn: (user: User) => void;
}

/** The token in the answer is not kept: the browser holds the HttpOnly cookie, and no script can read that. */
function SignInForm({ known, onSignedIn }: FormProps) {
  const text = useText();
  const api = useApi();
  const task = useTask();
  const [username, setUsername] = useState(known);
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [askCode, setAskCode] = useState(false);

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
        setAskCode(true);
      }
    });
  };
  const change = (set: (value: string) => void) => (value: string) => {
    set(value);
    setAskCode(false);
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
      {askCode && <CodeField value={code} onValue={setCode} recovery />}
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      <button type="submit" class="button button-main button-wide" disabled={task.busy}>
        {task.busy ? text.signingIn : text.signIn}
      </button>
    </form>
  );
}
