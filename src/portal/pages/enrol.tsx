import type { EnrolRequest, EnrolResponse } from '#identity/factors.contract.ts';
import { useApi } from '#portal/api.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { Gate } from '#portal/parts/gate.tsx';
import { NewPasswordFields, useNewPassword } from '#portal/parts/new-password.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { useTask } from '#portal/task.ts';

/** The gateway decides by the account: 15 characters alone, 8 where a second factor stands beside the password. */
const LEAST = 8;
const TOKEN = /^sre_[A-Za-z0-9_-]{43}$/;

interface Props {
  readonly token: string;
  readonly auditDown: boolean;
  readonly onEnrolled: (username: string, mustEnrol: boolean) => Promise<void>;
  readonly onClose: () => void;
}

/** Opened by an enrolment link: its reader chooses the password of his account. */
export function EnrolPage({ token, auditDown, onEnrolled, onClose }: Props) {
  const text = useSafetyText();
  return (
    <Gate title={text.enrolTitle} auditDown={auditDown}>
      {TOKEN.test(token) ? (
        <EnrolForm token={token} onEnrolled={onEnrolled} />
      ) : (
        <p class="notice notice-bad" role="alert">
          {text.enrolCut}
        </p>
      )}
      <p class="gate-other">
        <button type="button" class="link" onClick={onClose}>
          {text.enrolOther}
        </button>
      </p>
    </Gate>
  );
}

function EnrolForm({ token, onEnrolled }: Pick<Props, 'token' | 'onEnrolled'>) {
  const text = useSafetyText();
  const api = useApi();
  const task = useTask();
  const fresh = useNewPassword();
  const spent = text.enrolSpent;

  const submit = (event: Event): void => {
    event.preventDefault();
    if (!fresh.same) return;
    const body: EnrolRequest = { token, password: fresh.password };
    task.run(async () => {
      const { username, must_enrol } = await api.send<EnrolResponse>('POST', '/auth/enrol', { body });
      await onEnrolled(username, must_enrol);
    });
  };

  return (
    <form class="form" onSubmit={submit}>
      <p class="quiet">{text.enrolLead}</p>
      <NewPasswordFields entry={fresh} least={LEAST} focus />
      <ul class="rules" aria-label={text.passwordRules}>
        {text.passwordRuleList.map((rule) => (
          <li key={rule}>{rule}</li>
        ))}
      </ul>
      {task.refusal !== null && (
        <RefusalNotice
          refusal={task.refusal}
          words={{
            invalid_parameter: text.passwordRefused,
            not_found: spent,
            unauthenticated: spent,
            invalid_credentials: spent,
          }}
        />
      )}
      <button type="submit" class="button button-main button-wide" disabled={task.busy || fresh.differs}>
        {text.enrolSend}
      </button>
    </form>
  );
}
