import { useState } from 'preact/hooks';
import type { User } from '#identity/identity.contract.ts';
import type { CodeRequest, CodeResponse } from '#identity/oidc.contract.ts';
import type { AssertionRequest, RequestOptions } from '#identity/webauthn.contract.ts';
import { useApi } from '#portal/api.ts';
import { useWaysText } from '#portal/i18n/ways.ts';
import { CodeField } from '#portal/parts/field.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { PasskeyButton } from '#portal/parts/passkey-button.tsx';
import { useTask } from '#portal/task.ts';

interface Props {
  readonly user: User;
  readonly onConfirmed: () => void;
}

/** The second factor of one's own, where the identity provider asked for none. */
export function ConfirmPage({ user, onConfirmed }: Props) {
  const text = useWaysText();
  const api = useApi();
  return (
    <div class="page">
      <header class="page-head">
        <h1>{text.confirmTitle}</h1>
        <p class="quiet">{text.confirmLead}</p>
      </header>
      <section class="card factor form">
        {user.has_passkey && (
          <PasskeyButton
            or={user.has_totp}
            options={() => api.send<RequestOptions>('POST', '/auth/webauthn/confirm/options')}
            onAnswer={async (assertion) => {
              const body: AssertionRequest = { assertion };
              await api.send<CodeResponse>('POST', '/auth/webauthn/confirm', { body });
              onConfirmed();
            }}
          />
        )}
        {user.has_totp && <CodeForm onConfirmed={onConfirmed} />}
      </section>
    </div>
  );
}

function CodeForm({ onConfirmed }: Pick<Props, 'onConfirmed'>) {
  const text = useWaysText();
  const api = useApi();
  const task = useTask();
  const [code, setCode] = useState('');

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: CodeRequest = { code };
    task.run(async () => {
      try {
        await api.send<CodeResponse>('POST', '/auth/oidc/code', { body });
        onConfirmed();
      } catch (error) {
        setCode('');
        throw error;
      }
    });
  };

  return (
    <form class="form" onSubmit={submit}>
      <CodeField value={code} onValue={setCode} />
      {task.refusal !== null && (
        <RefusalNotice refusal={task.refusal} words={{ invalid_credentials: text.confirmWrong }} />
      )}
      <div class="form-end">
        <button type="submit" class="button button-main" disabled={task.busy}>
          {text.confirmSend}
        </button>
      </div>
    </form>
  );
}
