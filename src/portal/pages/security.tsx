import { useState } from 'preact/hooks';
import type { User } from '#identity/identity.contract.ts';
import type { SessionInfo, SessionList } from '#identity/sessions.contract.ts';
import { hasFactor } from '#portal/account.ts';
import { useApi } from '#portal/api.ts';
import { stamp } from '#portal/format.ts';
import type { SafetyDictionary } from '#portal/i18n/safety.en.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { PasskeySection } from '#portal/parts/passkey-list.tsx';
import { PasswordDialog } from '#portal/parts/password-dialog.tsx';
import { useStepUp } from '#portal/parts/step-up.tsx';
import { useResource, useTask } from '#portal/task.ts';
import type { SignInNotice } from './sign-in.tsx';

interface Props {
  readonly user: User;
  readonly onLeave: (notice: SignInNotice) => void;
}

/** One's own account: how it is protected, and where it is signed in. */
export function SecurityPage({ user, onLeave }: Props) {
  const text = useSafetyText();
  const sessions = useResource<SessionList>('/auth/sessions');
  const [changing, setChanging] = useState(user.must_change_password);
  const protectedTwice = hasFactor(user);
  const list = sessions.data?.data.toSorted((a, b) => Number(b.current) - Number(a.current));
  return (
    <div class="page">
      <header class="page-head">
        <h1>{text.tabs.security}</h1>
        <p class="quiet">{text.securityLead}</p>
      </header>
      <div class="keys">
        <div class="card-stack">
          <section class="card keys-new form">
            <h2>{text.factor}</h2>
            <p class={protectedTwice ? 'state state-ready' : 'state'}>
              {protectedTwice ? text.factorOn : text.factorOff}
            </p>
            <p class="quiet">{protectedTwice ? text.factorOnWhy : text.factorOffWhy}</p>
            <div class="form-end">
              <a class={protectedTwice ? 'button' : 'button button-main'} href="#/security/factor">
                {factorWords(user, text)}
              </a>
              {protectedTwice && (
                <a class="button" href="#/security/passkey">
                  {text.passkeyAdd}
                </a>
              )}
            </div>
          </section>
          <section class="card keys-new form">
            <h2>{text.password}</h2>
            {user.must_change_password && <p class="state state-failed">{text.passwordExpired}</p>}
            <p class="quiet">{text.passwordLead}</p>
            <div class="form-end">
              <button type="button" class="button" onClick={() => setChanging(true)}>
                {text.changePassword}
              </button>
            </div>
          </section>
        </div>
        <div class="card-columns">
          <PasskeySection user={user} onRemoved={() => onLeave('passkeyGone')} />
          <section aria-label={text.sessions} class="card-stack">
            <h2>{text.sessions}</h2>
            {sessions.refusal !== null && <RefusalNotice refusal={sessions.refusal} onRetry={sessions.refresh} />}
            {list === undefined && sessions.refusal === null && <p class="empty">{text.loading}</p>}
            {list !== undefined && (
              <ul class="key-list">
                {list.map((session) => (
                  <SessionRow key={session.id} session={session} onEnded={sessions.refresh} />
                ))}
              </ul>
            )}
          </section>
        </div>
      </div>
      {changing && (
        <PasswordDialog user={user} onClose={() => setChanging(false)} onChanged={() => onLeave('password')} />
      )}
    </div>
  );
}

const factorWords = ({ has_totp, has_passkey }: User, text: SafetyDictionary): string => {
  if (has_passkey) return has_totp ? text.factorReplaceApp : text.factorAddApp;
  return has_totp ? text.factorReplace : text.factorSetUp;
};

function SessionRow({ session, onEnded }: { readonly session: SessionInfo; readonly onEnded: () => void }) {
  const text = useSafetyText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const factors: Readonly<Record<string, string>> = text.factorNames;
  const since = stamp(session.created_at).slice(0, 16);
  const times = [
    [text.sessionSince, since],
    [text.sessionSeen, stamp(session.last_seen_at).slice(0, 16)],
    [text.sessionEnds, stamp(session.expires_at).slice(0, 16)],
  ] as const;
  const end = (): void =>
    task.run(async () => {
      await stepUp((proof) => api.send<void>('DELETE', `/auth/sessions/${encodeURIComponent(session.id)}`, proof));
      onEnded();
    });
  return (
    <li class="card key-row">
      <div class="key-name">
        <b>{session.current ? text.sessionThis : text.sessionOther}</b>
        <span class="quiet">{session.factors.map((factor) => factors[factor] ?? factor).join(' + ')}</span>
      </div>
      <dl>
        {times.map(([name, time]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="number">{time}</dd>
          </div>
        ))}
      </dl>
      {!session.current && (
        <button
          type="button"
          class="button button-bad"
          aria-label={`${text.sessionEnd}: ${since}`}
          disabled={task.busy}
          onClick={end}
        >
          {text.sessionEnd}
        </button>
      )}
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
    </li>
  );
}
