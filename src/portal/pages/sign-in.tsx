import { useState } from 'preact/hooks';
import type { LoginRequest, LoginResponse, User } from '#identity/identity.contract.ts';
import { useApi } from '#portal/api.ts';
import { useText } from '#portal/i18n/language.tsx';
import { CodeField, Field } from '#portal/parts/field.tsx';
import { LanguageSwitch } from '#portal/parts/language-switch.tsx';
import { Icon, Mark } from '#portal/parts/mark.tsx';
import { AuditBanner, RefusalNotice } from '#portal/parts/notice.tsx';
import { Seal } from '#portal/parts/seal.tsx';
import { Refusal } from '#portal/refusal.ts';
import { useTask } from '#portal/task.ts';

export type SignInNotice = 'ended' | 'signedOut' | 'password';

interface Props {
  readonly notice: SignInNotice | null;
  readonly auditDown: boolean;
  readonly onSignedIn: (user: User) => void;
}

export function SignInPage({ notice, auditDown, onSignedIn }: Props) {
  const text = useText();
  const notices: Record<SignInNotice, string> = {
    ended: text.noticeEnded,
    signedOut: text.noticeSignedOut,
    password: text.noticePassword,
  };
  return (
    <div class="gate">
      <aside class="gate-front">
        <Seal />
        <div class="brand">
          <Mark />
          <span>{text.title}</span>
        </div>
        <div class="gate-words">
          <p class="gate-lead">{text.signInLead}</p>
          <ul>
            {text.signInPoints.map((point) => (
              <li key={point}>
                <Icon name="check" />
                {point}
              </li>
            ))}
          </ul>
        </div>
      </aside>
      <main class="gate-main">
        <div class="gate-tools">
          <LanguageSwitch />
        </div>
        <div class="gate-form">
          {auditDown && <AuditBanner />}
          <h1>{text.signIn}</h1>
          {notice !== null && (
            <p class="notice" role="status">
              {notices[notice]}
            </p>
          )}
          <SignInForm onSignedIn={onSignedIn} />
        </div>
      </main>
    </div>
  );
}

/** The token in the answer is not kept: the browser holds the HttpOnly cookie, and no script can read that. */
function SignInForm({ onSignedIn }: Pick<Props, 'onSignedIn'>) {
  const text = useText();
  const api = useApi();
  const task = useTask();
  const [username, setUsername] = useState('');
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
        focus
      />
      <Field
        label={text.password}
        type="password"
        autoComplete="current-password"
        maxLength={128}
        value={password}
        onValue={change(setPassword)}
        required
      />
      {askCode && <CodeField value={code} onValue={setCode} />}
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      <button type="submit" class="button button-main button-wide" disabled={task.busy}>
        {task.busy ? text.signingIn : text.signIn}
      </button>
    </form>
  );
}
