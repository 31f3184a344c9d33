import { useState } from 'preact/hooks';
import type { RequestOptions } from '#identity/webauthn.contract.ts';
import { useApi } from '#portal/api.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { useTask } from '#portal/task.ts';
import type { StepUpOptionsRequest, StepUpRequest, StepUpResponse } from '#stepup/stepup.contract.ts';
import { CodeField } from './field.tsx';
import { Modal } from './modal.tsx';
import { RefusalNotice } from './notice.tsx';
import { PasskeyButton } from './passkey-button.tsx';
import type { Pending } from './step-up.tsx';

/** Shows the server's own sentence for the operation, and trades a passkey's answer or a code for the proof of it. */
export function StepUpDialog({ pending }: { readonly pending: Pending }) {
  const text = useSafetyText();
  const api = useApi();
  const { challenge, operation, factors, settle } = pending;
  const [passkey, totp] = [factors.includes('passkey'), factors.includes('totp')];
  const prove = async (body: StepUpRequest): Promise<void> => {
    settle((await api.send<StepUpResponse>('POST', '/auth/step-up', { body })).proof);
  };
  const begin: StepUpOptionsRequest = { challenge };

  return (
    <Modal title={totp && !passkey ? text.stepUp : text.stepUpPasskey} onClose={() => settle(null)}>
      <div class="form">
        {operation !== undefined && <p class="operation">{operation}</p>}
        <p class="quiet">{passkey ? text.stepUpPasskeyWhy : text.stepUpWhy}</p>
        {passkey && (
          <PasskeyButton
            or={totp}
            options={() => api.send<RequestOptions>('POST', '/auth/webauthn/step-up', { body: begin })}
            onAnswer={(assertion) => prove({ challenge, assertion })}
          />
        )}
        {totp ? (
          <CodeForm main={!passkey} onCode={(code) => prove({ challenge, code })} onCancel={() => settle(null)} />
        ) : (
          <div class="form-end">
            <button type="button" class="button" onClick={() => settle(null)}>
              {text.cancel}
            </button>
          </div>
        )}
      </div>
    </Modal>
  );
}

interface CodeProps {
  /** Nothing stands before it. */
  readonly main: boolean;
  readonly onCode: (code: string) => Promise<void>;
  readonly onCancel: () => void;
}

function CodeForm({ main, onCode, onCancel }: CodeProps) {
  const text = useSafetyText();
  const task = useTask();
  const [code, setCode] = useState('');
  const submit = (event: Event): void => {
    event.preventDefault();
    task.run(async () => {
      try {
        await onCode(code);
      } catch (error) {
        setCode('');
        throw error;
      }
    });
  };
  return (
    <form class="form" onSubmit={submit}>
      <CodeField value={code} onValue={setCode} focus={main} />
      {task.refusal !== null && (
        <RefusalNotice refusal={task.refusal} words={{ invalid_credentials: text.codeWrong }} />
      )}
      <div class="form-end">
        <button type="button" class="button" onClick={onCancel}>
          {text.cancel}
        </button>
        <button type="submit" class={main ? 'button button-main' : 'button'} disabled={task.busy}>
          {text.stepUpSend}
        </button>
      </div>
    </form>
  );
}
