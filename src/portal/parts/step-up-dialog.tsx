import { useState } from 'preact/hooks';
import { useApi } from '#portal/api.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { useTask } from '#portal/task.ts';
import type { StepUpRequest, StepUpResponse } from '#stepup/stepup.contract.ts';
import { CodeField } from './field.tsx';
import { Modal } from './modal.tsx';
import { RefusalNotice } from './notice.tsx';
import type { Pending } from './step-up.tsx';

/** Shows the server's own sentence for the operation, and trades a code for the proof of that operation. */
export function StepUpDialog({ pending }: { readonly pending: Pending }) {
  const text = useSafetyText();
  const api = useApi();
  const task = useTask();
  const [code, setCode] = useState('');

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: StepUpRequest = { challenge: pending.challenge, code };
    task.run(async () => {
      try {
        const { proof } = await api.send<StepUpResponse>('POST', '/auth/step-up', { body });
        pending.settle(proof);
      } catch (error) {
        setCode('');
        throw error;
      }
    });
  };

  return (
    <Modal title={text.stepUp} onClose={() => pending.settle(null)}>
      <form class="form" onSubmit={submit}>
        {pending.operation !== undefined && <p class="operation">{pending.operation}</p>}
        <p class="quiet">{text.stepUpWhy}</p>
        <CodeField value={code} onValue={setCode} />
        {task.refusal !== null && (
          <RefusalNotice refusal={task.refusal} words={{ invalid_credentials: text.codeWrong }} />
        )}
        <div class="form-end">
          <button type="button" class="button" onClick={() => pending.settle(null)}>
            {text.cancel}
          </button>
          <button type="submit" class="button button-main" disabled={task.busy}>
            {text.stepUpSend}
          </button>
        </div>
      </form>
    </Modal>
  );
}
